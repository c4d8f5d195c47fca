//! `GET` and `POST /api/auth/logout`.

use http::header::{HeaderValue, LOCATION, ORIGIN};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use warp::reply::{Reply as _, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::filters::Visitor;
use crate::handlers::set_cookie;
use crate::policy::csrf;
use crate::reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedOut<'a> {
    logout_url: &'a str,
}

/// A script asks (the CSRF layer has let it through): 200 and where to go next.
pub(super) fn by_script(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let view = LoggedOut { logout_url: &app.post_logout_url };
    end_session(app, visitor, reply::json(&view))
}

/// The browser came here itself: 302. Not when another site sent it, nor for an image or script of
/// a sibling host, which would be a prank.
pub(super) fn by_navigation(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    let headers = &visitor.headers;
    let listed = headers.get(ORIGIN).is_some_and(|origin| app.cors.lists(origin));
    let navigates = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    let prank = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"cross-site") => true,
        Some(b"same-site") => !navigates && !listed,
        _ => false,
    };
    if prank {
        return Err(ApiError::CrossSiteLogout);
    }
    let mut response = StatusCode::FOUND.into_response();
    let location = HeaderValue::from_str(&app.post_logout_url).map_err(|_| ApiError::Internal)?;
    response.headers_mut().insert(LOCATION, location);
    end_session(app, visitor, response)
}

/// Removes the session and clears its cookies, even if there was none: whoever logs out ends up
/// logged out.
fn end_session(app: &App, visitor: &Visitor, mut response: Response) -> Result<Response, ApiError> {
    let removed = visitor.secret.as_ref().is_some_and(|s| app.store.remove(&s.store_key()));
    if removed {
        tracing::info!(event = "logout", "logged out");
    }
    set_cookie(&mut response, app.cookie.clear())?;
    set_cookie(&mut response, app.cookie.clear_csrf(csrf::COOKIE_NAME))?;
    Ok(response)
}
