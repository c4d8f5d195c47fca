//! The server's half of the CORS protocol:
//! [Fetch, "HTTP extensions"](https://fetch.spec.whatwg.org/#http-cors-protocol).
//!
//! A [`CorsPolicy`] is compiled once and never changes. [`CorsPolicy::decide`] turns the facts of
//! one request into a [`CorsDecision`] that knows its reason; [`CorsPolicy::apply`] writes exactly
//! that decision onto a response. Both are linear in the size of the request and bounded.

mod answer;
mod compile;
mod hint;
mod mistake;
mod words;

pub use self::compile::CorsConfig;
pub use self::hint::Hint;
pub use self::mistake::CorsConfigError;
pub use self::words::{is_forbidden_header, is_safelisted_header};

use std::collections::HashSet;

use foldhash::fast::FixedState;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::policy::cors::words::{is_forbidden_method, is_token, token_case};
use crate::policy::pattern::OriginPattern;

/// The longest `Origin` that can be listed: `https://`, a host of 253 bytes, port, and some room.
const MAX_ORIGIN_BYTES: usize = 326;
const MAX_METHOD_BYTES: usize = 64;
const MAX_REQUEST_HEADERS_BYTES: usize = 4096;
const MAX_REQUEST_HEADERS: usize = 100;
/// Names up to here are looked up by hash.
const USUAL_NAME_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names<T> {
    Any,
    These(T),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origins {
    /// `*`, possible without credentials only.
    Any,
    /// The hash needs no secret: all keys are from the configuration.
    These(HashSet<Box<[u8]>, FixedState>, Box<[OriginPattern]>),
}

/// Who may read what: compiled, immutable, cheap to ask.
#[derive(Debug, Clone)]
pub struct CorsPolicy {
    origins: Origins,
    credentials: bool,
    methods: Names<Vec<Box<str>>>,
    headers: Names<HashSet<Box<str>>>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    debug: bool,
}

/// What the policy says about one request, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsDecision {
    /// There is no `Origin`: nothing to decide.
    NotCors,
    /// An actual request whose answer the page may read; the value for
    /// `Access-Control-Allow-Origin`.
    Actual(HeaderValue),
    /// An actual request, served as if CORS did not exist. It is the browser that keeps the answer
    /// from the page.
    ActualUnlisted,
    /// A preflight that is granted.
    Preflight(PreflightGrant),
    /// A preflight that is refused; in debug mode with what the developer is told.
    PreflightRefused(Refusal, Option<Box<Hint>>),
}

/// A decision in words, as `withcreds cors` prints it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// `preflight`, `actual` or `non_cors`.
    pub kind: &'static str,
    /// Whether CORS lets the page have the answer; false as well where there is no CORS to ask.
    pub allowed: bool,
    /// [`CorsDecision::reason`].
    pub reason: &'static str,
    /// The status of a preflight's answer; of an actual request's, only its handler knows.
    pub status: Option<u16>,
    /// What is added to the answer, in order, `Vary` included.
    pub headers: Vec<(String, String)>,
}

/// The headers of a granted preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightGrant {
    origin: HeaderValue,
    method: HeaderValue,
    headers: Option<HeaderValue>,
}

/// Why a preflight is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The origin is not listed, or not an origin.
    Origin,
    /// The method is not allowed.
    Method,
    /// One of the headers is not allowed.
    Header,
    /// The list of headers is longer than any browser sends.
    TooLong,
    /// The list of headers is not a list of names.
    Malformed,
}

