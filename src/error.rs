//! Every way in which a request can fail, and the one place that turns it into an answer.

use http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::Serialize;
use uuid::Uuid;
use warp::reply::Response;

use crate::policy::csrf::CsrfFailure;
use crate::reply;
use crate::store::StoreError;

/// A failed request. [`ApiError::status`] and [`ApiError::code`] are stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// Nobody is logged in.
    #[error("you are not logged in")]
    NoSession,
    /// The session's time is over.
    #[error("your session has expired: log in again")]
    Expired,
    /// Somebody ended the session: its user, a login in its place, or the identity provider.
    #[error("your session has been ended: log in again")]
    Revoked,
    /// Wrong user name or password; which of the two is not said.
    #[error("the user name or the password is wrong")]
    InvalidCredentials,
    /// Too many logins of this client have failed.
    #[error(
        "too many logins from your network have failed: try again in {seconds} second{}",
        if *seconds == 1 { "" } else { "s" }
    )]
    RateLimited {
        /// When the next one will be looked at.
        seconds: u64,
    },
    /// The request may not change anything.
    #[error(transparent)]
    Csrf(#[from] CsrfFailure),
    /// Another site sent the user to the logout page.
    #[error("logging out was asked for by another site: open the page yourself")]
    CrossSiteLogout,
    /// No such path.
    #[error("there is nothing at this path")]
    NotFound,
    /// No session of this user has that handle.
    #[error("you have no such session")]
    NoSuchSession,
    /// The session was not begun at an identity provider.
    #[error("this session has no access token: it was not begun at the identity provider")]
    NoToken,
    /// The identity provider does not answer; the session stays.
    #[error("the identity provider cannot be reached at this moment: try again")]
    ProviderUnreachable,
    /// Not a logout token of our provider, or a used one.
    #[error("this is not a valid logout token")]
    InvalidLogoutToken,
    /// The path exists, but not for this method.
    #[error("this path does not take {method}: it takes {}", allowed.join(", "))]
    MethodNotAllowed {
        /// What was asked for.
        method: Method,
        /// What there is.
        allowed: &'static [&'static str],
    },
    /// The body is larger than it may be.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The body did not come as what it has to be.
    #[error("the body is of another type: send `Content-Type: {expected}`")]
    UnsupportedMediaType {
        /// The only one that is taken.
        expected: &'static str,
    },
    /// Not JSON at all.
    #[error("the body is not valid JSON (line {line}, column {column})")]
    MalformedJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON, but of another form.
    #[error(
        "the body must be an object with the strings `username` and `password` and nothing else (line {line}, column {column})"
    )]
    InvalidBody {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The body did not arrive.
    #[error("the body did not arrive completely")]
    BodyIncomplete,
    /// The body took too long.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// A query parameter with a value that means nothing.
    #[error("the query parameter `{name}` must be {expected}")]
    InvalidQuery {
        /// Which.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// As many sessions as there may be.
    #[error("there is no room for another session: try again later")]
    StoreFull,
    /// The store of the sessions cannot be reached.
    #[error("sessions cannot be read at this moment: try again")]
    StoreUnavailable {
        /// For the log; never in an answer.
        cause: String,
    },
    /// The session is larger than a cookie may be.
    #[error(
        "the session does not fit into a cookie ({size} bytes, browsers drop more than {limit}): this service needs less metadata or another store"
    )]
    SessionTooLarge {
        /// Name, value and all.
        size: usize,
        /// What browsers keep.
        limit: usize,
    },
    /// Sessions in cookies can be neither listed nor ended from elsewhere.
    #[error(
        "this service keeps sessions in cookies: it can neither list nor end those of other browsers"
    )]
    NotWithCookies,
    /// More logins at once than can be checked.
    #[error("too many people are logging in at this moment: try again")]
    Busy,
    /// A panic, caught.
    #[error("something went wrong on our side: report the request id if it stays so")]
    Panic {
        /// For the log, beside the request id; never in an answer.
        text: String,
    },
    /// A fault of ours.
    #[error("something went wrong on our side: report the request id if it stays so")]
    Internal {
        /// For the log, beside the request id; never in an answer.
        cause: String,
    },
}

impl warp::reject::Reject for ApiError {}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::StoreFull,
            StoreError::Unavailable { cause } => Self::StoreUnavailable { cause },
            StoreError::TooLarge { size, limit } => Self::SessionTooLarge { size, limit },
            StoreError::Unsupported => Self::NotWithCookies,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    detail: &'a str,
    code: &'static str,
    cid: Uuid,
}

impl ApiError {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoSession | Self::Expired | Self::Revoked | Self::InvalidCredentials => {
                StatusCode::UNAUTHORIZED
            }
            Self::Csrf(_) | Self::CrossSiteLogout => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchSession | Self::NoToken => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MalformedJson { .. }
            | Self::InvalidBody { .. }
            | Self::BodyIncomplete
            | Self::InvalidLogoutToken
            | Self::InvalidQuery { .. } => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::StoreFull
            | Self::StoreUnavailable { .. }
            | Self::Busy
            | Self::ProviderUnreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotWithCookies => StatusCode::NOT_IMPLEMENTED,
            Self::SessionTooLarge { .. } | Self::Panic { .. } | Self::Internal { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSession => "no_session",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::InvalidCredentials => "invalid_credentials",
            Self::RateLimited { .. } => "rate_limited",
            Self::Csrf(_) => "csrf_failed",
            Self::CrossSiteLogout => "cross_site_logout",
            Self::NotFound => "not_found",
            Self::NoSuchSession => "no_such_session",
            Self::NoToken => "no_token",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::InvalidLogoutToken => "invalid_logout_token",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::MalformedJson { .. } => "malformed_json",
            Self::InvalidBody { .. } => "invalid_body",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyTimeout => "body_timeout",
            Self::InvalidQuery { .. } => "invalid_query",
            Self::StoreFull => "store_full",
            Self::StoreUnavailable { .. } => "store_unavailable",
            Self::SessionTooLarge { .. } => "session_too_large",
            Self::NotWithCookies => "not_with_cookies",
            Self::Busy => "busy",
            Self::Panic { .. } | Self::Internal { .. } => "internal",
        }
    }

    /// The answer: `{"detail", "code", "cid"}` and the headers that the status asks for.
    #[must_use]
    pub fn into_response(self, cid: Uuid) -> Response {
        let detail = self.to_string();
        let body = Body { detail: &detail, code: self.code(), cid };
        let mut response = reply::json(&body);
        *response.status_mut() = self.status();
        match self {
            Self::MethodNotAllowed { allowed, .. } => {
                if let Ok(allow) = HeaderValue::try_from(allowed.join(", ")) {
                    response.headers_mut().insert(ALLOW, allow);
                }
            }
            Self::RateLimited { seconds } => {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Self::StoreFull => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
            }
            Self::ProviderUnreachable => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Self::Busy | Self::StoreUnavailable { .. } => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
