//! From a [`CorsConfig`] to a [`CorsPolicy`], or to everything that is wrong with it.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use http::{HeaderName, HeaderValue};

use crate::policy::cors::words::{is_forbidden_header, is_forbidden_method, is_token};
use crate::policy::cors::{
    CorsConfigError, CorsPolicy, MAX_METHOD_BYTES, MAX_REQUEST_HEADERS_BYTES, Names, Origins,
};
use crate::policy::origin::Origin;
use crate::policy::pattern::{OriginPattern, PatternError};

/// Browsers cap it lower (7,200 s in Chromium, 86,400 s in Firefox).
pub(super) const MAX_MAX_AGE_S: u64 = 86_400;

/// What a policy is made from; the names are those of FastAPI's `CORSMiddleware`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
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
    /// Refused preflights say why, in `X-Cors-Reason` and in the log; see [`Hint`]. For
    /// development: it tells strangers what is allowed.
    ///
    /// [`Hint`]: crate::policy::cors::Hint
    pub debug: bool,
    /// Lets plain http origins off loopback use credentials: anybody on the path can then act as
    /// the user.
    pub dangerous_allow_insecure_origins: bool,
    /// Lets a pattern cover a public suffix: everybody who registers a name there is allowed.
    pub dangerous_allow_public_suffixes: bool,
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
            debug: config.debug,
        })
    }
}

fn compile_origins(config: &CorsConfig, errors: &mut Vec<CorsConfigError>) -> Origins {
    let list = &config.allow_origins;
    if list.iter().any(|o| o == "*") {
        if config.allow_credentials {
            errors.push(CorsConfigError::WildcardOriginWithCredentials);
        } else if list.iter().any(|o| o != "*") || !config.allow_origin_patterns.is_empty() {
            errors.push(CorsConfigError::WildcardBesideOrigins);
        }
    }
    if list.is_empty() && config.allow_origin_patterns.is_empty() && config.allow_credentials {
        errors.push(CorsConfigError::NoOrigin);
    }
    let mut set = HashSet::with_hasher(FixedState::default());
    for value in list.iter().filter(|o| *o != "*") {
        match value.parse::<Origin>() {
            Err(source) => {
                // What is still wrong with the correction belongs into the same report.
                if let Some(Ok(origin)) = source.suggestion().map(str::parse::<Origin>) {
                    check_security("allow_origins", value, is_insecure(&origin), config, errors);
                }
                errors.push(CorsConfigError::Origin { value: value.clone(), source });
            }
            Ok(origin) => {
                check_security("allow_origins", value, is_insecure(&origin), config, errors);
                set.insert(origin.as_str().as_bytes().into());
            }
        }
    }
    let mut patterns = Vec::new();
    for value in &config.allow_origin_patterns {
        match OriginPattern::parse(value, config.dangerous_allow_public_suffixes) {
            Err(source) => {
                if let PatternError::NotCanonical { canonical, .. } = &source {
                    check_corrected_pattern(value, canonical, config, errors);
                }
                errors.push(CorsConfigError::Pattern { value: value.clone(), source });
            }
            Ok(pattern) => {
                check_security(PATTERNS, value, pattern.is_insecure(), config, errors);
                patterns.push(pattern);
            }
        }
    }
    if list.iter().any(|o| o == "*") { Origins::Any } else { Origins::These(set, patterns.into()) }
}

const PATTERNS: &str = "allow_origin_patterns";

fn is_insecure(origin: &Origin) -> bool {
    !origin.is_https() && !origin.is_loopback()
}

fn check_security(
    key: &'static str,
    value: &str,
    insecure: bool,
    config: &CorsConfig,
    errors: &mut Vec<CorsConfigError>,
) {
    if insecure && config.allow_credentials && !config.dangerous_allow_insecure_origins {
        errors.push(CorsConfigError::InsecureOrigin { key, value: value.to_owned() });
    }
}

fn check_corrected_pattern(
    value: &str,
    canonical: &str,
    config: &CorsConfig,
    errors: &mut Vec<CorsConfigError>,
) {
    match OriginPattern::parse(canonical, config.dangerous_allow_public_suffixes) {
        Ok(pattern) => check_security(PATTERNS, value, pattern.is_insecure(), config, errors),
        Err(source) => errors.push(CorsConfigError::Pattern { value: value.to_owned(), source }),
    }
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
        if value.len() > MAX_REQUEST_HEADERS_BYTES || !is_token(value.as_bytes()) {
            errors.push(CorsConfigError::HeaderMalformed {
                key: "allow_headers",
                value: value.clone(),
            });
        } else if lower.starts_with("access-control-") {
            errors.push(CorsConfigError::CorsHeaderRequested { value: value.clone() });
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
        } else if matches!(&*lower, "set-cookie" | "set-cookie2")
            || lower.starts_with("access-control-")
        {
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
