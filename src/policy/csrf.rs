//! Whether a request may change anything on behalf of a session.
//!
//! CORS decides who may *read*; it never stops a request from having its effect. This check does,
//! in two independent steps: where the request comes from, and whether its sender could read
//! something that only this session was told.

mod rules;

pub use self::rules::{CsrfHeader, CsrfHeaderError, CsrfMode, CsrfRules};

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha2::Sha256;

use crate::policy::cors::CorsPolicy;
use crate::policy::origin::Origin;
use crate::policy::session::SessionSecret;

/// Cookie that holds the token for scripts of the same host, unless configured otherwise.
pub const COOKIE_NAME: &str = "CSRF-TOKEN";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const NONCE_BYTES: usize = 16;
const TOKEN_BYTES: usize = NONCE_BYTES + 32;
/// Length of a token in base64url.
const TOKEN_CHARS: usize = TOKEN_BYTES / 3 * 4;

/// Why a request may not change anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrfFailure {
    /// The page that sent it is on an origin which is not listed.
    #[error("the request comes from an origin that is not allowed to act for this session")]
    ForeignOrigin,
    /// Neither `Sec-Fetch-Site` nor `Origin` says where it comes from.
    #[error("the request says neither by Sec-Fetch-Site nor by Origin where it comes from")]
    UnknownOrigin,
    /// No token.
    #[error("the header {header} is missing: send the csrfToken of GET /api/auth/session")]
    TokenMissing {
        /// Which header.
        header: Arc<str>,
    },
    /// A token, but not this session's.
    #[error(
        "the {header} does not belong to this session: read it anew from GET /api/auth/session"
    )]
    TokenInvalid {
        /// In which header.
        header: Arc<str>,
    },
    /// No header, where any value would do.
    #[error("the header {header} is missing or empty: send it with any value")]
    HeaderMissing {
        /// Which header.
        header: Arc<str>,
    },
}

/// Whether a method changes nothing: [RFC 9110 §9.2.1](https://www.rfc-editor.org/rfc/rfc9110#name-safe-methods).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether pages of this origin may act for a session. A wildcard policy lists everybody for
/// reading, nobody for acting.
#[must_use]
pub fn may_act(policy: &CorsPolicy, origin: &HeaderValue) -> bool {
    policy.allows_credentials() && policy.lists(origin)
}

/// Step one: where does it come from? [`Sec-Fetch-Site`](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header)
/// cannot be set by scripts, so `same-origin` passes; everything else needs a listed `Origin`.
///
/// # Errors
///
/// [`CsrfFailure::ForeignOrigin`] or [`CsrfFailure::UnknownOrigin`].
pub fn check_source(
    policy: &CorsPolicy,
    own_origin: &Origin,
    headers: &HeaderMap,
) -> Result<(), CsrfFailure> {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    if sites.next().is_some_and(|site| site == "same-origin") && sites.next().is_none() {
        return Ok(());
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let listed = may_act(policy, origin);
            let own = origin == own_origin.as_str() && !headers.contains_key(SEC_FETCH_SITE);
            if listed || own { Ok(()) } else { Err(CsrfFailure::ForeignOrigin) }
        }
        (Some(_), Some(_)) => Err(CsrfFailure::ForeignOrigin),
        (None, _) if headers.contains_key(SEC_FETCH_SITE) => Err(CsrfFailure::ForeignOrigin),
        (None, _) => Err(CsrfFailure::UnknownOrigin),
    }
}

/// A token for this session: nonce ‖ HMAC-SHA256(session, nonce), base64url. Every answer gets
/// another nonce, so that a compressed page does not leak the token byte by byte (BREACH).
#[must_use]
pub fn token(secret: &SessionSecret, nonce: [u8; NONCE_BYTES]) -> String {
    let mut bytes = [0; TOKEN_BYTES];
    bytes[..NONCE_BYTES].copy_from_slice(&nonce);
    bytes[NONCE_BYTES..].copy_from_slice(&mac(secret, &nonce).finalize().into_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn verify(secret: &SessionSecret, token: &[u8]) -> bool {
    let mut bytes = [0; TOKEN_BYTES];
    if token.len() != TOKEN_CHARS || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).is_err() {
        return false;
    }
    let (nonce, tag) = bytes.split_at(NONCE_BYTES);
    // Compares in constant time.
    mac(secret, nonce).verify_slice(tag).is_ok()
}

fn mac(secret: &SessionSecret, nonce: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose());
    let mut mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(b"csrf");
    mac.update(nonce);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::cors::CorsConfig;

    const APP: &str = "https://app.example.com";
    const EVIL: &str = "https://evil.example";
    const OWN: &str = "https://api.example.com";

    fn policy() -> CorsPolicy {
        CorsPolicy::compile(&CorsConfig {
            allow_origins: vec![APP.to_owned()],
            allow_credentials: true,
            ..CorsConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn where_a_request_comes_from() {
        use CsrfFailure::{ForeignOrigin, UnknownOrigin};
        for (site, origin, want) in [
            (Some("same-origin"), None, Ok(())),
            (Some("same-origin"), Some(OWN), Ok(())),
            (Some("same-site"), Some(APP), Ok(())),
            (Some("cross-site"), Some(APP), Ok(())),
            (Some("same-site"), Some(EVIL), Err(ForeignOrigin)),
            (Some("cross-site"), Some(EVIL), Err(ForeignOrigin)),
            (Some("cross-site"), Some("null"), Err(ForeignOrigin)),
            (Some("cross-site"), None, Err(ForeignOrigin)),
            // Claims to be us, yet the browser says that the page is another origin.
            (Some("cross-site"), Some(OWN), Err(ForeignOrigin)),
            (Some("none"), None, Err(ForeignOrigin)),
            (Some("made-up"), Some(APP), Ok(())),
            (None, Some(APP), Ok(())),
            (None, Some(OWN), Ok(())),
            (None, Some(EVIL), Err(ForeignOrigin)),
            (None, None, Err(UnknownOrigin)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.append(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            let own = OWN.parse().unwrap();
            assert_eq!(check_source(&policy(), &own, &headers), want, "{site:?} {origin:?}");
        }
    }

    #[test]
    fn two_origins_are_nobody() {
        let mut headers = HeaderMap::new();
        headers.append(ORIGIN, HeaderValue::from_static(APP));
        headers.append(ORIGIN, HeaderValue::from_static(APP));
        let own = OWN.parse().unwrap();
        assert_eq!(check_source(&policy(), &own, &headers), Err(CsrfFailure::ForeignOrigin));
    }

    #[test]
    fn a_token_is_something_that_every_cookie_parser_takes() {
        let token = token(&SessionSecret::from_random([1; 32]), [9; NONCE_BYTES]);
        assert_eq!(token.len(), TOKEN_CHARS);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    proptest! {
        #[test]
        fn one_changed_character_breaks_a_token(nonce: [u8; 16], at in 0..TOKEN_CHARS, to in b'A'..=b'Z') {
            let secret = SessionSecret::from_random([3; 32]);
            let mut token = token(&secret, nonce).into_bytes();
            prop_assert!(verify(&secret, &token));
            prop_assume!(token[at] != to);
            token[at] = to;
            prop_assert!(!verify(&secret, &token));
        }
    }
}
