//! What a request has to show, by configuration.

use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};

use crate::policy::cors::{is_forbidden_header, is_safelisted_header};
use crate::policy::csrf::{CsrfFailure, is_safe, verify};
use crate::policy::session::SessionSecret;

/// Nobody writes a longer one.
const MAX_NAME_BYTES: usize = 64;

/// What a request shows beside its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CsrfMode {
    /// A token of its session.
    #[default]
    Token,
    /// The header, whatever stands in it: a page of another origin cannot send it without a
    /// preflight, which only listed origins pass.
    Header,
    /// Nothing.
    Origin,
}

/// Why a header cannot carry the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrfHeaderError {
    /// Not a token of RFC 9110, or a very long one.
    #[error("not a header name of 1 to {MAX_NAME_BYTES} characters")]
    Malformed,
    /// [Fetch: forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header).
    #[error("browsers let no script send this header")]
    Forbidden,
    /// [Fetch: CORS-safelisted request-header](https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
    #[error("every page can send this header anywhere, without a preflight")]
    Safelisted,
    /// Browsers, proxies or this service send it for another purpose.
    #[error("this header has a meaning of its own")]
    Taken,
}

/// The header that carries the token, as it was written: messages name it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrfHeader {
    name: HeaderName,
    written: Arc<str>,
}

impl CsrfHeader {
    /// `X-CSRF-TOKEN`, unless configured otherwise.
    pub const DEFAULT: &str = "X-CSRF-TOKEN";

    /// The name.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }
}

impl FromStr for CsrfHeader {
    type Err = CsrfHeaderError;

    fn from_str(text: &str) -> Result<Self, CsrfHeaderError> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok();
        let name = name.filter(|_| text.len() <= MAX_NAME_BYTES);
        let name = name.ok_or(CsrfHeaderError::Malformed)?;
        if is_forbidden_header(name.as_str()) || name.as_str().starts_with("access-control-") {
            return Err(CsrfHeaderError::Forbidden);
        }
        if is_safelisted_header(name.as_str()) {
            return Err(CsrfHeaderError::Safelisted);
        }
        if is_taken(name.as_str()) {
            return Err(CsrfHeaderError::Taken);
        }
        Ok(Self { name, written: text.into() })
    }
}

impl Default for CsrfHeader {
    fn default() -> Self {
        let name = HeaderName::from_static("x-csrf-token");
        Self { name, written: Self::DEFAULT.into() }
    }
}

/// Headers that are there without anybody's proof, and those that answers need for themselves.
fn is_taken(name: &str) -> bool {
    const NAMES: [&str; 26] = [
        "age",
        "allow",
        "authorization",
        "cache-control",
        "clear-site-data",
        "etag",
        "expires",
        "forwarded",
        "from",
        "last-event-id",
        "last-modified",
        "link",
        "location",
        "pragma",
        "priority",
        "referrer-policy",
        "retry-after",
        "save-data",
        "server",
        "strict-transport-security",
        "upgrade-insecure-requests",
        "user-agent",
        "vary",
        "www-authenticate",
        "x-cors-reason",
        "x-real-ip",
    ];
    const STARTS: [&str; 6] =
        ["accept-", "content-", "if-", "x-content-", "x-forwarded-", "x-frame-"];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

/// `[csrf]`: what a request has to show beside where it comes from, and which requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsrfRules {
    /// What it shows.
    pub mode: CsrfMode,
    /// Where it shows it, and where answers carry the token.
    pub header: CsrfHeader,
    /// Whether requests that change nothing are checked as well.
    pub safe_methods: bool,
}

impl CsrfRules {
    /// Whether a request with this method has to show anything.
    #[must_use]
    pub fn guard(&self, method: &Method) -> bool {
        // OPTIONS and TRACE reach no handler.
        let reads = matches!(*method, Method::GET | Method::HEAD);
        !is_safe(method) || (self.safe_methods && reads)
    }

