//! Mistakes in a policy, for people: key, value, reason, mend.

use crate::policy::cors::compile::MAX_MAX_AGE_S;
use crate::policy::origin::OriginError;
use crate::policy::pattern::{OriginPattern, PatternError};

/// A mistake in a [`CorsConfig`](super::CorsConfig): key, value, why, and how to mend it.
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
    /// `access-control-…` among the request headers.
    #[error("this belongs on answers, where the policy writes it; pages should not send it")]
    CorsHeaderRequested {
        /// The value as it was written.
        value: String,
    },
    /// A request header that scripts cannot set.
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
            Self::CorsHeaderRequested { .. } | Self::HeaderForbidden { .. } => "allow_headers",
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
            | Self::CorsHeaderRequested { value }
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
                OriginError::Star => "origin_star",
                OriginError::SchemeMissing { .. } => "origin_scheme_missing",
                OriginError::SchemeUnsupported(_) => "origin_scheme_unsupported",
                OriginError::NotCanonical { .. } => "origin_not_canonical",
                OriginError::Malformed(_) => "origin_malformed",
            },
            Self::Pattern { source: PatternError::PublicSuffix(_), .. } => "public_suffix",
            Self::Pattern { source: PatternError::NotCanonical { .. }, .. } => {
                "pattern_not_canonical"
            }
            Self::Pattern { .. } => "pattern_malformed",
            Self::InsecureOrigin { .. } => "insecure_origin",
            Self::MethodMalformed { .. } => "method_malformed",
            Self::MethodForbidden { .. } => "method_forbidden",
            Self::HeaderMalformed { .. } => "header_malformed",
            Self::CorsHeaderRequested { .. } | Self::HeaderForbidden { .. } => "header_forbidden",
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
            Self::Origin { value, source: OriginError::Star } => match pattern_of(value) {
                Some(pattern) => format!("write allow_origin_patterns = [\"{pattern}\"]"),
                None => "list each origin, or write a pattern such as \"https://*.example.com\" in allow_origin_patterns".to_owned(),
            },
            Self::Origin { source, .. } => match source.suggestion() {
                Some(origin) => format!("write \"{origin}\""),
                None => "write scheme, host and port as browsers do: \"https://app.example.com\"".to_owned(),
            },
            Self::Pattern { source: PatternError::PublicSuffix(_), .. } => {
                "write a domain of your own, such as \"https://*.example.com\", or set dangerous_allow_public_suffixes = true".to_owned()
            }
            Self::Pattern { source: PatternError::NotCanonical { canonical, .. }, .. } => {
                format!("write \"{canonical}\"")
            }
            Self::Pattern { .. } => {
                "write \"https://*.example.com\", with \":*\" for any port, or \"http://localhost:*\"".to_owned()
            }
            Self::InsecureOrigin { .. } => {
                "serve the frontend over https, or set dangerous_allow_insecure_origins = true".to_owned()
            }
            Self::MethodMalformed { .. } => "write a method such as \"PUT\", or \"*\"".to_owned(),
            Self::HeaderMalformed { .. } => "write a header name such as \"x-request-id\"".to_owned(),
            Self::CorsHeaderRequested { .. } => {
                "leave it out, here and among the headers that your frontend sets on its requests".to_owned()
            }
            Self::MethodForbidden { .. } | Self::HeaderForbidden { .. } | Self::ExposedHeaderForbidden { .. } => {
                "leave it out".to_owned()
            }
            Self::WildcardExposeWithCredentials => "list the names that scripts have to read".to_owned(),
            Self::MaxAge { .. } => "write 600 for ten minutes, 0 to switch the cache off, or leave it out".to_owned(),
        }
    }
}

/// The pattern that a text with a star most likely means.
fn pattern_of(text: &str) -> Option<String> {
    let with_scheme =
        if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match OriginPattern::parse(&with_scheme, false) {
        Ok(_) => Some(with_scheme),
        Err(PatternError::NotCanonical { canonical, .. }) => Some(canonical),
        Err(_) => None,
    }
}
