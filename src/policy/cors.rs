//! The server's half of the CORS protocol:
//! [Fetch, "HTTP extensions"](https://fetch.spec.whatwg.org/#http-cors-protocol).
//!
//! A [`CorsPolicy`] is compiled once and never changes. [`CorsPolicy::decide`] turns the facts of
//! one request into a [`CorsDecision`] that knows its reason; [`CorsPolicy::apply`] writes exactly
//! that decision onto a response. Both are linear in the size of the request and bounded.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, Entry, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::policy::origin::{Origin, OriginError};
use crate::policy::pattern::{OriginPattern, PatternError};

/// The longest `Origin` that can be listed: `https://`, a host of 253 bytes, port, and some room.
const MAX_ORIGIN_BYTES: usize = 326;
const MAX_METHOD_BYTES: usize = 64;
const MAX_REQUEST_HEADERS_BYTES: usize = 4096;
const MAX_REQUEST_HEADERS: usize = 100;
/// Browsers cap it lower (7,200 s in Chromium, 86,400 s in Firefox).
const MAX_MAX_AGE_S: u64 = 86_400;

/// What a policy is made from; the names are those of FastAPI's `CORSMiddleware`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorsConfig {
    /// Origins as browsers serialise them, or `["*"]` without credentials.
    pub allow_origins: Vec<String>,
    /// Patterns such as `https://*.example.com`, see [`OriginPattern`].
    pub allow_origin_patterns: Vec<String>,
    /// Whether listed origins may send credentials and read the answers.
    pub allow_credentials: bool,
    /// Methods beside GET, HEAD and POST; `["*"]` echoes what is asked for.
    pub allow_methods: Vec<String>,
    /// Request headers beside the safelisted ones; `["*"]` echoes what is asked for.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// How long browsers may cache a preflight, in seconds; `None` leaves it to them (5 s).
    pub max_age_s: Option<u64>,
    /// Lets plain http origins off loopback use credentials: anybody on the path can then act as
    /// the user.
    pub dangerous_allow_insecure_origins: bool,
    /// Lets a pattern cover a public suffix: everybody who registers a name there is allowed.
    pub dangerous_allow_public_suffixes: bool,
}

/// A mistake in a [`CorsConfig`]: key, value, why, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorsConfigError {
    /// `*` among the origins of a policy with credentials.
    #[error("browsers refuse `*` on a response to a request with credentials")]
    WildcardOriginWithCredentials,
    /// `*` beside other origins.
    #[error("`*` already stands for every origin")]
    WildcardBesideOrigins,
    /// A policy with credentials that lists nobody.
    #[error("credentials are allowed, but no origin is listed that could use them")]
    NoOrigin,
    /// Not an origin that a browser would send.
    #[error("{source}")]
    Origin {
        /// The value as it was written.
        value: String,
        /// What is wrong with it.
        source: OriginError,
    },
    /// Not a pattern, or one that covers too much.
    #[error("{source}")]
    Pattern {
        /// The value as it was written.
        value: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// Plain http with credentials, off loopback.
    #[error("credentials would travel over plain http, where anybody on the path can take them")]
    InsecureOrigin {
        /// `allow_origins` or `allow_origin_patterns`.
        key: &'static str,
        /// The origin or pattern.
        value: String,
    },
    /// Not a method name.
    #[error("not a method name")]
    MethodMalformed {
        /// The value as it was written.
        value: String,
    },
    /// CONNECT, TRACE or TRACK.
    #[error("browsers never send this method for a script")]
    MethodForbidden {
        /// The value as it was written.
        value: String,
    },
    /// Not a header name.
    #[error("not a header name")]
    HeaderMalformed {
        /// `allow_headers` or `expose_headers`.
        key: &'static str,
        /// The value as it was written.
        value: String,
    },
    /// A request header that scripts cannot set, or `access-control-…`.
    #[error("scripts cannot set this header, so allowing it does nothing")]
    HeaderForbidden {
        /// The value as it was written.
        value: String,
    },
    /// `set-cookie` or an `access-control-…` header among the exposed ones.
    #[error("browsers never show this header to scripts")]
    ExposedHeaderForbidden {
        /// The value as it was written.
        value: String,
    },
    /// `*` among the exposed headers of a policy with credentials.
    #[error("with credentials, browsers take `*` for a header of that name")]
    WildcardExposeWithCredentials,
    /// More than a day.
    #[error("must be between 0 and {MAX_MAX_AGE_S}")]
    MaxAge {
        /// The value as it was written.
        value: u64,
    },
}

