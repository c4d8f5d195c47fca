//! Origins as browsers serialise them.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Why a text is not an origin that a browser would ever send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// The value is `*`.
    #[error("`*` is a wildcard, not an origin")]
    Wildcard,
    /// The value is `null`, which every sandboxed frame and local file sends.
    #[error("`null` stands for every opaque origin: any sandboxed frame or local file sends it")]
    Null,
    /// A star in a place where only origins stand.
    #[error("a star is no part of an origin: patterns stand in allow_origin_patterns")]
    Star,
    /// There is no `scheme://` in front.
    #[error("the scheme is missing")]
    SchemeMissing {
        /// With https in front, if that makes an origin.
        suggestion: Option<String>,
    },
    /// A scheme that no page with cookies has.
    #[error("the scheme is `{0}`, but only http and https pages send cookies")]
    SchemeUnsupported(String),
    /// More than scheme, host and port, or not written as browsers write it.
    #[error("{reason}; browsers send `{canonical}`")]
    NotCanonical {
        /// What is wrong with the spelling.
        reason: &'static str,
        /// The origin that the author most likely meant.
        canonical: String,
    },
    /// Not a URL at all.
    #[error("not an origin: {0}")]
    Malformed(String),
}

impl OriginError {
    /// The corrected value, where it is obvious.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::NotCanonical { canonical, .. } => Some(canonical),
            Self::SchemeMissing { suggestion } => suggestion.as_deref(),
            _ => None,
        }
    }
}

/// A tuple origin (scheme, host, port) in its ASCII serialisation, default port left out.
///
/// Two origins are the same exactly when their texts are: comparing bytes is comparing origins.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Box<str>);

impl Origin {
    /// The serialisation, for example `https://app.example.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Host without port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        match rest.rfind(':') {
            Some(colon) if !rest[colon..].contains(']') => &rest[..colon],
            _ => rest,
        }
    }

    /// Whether browsers call both the same site: the same scheme, and hosts below the same
    /// registrable domain ([HTML: schemefully same site](https://html.spec.whatwg.org/#same-site)).
    #[must_use]
    pub fn is_same_site(&self, other: &Self) -> bool {
        self.is_https() == other.is_https() && site(self.host()) == site(other.host())
    }

    /// The domain that somebody registered, if the host is below one: `example.com` of
    /// `api.example.com`.
    #[must_use]
    pub fn registrable_domain(&self) -> Option<&str> {
        registrable(self.host())
    }

    /// Whether the host is the machine itself: `localhost`, below it, or a loopback address.
    /// Browsers call these potentially trustworthy even over plain http.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.ends_with(".localhost")
            || host == "[::1]"
            || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The host's registrable domain; itself, if there is none.
pub(super) fn site(host: &str) -> &str {
    registrable(host).unwrap_or(host)
}

fn registrable(host: &str) -> Option<&str> {
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    if is_address { None } else { psl::domain_str(host) }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        match text {
            "*" => return Err(OriginError::Wildcard),
            "null" => return Err(OriginError::Null),
            _ if text.contains('*') => return Err(OriginError::Star),
            _ => {}
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(OriginError::SchemeMissing { suggestion: with_https(text) });
        };
        let url = Url::parse(text).map_err(|e| OriginError::Malformed(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OriginError::SchemeUnsupported(url.scheme().to_owned()));
        }
        let canonical = url.origin().ascii_serialization();
        if canonical == text {
            return Ok(Self(canonical.into()));
        }
        let authority = &text[scheme.len() + 3..];
        let host_end = authority.find(['/', '?', '#', '\\']).unwrap_or(authority.len());
        let (host, rest) = authority.split_at(host_end);
        let reason = if scheme != url.scheme() {
            "the scheme is not in lower case"
        } else if host.contains('@') {
            "it holds a user name or password"
        } else if rest == "/" {
            "it ends in a slash"
        } else if !rest.is_empty() {
            "it holds more than scheme, host and port"
        } else if matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
            "the address or port is not in its canonical form"
        } else if !host.is_ascii() {
            "the host is not in its ASCII (punycode) form"
        } else if host.bytes().any(|b| b.is_ascii_uppercase()) {
            "the host is not in lower case"
        } else if host.ends_with(":80") || host.ends_with(":443") {
            "the default port is written out"
        } else {
            "it is not written as browsers write origins"
        };
        Err(OriginError::NotCanonical { reason, canonical })
    }
}

