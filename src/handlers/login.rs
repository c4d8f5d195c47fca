//! `POST /api/auth/login`: local accounts.

use serde::Deserialize;
use warp::reply::Response;

use crate::app::App;
use crate::call::{Body, Visitor};
use crate::error::ApiError;
use crate::handlers::{session, set_cookie};
use crate::policy::csrf;
use crate::policy::session::SessionSecret;
use crate::secret::Secret;
use crate::store::{NewSession, SessionStore as _, Ticket};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: Secret<String>,
}

/// 200 with the session and its cookies, or 401. Always a new id: one that was planted, or the one
/// that the visitor had, is worth nothing afterwards (session fixation).
pub(super) async fn log_in(app: &App, visitor: &Visitor, body: Body) -> Result<Response, ApiError> {
    let Credentials { username, password } =
        body.json(&visitor.headers, app.max_body_bytes).await?;
    let Some(user) = app.accounts.log_in(username, password).await.map_err(|_| ApiError::Busy)?
    else {
        tracing::info!(event = "login_failed", "wrong user name or password");
        return Err(ApiError::InvalidCredentials);
    };
    let session = NewSession { user, idp: None, agent: visitor.agent() };
    let ticket = Ticket::new(SessionSecret::from_random(app.ids.session_secret()));
    let stored =
        app.store.create(&ticket, session, visitor.ticket.as_ref(), app.clock.now()).await?;
    tracing::info!(event = "login", user = %stored.user.id(), "logged in");

    let token = csrf::token(ticket.secret(), app.ids.nonce());
    let mut response = session::view(app, &stored, &token)?;
    set_cookie(&mut response, app.cookie.set(app.store.cookie_value(&ticket, &stored)))?;
    set_cookie(&mut response, app.cookie.set_csrf(csrf::COOKIE_NAME, &token))?;
    Ok(response)
}
