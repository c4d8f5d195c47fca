//! `POST /api/auth/login`: local accounts.

use serde::Deserialize;
use warp::reply::Response;

use crate::app::App;
use crate::call::{Body, Visitor};
use crate::error::ApiError;
use crate::handlers::{session, start};
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: Secret<String>,
}

/// 200 with the session and its cookies, or 401.
pub(super) async fn log_in(app: &App, visitor: &Visitor, body: Body) -> Result<Response, ApiError> {
    let Credentials { username, password } =
        body.json(&visitor.headers, app.max_body_bytes).await?;
    let Some(user) = app.accounts.log_in(username, password).await.map_err(|_| ApiError::Busy)?
    else {
        tracing::info!(event = "login_failed", "wrong user name or password");
        return Err(ApiError::InvalidCredentials);
    };
    let started = start::session(app, visitor, user, None).await?;
    let mut response = session::view(app, &started.stored, &started.csrf_token)?;
    started.set_cookies(app, &mut response)?;
    Ok(response)
}
