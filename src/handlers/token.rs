//! `GET /api/auth/token`: an access token for a frontend that calls other APIs itself.

use std::sync::Arc;

use serde::Serialize;
use warp::reply::Response;

use crate::app::App;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::idp::{self, Refreshed};
use crate::handlers::keep;
use crate::reply;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenView<'a> {
    access_token: &'a str,
    /// This very moment if nobody knows: good now, and to be asked for again. Clients take a missing
    /// number for a broken answer.
    expires_at: u64,
}

/// 200 with a token that is good for a while. 404 unless the configuration exposes tokens.
pub(super) async fn read(app: &Arc<App>, visitor: &Visitor) -> Result<Response, ApiError> {
    let oidc = app.oidc.as_ref().filter(|_| app.token.expose).ok_or(ApiError::NotFound)?;
    let (ticket, mut stored) = visitor.session(app).await?;
    let idp = stored.idp.as_ref().ok_or(ApiError::NoToken)?;
    if idp.tokens.refresh.is_none() {
        // Nothing to refresh with: it lasts as long as it lasts, and then a new login gives another.
        // The session itself goes on.
        if idp.tokens.access_expires_at.is_some_and(|ends| ends <= app.clock.wall()) {
            return Err(ApiError::Expired);
        }
    } else if idp::is_due(app, idp) {
        stored = match idp::refresh(app, oidc, ticket).await? {
            Refreshed::Fresh(stored) => stored,
            Refreshed::Later => return Err(ApiError::ProviderUnreachable),
            Refreshed::Ended | Refreshed::Gone => return Err(ApiError::Revoked),
            Refreshed::Store(error) => return Err(error.into()),
        };
    }
    let tokens = stored.idp.as_ref().map(|idp| &idp.tokens).ok_or(ApiError::NoToken)?;
    let access = tokens.access.as_ref().ok_or(ApiError::NoToken)?;
    let mut response = reply::json(&TokenView {
        access_token: access.expose(),
        expires_at: tokens.access_expires_at.unwrap_or_else(|| app.clock.wall()).0,
    });
    keep(app, &mut response, ticket, &stored)?;
    Ok(response)
}
