//! Who sends a request: the session secret it carries, and whether it may change anything.

use std::convert::Infallible;
use std::sync::Arc;

use http::Method;
use warp::Filter;
use warp::path::FullPath;

use crate::app::App;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::filters::door::{self, Head};
use crate::policy::csrf::{self, CsrfFailure};
use crate::store::SessionStore as _;

const LOGIN_PATH: &str = "/api/auth/login";
/// What `csrf.safe_methods` leaves alone: the browser itself goes to three of them, and cannot show
/// anything; the session is where a page learns its token.
const NEVER_GUARDED: [&str; 4] =
    [LOGIN_PATH, "/api/auth/callback", "/api/auth/logout", "/api/auth/session"];

/// Method, path and headers of any request.
pub(super) struct Exchange {
    method: Method,
    path: FullPath,
    head: Head,
}

/// Takes them out of the request.
pub(super) fn exchange()
-> impl Filter<Extract = (Exchange,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::method().and(warp::path::full()).and(door::head()).map(|method, path, head| Exchange {
        method,
        path,
        head,
    })
}

/// The session layer: reads the cookie.
#[expect(
    clippy::unused_async,
    reason = "steps are futures, so that panics are caught in one place"
)]
pub(super) async fn recognise(app: Arc<App>, exchange: Exchange) -> Result<Visitor, ApiError> {
    let Exchange { method, path, head: Head { headers, peer } } = exchange;
    let ticket = app.cookie.read(&headers, |value| app.store.read_ticket(value));
    let path = path.as_str().trim_end_matches('/');
    let logs_in = path == LOGIN_PATH;
    let reads_freely = csrf::is_safe(&method) && NEVER_GUARDED.contains(&path);
    let guarded = app.csrf.guard(&method) && !reads_freely;
    Ok(Visitor { headers, peer, ticket, logs_in, guarded })
}

/// The CSRF layer: an unsafe method with a live session must come from an allowed place and show
/// what `csrf.mode` asks for: by default the session's token. A dead cookie protects nothing, and must not keep its owner from logging
/// in again.
///
/// Login is the exception: who sends the right password needs no other proof, and a page that has
/// lost its token must be able to start anew. A foreign page is stopped there by the content type:
/// the body has to be JSON, which it cannot send without a preflight; and where there is a session
/// to replace, its origin is checked as well.
pub(super) async fn check_csrf(app: Arc<App>, visitor: Visitor) -> Result<Visitor, ApiError> {
    if !visitor.guarded {
        return Ok(visitor);
    }
    let ticket = match visitor.peek(&app).await {
        Ok((ticket, _)) => ticket,
        Err(ApiError::NoSession | ApiError::Expired | ApiError::Revoked) => return Ok(visitor),
        // Who cannot be recognised at this moment is not let through as a stranger.
        Err(error) => return Err(error),
    };
    match csrf::check_source(&app.cors.current(), &app.public_origin, &visitor.headers) {
        Err(CsrfFailure::UnknownOrigin) if visitor.logs_in => {}
        checked => checked?,
    }
    if !visitor.logs_in {
        app.csrf.check_proof(ticket.secret(), &visitor.headers)?;
    }
    Ok(visitor)
}
