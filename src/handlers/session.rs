//! `GET /api/auth/session`, and the protected example.

use http::HeaderValue;
use serde::Serialize;
use serde_json::value::RawValue;
use warp::reply::Response;

use crate::app::App;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::keep;
use crate::policy::csrf;
use crate::reply;
use crate::store::{SessionStore as _, Stored};

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
pub(super) async fn read(app: &App, visitor: &Visitor, slide: bool) -> Result<Response, ApiError> {
    let (ticket, stored) =
        if slide { visitor.session(app).await? } else { visitor.peek(app).await? };
    let token = csrf::token(ticket.secret(), app.ids.nonce());
    let mut response = view(app, &stored, &token)?;
    if slide {
        keep(app, &mut response, ticket, &stored)?;
    }
    Ok(response)
}

/// The session as JSON. The CSRF token stands in the body and in a header: a page on another host
/// than the service cannot see the service's cookies.
pub(super) fn view(app: &App, stored: &Stored, token: &str) -> Result<Response, ApiError> {
    let lifetimes = app.store.lifetimes();
    let metadata = serde_json::from_str(stored.user.metadata())
        .map_err(|_| ApiError::Internal { cause: "metadata that is no JSON".to_owned() })?;
    let mut response = reply::json(&SessionView {
        user_id: stored.user.id(),
        tenant_id: stored.user.tenant(),
        metadata,
        csrf_token: token,
        expires_at: lifetimes.expires_at(stored.activity).0,
        idle_expires_at: lifetimes.idle_expires_at(stored.activity).0,
    });
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert(app.csrf.header.name().clone(), value);
    }
    Ok(response)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Greeting<'a> {
    message: String,
    user_id: &'a str,
}

/// The protected example endpoint: the shape of an API that needs a user.
pub(super) async fn example(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let (ticket, stored) = visitor.session(app).await?;
    let user_id = stored.user.id();
    let message = format!("hello {user_id}, only you can read this");
    let mut response = reply::json(&Greeting { message, user_id });
    keep(app, &mut response, ticket, &stored)?;
    Ok(response)
}
