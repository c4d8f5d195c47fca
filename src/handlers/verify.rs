//! `GET /api/auth/verify`: whether a reverse proxy may let a request through, and whose it is.

use http::header::HeaderName;
use http::{HeaderValue, StatusCode};
use warp::reply::{Reply as _, Response};

use crate::app::App;
use crate::call::Visitor;
use crate::error::ApiError;
use crate::handlers::keep;
use crate::policy::verify::header_text;

const X_AUTH_USER: HeaderName = HeaderName::from_static("x-auth-user");
const X_AUTH_TENANT: HeaderName = HeaderName::from_static("x-auth-tenant");

/// 204 with the user, or 401. Whether the request that the proxy holds may change anything, the CSRF
/// layer has asked already.
pub(super) async fn answer(app: &App, visitor: &Visitor) -> Result<Response, ApiError> {
    let (ticket, stored) = visitor.session(app).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, text) in [(X_AUTH_USER, stored.user.id()), (X_AUTH_TENANT, stored.user.tenant())] {
        let value = HeaderValue::try_from(header_text(text)).map_err(|_| ApiError::Internal {
            cause: "a user's name that no header can carry".to_owned(),
        })?;
        response.headers_mut().insert(name, value);
    }
    keep(app, &mut response, ticket, &stored)?;
    Ok(response)
}