impl CorsConfigError {
    /// The key that holds the mistake.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::WildcardOriginWithCredentials
            | Self::WildcardBesideOrigins
            | Self::NoOrigin
            | Self::Origin { .. } => "allow_origins",
            Self::Pattern { .. } => "allow_origin_patterns",
            Self::MethodMalformed { .. } | Self::MethodForbidden { .. } => "allow_methods",
            Self::InsecureOrigin { key, .. } | Self::HeaderMalformed { key, .. } => key,
            Self::HeaderForbidden { .. } => "allow_headers",
            Self::ExposedHeaderForbidden { .. } | Self::WildcardExposeWithCredentials => {
                "expose_headers"
            }
            Self::MaxAge { .. } => "max_age_s",
        }
    }

    /// The offending value, where there is one.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::WildcardOriginWithCredentials
            | Self::WildcardBesideOrigins
            | Self::WildcardExposeWithCredentials => Some("*".to_owned()),
            Self::NoOrigin => None,
            Self::Origin { value, .. }
            | Self::Pattern { value, .. }
            | Self::InsecureOrigin { value, .. }
            | Self::MethodMalformed { value }
            | Self::MethodForbidden { value }
            | Self::HeaderMalformed { value, .. }
            | Self::HeaderForbidden { value }
            | Self::ExposedHeaderForbidden { value } => Some(value.clone()),
            Self::MaxAge { value } => Some(value.to_string()),
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WildcardOriginWithCredentials => "wildcard_origin_with_credentials",
            Self::WildcardBesideOrigins => "wildcard_beside_origins",
            Self::NoOrigin => "no_origin",
            Self::Origin { source, .. } => match source {
                OriginError::Wildcard => "wildcard_origin_with_credentials",
                OriginError::Null => "null_origin",
                OriginError::SchemeMissing => "origin_scheme_missing",
                OriginError::SchemeUnsupported(_) => "origin_scheme_unsupported",
                OriginError::NotCanonical { .. } => "origin_not_canonical",
                OriginError::Malformed(_) => "origin_malformed",
            },
            Self::Pattern { source: PatternError::PublicSuffix(_), .. } => "public_suffix",
            Self::Pattern { .. } => "pattern_malformed",
            Self::InsecureOrigin { .. } => "insecure_origin",
            Self::MethodMalformed { .. } => "method_malformed",
            Self::MethodForbidden { .. } => "method_forbidden",
            Self::HeaderMalformed { .. } => "header_malformed",
            Self::HeaderForbidden { .. } => "header_forbidden",
            Self::ExposedHeaderForbidden { .. } => "exposed_header_forbidden",
            Self::WildcardExposeWithCredentials => "wildcard_expose_with_credentials",
            Self::MaxAge { .. } => "max_age_out_of_range",
        }
    }

    /// What to write instead.
    #[must_use]
    pub fn mend(&self) -> String {
        match self {
            Self::WildcardOriginWithCredentials | Self::NoOrigin => {
                "list the origins of your frontends, such as \"https://app.example.com\", or set allow_credentials = false".to_owned()
            }
            Self::WildcardBesideOrigins => "write [\"*\"] alone, or leave it out".to_owned(),
            Self::Origin { source, .. } => match source.suggestion() {
                Some(origin) => format!("write \"{origin}\""),
                None => "write scheme, host and port as browsers do: \"https://app.example.com\"".to_owned(),
            },
            Self::Pattern { source: PatternError::PublicSuffix(_), .. } => {
                "write a domain of your own, such as \"https://*.example.com\", or set dangerous_allow_public_suffixes = true".to_owned()
            }
            Self::Pattern { .. } => {
                "write \"https://*.example.com\", with \":*\" for any port, or \"http://localhost:*\"".to_owned()
            }
            Self::InsecureOrigin { .. } => {
                "serve the frontend over https, or set dangerous_allow_insecure_origins = true".to_owned()
            }
            Self::MethodMalformed { .. } => "write a method such as \"PUT\", or \"*\"".to_owned(),
            Self::HeaderMalformed { .. } => "write a header name such as \"x-request-id\"".to_owned(),
            Self::MethodForbidden { .. } | Self::HeaderForbidden { .. } | Self::ExposedHeaderForbidden { .. } => {
                "leave it out".to_owned()
            }
            Self::WildcardExposeWithCredentials => "list the names that scripts have to read".to_owned(),
            Self::MaxAge { .. } => "write 600 for ten minutes, 0 to switch the cache off, or leave it out".to_owned(),
        }
    }
}

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
    /// A preflight that is refused.
    PreflightRefused(Refusal),
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
            Self::ActualUnlisted | Self::PreflightRefused(Refusal::Origin) => "origin_not_allowed",
            Self::PreflightRefused(Refusal::Method) => "method_not_allowed",
            Self::PreflightRefused(Refusal::Header) => "header_not_allowed",
            Self::PreflightRefused(Refusal::TooLong) => "request_headers_too_long",
            Self::PreflightRefused(Refusal::Malformed) => "request_headers_malformed",
        }
    }

    /// The status with which a preflight is answered; `None` for actual requests.
    #[must_use]
    pub fn preflight_status(&self) -> Option<StatusCode> {
        match self {
            Self::Preflight(_) => Some(StatusCode::NO_CONTENT),
            Self::PreflightRefused(_) => Some(StatusCode::FORBIDDEN),
            _ => None,
        }
    }
}

