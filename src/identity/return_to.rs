//! Where the browser goes after a login: only to places that were listed, whatever the link says.

use std::sync::atomic::{AtomicU64, Ordering};

use url::{Position, Url};

use crate::policy::origin::Origin;

/// Longer ones would not fit into the login cookie beside everything else.
const MAX_BYTES: usize = 2048;
/// What our own service answers here is no page: returning to it would log in or out once more.
const OWN_ROUTES: &str = "/api/auth";

/// A place that the browser may be sent to. Serialised anew after the check, so that what was
/// checked is what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// For a `Location` header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a return URL is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReturnToError {
    /// Longer than a login cookie can hold.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A control character, a space or a backslash: browsers drop or turn them, so that the URL
    /// they visit is another one than the one that was read.
    #[error("it holds a character that browsers read differently")]
    Character,
    /// Neither `http://`, `https://` nor a path.
    #[error("it is neither an http or https URL nor a path")]
    Form,
    /// `user@host`, which exists to deceive.
    #[error("it holds a user name")]
    Userinfo,
    /// An origin that is not listed.
    #[error("its origin is not listed")]
    Origin,
    /// An auth route of this service.
    #[error("it leads back into the login")]
    Loop,
}

/// `[return_url]`, and the origin that paths belong to.
#[derive(Debug)]
pub struct ReturnUrls {
    default: ReturnTo,
    allowed: Vec<url::Origin>,
    own: Url,
    refused: AtomicU64,
}

impl ReturnUrls {
    /// Puts the policy together. `default` is the operator's word and is not checked again.
    #[must_use]
    pub fn new(default: String, allowed: &[Origin], own: &Origin) -> Self {
        let tuple = |origin: &Origin| Url::parse(origin.as_str()).map(|url| url.origin());
        let own = Url::parse(own.as_str())
            .unwrap_or_else(|_| unreachable!("an origin of ours is a URL: {own}"));
        Self {
            default: ReturnTo(default),
            allowed: allowed.iter().filter_map(|origin| tuple(origin).ok()).collect(),
            own,
            refused: AtomicU64::new(0),
        }
    }

    /// Where to go if nothing was asked for.
    #[must_use]
    pub fn default_url(&self) -> &ReturnTo {
        &self.default
    }

    /// How many return URLs were not followed.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The place that was asked for, or the default. A bad one never stops a login.
    #[must_use]
    pub fn resolve(&self, asked: Option<&str>) -> ReturnTo {
        let Some(asked) = asked else { return self.default.clone() };
        self.check(asked).unwrap_or_else(|reason| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            // Not the URL itself: it may hold what was typed into a page.
            tracing::info!(event = "return_url_refused", %reason, "went to the default instead");
            self.default.clone()
        })
    }

    /// Reads a URL as browsers do (<https://url.spec.whatwg.org/>) and compares its origin, part by
    /// part, with those that are listed. It was decoded once, by whoever read the query; what is
    /// still encoded now stays so.
    ///
    /// # Errors
    ///
    /// [`ReturnToError`], the first reason not to go there.
    pub fn check(&self, asked: &str) -> Result<ReturnTo, ReturnToError> {
        if asked.len() > MAX_BYTES {
            return Err(ReturnToError::TooLong);
        }
        if asked.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(ReturnToError::Character);
        }
        let (url, local) = if asked.starts_with("//") {
            // Another host, written without a scheme.
            return Err(ReturnToError::Form);
        } else if asked.starts_with('/') {
            (self.own.join(asked).map_err(|_| ReturnToError::Form)?, true)
        } else {
            let scheme = asked.split_once("://").map(|(scheme, _)| scheme);
            if !scheme.is_some_and(|s| matches!(&*s.to_ascii_lowercase(), "http" | "https")) {
                return Err(ReturnToError::Form);
            }
            (Url::parse(asked).map_err(|_| ReturnToError::Form)?, false)
        };
        let authority = &url[Position::BeforeUsername..Position::BeforeHost];
        if !authority.is_empty() {
            return Err(ReturnToError::Userinfo);
        }
        let own = url.origin() == self.own.origin();
        if !(own && local || self.allowed.contains(&url.origin())) {
            return Err(ReturnToError::Origin);
        }
        if own && leads_back(&url) {
            return Err(ReturnToError::Loop);
        }
        let place = if local { &url[Position::BeforePath..] } else { url.as_str() };
        // `/.//host` is a path, and becomes `//host`, which is another host, when it is written
        // out without the origin in front.
        if place.starts_with("//") || place.len() > MAX_BYTES {
            return Err(ReturnToError::Form);
        }
        Ok(ReturnTo(place.to_owned()))
    }
}

