//! The session cookie's name, attributes, and how it is read back.

mod token;

pub use self::token::TokenCookie;

use cookie::{Cookie, SameSite};
use http::HeaderMap;
use http::header::COOKIE;

/// Name and attributes that every session cookie of one service has.
///
/// RFC 6265bis §4.1.2 and §4.1.3 (`__Host-`): the prefix makes the browser itself refuse a cookie
/// that is not `Secure`, has a `Domain`, or another path, so no sibling host can plant one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    name: String,
    secure: bool,
    same_site: SameSite,
    partitioned: bool,
    domain: Option<String>,
}

/// Why name and attributes do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// Not a token of RFC 9110.
    #[error("`{0}` is not a cookie name: use letters, digits, `-` and `_`")]
    Name(String),
    /// `__Host-` or `__Secure-` without `Secure`.
    #[error("browsers refuse the prefix of `{0}` on a cookie without Secure, which needs https")]
    PrefixNeedsSecure(String),
    /// `SameSite=None` without `Secure`.
    #[error("browsers refuse SameSite=None on a cookie without Secure, which needs https")]
    SameSiteNoneNeedsSecure,
    /// `Partitioned` without `Secure`.
    #[error("browsers refuse Partitioned on a cookie without Secure, which needs https")]
    PartitionedNeedsSecure,
    /// `__Host-` with `Domain`.
    #[error("browsers refuse the prefix of `{0}` on a cookie with a Domain")]
    PrefixForbidsDomain(String),
    /// No host name as browsers write it.
    #[error("`{0}` is not a host name in lower case, without dot in front, port or scheme")]
    Domain(String),
    /// Neither the service's host nor a parent of it.
    #[error("browsers refuse cookies for `{domain}` from `{host}`, which is not below it")]
    ForeignDomain {
        /// What was asked for.
        domain: String,
        /// Who would set it.
        host: String,
    },
    /// A public suffix, or a name without a dot.
    #[error("browsers refuse cookies for the whole of `{0}`")]
    PublicDomain(String),
    /// The CSRF token's cookie under the session's own name.
    #[error("the session cookie is called `{0}` already")]
    Taken(String),
    /// A name for cookies that no script may read, on one that scripts have to.
    #[error("browsers refuse the prefix of `{0}` on a cookie that scripts may read")]
    PrefixNeedsHttpOnly(String),
}

