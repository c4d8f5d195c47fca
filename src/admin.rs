//! What operators and their tools ask, on listeners of its own: `/healthz`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::Response;

use crate::app::App;
use crate::error::ApiError;
use crate::metrics::Now;
use crate::reply;
use crate::store::{SessionStore as _, Store};

/// Who asks whether the service is ready does not wait longer for a store that is not there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What stands between a service and its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hindrance {
    /// It stops.
    Draining,
    /// The session store has not answered yet.
    StoreNeverReached,
    /// The identity provider has not answered yet.
    ProviderNeverReached,
}

/// What has been reached so far, and whether the end has begun. A store or provider that goes away
/// later is no hindrance: all instances would be taken out of service at once, and errors that say
/// what is wrong serve users better than no answer.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    store_reached: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// The end begins.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Asks the store, unless it has answered before.
    pub(crate) async fn reach_store(&self, store: &Store) -> bool {
        if self.store_reached.load(Ordering::Relaxed) {
            return true;
        }
        let answered = tokio::time::timeout(STORE_PATIENCE, store.ready()).await;
        let reached = matches!(answered, Ok(Ok(())));
        if reached {
            self.store_reached.store(true, Ordering::Relaxed);
        }
        reached
    }

    pub(crate) fn hindrances(&self, app: &App) -> Vec<Hindrance> {
        [
            (self.draining.load(Ordering::Relaxed), Hindrance::Draining),
            (!self.store_reached.load(Ordering::Relaxed), Hindrance::StoreNeverReached),
            (!app.knows_provider(), Hindrance::ProviderNeverReached),
        ]
        .into_iter()
        .filter_map(|(hinders, hindrance)| hinders.then_some(hindrance))
        .collect()
    }
}

/// The whole listener.
pub(crate) fn routes(
    app: Arc<App>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::method().and(warp::path::full()).then(move |method: Method, path: FullPath| {
        let app = Arc::clone(&app);
        async move {
            let mut response = answer(&app, &method, path.as_str()).await;
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
    })
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<Hindrance>,
}

async fn answer(app: &App, method: &Method, path: &str) -> Response {
    if !["/healthz", "/readyz", "/metrics"].contains(&path) {
        return ApiError::NotFound.into_response(app.ids.request_id());
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let allowed = &["GET", "HEAD"];
        let error = ApiError::MethodNotAllowed { method: method.clone(), allowed };
        return error.into_response(app.ids.request_id());
    }
    match path {
        "/metrics" => text("text/plain; version=0.0.4; charset=utf-8", metrics(app)),
        "/readyz" => {
            app.readiness.reach_store(&app.store).await;
            let why = app.readiness.hindrances(app);
            let ready = why.is_empty();
            let mut response = reply::json(&Ready { ready, why });
            if !ready {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
        // Whoever answers lives.
        _ => text("text/plain; charset=utf-8", "alive\n".to_owned()),
    }
}

fn metrics(app: &App) -> String {
    let store = match &app.store {
        Store::Memory(store) => Some(store),
        Store::Cookie(_) | Store::Redis(_) => None,
    };
    app.metrics.render(&Now {
        ready: app.readiness.hindrances(app).is_empty(),
        return_urls_refused: app.return_urls.refused(),
        store,
    })
}

fn text(content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Bytes::from(body).into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
