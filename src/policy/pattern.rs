//! Patterns over origins: `https://*.example.com`, `https://*.example.com:*`, `http://localhost:*`.
//!
//! A pattern is matched label by label, without regular expressions: a star stands for one or more
//! whole labels in front, never for none, so the domain itself has to be listed on its own.

use std::fmt;

use crate::policy::origin::{Origin, OriginError, site};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Not `scheme://*.domain` with an optional port, nor `scheme://host:*`.
    #[error("not a pattern: a star may stand for the first labels of the host, or for the port")]
    Malformed,
    /// What is left without the stars is no origin.
    #[error("{0}")]
    Origin(#[from] OriginError),
    /// Not written as browsers write origins.
    #[error("{reason}")]
    NotCanonical {
        /// What is wrong with the spelling.
        reason: &'static str,
        /// The pattern that the author most likely meant.
        canonical: String,
    },
    /// Anybody can register a name there.
    #[error("`{0}` is a public suffix: anybody can have a host below it")]
    PublicSuffix(String),
}

const HTTPS: &str = "https://";
const HTTP: &str = "http://";

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// The scheme's own: none is written.
    Default,
    Exact(u16),
    Any,
}

/// A checked pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// `https://` or `http://`.
    scheme: &'static str,
    /// `.example.com` for a star in front; a whole host otherwise.
    host: Box<str>,
    port: Port,
    loopback: bool,
}

impl OriginPattern {
    /// Parses and checks a pattern. A pattern right over a public suffix is refused unless
    /// `allow_public_suffixes`.
    ///
    /// # Errors
    ///
    /// [`PatternError`].
    pub fn parse(text: &str, allow_public_suffixes: bool) -> Result<Self, PatternError> {
        let scheme = [HTTPS, HTTP].into_iter().find(|scheme| starts_with(text, scheme));
        let scheme = scheme.ok_or(PatternError::Malformed)?;
        let (authority, wildcard) = match text[scheme.len()..].strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (&text[scheme.len()..], false),
        };
        // A path after `:*` is named as such, below.
        let (authority, any_port) = match authority.split_once(":*") {
            Some((host, "")) => (host.to_owned(), true),
            Some((host, rest)) if rest.starts_with('/') => (format!("{host}{rest}"), true),
            Some(_) => return Err(PatternError::Malformed),
            None => (authority.to_owned(), false),
        };
        if authority.contains('*') || !(any_port || wildcard) {
            return Err(PatternError::Malformed);
        }
        // What is left has to be an origin as browsers write it, port included.
        let base = match format!("{}{authority}", &text[..scheme.len()]).parse::<Origin>() {
            Ok(base) => base,
            Err(OriginError::NotCanonical { reason, canonical }) => {
                let star = if wildcard { "*." } else { "" };
                let port = if any_port { ":*" } else { "" };
                let canonical = format!("{scheme}{star}{}{port}", &canonical[scheme.len()..]);
                return Err(PatternError::NotCanonical { reason, canonical });
            }
            Err(error) => return Err(error.into()),
        };
        let port = match authority.strip_prefix(base.host()) {
            Some("") if any_port => Port::Any,
            Some("") => Port::Default,
            Some(port) if !any_port => {
                Port::Exact(port[1..].parse().map_err(|_| PatternError::Malformed)?)
            }
            _ => return Err(PatternError::Malformed),
        };
        let host = base.host();
        // A dot in front would read as the star's own.
        if host.starts_with('.') {
            return Err(PatternError::Malformed);
        }
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        if wildcard && is_address {
            return Err(PatternError::Malformed);
        }
        let loopback = base.is_loopback();
        // `example.com.` and `example.com` are two hosts to a browser, and the same domain to DNS.
        let domain = host.strip_suffix('.').unwrap_or(host);
        if wildcard && !allow_public_suffixes && !loopback && is_over_a_suffix(domain) {
            return Err(PatternError::PublicSuffix(host.to_owned()));
        }
        let host = if wildcard { format!(".{host}") } else { host.to_owned() };
        Ok(Self { scheme, host: host.into(), port, loopback })
    }

    /// Whether its origins would send credentials over plain http off this machine.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.scheme == HTTP && !self.loopback
    }

    /// Whether all of its origins are on the site of this one.
    #[must_use]
    pub fn is_same_site(&self, own: &Origin) -> bool {
        let (wildcard, host) = match self.host.strip_prefix('.') {
            Some(domain) => (true, domain),
            None => (false, &*self.host),
        };
        // Below a suffix, and below localhost, each host is a site of its own.
        let one_site = !wildcard || !is_over_a_suffix(host);
        one_site && (self.scheme == HTTPS) == own.is_https() && site(host) == site(own.host())
    }

    /// Whether an `Origin` header, exactly as browsers write it, fits.
    #[must_use]
    pub fn matches(&self, origin: &[u8]) -> bool {
        let Some(authority) = origin.strip_prefix(self.scheme.as_bytes()) else { return false };
        // No host of a pattern holds a colon, but for IPv6 addresses, which have no stars in front.
        let (host, port) = match authority.iter().rposition(|b| *b == b':') {
            Some(colon) if !authority[colon..].contains(&b']') => {
                (&authority[..colon], Some(&authority[colon + 1..]))
            }
            _ => (authority, None),
        };
        self.fits_port(port) && self.fits_host(host)
    }

    fn fits_port(&self, port: Option<&[u8]>) -> bool {
        match (self.port, port) {
            (Port::Default | Port::Any, None) => true,
            (Port::Default, Some(_)) | (Port::Exact(_), None) => false,
            (Port::Exact(wanted), Some(port)) => number(port) == Some(wanted),
            // Browsers leave the default port out.
            (Port::Any, Some(port)) => {
                let default = if self.scheme == HTTPS { 443 } else { 80 };
                number(port).is_some_and(|n| n != default)
            }
        }
    }

    fn fits_host(&self, host: &[u8]) -> bool {
        let wanted = self.host.as_bytes();
        if wanted.first() != Some(&b'.') {
            return host == wanted;
        }
        host.strip_suffix(wanted).is_some_and(|labels| labels.split(|b| *b == b'.').all(is_label))
    }
}

