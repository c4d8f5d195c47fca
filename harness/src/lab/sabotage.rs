//! Broken services on purpose. A proof that stays green over one of these proves nothing.
//!
//! The service itself has no switch for any of this: the front changes what it says, as a wrong
//! proxy or a wrong version would.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, HeaderValue, ORIGIN, SET_COOKIE,
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

/// One way to break the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// The policy does not grant credentials.
    CredentialsOff,
    /// Any origin is echoed, with credentials.
    AnyOrigin,
    /// Errors leave without CORS headers.
    BareErrors,
    /// Nothing checks where unsafe requests come from.
    CsrfOff,
    /// The session cookie lacks `HttpOnly`.
    ReadableCookie,
    /// A preflight starts a session.
    PreflightSession,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CredentialsOff,
        Self::AnyOrigin,
        Self::BareErrors,
        Self::CsrfOff,
        Self::ReadableCookie,
        Self::PreflightSession,
    ];

    /// What is broken, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CredentialsOff => "credentials off in the policy",
            Self::AnyOrigin => "any origin echoed",
            Self::BareErrors => "no CORS headers on errors",
            Self::CsrfOff => "CSRF check off",
            Self::ReadableCookie => "cookie without HttpOnly",
            Self::PreflightSession => "a session made by a preflight",
        }
    }
}

/// What of a request matters for changing its answer.
pub(super) struct Asked {
    pub(super) preflight: bool,
    origin: Option<HeaderValue>,
    method: Option<HeaderValue>,
    names: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn of(method: &http::Method, headers: &HeaderMap) -> Self {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned();
        Self {
            preflight: method == http::Method::OPTIONS && asked.is_some(),
            origin: headers.get(ORIGIN).cloned(),
            method: asked,
            names: headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        }
    }
}

/// Makes a request look as if it came from the service's own page, with the right token.
pub(super) fn forge(headers: &mut HeaderMap, token: Option<&str>) {
    headers
        .insert(HeaderName::from_static("sec-fetch-site"), HeaderValue::from_static("same-origin"));
    if let Some(token) = token.and_then(|t| HeaderValue::from_str(t).ok()) {
        headers.insert(HeaderName::from_static("x-csrf-token"), token);
    }
}

/// Changes an answer, headers only.
pub(super) fn spoil(
    sabotage: Sabotage,
    asked: &Asked,
    status: &mut StatusCode,
    headers: &mut HeaderMap,
) {
    match sabotage {
        Sabotage::AnyOrigin => {
            let Some(origin) = &asked.origin else { return };
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            if asked.preflight {
                *status = StatusCode::NO_CONTENT;
                if let Some(method) = &asked.method {
                    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
                }
                if let Some(names) = &asked.names {
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
                }
            }
        }
        Sabotage::BareErrors if status.as_u16() >= 400 => {
            let names: Vec<_> = headers
                .keys()
                .filter(|n| n.as_str().starts_with("access-control-"))
                .cloned()
                .collect();
            for name in names {
                headers.remove(name);
            }
        }
        Sabotage::ReadableCookie => {
            let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
            headers.remove(SET_COOKIE);
            for line in lines {
                let text = String::from_utf8_lossy(line.as_bytes()).replace("; HttpOnly", "");
                if let Ok(line) = HeaderValue::try_from(text) {
                    headers.append(SET_COOKIE, line);
                }
            }
        }
        // Done elsewhere: by another configuration, or with requests of the front's own.
        Sabotage::CredentialsOff
        | Sabotage::BareErrors
        | Sabotage::CsrfOff
        | Sabotage::PreflightSession => {}
    }
}