impl CorsDecision {
    /// The stable name of the reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotCors => "no_origin",
            Self::Actual(_) | Self::Preflight(_) => "allowed",
            Self::ActualUnlisted => Refusal::Origin.code(),
            Self::PreflightRefused(refusal, _) => refusal.code(),
        }
    }

    /// What debug mode says about a refused preflight.
    #[must_use]
    pub fn hint(&self) -> Option<&Hint> {
        match self {
            Self::PreflightRefused(_, hint) => hint.as_deref(),
            _ => None,
        }
    }

    /// The status with which a preflight is answered; `None` for actual requests.
    #[must_use]
    pub fn preflight_status(&self) -> Option<StatusCode> {
        match self {
            Self::Preflight(_) => Some(StatusCode::NO_CONTENT),
            // Browsers look at the status before method and headers: behind a 403 they would never
            // name the one that is missing.
            Self::PreflightRefused(_, Some(hint)) if hint.names_the_fault => {
                Some(StatusCode::NO_CONTENT)
            }
            Self::PreflightRefused(..) => Some(StatusCode::FORBIDDEN),
            _ => None,
        }
    }
}

impl Refusal {
    /// The stable name of the reason.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Origin => "origin_not_allowed",
            Self::Method => "method_not_allowed",
            Self::Header => "header_not_allowed",
            Self::TooLong => "request_headers_too_long",
            Self::Malformed => "request_headers_malformed",
        }
    }
}

