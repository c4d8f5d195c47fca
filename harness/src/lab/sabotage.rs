//! Broken services on purpose. A proof that stays green over one of these proves nothing.
//!
//! The service itself has no switch for any of this: the front changes what it says, as a wrong
//! proxy or a wrong version would.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN,
    SET_COOKIE, VARY,
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
    /// Any value of the CSRF header will do, and so will none, whatever the mode.
    CsrfHeaderOff,
    /// The session cookie lacks `HttpOnly`.
    ReadableCookie,
    /// A preflight starts a session.
    PreflightSession,
    /// Every answer names the first listed origin, whoever asked.
    FirstOrigin,
    /// Nothing varies by `Origin`: shared caches mix the origins up.
    NoVary,
    /// An origin is granted if a listed host stands anywhere in it.
    CarelessOrigins,
    /// A literal `*` for methods.
    LiteralMethods,
    /// A literal `*` for request headers.
    LiteralHeaders,
    /// No response header is exposed.
    NothingExposed,
    /// All response headers are exposed.
    AllExposed,
    /// Granted preflights do not say for how long.
    NoMaxAge,
    /// Granted preflights say that they must not be cached.
    ZeroMaxAge,
    /// Granted preflights allow more than was asked for.
    OverGranted,
    /// A login takes the session id that the browser has already.
    AdoptedIds,
    /// A login leaves the former session alive.
    SessionsPileUp,
    /// A logout deletes the cookie, and nothing else.
    LogoutIgnored,
    /// A request that comes after the logout saves its session again.
    RevivedAfterLogout,
    /// Every answer sets the session cookie again that the request came with.
    CookieRenewed,
    /// A session that has expired goes on when it is used.
    RevivedAfterExpiry,
    /// Ending a session by its handle does nothing.
    RevocationIgnored,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::CredentialsOff,
        Self::AnyOrigin,
        Self::BareErrors,
        Self::CsrfOff,
        Self::CsrfHeaderOff,
        Self::ReadableCookie,
        Self::PreflightSession,
        Self::FirstOrigin,
        Self::NoVary,
        Self::CarelessOrigins,
        Self::LiteralMethods,
        Self::LiteralHeaders,
        Self::NothingExposed,
        Self::AllExposed,
        Self::NoMaxAge,
        Self::ZeroMaxAge,
        Self::OverGranted,
        Self::AdoptedIds,
        Self::SessionsPileUp,
        Self::LogoutIgnored,
        Self::RevivedAfterLogout,
        Self::CookieRenewed,
        Self::RevivedAfterExpiry,
        Self::RevocationIgnored,
    ];

    /// What is broken, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CredentialsOff => "credentials off in the policy",
            Self::AnyOrigin => "any origin echoed",
            Self::BareErrors => "no CORS headers on errors",
            Self::CsrfOff => "CSRF check off",
            Self::CsrfHeaderOff => "CSRF header never asked for",
            Self::ReadableCookie => "cookie without HttpOnly",
            Self::PreflightSession => "a session made by a preflight",
            Self::FirstOrigin => "only the first listed origin ever answered",
            Self::NoVary => "no Vary",
            Self::CarelessOrigins => "origins compared by containing",
            Self::LiteralMethods => "a literal * for methods",
            Self::LiteralHeaders => "a literal * for request headers",
            Self::NothingExposed => "no header exposed",
            Self::AllExposed => "all headers exposed",
            Self::NoMaxAge => "max-age dropped",
            Self::ZeroMaxAge => "max-age 0",
            Self::OverGranted => "preflights grant more than was asked for",
            Self::AdoptedIds => "session ids adopted at login",
            Self::SessionsPileUp => "the former session left alive at login",
            Self::LogoutIgnored => "logout deletes the cookie only",
            Self::RevivedAfterLogout => "a slow request revives its session",
            Self::CookieRenewed => "the cookie renewed by every answer",
            Self::RevivedAfterExpiry => "expired sessions go on",
            Self::RevocationIgnored => "revocation ignored",
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
    hand_in(headers, token);
}

/// Adds the right token, and leaves where the request comes from to be judged.
pub(super) fn hand_in(headers: &mut HeaderMap, token: Option<&str>) {
    if let Some(token) = token.and_then(|t| HeaderValue::from_str(t).ok()) {
        headers.insert(HeaderName::from_static("x-csrf-token"), token);
    }
}

/// What the policy really lists, for sabotages that get just that wrong.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// The first origin that is listed by name.
    pub(super) first: Option<HeaderValue>,
    /// The host that a careless comparison looks for.
    pub(super) careless_host: &'static str,
}

