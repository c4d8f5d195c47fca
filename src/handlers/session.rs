//! `GET /api/auth/session`, and the protected example.

use http::HeaderValue;
use serde::Serialize;
use serde_json::value::RawValue;
use warp::reply::Response;

use crate::app::App;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::policy::csrf;
use crate::reply;
use crate::store::{Stored, Touch};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionView<'a> {
    user_id: &'a str,
    tenant_id: &'a str,
    metadata: &'a RawValue,
    csrf_token: &'a str,
    expires_at: u64,
    idle_expires_at: u64,
}

/// 200 with the session, or 401.
pub(super) fn read(app: &App, visitor: &Visitor, slide: bool) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let touch = if slide { Touch::Extend(now) } else { Touch::Leave(now) };
    let (secret, stored) = visitor.session(app, touch)?;
    let token = csrf::token(secret, app.ids.nonce());
    Ok(view(app, &stored, &token))
}

/// The session as JSON. The CSRF token stands in the body and in a header: a page on another host
/// than the service cannot see the service's cookies.
pub(super) fn view(app: &App, stored: &Stored, token: &str) -> Response {
    let lifetimes = app.store.lifetimes();
    let mut response = reply::json(&SessionView {
        user_id: &stored.user.id,
        tenant_id: &stored.user.tenant,
        metadata: &stored.user.metadata,
        csrf_token: token,
        expires_at: lifetimes.expires_at(stored.activity).0,
        idle_expires_at: lifetimes.idle_expires_at(stored.activity).0,
    });
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert(csrf::HEADER_NAME, value);
    }
    response
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Greeting<'a> {
    message: String,
    user_id: &'a str,
}

/// The protected example endpoint: the shape of an API that needs a user.
pub(super) fn example(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let (_, stored) = visitor.session(app, Touch::Extend(app.clock.now()))?;
    let user_id: &str = &stored.user.id;
    let message = format!("hello {user_id}, only you can read this");
    Ok(reply::json(&Greeting { message, user_id }))
}