/// Whether a URL of our own leads to an auth route, however it is spelt.
fn leads_back(url: &Url) -> bool {
    let path: Vec<u8> = percent_decode(url.path()).collect();
    let path = path.to_ascii_lowercase();
    let rest = path.strip_prefix(OWN_ROUTES.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Decodes `%61` and leaves everything else.
fn percent_decode(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut bytes = text.as_bytes();
    std::iter::from_fn(move || {
        let (&first, rest) = bytes.split_first()?;
        let hex = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        if let (b'%', Some(high), Some(low)) =
            (first, rest.first().and_then(hex), rest.get(1).and_then(hex))
        {
            bytes = &rest[2..];
            return Some(high << 4 | low);
        }
        bytes = rest;
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APP: &str = "https://app.example.com";
    const OWN: &str = "https://api.example.com";

    fn urls() -> ReturnUrls {
        let allowed = [APP, "https://other.example:8443", "https://xn--bcher-kva.example"];
        let allowed: Vec<Origin> = allowed.iter().map(|o| o.parse().unwrap()).collect();
        ReturnUrls::new(format!("{APP}/"), &allowed, &OWN.parse().unwrap())
    }

    #[test]
    fn listed_places_are_followed() {
        for (asked, want) in [
            ("https://app.example.com", "https://app.example.com/"),
            ("https://app.example.com/a?b=c#d", "https://app.example.com/a?b=c#d"),
            ("HTTPS://APP.example.com/A", "https://app.example.com/A"),
            ("https://app.example.com:443/a", "https://app.example.com/a"),
            ("https://other.example:8443/", "https://other.example:8443/"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://app.example.com/%2F%2Fevil", "https://app.example.com/%2F%2Fevil"),
            ("https://app.example.com/?q=a%2520b", "https://app.example.com/?q=a%2520b"),
            (
                "https://app.example.com/?next=https://x@y/",
                "https://app.example.com/?next=https://x@y/",
            ),
            ("https://app.example.com/api/auth/login", "https://app.example.com/api/auth/login"),
            ("/", "/"),
            ("/a/../b?c#d", "/b?c#d"),
            ("/é", "/%C3%A9"),
            ("/@evil.example", "/@evil.example"),
            ("/api/authors", "/api/authors"),
            // An empty user name vanishes when the URL is read, and deceives nobody.
            ("https://@app.example.com/", "https://app.example.com/"),
        ] {
            assert_eq!(urls().check(asked).as_ref().map(ReturnTo::as_str), Ok(want), "{asked}");
        }
    }

    /// What people send to be forwarded somewhere else. Each was seen to work somewhere.
    #[test]
    fn tricks_of_open_redirects_lead_nowhere() {
        use ReturnToError::{Character, Form, Loop, Origin, TooLong, Userinfo};
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        let grows = format!("/{}", "é".repeat(MAX_BYTES / 3));
        for (asked, want) in [
            ("https://evil.example/", Origin),
            ("http://app.example.com/", Origin),
            ("https://app.example.com:8443/", Origin),
            ("https://app.example.com.evil.example/", Origin),
            ("https://app.example.com.", Origin),
            ("https://evilapp.example.com/", Origin),
            ("https://xapp.example.com/", Origin),
            ("https://evil.example/https://app.example.com", Origin),
            ("https://evil.example?https://app.example.com", Origin),
            ("https://evil.example#https://app.example.com", Origin),
            ("https://other.example/", Origin),
            ("//evil.example", Form),
            ("///evil.example", Form),
            ("////evil.example", Form),
            ("//app.example.com", Form),
            ("//api.example.com//evil.example", Form),
            ("/.//evil.example", Form),
            ("/..//evil.example", Form),
            ("/a/..//evil.example", Form),
            ("/%2e//evil.example", Form),
            ("/\\evil.example", Character),
            ("\\\\evil.example", Character),
            ("/\t/evil.example", Character),
            ("/\n/evil.example", Character),
            ("/\r\nSet-Cookie: a=b", Character),
            (" https://evil.example", Character),
            ("/\u{a0}/evil.example", Character),
            ("\u{0}/", Character),
            ("https://app.example.com\\@evil.example", Character),
            ("https://app.example.com@evil.example/", Userinfo),
            ("https://app.example.com:pw@evil.example/", Userinfo),
            ("https://user@app.example.com/", Userinfo),
            ("javascript:alert(1)", Form),
            ("JavaScript://app.example.com/%0aalert(1)", Form),
            ("data:text/html,x", Form),
            ("blob:https://app.example.com/x", Form),
            ("view-source:https://app.example.com/", Form),
            ("ftp://app.example.com/", Form),
            ("https:app.example.com", Form),
            ("https:/app.example.com", Form),
            ("https%3A%2F%2Fapp.example.com%2F", Form),
            ("%2F", Form),
            ("app.example.com", Form),
            ("", Form),
            ("?x", Form),
            ("https://", Form),
            ("https://[::1", Form),
            ("/api/auth/logout", Loop),
            ("/api/auth", Loop),
            ("/api/%61uth/login?return_url=/", Loop),
            ("/x/../api/auth/login", Loop),
            ("/API/AUTH/login", Loop),
            (&long, TooLong),
            (&grows, Form),
        ] {
            assert_eq!(urls().check(asked), Err(want), "{asked:?}");
        }
    }

    #[test]
    fn a_bad_one_is_counted_and_replaced() {
        let urls = urls();
        assert_eq!(urls.resolve(None), *urls.default_url());
        assert_eq!(urls.resolve(Some("/a")).as_str(), "/a");
        assert_eq!(urls.refused(), 0);
        assert_eq!(urls.resolve(Some("//evil.example")).as_str(), "https://app.example.com/");
        assert_eq!(urls.refused(), 1);
    }

    /// The law, told without the code above: a browser on our page that follows what came out is
    /// on a listed origin, or still on ours.
    fn stays(place: &str) -> bool {
        let visited = Url::parse(OWN).unwrap().join(place).unwrap();
        [
            "https://api.example.com",
            APP,
            "https://other.example:8443",
            "https://xn--bcher-kva.example",
        ]
        .iter()
        .any(|origin| visited.origin() == Url::parse(origin).unwrap().origin())
    }

    proptest! {
        #[test]
        fn nothing_leads_elsewhere(asked in r"(https?:|/|//|\\)?[/\\.@:%a-z0-9\t\n ?#]{0,24}(app\.example\.com|evil\.example|api\.example\.com)?[/\\@.:%a-z0-9?#]{0,12}") {
            if let Ok(place) = urls().check(&asked) {
                prop_assert!(stays(place.as_str()), "{asked:?} became {place:?}");
            }
        }

        #[test]
        fn anything_at_all_stays(asked in any::<String>()) {
            if let Ok(place) = urls().check(&asked) {
                prop_assert!(stays(place.as_str()), "{asked:?} became {place:?}");
                prop_assert!(http::HeaderValue::from_str(place.as_str()).is_ok());
            }
        }

        #[test]
        fn what_came_out_goes_in_again(path in "/[a-zA-Z0-9/_.~%?#&=-]{0,40}") {
            if let Ok(place) = urls().check(&path) {
                prop_assert_eq!(urls().check(place.as_str()), Ok(place));
            }
        }
    }
}