/// `app.example.com` most likely means `https://app.example.com`. Not so `app`, nor `data:x`.
fn with_https(text: &str) -> Option<String> {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    if !host.contains('.') || port.parse::<u16>().is_err() {
        return None;
    }
    match format!("https://{text}").parse::<Origin>() {
        Ok(origin) => Some(origin.to_string()),
        Err(error) => error.suggestion().map(str::to_owned),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_only_as_browsers_write_them() {
        for (text, want) in [
            ("https://app.example.com", Ok("https://app.example.com")),
            ("http://localhost:3000", Ok("http://localhost:3000")),
            ("http://[::1]:3000", Ok("http://[::1]:3000")),
            ("https://app.example.com/", Err(Some("https://app.example.com"))),
            ("https://app.example.com/path?q#f", Err(Some("https://app.example.com"))),
            ("https://user@app.example.com", Err(Some("https://app.example.com"))),
            ("HTTPS://app.example.com", Err(Some("https://app.example.com"))),
            ("https://APP.example.com", Err(Some("https://app.example.com"))),
            ("https://app.example.com:443", Err(Some("https://app.example.com"))),
            ("http://app.example.com:80", Err(Some("http://app.example.com"))),
            ("http://app.example.com:08000", Err(Some("http://app.example.com:8000"))),
            ("https://bücher.example", Err(Some("https://xn--bcher-kva.example"))),
            ("http://127.1", Err(Some("http://127.0.0.1"))),
            ("http://0x7f000001", Err(Some("http://127.0.0.1"))),
            ("http://[0:0::1]", Err(Some("http://[::1]"))),
            ("https://app.example.com:99999", Err(None)),
            ("https://", Err(None)),
            ("app.example.com", Err(Some("https://app.example.com"))),
            ("App.example.com:8443", Err(Some("https://app.example.com:8443"))),
            ("app", Err(None)),
            ("//app.example.com", Err(Some("https://app.example.com"))),
            ("data:text/html.x", Err(None)),
            ("https://*.example.com", Err(None)),
            ("ftp://app.example.com", Err(None)),
            ("*", Err(None)),
            ("null", Err(None)),
            ("", Err(None)),
            ("https://a b", Err(None)),
        ] {
            let got = text.parse::<Origin>();
            match want {
                Ok(origin) => assert_eq!(got.map(|o| o.to_string()).as_deref(), Ok(origin)),
                Err(mend) => {
                    let error = got.expect_err(text);
                    assert_eq!(error.suggestion(), mend, "{text}: {error}");
                }
            }
        }
    }

    #[test]
    fn sites() {
        for (one, other, same) in [
            ("https://app.example.com", "https://api.example.com", true),
            ("https://example.com", "https://api.example.com", true),
            ("https://app.example.com:8443", "https://api.example.com", true),
            ("https://a.example.co.uk", "https://b.example.co.uk", true),
            ("http://localhost:3000", "http://localhost:8080", true),
            ("http://127.0.0.1:3000", "http://127.0.0.1:8080", true),
            ("http://[::1]:3000", "http://[::1]:8080", true),
            ("http://app.shop.test", "http://api.shop.test", true),
            // Schemeful, as browsers are today.
            ("http://app.example.com", "https://api.example.com", false),
            ("https://app.example.org", "https://api.example.com", false),
            ("https://notexample.com", "https://example.com", false),
            ("https://a.co.uk", "https://b.co.uk", false),
            ("https://a.github.io", "https://b.github.io", false),
            ("http://localhost:3000", "http://127.0.0.1:8080", false),
            ("http://app.localhost:3000", "http://localhost:8080", false),
            ("http://127.0.0.1:3000", "http://10.0.0.1:3000", false),
            ("http://1.0.0.1", "http://2.0.0.1", false),
        ] {
            let (one, other): (Origin, Origin) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.is_same_site(&other), same, "{one} {other}");
            assert_eq!(other.is_same_site(&one), same, "{other} {one}");
        }
    }

    #[test]
    fn hosts_and_loopback() {
        for (text, host, loopback) in [
            ("http://localhost:3000", "localhost", true),
            ("http://app.localhost", "app.localhost", true),
            ("http://127.8.8.8:1", "127.8.8.8", true),
            ("http://[::1]:3000", "[::1]", true),
            ("https://app.example.com", "app.example.com", false),
            ("https://localhost.example.com", "localhost.example.com", false),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.host(), origin.is_loopback()), (host, loopback), "{text}");
        }
    }
}