impl SessionCookie {
    /// Puts name and attributes together; `None` as name takes the default for the scheme.
    ///
    /// # Errors
    ///
    /// [`CookieError`] where a browser would refuse the cookie.
    pub fn new(
        name: Option<&str>,
        secure: bool,
        same_site: SameSite,
        partitioned: bool,
    ) -> Result<Self, CookieError> {
        let name = name.unwrap_or(if secure { "__Host-session" } else { "session" }).to_owned();
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_token) {
            return Err(CookieError::Name(name));
        }
        let lower = name.to_ascii_lowercase();
        if !secure && (lower.starts_with("__host-") || lower.starts_with("__secure-")) {
            return Err(CookieError::PrefixNeedsSecure(name));
        }
        if !secure && same_site == SameSite::None {
            return Err(CookieError::SameSiteNoneNeedsSecure);
        }
        if !secure && partitioned {
            return Err(CookieError::PartitionedNeedsSecure);
        }
        Ok(Self { name, secure, same_site, partitioned, domain: None })
    }

    /// The same cookie for a whole domain: every host below it gets the session, and every host
    /// below it can plant one. `host` is the service's own.
    ///
    /// # Errors
    ///
    /// [`CookieError`] where a browser would refuse the cookie.
    pub fn for_domain(self, domain: &str, host: &str) -> Result<Self, CookieError> {
        let domain = domain.to_owned();
        if self.name.to_ascii_lowercase().starts_with("__host-") {
            return Err(CookieError::PrefixForbidsDomain(self.name));
        }
        match url::Host::parse(&domain) {
            Ok(url::Host::Domain(canonical)) if canonical == domain && !domain.starts_with('.') => {
            }
            _ => return Err(CookieError::Domain(domain)),
        }
        let is_below = host.strip_suffix(&domain).is_some_and(|h| h.is_empty() || h.ends_with('.'));
        if !is_below {
            return Err(CookieError::ForeignDomain { domain, host: host.to_owned() });
        }
        if psl::suffix_str(&domain) == Some(&domain) {
            return Err(CookieError::PublicDomain(domain));
        }
        Ok(Self { domain: Some(domain), ..self })
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SameSite` of session and CSRF cookie.
    #[must_use]
    pub fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// The `Set-Cookie` value that starts a session in the browser. Without `Max-Age`: the server
    /// keeps both timeouts, and the browser forgets the cookie when it closes.
    #[must_use]
    pub fn set(&self, value: String) -> String {
        self.with_attributes(&self.name, value, true).to_string()
    }

    /// The `Set-Cookie` value that deletes it: the same attributes, or browsers keep the cookie.
    #[must_use]
    pub fn clear(&self) -> String {
        self.expired(&self.name, true)
    }

    fn with_attributes<'c>(
        &self,
        name: &'c str,
        value: String,
        http_only: bool,
    ) -> cookie::CookieBuilder<'c> {
        let mut cookie = Cookie::build((name, value)).path("/").same_site(self.same_site);
        // The attributes are set only where they hold: the crate would print `Secure` for
        // SameSite=None by itself, and a deletion has to match what was set.
        if http_only {
            cookie = cookie.http_only(true);
        }
        if self.secure {
            cookie = cookie.secure(true);
        }
        if self.partitioned {
            cookie = cookie.partitioned(true);
        }
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.clone());
        }
        cookie
    }

    fn expired(&self, name: &str, http_only: bool) -> String {
        self.with_attributes(name, String::new(), http_only)
            .max_age(cookie::time::Duration::ZERO)
            .to_string()
    }

    /// What `parse` makes of the session cookie in a request. Broken cookies beside it are passed
    /// over: they may come from any application on the same host.
    pub fn read<T>(
        &self,
        headers: &HeaderMap,
        mut parse: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            // Scripts write what they like: one cookie that is no text must not hide the others.
            .filter_map(|pair| std::str::from_utf8(pair).ok())
            .filter_map(|pair| Cookie::parse(pair).ok())
            .filter(|cookie| cookie.name() == self.name)
            .find_map(|cookie| parse(cookie.value()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::session::SessionSecret;

    fn secret() -> SessionSecret {
        SessionSecret::from_random([0; 32])
    }

    #[test]
    fn attributes_are_those_of_the_contract() {
        let https = SessionCookie::new(None, true, SameSite::Lax, false).unwrap();
        let zeros = "A".repeat(43);
        assert_eq!(
            https.set(secret().to_cookie_value()),
            format!("__Host-session={zeros}; HttpOnly; SameSite=Lax; Secure; Path=/")
        );
        assert_eq!(
            https.clear(),
            "__Host-session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
        let http = SessionCookie::new(None, false, SameSite::Lax, false).unwrap();
        assert_eq!(
            http.set(secret().to_cookie_value()),
            format!("session={zeros}; HttpOnly; SameSite=Lax; Path=/")
        );
        let cross = SessionCookie::new(Some("sid"), true, SameSite::None, true).unwrap();
        assert_eq!(
            cross.set(secret().to_cookie_value()),
            format!("sid={zeros}; HttpOnly; SameSite=None; Partitioned; Secure; Path=/")
        );
    }

    #[test]
    fn pairs_that_browsers_refuse_are_refused() {
        use SameSite::{Lax, None as Nowhere};
        for (name, secure, same_site, partitioned, want) in [
            (Some("a b"), true, Lax, false, CookieError::Name("a b".into())),
            (Some(""), true, Lax, false, CookieError::Name(String::new())),
            (Some("a%20"), true, Lax, false, CookieError::Name("a%20".into())),
            (
                Some("__Host-s"),
                false,
                Lax,
                false,
                CookieError::PrefixNeedsSecure("__Host-s".into()),
            ),
            (
                Some("__secure-s"),
                false,
                Lax,
                false,
                CookieError::PrefixNeedsSecure("__secure-s".into()),
            ),
            (None, false, Nowhere, false, CookieError::SameSiteNoneNeedsSecure),
            (None, false, Lax, true, CookieError::PartitionedNeedsSecure),
        ] {
            assert_eq!(SessionCookie::new(name, secure, same_site, partitioned), Err(want));
        }
    }

    #[test]
    fn a_whole_domain() {
        let cookie = |name| SessionCookie::new(name, true, SameSite::Lax, false).unwrap();
        let host = "api.example.com";
        let wide = cookie(Some("__Secure-s")).for_domain("example.com", host).unwrap();
        assert_eq!(
            wide.set("x".to_owned()),
            "__Secure-s=x; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com"
        );
        assert!(wide.clear().contains("; Domain=example.com"), "or browsers keep it");
        for (case, name, domain, host, want) in [
            ("itself", "s", "api.example.com", host, None),
            (
                "the prefix",
                "__Host-s",
                "example.com",
                host,
                Some(CookieError::PrefixForbidsDomain("__Host-s".into())),
            ),
            ("a dot", "s", ".example.com", host, Some(CookieError::Domain(".example.com".into()))),
            ("capitals", "s", "Example.com", host, Some(CookieError::Domain("Example.com".into()))),
            (
                "a port",
                "s",
                "example.com:8080",
                host,
                Some(CookieError::Domain("example.com:8080".into())),
            ),
            (
                "an address",
                "s",
                "127.0.0.1",
                "127.0.0.1",
                Some(CookieError::Domain("127.0.0.1".into())),
            ),
            (
                "half a label",
                "s",
                "ample.com",
                host,
                Some(CookieError::ForeignDomain { domain: "ample.com".into(), host: host.into() }),
            ),
            (
                "another",
                "s",
                "example.org",
                host,
                Some(CookieError::ForeignDomain {
                    domain: "example.org".into(),
                    host: host.into(),
                }),
            ),
            (
                "a child",
                "s",
                "x.api.example.com",
                host,
                Some(CookieError::ForeignDomain {
                    domain: "x.api.example.com".into(),
                    host: host.into(),
                }),
            ),
            ("everybody", "s", "com", host, Some(CookieError::PublicDomain("com".into()))),
            (
                "a public suffix",
                "s",
                "github.io",
                "me.github.io",
                Some(CookieError::PublicDomain("github.io".into())),
            ),
        ] {
            assert_eq!(cookie(Some(name)).for_domain(domain, host).err(), want, "{case}");
        }
    }

    #[test]
    fn reading_passes_over_what_is_broken() {
        let cookie = SessionCookie::new(Some("sid"), true, SameSite::Lax, false).unwrap();
        let good = format!("sid={}", secret().to_cookie_value());
        for (case, lines, found) in [
            ("alone", vec![good.clone()], true),
            ("among others", vec![format!("a=1; {good}; b=2")], true),
            ("second line", vec!["a=1".to_owned(), good.clone()], true),
            ("after a broken one of the same name", vec![format!("sid=x; {good}")], true),
            ("after garbage", vec![format!("=;;; = ; \"; {good}")], true),
            ("another name", vec![good.replace("sid", "Sid")], false),
            ("a longer name", vec![format!("x{good}")], false),
            ("empty", vec![String::new()], false),
            ("wrong length", vec!["sid=abc".to_owned()], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(&line).unwrap());
            }
            assert_eq!(cookie.read(&headers, SessionSecret::parse).is_some(), found, "{case}");
        }
        for (line, found) in [
            (b"sid=\xff\xfe".to_vec(), false),
            ([b"name=Zo\xeb; ", good.as_bytes()].concat(), true),
            (["name=Zoë; ".as_bytes(), good.as_bytes(), b"; \xff"].concat(), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(&line).unwrap());
            assert_eq!(
                cookie.read(&headers, SessionSecret::parse).is_some(),
                found,
                "{}",
                line.escape_ascii()
            );
        }
    }
}
