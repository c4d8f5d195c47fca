//! `GET` and `POST /api/auth/logout`.

use http::HeaderName;
use http::header::{HeaderValue, ORIGIN};
use serde::Serialize;
use warp::reply::Response;

use crate::app::App;
use crate::audit;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::{clear_cookies, idp, page};
use crate::policy::csrf;
use crate::reply;
use crate::store::SessionStore as _;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoggedOut<'a> {
    logout_url: &'a str,
}

/// A script asks (the CSRF layer has let it through): 200 and where to go next.
pub(super) async fn by_script(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let logout_url = end_session(app, visitor).await?;
    let mut response = reply::json(&LoggedOut { logout_url: &logout_url });
    // Without a session cookie nothing has been checked, and nothing is cleared: another site could
    // post a form here, and the browser would take the answer's cookies, though it sent none.
    if visitor.ticket.is_some() {
        clear_cookies(app, &mut response)?;
    }
    Ok(response)
}

/// The browser came here itself: 302. Not when another site sent it, nor for an image or script of
/// a sibling host, which would be a prank.
pub(super) async fn by_navigation(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    let headers = visitor.headers();
    let listed =
        headers.get(ORIGIN).is_some_and(|origin| csrf::may_act(&app.cors.current(), origin));
    // A frame on a sibling host navigates, too; only a whole page is the user's own doing.
    let navigates = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate")
        && headers.get(SEC_FETCH_DEST).is_none_or(|dest| dest == "document");
    let prank = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"cross-site") => true,
        Some(b"same-site") => !navigates && !listed,
        _ => false,
    };
    if prank {
        return Err(ApiError::CrossSiteLogout);
    }
    let mut response = page::redirect(&end_session(app, visitor).await?)?;
    clear_cookies(app, &mut response)?;
    Ok(response)
}

/// Ends the session here and at the provider; gives the place where the browser goes next. Fails
/// with the store: who is told that they are logged out must be so.
async fn end_session(app: &App, visitor: &Visitor) -> Result<String, ApiError> {
    let default = || app.post_logout_url.to_str().unwrap_or("/").to_owned();
    let Some(ticket) = &visitor.ticket else { return Ok(default()) };
    let Some(stored) = app.store.remove(ticket, app.clock.now()).await? else {
        return Ok(default());
    };
    audit::logout(app, visitor, &stored.user);
    let Some(idp) = &stored.idp else { return Ok(default()) };
    Ok(idp::leave(app, idp).await.map_or_else(default, String::from))
}
