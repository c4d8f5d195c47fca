//! What each call does. Plain functions of the app, the visitor and the call's own arguments.

mod backchannel;
mod idp;
mod login;
mod logout;
mod page;
mod session;
mod sessions;
mod sign_in;
mod start;
mod token;
mod verify;

pub(crate) use idp::Refreshed;

use std::sync::Arc;

use http::HeaderValue;
use http::header::SET_COOKIE;
use warp::reply::Response;

use crate::app::App;
use crate::call::{Call, Visitor};
use crate::error::ApiError;
use crate::store::{SessionStore as _, Stored, Ticket};

/// Answers a call.
pub(crate) async fn answer(
    app: Arc<App>,
    visitor: Visitor,
    call: Call,
) -> Result<Response, ApiError> {
    match call {
        // What talks to a provider lives in a box: its future is large, and the futures of all
        // other requests would be as large.
        Call::BeginLogin(query) => Box::pin(sign_in::begin(&app, &visitor, *query)).await,
        Call::Callback(query) => Box::pin(sign_in::callback(&app, &visitor, *query)).await,
        Call::ReadToken => Box::pin(token::read(&app, &visitor)).await,
        Call::BackchannelLogout(body) => Box::pin(backchannel::log_out(&app, &visitor, body)).await,
        Call::LogOut => Box::pin(logout::by_script(&app, &visitor)).await,
        Call::LogOutByNavigation => Box::pin(logout::by_navigation(&app, &visitor)).await,
        Call::ReadSession { slide } => session::read(&app, &visitor, slide).await,
        Call::LogIn(body) => login::log_in(&app, &visitor, body).await,
        Call::ListSessions => sessions::list(&app, &visitor).await,
        Call::EndSession(handle) => sessions::end_one(&app, &visitor, handle).await,
        Call::EndSessions { except_current } => {
            sessions::end_all(&app, &visitor, except_current).await
        }
        Call::Verify => verify::answer(&app, &visitor).await,
        Call::Example => session::example(&app, &visitor).await,
    }
}

/// After a request that has used its session: where the session is in the cookie, the browser
/// needs the new one.
fn keep(
    app: &App,
    response: &mut Response,
    ticket: &Ticket,
    stored: &Stored,
) -> Result<(), ApiError> {
    if app.store.reissues() {
        set_cookie(response, app.cookie.set(app.store.cookie_value(ticket, stored)))?;
    }
    Ok(())
}

/// Makes the browser forget the session and its token.
fn clear_cookies(app: &App, response: &mut Response) -> Result<(), ApiError> {
    set_cookie(response, app.cookie.clear())?;
    set_cookie(response, app.token_cookie.clear())
}

/// Adds a `Set-Cookie` line.
fn set_cookie(response: &mut Response, cookie: String) -> Result<(), ApiError> {
    let mut value = HeaderValue::try_from(cookie)
        .map_err(|_| ApiError::Internal { cause: "a cookie that is no header value".to_owned() })?;
    // Keeps the value out of `Debug` output on its way through the server.
    value.set_sensitive(true);
    response.headers_mut().append(SET_COOKIE, value);
    Ok(())
}