impl CorsPolicy {
    /// Whether scripts of this origin may read answers.
    #[must_use]
    pub fn lists(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(set, patterns) => {
                let bytes = origin.as_bytes();
                bytes.len() <= MAX_ORIGIN_BYTES
                    && (set.contains(bytes) || patterns.iter().any(|p| p.matches(bytes)))
            }
        }
    }

    /// Whether every origin is allowed, by `*`.
    fn is_wildcard(&self) -> bool {
        self.origins == Origins::Any
    }

    /// Whether refused preflights say why.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.debug
    }

    /// The policy in half a line, for people: `2 origins and 1 pattern, with credentials`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let who = match &self.origins {
            Origins::Any => "every origin".to_owned(),
            Origins::These(set, patterns) => match (set.len(), patterns.len()) {
                (0, 0) => "no origin".to_owned(),
                (origins, 0) => count(origins, "origin"),
                (0, patterns) => count(patterns, "pattern"),
                (origins, patterns) => {
                    format!("{} and {}", count(origins, "origin"), count(patterns, "pattern"))
                }
            },
        };
        format!("{who}, {} credentials", if self.credentials { "with" } else { "without" })
    }

    /// Whether the policy grants credentials.
    #[must_use]
    pub fn allows_credentials(&self) -> bool {
        self.credentials
    }

    /// Decides one request. A preflight is `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`
    /// ([Fetch](https://fetch.spec.whatwg.org/#cors-preflight-request)); any other `OPTIONS` is an
    /// ordinary request.
    ///
    /// Allocates nothing unless a preflight names its headers in a way that no browser does.
    #[must_use]
    pub fn decide(&self, method: &Method, headers: &HeaderMap) -> CorsDecision {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return CorsDecision::NotCors };
        // Two different Origin lines are nobody's.
        let listed =
            self.lists(origin) && (self.is_wildcard() || origins.all(|line| line == origin));
        let mut asked = (method == Method::OPTIONS)
            .then(|| headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter())
            .into_iter()
            .flatten();
        let refusal = match (asked.next(), listed) {
            (None, true) => return CorsDecision::Actual(self.allow_origin_value(origin)),
            (None, false) => return CorsDecision::ActualUnlisted,
            (Some(_), false) => Refusal::Origin,
            (Some(_), true) if asked.next().is_some() => Refusal::Method,
            (Some(method), true) => match self.decide_preflight(origin, method, headers) {
                Ok(grant) => return CorsDecision::Preflight(grant),
                Err(refusal) => refusal,
            },
        };
        let hint = self.debug.then(|| Box::new(self.hint_at(refusal, origin, headers)));
        CorsDecision::PreflightRefused(refusal, hint)
    }

    fn allow_origin_value(&self, origin: &HeaderValue) -> HeaderValue {
        match self.origins {
            // Policies with `*` never have credentials, so the wildcard serves every cache.
            Origins::Any => HeaderValue::from_static("*"),
            Origins::These(..) => origin.clone(),
        }
    }

    fn decide_preflight(
        &self,
        origin: &HeaderValue,
        method: &HeaderValue,
        headers: &HeaderMap,
    ) -> Result<PreflightGrant, Refusal> {
        if !self.allows_method(method.as_bytes()) {
            return Err(Refusal::Method);
        }
        Ok(PreflightGrant {
            origin: self.allow_origin_value(origin),
            method: method.clone(),
            headers: self.decide_headers(headers)?,
        })
    }

    fn allows_method(&self, method: &[u8]) -> bool {
        if method.len() > MAX_METHOD_BYTES {
            return false;
        }
        // CORS-safelisted methods need no permission (Fetch, CORS-preflight fetch step 7.5).
        matches!(method, b"GET" | b"HEAD" | b"POST")
            || match &self.methods {
                // `*` is a token, but echoing it would say more than was asked.
                Names::Any => is_token(method) && method != b"*" && !is_forbidden_method(method),
                Names::These(list) => list.iter().any(|m| m.as_bytes() == method),
            }
    }

    /// `Ok(None)`: the preflight names no headers.
    fn decide_headers(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let lines = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
        let mut bytes = 0;
        let mut names = 0;
        // Browsers send one line, lower case, sorted, unique, joined by bare commas: such a value
        // can be sent back as it is.
        let mut as_browsers_write_it = true;
        let mut previous: &[u8] = b"";
        for line in &lines {
            bytes += line.len();
            if bytes > MAX_REQUEST_HEADERS_BYTES {
                return Err(Refusal::TooLong);
            }
            as_browsers_write_it &= bytes == line.len();
            for element in line.as_bytes().split(|b| *b == b',') {
                let name = element.trim_ascii();
                if name.is_empty() {
                    as_browsers_write_it = false;
                    continue;
                }
                names += 1;
                if names > MAX_REQUEST_HEADERS {
                    return Err(Refusal::TooLong);
                }
                let upper = token_case(name).ok_or(Refusal::Malformed)?;
                if !self.allows_header(name) {
                    return Err(Refusal::Header);
                }
                as_browsers_write_it &= name.len() == element.len() && !upper && previous < name;
                previous = name;
            }
        }
        if names == 0 {
            return Ok(None);
        }
        if as_browsers_write_it {
            return Ok(lines.iter().next().cloned());
        }
        let mut list: Vec<String> = lines
            .iter()
            .flat_map(|line| line.as_bytes().split(|b| *b == b','))
            .map(|element| String::from_utf8_lossy(element.trim_ascii()).to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        list.sort_unstable();
        list.dedup();
        HeaderValue::try_from(list.join(",")).map(Some).map_err(|_| Refusal::Malformed)
    }

    fn allows_header(&self, name: &[u8]) -> bool {
        match &self.headers {
            Names::Any => name != b"*",
            Names::These(set) => {
                let mut lower = [0; USUAL_NAME_BYTES];
                let Some(buffer) = lower.get_mut(..name.len()) else {
                    // At most 64 of them fit into what is read of a request.
                    return set.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name));
                };
                buffer.copy_from_slice(name);
                buffer.make_ascii_lowercase();
                std::str::from_utf8(buffer)
                    .is_ok_and(|n| set.contains(n) || is_safelisted_header(n))
            }
        }
    }

    /// Decides one request and says exactly which headers that adds to its answer.
    #[must_use]
    pub fn explain(&self, method: &Method, headers: &HeaderMap) -> Explanation {
        let decision = self.decide(method, headers);
        let (kind, allowed) = match &decision {
            CorsDecision::NotCors => ("non_cors", false),
            CorsDecision::Actual(_) => ("actual", true),
            CorsDecision::ActualUnlisted => ("actual", false),
            CorsDecision::Preflight(_) => ("preflight", true),
            CorsDecision::PreflightRefused(..) => ("preflight", false),
        };
        let reason = decision.reason();
        let status = decision.preflight_status().map(|status| status.as_u16());
        let mut added = HeaderMap::new();
        self.apply(decision, &mut added);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = added.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Explanation { kind, allowed, reason, status, headers }
    }
}

#[cfg(test)]
mod tests;
