//! `POST /api/auth/backchannel-logout`: the provider ends sessions.

use http::StatusCode;
use url::form_urlencoded;
use warp::reply::{Reply as _, Response};

use crate::app::App;
use crate::audit;
use crate::call::{Body, BodyLimits, Visitor};
use crate::error::ApiError;
use crate::identity::oidc::LogoutNotice;
use crate::store::{SessionStore as _, StoreError};

/// A token, and what stands around it in a form.
const MAX_BODY_BYTES: usize = 20 << 10;

/// 200 once the sessions are gone; 400 for a token that is not valid. Nobody has to be logged in:
/// the token itself is the proof.
pub(super) async fn log_out(
    app: &App,
    visitor: &Visitor,
    body: Body,
) -> Result<Response, ApiError> {
    let oidc = app.oidc.as_ref().ok_or(ApiError::NotFound)?;
    // The specification knows two answers, 200 and 400, whatever is wrong with the request.
    let limits = BodyLimits { bytes: MAX_BODY_BYTES, ..app.body };
    let body = body.form(visitor.headers(), &limits).await;
    let body = body.map_err(|_| ApiError::InvalidLogoutToken)?;
    let mut tokens = form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token");
    let (Some((_, token)), None) = (tokens.next(), tokens.next()) else {
        return Err(ApiError::InvalidLogoutToken);
    };
    let notice = oidc.provider.logout_notice(&token, &app.clock).await.map_err(|error| {
        app.metrics.provider_failed(&error);
        audit::backchannel_logout_refused(app, visitor, &error);
        ApiError::InvalidLogoutToken
    })?;
    let (issuer, now) = (oidc.provider.issuer(), app.clock.now());
    let LogoutNotice { sid, subject, .. } = &notice;
    let ended = match (sid, subject) {
        // With a session named, only that: the user may be at home on other machines.
        (Some(sid), _) => app.store.remove_by_idp_sid(issuer, sid, now).await,
        (None, Some(subject)) => app.store.remove_by_idp_sub(issuer, subject, now).await,
        (None, None) => Ok(0),
    };
    let ended = ended.map_err(|error| match error {
        // The standard knows no other answer to a logout that did not happen.
        StoreError::Unsupported => {
            audit::backchannel_logout_refused(app, visitor, &error);
            ApiError::InvalidLogoutToken
        }
        error => error.into(),
    })?;
    // Only now: had the store failed, the provider may send the same token again.
    oidc.provider.used(&notice, &app.clock);
    audit::backchannel_logout(app, visitor, ended);
    Ok(StatusCode::OK.into_response())
}
