//! Writes a decision onto the headers of an answer.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, Entry,
    VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::policy::cors::hint::REASON_HEADER;
use crate::policy::cors::{CorsDecision, CorsPolicy, Origins};

impl CorsPolicy {
    /// Writes the decision onto the headers of a response: exactly the CORS headers of this
    /// policy, whatever a handler wrote before, and `Vary`.
    pub fn apply(&self, decision: CorsDecision, headers: &mut HeaderMap) {
        remove_cors_headers(headers);
        let preflight = decision.preflight_status().is_some();
        match decision {
            // What `*` allows is the same for everybody, and a cache without `Vary` may hand the
            // answer of one to another (Fetch, "CORS protocol and HTTP caches").
            CorsDecision::NotCors if self.is_wildcard() => {
                self.write_readable(HeaderValue::from_static("*"), headers);
            }
            CorsDecision::NotCors
            | CorsDecision::ActualUnlisted
            | CorsDecision::PreflightRefused(_, None) => {}
            CorsDecision::PreflightRefused(_, Some(hint)) => {
                if let Some(reason) = hint.header() {
                    headers.insert(REASON_HEADER, reason);
                }
                if let Some(origin) = hint.origin {
                    self.write_grant(origin, headers);
                }
                if let Some(method) = hint.method {
                    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
                }
            }
            CorsDecision::Actual(origin) => self.write_readable(origin, headers),
            CorsDecision::Preflight(grant) => {
                self.write_grant(grant.origin, headers);
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, grant.method);
                if let Some(names) = grant.headers {
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
                }
                if let Some(max_age) = &self.max_age {
                    headers.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
                }
            }
        }
        match (preflight, &self.origins) {
            (true, Origins::These(..)) => add_vary(headers, PREFLIGHT_VARY),
            (true, Origins::Any) => add_vary(headers, &PREFLIGHT_VARY[1..]),
            (false, Origins::These(..)) => add_vary(headers, &PREFLIGHT_VARY[..1]),
            (false, Origins::Any) => {}
        }
    }

    fn write_readable(&self, origin: HeaderValue, headers: &mut HeaderMap) {
        self.write_grant(origin, headers);
        if let Some(expose) = &self.expose {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    fn write_grant(&self, origin: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let granted = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, granted);
        }
    }
}
/// What a shared cache must tell apart. The answer differs by origin even where CORS is refused.
const PREFLIGHT_VARY: &[&str] =
    &["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"];

fn add_vary(headers: &mut HeaderMap, names: &[&'static str]) {
    match headers.entry(VARY) {
        Entry::Vacant(vacant) => {
            vacant.insert(match names {
                ["Origin"] => HeaderValue::from_static("Origin"),
                [_, _] => HeaderValue::from_static(
                    "Access-Control-Request-Method, Access-Control-Request-Headers",
                ),
                _ => HeaderValue::from_static(
                    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
                ),
            });
        }
        Entry::Occupied(mut occupied) => {
            let has = |wanted: &str| {
                occupied.iter().flat_map(|line| line.as_bytes().split(|b| *b == b',')).any(|name| {
                    let name = name.trim_ascii();
                    name == b"*" || name.eq_ignore_ascii_case(wanted.as_bytes())
                })
            };
            let missing: Vec<_> = names.iter().copied().filter(|name| !has(name)).collect();
            for name in missing {
                occupied.append(HeaderValue::from_static(name));
            }
        }
    }
}

fn remove_cors_headers(headers: &mut HeaderMap) {
    // Looking first keeps the common case free of hashing.
    while let Some(name) =
        headers.keys().find(|name| name.as_str().starts_with("access-control-")).cloned()
    {
        headers.remove(name);
    }
}