/// Whether hosts right below the domain belong to anybody: because the domain is a public suffix, or
/// because the list has `*.domain`, which makes each name below it one.
fn is_over_a_suffix(domain: &str) -> bool {
    // No rule names the label `*` itself, so only a star rule covers it.
    [domain.to_owned(), format!("*.{domain}")].iter().any(|d| psl::suffix_str(d) == Some(d))
}

/// Prints what [`OriginPattern::parse`] takes.
impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.host.starts_with('.') { "*" } else { "" };
        write!(f, "{}{star}{}", self.scheme, self.host)?;
        match self.port {
            Port::Default => Ok(()),
            Port::Exact(port) => write!(f, ":{port}"),
            Port::Any => f.write_str(":*"),
        }
    }
}

/// A label as browsers write it: lower case, digits, hyphens, underscores.
fn is_label(label: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// A port in its canonical form.
fn number(port: &[u8]) -> Option<u16> {
    let canonical = !port.is_empty() && port[0] != b'0' && port.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(port).ok().filter(|_| canonical)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits() {
        for (pattern, origin, fits) in [
            ("https://*.example.com", "https://app.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "https://a..example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://app.example.com.evil.example", false),
            ("https://*.example.com", "https://evil.example/.example.com", false),
            ("https://*.example.com", "https://u@app.example.com", false),
            ("https://*.example.com", "https://APP.example.com", false),
            ("https://*.example.com", "http://app.example.com", false),
            ("https://*.example.com", "https://app.example.com:8443", false),
            ("https://*.example.com", "https://app.example.com:", false),
            ("https://*.example.com:8443", "https://app.example.com:8443", true),
            ("https://*.example.com:8443", "https://app.example.com:08443", false),
            ("https://*.example.com:8443", "https://app.example.com", false),
            ("https://*.example.com:*", "https://app.example.com", true),
            ("https://*.example.com:*", "https://app.example.com:1", true),
            ("https://*.example.com:*", "https://app.example.com:443", false),
            ("https://*.example.com:*", "https://app.example.com:99999", false),
            ("https://*.example.com:*", "https://app.example.com:+1", false),
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://app.localhost:3000", false),
            ("http://*.localhost:*", "http://app.localhost:3000", true),
            ("http://[::1]:*", "http://[::1]:3000", true),
            ("http://127.0.0.1:*", "http://127.0.0.1:3000", true),
        ] {
            let parsed =
                OriginPattern::parse(pattern, false).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(parsed.matches(origin.as_bytes()), fits, "{pattern} {origin}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn sites() {
        for (pattern, own, same) in [
            ("https://*.example.com", "https://api.example.com", true),
            ("https://*.example.com:*", "https://example.com", true),
            ("https://*.preview.example.com", "https://api.example.com", true),
            ("http://localhost:*", "http://localhost:8080", true),
            ("http://*.example.com", "https://api.example.com", false),
            ("https://*.example.org", "https://api.example.com", false),
            ("https://*.github.io", "https://me.github.io", false),
            ("http://*.localhost:*", "http://localhost:8080", false),
            ("http://127.0.0.1:*", "http://localhost:8080", false),
        ] {
            let parsed = OriginPattern::parse(pattern, true).unwrap();
            assert_eq!(parsed.is_same_site(&own.parse().unwrap()), same, "{pattern} {own}");
        }
    }

    #[test]
    fn the_spelling_is_corrected() {
        for (text, want) in [
            ("https://*.example.com/", "https://*.example.com"),
            ("https://*.EXAMPLE.com", "https://*.example.com"),
            ("HTTPS://*.example.com:8443", "https://*.example.com:8443"),
            ("https://*.example.com:443", "https://*.example.com"),
            ("https://*.example.com:*/x", "https://*.example.com:*"),
            ("https://*.bücher.example", "https://*.xn--bcher-kva.example"),
            ("http://LOCALHOST:*", "http://localhost:*"),
        ] {
            match OriginPattern::parse(text, false) {
                Err(PatternError::NotCanonical { canonical, .. }) => assert_eq!(canonical, want),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in [
            "https://example.com",
            "https://*",
            "https://*.",
            "*",
            "*.example.com",
            "https://a*.example.com",
            "https://*.*.example.com",
            "https://*.example.com/",
            "https://*.EXAMPLE.com",
            "https://*.127.0.0.1",
            "https://*.[::1]",
            "https://*.example.com:443",
            "https://*.example.com:x",
            "https://app.*.com",
            "ftp://*.example.com",
            "https://*.example.com:*:*",
            "https://:*",
            "http://.:*",
            "https://.example.com:*",
            "https://*..example.com",
            "",
        ] {
            assert!(OriginPattern::parse(text, true).is_err(), "{text}");
        }
        for text in [
            "https://*.com",
            "https://*.co.uk",
            "https://*.co.uk.",
            "https://*.github.io",
            "https://*.test",
            "https://*.compute.amazonaws.com",
            "https://*.kawasaki.jp",
        ] {
            assert!(
                matches!(OriginPattern::parse(text, false), Err(PatternError::PublicSuffix(_))),
                "{text}"
            );
            assert!(OriginPattern::parse(text, true).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_fits_is_an_origin_below_the_domain(origin in "https://[a-z.:@/0-9]{0,12}\\.example\\.com(:[0-9]{0,6})?") {
            let pattern = OriginPattern::parse("https://*.example.com:*", false).unwrap();
            if pattern.matches(origin.as_bytes()) {
                let parsed: Origin = origin.parse().unwrap();
                prop_assert!(parsed.host().ends_with(".example.com"));
            }
        }
    }
}
