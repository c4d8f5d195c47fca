//! Serves `frontend-fixture/`: the page on the other origin, in development mode and in the
//! harness. Static files, never part of a production service.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use crate::policy::origin::Origin;

const FOLDER: &str = "frontend-fixture";
const AXIOS: &str = "node_modules/axios/dist/axios.min.js";

/// The fixture page and the backend it talks to.
#[derive(Debug, Clone)]
pub struct Fixture {
    folder: PathBuf,
    backend: Origin,
}

#[derive(Serialize)]
struct FixtureJson<'a> {
    backend: &'a str,
}

impl Fixture {
    /// Looks for the folder here and upwards, as `cargo run` may be started below the root.
    #[must_use]
    pub fn find(backend: Origin) -> Option<Self> {
        let here = std::env::current_dir().unwrap_or_default();
        let folder = here
            .ancestors()
            .map(|dir| dir.join(FOLDER))
            .find(|dir| dir.join("index.html").is_file());
        Some(Self { folder: folder?, backend })
    }

    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether axios has been installed there.
    #[must_use]
    pub fn has_axios(&self) -> bool {
        self.folder.join(AXIOS).is_file()
    }

    /// Serves the files.
    pub fn filter(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static
    {
        let backend = self.backend.clone();
        let settings = warp::path!("fixture.json").map(move || {
            warp::reply::json(&FixtureJson { backend: backend.as_str() }).into_response()
        });
        let files = warp::fs::dir(self.folder.clone()).map(warp::Reply::into_response);
        settings
            .or(files)
            .unify()
            .recover(|_: Rejection| async {
                let text = "there is nothing here: the page is at /\n";
                let reply = warp::reply::with_status(text, StatusCode::NOT_FOUND);
                Ok::<_, Infallible>(reply.into_response())
            })
            .unify()
            .map(|mut response: Response| {
                page_headers(response.headers_mut());
                response
            })
    }
}

fn page_headers(headers: &mut HeaderMap) {
    // The page may call any backend, and runs no script but its own files.
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; connect-src *; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
