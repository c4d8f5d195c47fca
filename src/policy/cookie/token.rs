//! The cookie that tells scripts the CSRF token.

use crate::policy::cookie::{CookieError, SessionCookie};

/// Name and attributes of the CSRF token's cookie: those of the session's, but scripts may read it,
/// and its domain is its own. Who may read the token is another question than who gets the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCookie(SessionCookie);

impl TokenCookie {
    /// A cookie beside the session's. With a `domain`, scripts on every host below it can read the
    /// token; `host` is the service's own.
    ///
    /// # Errors
    ///
    /// [`CookieError`] where a browser would refuse the cookie, or take it for the session's.
    pub fn beside(
        session: &SessionCookie,
        name: &str,
        domain: Option<&str>,
        host: &str,
    ) -> Result<Self, CookieError> {
        let SessionCookie { secure, same_site, partitioned, .. } = *session;
        let cookie = SessionCookie::new(Some(name), secure, same_site, partitioned)?;
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("__http-") || lower.starts_with("__host-http-") {
            return Err(CookieError::PrefixNeedsHttpOnly(name.to_owned()));
        }
        if name == session.name {
            return Err(CookieError::Taken(name.to_owned()));
        }
        match domain {
            Some(domain) => cookie.for_domain(domain, host).map(Self),
            None => Ok(Self(cookie)),
        }
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The `Set-Cookie` value that tells the token.
    #[must_use]
    pub fn set(&self, token: &str) -> String {
        self.0.with_attributes(&self.0.name, token.to_owned(), false).to_string()
    }

    /// The `Set-Cookie` value that deletes it.
    #[must_use]
    pub fn clear(&self) -> String {
        self.0.expired(&self.0.name, false)
    }
}

#[cfg(test)]
mod tests {
    use cookie::SameSite;

    use super::*;

    const HOST: &str = "api.example.com";

    fn session() -> SessionCookie {
        SessionCookie::new(None, true, SameSite::Lax, false).unwrap()
    }

    #[test]
    fn attributes_are_the_session_s_but_for_scripts() {
        for (domain, want, cleared) in [
            (
                None,
                "CSRF-TOKEN=abc; SameSite=Lax; Secure; Path=/",
                "CSRF-TOKEN=; SameSite=Lax; Secure; Path=/; Max-Age=0",
            ),
            (
                Some("example.com"),
                "CSRF-TOKEN=abc; SameSite=Lax; Secure; Path=/; Domain=example.com",
                "CSRF-TOKEN=; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=0",
            ),
        ] {
            let cookie = TokenCookie::beside(&session(), "CSRF-TOKEN", domain, HOST).unwrap();
            assert_eq!((cookie.set("abc").as_str(), cookie.clear().as_str()), (want, cleared));
        }
        // A session for a whole domain does not take its token along.
        let wide = SessionCookie::new(Some("s"), true, SameSite::Lax, false).unwrap();
        let wide = wide.for_domain("example.com", HOST).unwrap();
        let cookie = TokenCookie::beside(&wide, "CSRF-TOKEN", None, HOST).unwrap();
        assert!(!cookie.set("abc").contains("Domain"));
    }

    #[test]
    fn what_browsers_refuse_is_refused() {
        use CookieError::{
            Domain, ForeignDomain, Name, PrefixForbidsDomain, PrefixNeedsHttpOnly,
            PrefixNeedsSecure, PublicDomain, Taken,
        };
        let plain = SessionCookie::new(None, false, SameSite::Lax, false).unwrap();
        let foreign =
            |domain: &str| ForeignDomain { domain: domain.to_owned(), host: HOST.to_owned() };
        for (session, name, domain, want) in [
            (session(), "", None, Name(String::new())),
            (session(), "csrf token", None, Name("csrf token".into())),
            (session(), "__Host-session", None, Taken("__Host-session".into())),
            (plain.clone(), "session", None, Taken("session".into())),
            (plain, "__Secure-x", None, PrefixNeedsSecure("__Secure-x".into())),
            (session(), "__Http-x", None, PrefixNeedsHttpOnly("__Http-x".into())),
            (session(), "__Host-Http-x", None, PrefixNeedsHttpOnly("__Host-Http-x".into())),
            (session(), "__Host-x", Some("example.com"), PrefixForbidsDomain("__Host-x".into())),
            (session(), "x", Some(".example.com"), Domain(".example.com".into())),
            (session(), "x", Some("app.example.com"), foreign("app.example.com")),
            (session(), "x", Some("ample.com"), foreign("ample.com")),
            (session(), "x", Some("com"), PublicDomain("com".into())),
        ] {
            let got = TokenCookie::beside(&session, name, domain, HOST);
            assert_eq!(got, Err(want), "{name} {domain:?}");
        }
    }
}
