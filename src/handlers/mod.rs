//! What each call does. Plain functions of the app, the visitor and the call's own arguments.

mod login;
mod logout;
mod session;

use std::sync::Arc;

use http::HeaderValue;
use http::header::SET_COOKIE;
use warp::reply::Response;

use crate::app::App;
use crate::call::{Call, Visitor};
use crate::error::ApiError;

/// Answers a call.
pub(crate) async fn answer(
    app: Arc<App>,
    visitor: Visitor,
    call: Call,
) -> Result<Response, ApiError> {
    match call {
        Call::ReadSession { slide } => session::read(&app, &visitor, slide),
        Call::LogIn(body) => login::log_in(&app, &visitor, body).await,
        Call::LogOut => logout::by_script(&app, &visitor),
        Call::LogOutByNavigation => logout::by_navigation(&app, &visitor),
        Call::Example => session::example(&app, &visitor),
    }
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