    /// Step two: does the request show what only this session's pages can?
    ///
    /// # Errors
    ///
    /// [`CsrfFailure::TokenMissing`], [`CsrfFailure::TokenInvalid`] or
    /// [`CsrfFailure::HeaderMissing`].
    pub fn check_proof(
        &self,
        secret: &SessionSecret,
        headers: &HeaderMap,
    ) -> Result<(), CsrfFailure> {
        let sent = headers.get(self.header.name());
        let header = || Arc::clone(&self.header.written);
        match self.mode {
            CsrfMode::Origin => Ok(()),
            CsrfMode::Header if sent.is_some_and(|value| !value.is_empty()) => Ok(()),
            CsrfMode::Header => Err(CsrfFailure::HeaderMissing { header: header() }),
            CsrfMode::Token => match sent {
                None => Err(CsrfFailure::TokenMissing { header: header() }),
                Some(token) if verify(secret, token.as_bytes()) => Ok(()),
                Some(_) => Err(CsrfFailure::TokenInvalid { header: header() }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::csrf::token;

    fn secret(byte: u8) -> SessionSecret {
        SessionSecret::from_random([byte; 32])
    }

    #[test]
    fn which_headers_may_carry_it() {
        use CsrfHeaderError::{Forbidden, Malformed, Safelisted, Taken};
        for (text, want) in [
            ("X-CSRF-TOKEN", Ok("x-csrf-token")),
            ("X-XSRF-TOKEN", Ok("x-xsrf-token")),
            ("X-Requested-With", Ok("x-requested-with")),
            ("", Err(Malformed)),
            ("X CSRF", Err(Malformed)),
            ("X-CSRF:", Err(Malformed)),
            ("X-Größe", Err(Malformed)),
            (&"x".repeat(65), Err(Malformed)),
            ("Cookie", Err(Forbidden)),
            ("sec-fetch-site", Err(Forbidden)),
            ("Proxy-X", Err(Forbidden)),
            ("Access-Control-X", Err(Forbidden)),
            ("Content-Type", Err(Safelisted)),
            ("accept", Err(Safelisted)),
            ("User-Agent", Err(Taken)),
            ("Authorization", Err(Taken)),
            ("If-None-Match", Err(Taken)),
            ("Vary", Err(Taken)),
            ("X-Forwarded-For", Err(Taken)),
        ] {
            let got = text.parse::<CsrfHeader>();
            let name = got.as_ref().map(|header| header.name().as_str()).map_err(|e| *e);
            assert_eq!(name, want, "{text}");
        }
    }

    #[test]
    fn the_default_is_a_header_that_may() {
        assert_eq!(CsrfHeader::DEFAULT.parse(), Ok(CsrfHeader::default()));
    }

    #[test]
    fn what_each_mode_asks_for() {
        use CsrfMode::{Header, Origin, Token};
        let (mine, other) = (token(&secret(1), [9; 16]), token(&secret(2), [9; 16]));
        let header: Arc<str> = "X-My-Token".into();
        let missing = Err(CsrfFailure::TokenMissing { header: header.clone() });
        let invalid = Err(CsrfFailure::TokenInvalid { header: header.clone() });
        let absent = Err(CsrfFailure::HeaderMissing { header: header.clone() });
        for (case, mode, name, value, want) in [
            ("its token", Token, "x-my-token", mine.as_str(), Ok(())),
            ("a token of others", Token, "x-my-token", &other, invalid.clone()),
            ("a cut token", Token, "x-my-token", &mine[1..], invalid.clone()),
            ("no text at all", Token, "x-my-token", "", invalid.clone()),
            ("no base64", Token, "x-my-token", &"%".repeat(64), invalid),
            ("the default's header", Token, "x-csrf-token", &mine, missing.clone()),
            ("nothing", Token, "x-other", "", missing),
            ("any value", Header, "x-my-token", "1", Ok(())),
            ("an empty one", Header, "x-my-token", "", absent.clone()),
            ("no header", Header, "x-csrf-token", &mine, absent),
            ("no header", Origin, "x-other", "", Ok(())),
            ("a wrong token", Origin, "x-my-token", &other, Ok(())),
        ] {
            let rules = CsrfRules { mode, header: header.parse().unwrap(), ..CsrfRules::default() };
            let mut headers = HeaderMap::new();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
            assert_eq!(rules.check_proof(&secret(1), &headers), want, "{case}, {mode:?}");
        }
    }

    #[test]
    fn messages_name_the_header_as_it_was_written() {
        for mode in [CsrfMode::Token, CsrfMode::Header] {
            let header = "X-My-Token".parse().unwrap();
            let rules = CsrfRules { mode, header, ..CsrfRules::default() };
            let failure = rules.check_proof(&secret(1), &HeaderMap::new()).unwrap_err();
            assert!(failure.to_string().contains("X-My-Token"), "{failure}");
        }
    }

    #[test]
    fn which_methods_are_checked() {
        for (method, unsafe_only, with_safe) in [
            (Method::GET, false, true),
            (Method::HEAD, false, true),
            (Method::OPTIONS, false, false),
            (Method::POST, true, true),
            (Method::DELETE, true, true),
            (Method::from_bytes(b"get").unwrap(), true, true),
        ] {
            for (safe_methods, want) in [(false, unsafe_only), (true, with_safe)] {
                let rules = CsrfRules { safe_methods, ..CsrfRules::default() };
                assert_eq!(rules.guard(&method), want, "{method} {safe_methods}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_header_that_may_is_never_one_that_every_page_sends(text in "\\PC{0,20}|[a-zA-Z-]{1,24}") {
            if let Ok(header) = text.parse::<CsrfHeader>() {
                let name = header.name().as_str();
                prop_assert!(!is_safelisted_header(name) && !is_forbidden_header(name));
                prop_assert_eq!(text.to_ascii_lowercase(), name);
            }
        }

        /// Whatever passes in the strictest mode passes in the others.
        #[test]
        fn modes_are_ordered(byte in 0u8..3, nonce: [u8; 16], whole: bool) {
            let token = token(&secret(byte), nonce);
            let sent = if whole { token.as_str() } else { &token[1..] };
            let mut headers = HeaderMap::new();
            headers.append("x-csrf-token", HeaderValue::from_str(sent).unwrap());
            let passes = |mode| {
                let rules = CsrfRules { mode, ..CsrfRules::default() };
                rules.check_proof(&secret(1), &headers).is_ok()
            };
            prop_assert_eq!(passes(CsrfMode::Token), whole && byte == 1);
            prop_assert!(passes(CsrfMode::Header) && passes(CsrfMode::Origin));
        }
    }
}
