//! Who sends a request: the session secret it carries, and whether it may change anything.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Method};
use warp::Filter;
use warp::path::FullPath;

use crate::app::App;
use crate::error::ApiError;
use crate::policy::csrf::{self, CsrfFailure};
use crate::policy::session::SessionSecret;
use crate::store::{Found, Stored, Touch};

const LOGIN_PATH: &str = "/api/auth/login";

/// The sender of a request, as far as the request itself tells.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The session secret, if a well-formed one came along; whether it opens anything only the
    /// store knows.
    pub(crate) secret: Option<SessionSecret>,
    /// Whether the request is a login.
    logs_in: bool,
}

impl Visitor {
    /// The visitor's live session.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoSession`] or [`ApiError::Expired`].
    pub(crate) fn session(
        &self,
        app: &App,
        touch: Touch,
    ) -> Result<(&SessionSecret, Stored), ApiError> {
        // Without a cookie there is no look-up: a flood of anonymous requests takes no lock.
        let secret = self.secret.as_ref().ok_or(ApiError::NoSession)?;
        match app.store.get(&secret.store_key(), touch) {
            Found::Live(stored) => Ok((secret, stored)),
            Found::Expired => Err(ApiError::Expired),
            Found::Nothing => Err(ApiError::NoSession),
        }
    }
}

/// Method, path and headers of any request.
pub(super) struct Exchange {
    method: Method,
    path: FullPath,
    headers: HeaderMap,
}

/// Takes them out of the request.
pub(super) fn exchange()
-> impl Filter<Extract = (Exchange,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .map(|method, path, headers| Exchange { method, path, headers })
}

/// The session layer: reads the cookie.
#[expect(
    clippy::unused_async,
    reason = "steps are futures, so that panics are caught in one place"
)]
pub(super) async fn recognise(app: Arc<App>, exchange: Exchange) -> Result<Visitor, ApiError> {
    let Exchange { method, path, headers } = exchange;
    let secret = app.cookie.read(&headers);
    let logs_in = path.as_str() == LOGIN_PATH;
    Ok(Visitor { method, headers, secret, logs_in })
}

/// The CSRF layer: an unsafe method with a live session must come from an allowed place and carry
/// the session's token. A dead cookie protects nothing, and must not keep its owner from logging
/// in again.
///
/// Login is the exception: who sends the right password needs no other proof, and a page that has
/// lost its token must be able to start anew. There a foreign origin is still refused, and the
/// body has to be JSON, which no foreign page can send without a preflight.
#[expect(clippy::unused_async, reason = "as above")]
pub(super) async fn check_csrf(app: Arc<App>, visitor: Visitor) -> Result<Visitor, ApiError> {
    if csrf::is_safe(&visitor.method) {
        return Ok(visitor);
    }
    let touch = Touch::Leave(app.clock.now());
    if let Ok((secret, _)) = visitor.session(&app, touch) {
        match csrf::check_source(&app.cors, &app.public_origin, &visitor.headers) {
            Err(CsrfFailure::UnknownOrigin) if visitor.logs_in => {}
            checked => checked?,
        }
        if !visitor.logs_in {
            csrf::check_token(secret, &visitor.headers)?;
        }
    }
    Ok(visitor)
}
