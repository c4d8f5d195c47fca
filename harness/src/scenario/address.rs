//! Addresses, origins and sites, as browsers take them apart.

use std::fmt;
use std::sync::Arc;

use url::Url;

/// `http` or `https`: nothing else is fetched here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A [tuple origin](https://html.spec.whatwg.org/multipage/browsers.html#concept-origin-tuple), and
/// the site it belongs to. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    scheme: Scheme,
    host: String,
    port: u16,
    serialized: String,
    site: String,
    loopback: bool,
}

impl Origin {
    fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = url.host()?;
        let is_name = matches!(host, url::Host::Domain(_));
        let loopback = match &host {
            url::Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
            url::Host::Ipv4(ip) => ip.is_loopback(),
            url::Host::Ipv6(ip) => ip.is_loopback(),
        };
        let host = host.to_string();
        let port = url.port().unwrap_or(scheme.default_port());
        // A site's host is the registrable domain; an address, and a name that is itself a public
        // suffix, is its own: <https://html.spec.whatwg.org/#obtain-a-site>.
        let site = is_name.then(|| psl::domain_str(&host)).flatten().unwrap_or(&host).to_owned();
        let serialized = url.origin().ascii_serialization();
        Some(Self(Arc::new(Parts { scheme, host, port, serialized, site, loopback })))
    }

    /// Its scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its port, the default one included.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// As browsers send it in `Origin`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.serialized
    }

    /// The host of its [site](https://html.spec.whatwg.org/multipage/browsers.html#site).
    #[must_use]
    pub fn site(&self) -> &str {
        &self.0.site
    }

    /// Whether the host is this machine by definition: `localhost`, `*.localhost`, 127/8, `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.loopback
    }

    /// [Potentially trustworthy](https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy).
    #[must_use]
    pub fn is_trustworthy(&self) -> bool {
        self.scheme() == Scheme::Https || self.is_loopback()
    }

    /// [Same site](https://html.spec.whatwg.org/multipage/browsers.html#same-site); schemeful, or
    /// as it was before schemes counted.
    #[must_use]
    pub fn is_same_site(&self, other: &Self, schemeful: bool) -> bool {
        self.site() == other.site() && (!schemeful || self.scheme() == other.scheme())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// An http or https address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    origin: Origin,
    url: Url,
}

impl Address {
    /// Takes an absolute address apart; none if it is not http or https.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(Url::parse(text).ok()?)
    }

    fn of(url: Url) -> Option<Self> {
        Some(Self { origin: Origin::of(&url)?, url })
    }

    /// Where a `Location` leads from here.
    ///
    /// # Errors
    ///
    /// [`BadLocation`].
    pub fn follow(&self, location: &str) -> Result<Self, BadLocation> {
        let mut url = self.url.join(location).map_err(|_| BadLocation::Unparsable)?;
        // The fragment of the first address stays unless the new one has its own.
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        Self::of(url).ok_or(BadLocation::Scheme)
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The whole address.
    #[must_use]
    pub fn text(&self) -> &str {
        self.url.as_str()
    }

    /// Without the fragment, as caches know it.
    #[must_use]
    pub fn cache_key(&self) -> &str {
        self.text().split('#').next().unwrap_or_default()
    }

    /// Whether it holds a user name or a password.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    /// Whether it is an origin and nothing else.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.path() == "/"
            && self.url.query().is_none()
            && self.url.fragment().is_none()
            && !self.has_credentials()
    }
}

/// Why a redirect leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLocation {
    /// It is no address.
    Unparsable,
    /// Its scheme is neither http nor https.
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_sites() {
        for (text, origin, site, trustworthy) in [
            ("https://App.Example.com:443/x", "https://app.example.com", "example.com", true),
            ("http://shop.test:8000", "http://shop.test:8000", "shop.test", false),
            ("http://localhost:3000", "http://localhost:3000", "localhost", true),
            ("http://app.localhost", "http://app.localhost", "app.localhost", true),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1", true),
            ("http://[::1]:1", "http://[::1]:1", "[::1]", true),
            ("https://a.github.io", "https://a.github.io", "a.github.io", true),
            ("https://x.y.co.uk", "https://x.y.co.uk", "y.co.uk", true),
            (
                "https://b\u{fc}cher.example",
                "https://xn--bcher-kva.example",
                "xn--bcher-kva.example",
                true,
            ),
        ] {
            let address = Address::parse(text).expect(text);
            let found = address.origin();
            assert_eq!(
                (found.text(), found.site(), found.is_trustworthy()),
                (origin, site, trustworthy),
                "{text}"
            );
        }
        assert_eq!(Address::parse("data:text/html,x"), None);
    }

    #[test]
    fn two_ports_are_two_origins_and_one_site() {
        let [a, b, c] = ["http://shop.test:8000", "http://shop.test:8001", "https://shop.test"]
            .map(|text| Address::parse(text).expect(text).origin().clone());
        assert!(a != b && a.is_same_site(&b, true));
        assert!(!a.is_same_site(&c, true) && a.is_same_site(&c, false));
    }

    #[test]
    fn locations_are_resolved() {
        let base = Address::parse("https://a.test/x/y?q#f").expect("an address");
        for (location, want) in [
            ("z", Ok("https://a.test/x/z#f")),
            ("/z#g", Ok("https://a.test/z#g")),
            ("//b.test", Ok("https://b.test/#f")),
            ("https://b.test:9/", Ok("https://b.test:9/#f")),
            ("mailto:a@b", Err(BadLocation::Scheme)),
            ("https://", Err(BadLocation::Unparsable)),
        ] {
            let found = base.follow(location);
            assert_eq!(found.as_ref().map(Address::text), want.as_ref().map(|w| *w), "{location}");
        }
    }
}