/// Changes an answer, headers only.
pub(super) fn spoil(
    sabotage: Sabotage,
    asked: &Asked,
    listed: &Listed,
    status: &mut StatusCode,
    headers: &mut HeaderMap,
) {
    match sabotage {
        Sabotage::AnyOrigin => grant(asked, status, headers),
        Sabotage::CarelessOrigins => {
            let origin = asked.origin.as_ref().and_then(|origin| origin.to_str().ok());
            if origin.is_some_and(|origin| origin.contains(listed.careless_host)) {
                grant(asked, status, headers);
            }
        }
        Sabotage::FirstOrigin => {
            if let Some(first) = &listed.first {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, first.clone());
            }
        }
        Sabotage::NoVary => {
            headers.remove(VARY);
        }
        Sabotage::BareErrors if status.as_u16() >= 400 => strip(headers),
        Sabotage::ReadableCookie => show_cookies(headers),
        Sabotage::LiteralMethods => rewrite(headers, &ACCESS_CONTROL_ALLOW_METHODS, |_| "*".into()),
        Sabotage::LiteralHeaders => rewrite(headers, &ACCESS_CONTROL_ALLOW_HEADERS, |_| "*".into()),
        Sabotage::NothingExposed => {
            headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        }
        Sabotage::AllExposed => {
            let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            let names = names.join(", ");
            rewrite(headers, &ACCESS_CONTROL_EXPOSE_HEADERS, |_| names);
        }
        Sabotage::NoMaxAge => {
            headers.remove(ACCESS_CONTROL_MAX_AGE);
        }
        Sabotage::ZeroMaxAge => rewrite(headers, &ACCESS_CONTROL_MAX_AGE, |_| "0".into()),
        Sabotage::OverGranted => {
            let more = |methods| format!("{methods}, DELETE, PATCH, PUT");
            rewrite(headers, &ACCESS_CONTROL_ALLOW_METHODS, more);
            let more = |names| format!("{names}, x-request-id");
            rewrite(headers, &ACCESS_CONTROL_ALLOW_HEADERS, more);
        }
        // Done elsewhere: by another configuration, with requests of the front's own, or by changing
        // what the service is asked.
        Sabotage::CredentialsOff
        | Sabotage::BareErrors
        | Sabotage::CsrfOff
        | Sabotage::CsrfHeaderOff
        | Sabotage::PreflightSession
        | Sabotage::AdoptedIds
        | Sabotage::SessionsPileUp
        | Sabotage::LogoutIgnored
        | Sabotage::RevivedAfterLogout
        | Sabotage::CookieRenewed
        | Sabotage::RevivedAfterExpiry
        | Sabotage::RevocationIgnored => {}
    }
}

/// Lets whoever asks have it.
fn grant(asked: &Asked, status: &mut StatusCode, headers: &mut HeaderMap) {
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

/// Takes all CORS headers away.
fn strip(headers: &mut HeaderMap) {
    let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let names: Vec<_> = headers.keys().filter(is_cors).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Takes `HttpOnly` away.
fn show_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        let text = String::from_utf8_lossy(line.as_bytes()).replace("; HttpOnly", "");
        if let Ok(line) = HeaderValue::try_from(text) {
            headers.append(SET_COOKIE, line);
        }
    }
}

/// Changes a header that is there.
fn rewrite(headers: &mut HeaderMap, name: &HeaderName, change: impl FnOnce(String) -> String) {
    let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else { return };
    if let Ok(value) = HeaderValue::try_from(change(value.to_owned())) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a granted preflight for `PUT` with one header.
    fn spoiled(sabotage: Sabotage, origin: &str) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        let ask = HeaderMap::from_iter([
            (ORIGIN, value(origin)),
            (ACCESS_CONTROL_REQUEST_METHOD, value("PUT")),
            (ACCESS_CONTROL_REQUEST_HEADERS, value("x-a")),
        ]);
        let mut headers = HeaderMap::from_iter([
            (ACCESS_CONTROL_ALLOW_ORIGIN, value("https://b.example")),
            (ACCESS_CONTROL_ALLOW_METHODS, value("PUT")),
            (ACCESS_CONTROL_ALLOW_HEADERS, value("x-a")),
            (ACCESS_CONTROL_EXPOSE_HEADERS, value("x-c")),
            (ACCESS_CONTROL_MAX_AGE, value("600")),
            (VARY, value("Origin")),
        ]);
        let asked = Asked::of(&http::Method::OPTIONS, &ask);
        let first = Some(value("https://a.example"));
        let listed = Listed { first, careless_host: "b.example" };
        let mut status = StatusCode::FORBIDDEN;
        spoil(sabotage, &asked, &listed, &mut status, &mut headers);
        headers
    }

    #[test]
    fn each_changes_what_it_is_about() {
        for (sabotage, name, want) in [
            (Sabotage::AnyOrigin, ACCESS_CONTROL_ALLOW_ORIGIN, Some("https://c.b.example.net")),
            (
                Sabotage::CarelessOrigins,
                ACCESS_CONTROL_ALLOW_ORIGIN,
                Some("https://c.b.example.net"),
            ),
            (Sabotage::FirstOrigin, ACCESS_CONTROL_ALLOW_ORIGIN, Some("https://a.example")),
            (Sabotage::NoVary, VARY, None),
            (Sabotage::BareErrors, ACCESS_CONTROL_ALLOW_ORIGIN, None),
            (Sabotage::LiteralMethods, ACCESS_CONTROL_ALLOW_METHODS, Some("*")),
            (Sabotage::LiteralHeaders, ACCESS_CONTROL_ALLOW_HEADERS, Some("*")),
            (Sabotage::NothingExposed, ACCESS_CONTROL_EXPOSE_HEADERS, None),
            (Sabotage::NoMaxAge, ACCESS_CONTROL_MAX_AGE, None),
            (Sabotage::ZeroMaxAge, ACCESS_CONTROL_MAX_AGE, Some("0")),
            (Sabotage::OverGranted, ACCESS_CONTROL_ALLOW_METHODS, Some("PUT, DELETE, PATCH, PUT")),
        ] {
            let headers = spoiled(sabotage, "https://c.b.example.net");
            let value = headers.get(&name).map(|value| value.to_str().unwrap());
            assert_eq!(value, want, "{sabotage:?}");
        }
        let all =
            &spoiled(Sabotage::AllExposed, "https://b.example")[ACCESS_CONTROL_EXPOSE_HEADERS];
        assert!(all.to_str().unwrap().contains("vary"), "{all:?}");
    }

    #[test]
    fn a_careless_comparison_still_refuses_strangers() {
        let headers = spoiled(Sabotage::CarelessOrigins, "https://evil.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://b.example");
    }
}
