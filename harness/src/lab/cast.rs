//! Who asks: the pages of a stage, and what the policy has to do with each.

use serde::Serialize;

use crate::lab::Topology;

/// A page, by its standing with the policy. All serve the same fixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asker {
    /// The listed frontend (on one origin: the service's own page).
    Page,
    /// Another origin that is listed by name.
    Second,
    /// An origin that only a pattern lists.
    ByPattern,
    /// A page that no policy lists.
    Foreign,
    /// The listed frontend's host, another port.
    OtherPort,
    /// The listed frontend's host, plain http.
    OtherScheme,
    /// The domain of the pattern itself, without a label in front.
    Apex,
    /// A host that ends with the pattern's domain, but not at a dot.
    Glued,
    /// A host of somebody else that begins as a listed one does.
    Suffixed,
    /// A host below the listed one.
    Subdomain,
    /// The listed machine by its address.
    Address,
}

impl Asker {
    /// What it is called in a report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Page => "listed page",
            Self::Second => "second listed page",
            Self::ByPattern => "page by pattern",
            Self::Foreign => "foreign page",
            Self::OtherPort => "other port",
            Self::OtherScheme => "plain http",
            Self::Apex => "pattern's own domain",
            Self::Glued => "glued look-alike",
            Self::Suffixed => "look-alike domain",
            Self::Subdomain => "host below",
            Self::Address => "by address",
        }
    }
}

/// How a browser reaches a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Resolves to loopback by itself: the listener's port is the origin's.
    Loopback(&'static str),
    /// Under its real name and the port of the case, plain http; mapped inside the browser.
    Http(&'static str, u16),
    /// The same over TLS.
    Https(&'static str, u16),
}

impl Place {
    /// The origin as browsers serialise it.
    pub(super) fn origin(self, listener: u16) -> String {
        match self {
            Self::Loopback(host) => format!("http://{host}:{listener}"),
            Self::Http(host, 80) => format!("http://{host}"),
            Self::Https(host, 443) => format!("https://{host}"),
            Self::Http(host, port) => format!("http://{host}:{port}"),
            Self::Https(host, port) => format!("https://{host}:{port}"),
        }
    }

    /// What the browser has to map, if anything: `host:port`.
    pub(super) fn mapped(self) -> Option<String> {
        match self {
            Self::Loopback(_) => None,
            Self::Http(host, port) | Self::Https(host, port) => Some(format!("{host}:{port}")),
        }
    }

    /// The name that a certificate is needed for.
    pub(super) fn certified(self) -> Option<&'static str> {
        match self {
            Self::Https(host, _) => Some(host),
            Self::Loopback(_) | Self::Http(..) => None,
        }
    }
}

/// Where the service is.
pub(super) fn backend(topology: Topology) -> Place {
    match topology {
        Topology::SameOrigin | Topology::SameSite => Place::Loopback("localhost"),
        Topology::CrossSite => Place::Https("api.example.net", 443),
    }
}

/// The pages of a topology. On one origin the frontend is the service's own page, and the one that
/// stands here for [`Asker::Second`] is listed to show that the policy plays no part.
pub(super) fn pages(topology: Topology) -> &'static [(Asker, Place)] {
    const LOCALHOST: Place = Place::Loopback("localhost");
    match topology {
        Topology::SameOrigin => &[(Asker::Second, LOCALHOST), (Asker::Foreign, LOCALHOST)],
        Topology::SameSite => &[
            (Asker::Page, LOCALHOST),
            (Asker::Second, LOCALHOST),
            (Asker::ByPattern, LOCALHOST),
            (Asker::Foreign, LOCALHOST),
            (Asker::Subdomain, Place::Loopback("app.localhost")),
            (Asker::Address, Place::Loopback("127.0.0.1")),
            (Asker::Suffixed, Place::Http("localhost.example.org", 80)),
        ],
        Topology::CrossSite => &[
            (Asker::Page, Place::Https("app.example.com", 443)),
            (Asker::Second, Place::Https("admin.example.com", 443)),
            (Asker::ByPattern, Place::Https("pr-7.preview.example.com", 443)),
            (Asker::Foreign, Place::Https("evil.example.org", 443)),
            (Asker::OtherPort, Place::Https("app.example.com", 8443)),
            (Asker::OtherScheme, Place::Http("app.example.com", 80)),
            (Asker::Apex, Place::Https("preview.example.com", 443)),
            (Asker::Glued, Place::Https("evilpreview.example.com", 443)),
            (Asker::Suffixed, Place::Https("pr-7.preview.example.com.example.org", 443)),
        ],
    }
}

/// The host that a careless comparison looks for.
pub(super) fn careless_host(topology: Topology) -> &'static str {
    match topology {
        Topology::SameOrigin | Topology::SameSite => "localhost",
        Topology::CrossSite => "preview.example.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for (place, origin, mapped) in [
            (Place::Loopback("localhost"), "http://localhost:41234", None),
            (Place::Http("a.example.org", 80), "http://a.example.org", Some("a.example.org:80")),
            (
                Place::Https("a.example.org", 443),
                "https://a.example.org",
                Some("a.example.org:443"),
            ),
            (
                Place::Https("a.example.org", 8443),
                "https://a.example.org:8443",
                Some("a.example.org:8443"),
            ),
        ] {
            assert_eq!(place.origin(41234), origin);
            assert_eq!(place.mapped().as_deref(), mapped);
        }
    }

    #[test]
    fn nobody_is_cast_twice() {
        for topology in Topology::ALL {
            let mut cast: Vec<_> = pages(topology).iter().map(|(asker, _)| *asker).collect();
            cast.sort_unstable();
            cast.dedup();
            assert_eq!(cast.len(), pages(topology).len(), "{topology:?}");
        }
    }
}