impl CorsPolicy {
    /// Checks and compiles a policy.
    ///
    /// # Errors
    ///
    /// Every mistake of the configuration at once.
    pub fn compile(config: &CorsConfig) -> Result<Self, Vec<CorsConfigError>> {
        let mut errors = Vec::new();
        let origins = compile_origins(config, &mut errors);
        let methods = compile_methods(&config.allow_methods, &mut errors);
        let headers = compile_allow_headers(&config.allow_headers, &mut errors);
        let expose = compile_expose(config, &mut errors);
        if let Some(value) = config.max_age_s.filter(|s| *s > MAX_MAX_AGE_S) {
            errors.push(CorsConfigError::MaxAge { value });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            origins,
            credentials: config.allow_credentials,
            methods,
            headers,
            expose,
            max_age: config.max_age_s.map(HeaderValue::from),
        })
    }

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
        let listed = self.lists(origin) && origins.all(|line| line == origin);
        let mut asked = (method == Method::OPTIONS)
            .then(|| headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter())
            .into_iter()
            .flatten();
        match (asked.next(), listed) {
            (None, true) => CorsDecision::Actual(self.allow_origin_value(origin)),
            (None, false) => CorsDecision::ActualUnlisted,
            (Some(_), false) => CorsDecision::PreflightRefused(Refusal::Origin),
            (Some(_), true) if asked.next().is_some() => {
                CorsDecision::PreflightRefused(Refusal::Method)
            }
            (Some(method), true) => match self.decide_preflight(origin, method, headers) {
                Ok(grant) => CorsDecision::Preflight(grant),
                Err(refusal) => CorsDecision::PreflightRefused(refusal),
            },
        }
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
                let mut lower = [0; 64];
                let Some(buffer) = lower.get_mut(..name.len()) else { return false };
                buffer.copy_from_slice(name);
                buffer.make_ascii_lowercase();
                std::str::from_utf8(buffer).is_ok_and(|n| set.contains(n) || is_safelisted(n))
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
            CorsDecision::PreflightRefused(_) => ("preflight", false),
        };
        let reason = decision.reason();
        let status = decision.preflight_status().map(|status| status.as_u16());
        let mut added = HeaderMap::new();
        self.apply(decision, &mut added);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = added.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Explanation { kind, allowed, reason, status, headers }
    }

    /// Writes the decision onto the headers of a response: exactly the CORS headers of this
    /// policy, whatever a handler wrote before, and `Vary`.
    pub fn apply(&self, decision: CorsDecision, headers: &mut HeaderMap) {
        remove_cors_headers(headers);
        let preflight = decision.preflight_status().is_some();
        match decision {
            CorsDecision::NotCors
            | CorsDecision::ActualUnlisted
            | CorsDecision::PreflightRefused(_) => {}
            CorsDecision::Actual(origin) => {
                self.write_grant(origin, headers);
                if let Some(expose) = &self.expose {
                    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
                }
            }
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

const TOKEN: u8 = 1;
const UPPER: u8 = 2;

/// What each byte is in a token. A table, because header names are walked on every preflight.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' => TOKEN | UPPER,
            b'!'
            | b'#'..=b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'0'..=b'9'
            | b'^'..=b'z'
            | b'|'
            | b'~' => TOKEN,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Whether the bytes are a token: [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#name-tokens).
fn is_token(bytes: &[u8]) -> bool {
    token_case(bytes).is_some()
}

/// `None` if the bytes are no token; otherwise whether a letter is in upper case.
fn token_case(bytes: &[u8]) -> Option<bool> {
    let (mut all, mut any) = (TOKEN, 0);
    for byte in bytes {
        let class = CLASSES[usize::from(*byte)];
        all &= class;
        any |= class;
    }
    (all != 0 && !bytes.is_empty()).then_some(any & UPPER != 0)
}

/// [Fetch: forbidden method](https://fetch.spec.whatwg.org/#forbidden-method).
fn is_forbidden_method(method: &[u8]) -> bool {
    [b"CONNECT".as_slice(), b"TRACE", b"TRACK"].iter().any(|m| method.eq_ignore_ascii_case(m))
}

/// Names that need no permission; browsers name them in a preflight only for unusual values
/// ([Fetch](https://fetch.spec.whatwg.org/#cors-safelisted-request-header)).
fn is_safelisted(name: &str) -> bool {
    matches!(name, "accept" | "accept-language" | "content-language" | "content-type" | "range")
}

/// [Fetch: forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header).
fn is_forbidden_header(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "accept-charset",
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "permissions-policy",
    ];
    NAMES.contains(&name)
        || name.starts_with("sec-")
        || name.starts_with("proxy-")
        || name.starts_with("access-control-")
}

fn compile_origins(config: &CorsConfig, errors: &mut Vec<CorsConfigError>) -> Origins {
    let list = &config.allow_origins;
    if list.iter().any(|o| o == "*") {
        if config.allow_credentials {
            errors.push(CorsConfigError::WildcardOriginWithCredentials);
        } else if list.iter().any(|o| o != "*") {
            errors.push(CorsConfigError::WildcardBesideOrigins);
        }
    }
    if list.is_empty() && config.allow_origin_patterns.is_empty() && config.allow_credentials {
        errors.push(CorsConfigError::NoOrigin);
    }
    let mut set = HashSet::with_hasher(FixedState::default());
    for value in list.iter().filter(|o| *o != "*") {
        match value.parse::<Origin>() {
            Err(source) => errors.push(CorsConfigError::Origin { value: value.clone(), source }),
            Ok(origin) => {
                let insecure = !origin.is_https() && !origin.is_loopback();
                if insecure && config.allow_credentials && !config.dangerous_allow_insecure_origins
                {
                    let (key, value) = ("allow_origins", value.clone());
                    errors.push(CorsConfigError::InsecureOrigin { key, value });
                }
                set.insert(origin.as_str().as_bytes().into());
            }
        }
    }
    let mut patterns = Vec::new();
    for value in &config.allow_origin_patterns {
        match OriginPattern::parse(value, config.dangerous_allow_public_suffixes) {
            Err(source) => errors.push(CorsConfigError::Pattern { value: value.clone(), source }),
            Ok(pattern) => {
                let insecure = config.allow_credentials && !config.dangerous_allow_insecure_origins;
                if pattern.is_insecure() && insecure {
                    let (key, value) = ("allow_origin_patterns", value.clone());
                    errors.push(CorsConfigError::InsecureOrigin { key, value });
                }
                patterns.push(pattern);
            }
        }
    }
    if list.iter().any(|o| o == "*") { Origins::Any } else { Origins::These(set, patterns.into()) }
}

fn compile_methods(list: &[String], errors: &mut Vec<CorsConfigError>) -> Names<Vec<Box<str>>> {
    let mut these: Vec<Box<str>> = Vec::new();
    for value in list.iter().filter(|m| *m != "*") {
        if value.len() > MAX_METHOD_BYTES || !is_token(value.as_bytes()) {
            errors.push(CorsConfigError::MethodMalformed { value: value.clone() });
        } else if is_forbidden_method(value.as_bytes()) {
            errors.push(CorsConfigError::MethodForbidden { value: value.clone() });
        } else {
            these.push(value.as_str().into());
        }
    }
    if list.iter().any(|m| m == "*") { Names::Any } else { Names::These(these) }
}

fn compile_allow_headers(
    list: &[String],
    errors: &mut Vec<CorsConfigError>,
) -> Names<HashSet<Box<str>>> {
    let mut these = HashSet::new();
    for value in list.iter().filter(|h| *h != "*") {
        let lower = value.to_ascii_lowercase();
        if value.len() > 64 || !is_token(value.as_bytes()) {
            errors.push(CorsConfigError::HeaderMalformed {
                key: "allow_headers",
                value: value.clone(),
            });
        } else if is_forbidden_header(&lower) {
            errors.push(CorsConfigError::HeaderForbidden { value: value.clone() });
        } else {
            these.insert(lower.into());
        }
    }
    if list.iter().any(|h| h == "*") { Names::Any } else { Names::These(these) }
}

fn compile_expose(config: &CorsConfig, errors: &mut Vec<CorsConfigError>) -> Option<HeaderValue> {
    let mut names: Vec<String> = Vec::new();
    for value in &config.expose_headers {
        let lower = value.to_ascii_lowercase();
        if value == "*" {
            if config.allow_credentials {
                errors.push(CorsConfigError::WildcardExposeWithCredentials);
            }
        } else if HeaderName::try_from(value).is_err() {
            let (key, value) = ("expose_headers", value.clone());
            errors.push(CorsConfigError::HeaderMalformed { key, value });
            continue;
        } else if lower.starts_with("set-cookie") || lower.starts_with("access-control-") {
            errors.push(CorsConfigError::ExposedHeaderForbidden { value: value.clone() });
        }
        if !names.contains(&lower) {
            names.push(lower);
        }
    }
    if names.is_empty() { None } else { HeaderValue::try_from(names.join(", ")).ok() }
}

#[cfg(test)]
mod tests;
