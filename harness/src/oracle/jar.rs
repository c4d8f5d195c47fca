//! The cookie store: RFC 6265bis §5.7 (storage) and §5.8.3 (retrieval), with CHIPS and what engines
//! do about third parties.

use crate::oracle::Code;
use crate::oracle::cookie::{NoCookie, SameSite, SetCookie, default_path, path_matches};
use crate::oracle::profile::{Knobs, Prefixes, SameSiteDefault, ThirdParty};
use crate::scenario::{Address, Origin, Scheme};

const DAY_MS: i64 = 86_400_000;

/// One request from the cookies' point of view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) url: &'a Address,
    /// The site of the page at the top; for a navigation, of where it leads.
    pub(super) top_level: &'a Origin,
    pub(super) relation: Relation,
    /// Whether the request's site is another than the top-level page's; schemes do not count.
    pub(super) third_party: bool,
    /// A top-level navigation, by whether its method is safe.
    pub(super) navigation: Option<Navigation>,
    pub(super) now_ms: i64,
}

/// A top-level navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Navigation {
    Safe,
    Unsafe,
}

/// Whether a request is [same-site](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-same-site-and-cross-site-re),
/// and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    SameSite,
    CrossSite(Code),
}

/// A cookie in the jar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    same_site: SameSite,
    partition: Option<Partition>,
    created_ms: i64,
    expires_ms: Option<i64>,
    /// Counts up: the order of creation.
    order: u64,
    /// The last step that wrote it.
    pub(super) written_in: Option<usize>,
}

/// Where a cookie that is not everybody's lives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Partition {
    site: (Scheme, String),
    cross_site: bool,
    /// By the attribute, rather than by the engine's protection.
    by_attribute: bool,
}

/// What became of a `Set-Cookie` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Stored,
    /// It removed a cookie.
    Removed,
    /// It would have removed one, and there is another of its name elsewhere.
    RemovedNothing,
    /// All reasons, the gravest first.
    Refused(Vec<Code>),
}

/// A cookie of the request's host.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) cookie: &'a Cookie,
    /// Why it stays home; nothing: it travels.
    pub(super) reasons: Vec<Code>,
}

/// All cookies of a browser profile.
#[derive(Debug, Clone, Default)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
    orders: u64,
}

impl Jar {
    /// What a `Set-Cookie` line does.
    pub(super) fn store(
        &mut self,
        line: &str,
        visit: &Visit<'_>,
        knobs: &Knobs,
        third_party: ThirdParty,
        step: Option<usize>,
    ) -> Fate {
        let set = match SetCookie::parse(line) {
            Ok(set) => set,
            Err(NoCookie::ControlCharacter | NoCookie::Empty | NoCookie::TooLarge) => {
                return Fate::Refused(vec![Code::CookieTooLargeOrBadChars]);
            }
        };
        let mut reasons = Vec::new();
        let partition = partition(&set, visit, knobs, third_party);
        if visit.third_party && partition.is_none() {
            let blocked = match third_party {
                ThirdParty::Allow | ThirdParty::Partition => false,
                ThirdParty::Block => true,
                ThirdParty::Grandfather => !self.has_cookies_of(visit.url.origin().site()),
            };
            if blocked {
                reasons.push(Code::ThirdPartyCookiesBlocked);
            }
        } else if visit.third_party
            && third_party == ThirdParty::Block
            && !knobs.block_spares_partitioned
        {
            reasons.push(Code::ThirdPartyCookiesBlocked);
        }
        let domain = domain_of(&set, visit.url.origin().host());
        reasons.extend(domain.as_ref().err());
        if effective(set.same_site, knobs) != SameSite::None
            && visit.navigation.is_none()
            && let Relation::CrossSite(code) = visit.relation
        {
            reasons.push(code);
        }
        if knobs.none_requires_secure && set.same_site == SameSite::None && !set.secure {
            reasons.push(Code::SamesiteNoneWithoutSecure);
        }
        let https = visit.url.origin().scheme() == Scheme::Https;
        let loopback = visit.url.origin().is_loopback();
        let secure_enough = https || (loopback && knobs.secure_on_loopback);
        if set.secure && !secure_enough {
            reasons.push(if loopback {
                Code::SafariSecureLocalhost
            } else {
                Code::SecureCookieOverHttp
            });
        }
        let path = set.explicit_path().unwrap_or_else(|| default_path(visit.url.path()));
        if violates_prefix(&set, path, knobs) {
            reasons.push(Code::CookiePrefixViolation);
        }
        if set.partitioned && knobs.partitioned && !set.secure {
            reasons.push(Code::PartitionedWithoutSecure);
        }
        let (Ok((domain, host_only)), true) = (domain, reasons.is_empty()) else {
            return Fate::Refused(reasons);
        };
        self.orders += 1;
        let cookie = Cookie {
            name: set.name.to_owned(),
            value: set.value.to_owned(),
            domain,
            host_only,
            path: path.to_owned(),
            secure: set.secure,
            same_site: set.same_site,
            partition,
            created_ms: visit.now_ms,
            expires_ms: expiry(&set, visit.now_ms, knobs),
            order: self.orders,
            written_in: step,
        };
        if !secure_enough && self.would_touch_secure(&cookie) {
            return Fate::Refused(vec![Code::SecureCookieOverHttp]);
        }
        self.insert(cookie, visit.now_ms)
    }

    fn insert(&mut self, mut cookie: Cookie, now_ms: i64) -> Fate {
        let old = self.cookies.iter().position(|old| old.is_same(&cookie));
        let expired = cookie.is_expired(now_ms);
        match old {
            Some(index) if expired => {
                self.cookies.remove(index);
                Fate::Removed
            }
            Some(index) => {
                // A cookie that is written again keeps its place in the order.
                cookie.order = self.cookies[index].order;
                cookie.created_ms = self.cookies[index].created_ms;
                self.cookies[index] = cookie;
                Fate::Stored
            }
            None if expired => {
                let twin = |old: &Cookie| {
                    old.name == cookie.name && !old.is_expired(now_ms) && old.overlaps(&cookie)
                };
                if self.cookies.iter().any(twin) { Fate::RemovedNothing } else { Fate::Removed }
            }
            None => {
                self.cookies.push(cookie);
                Fate::Stored
            }
        }
    }

    /// The cookies of a request's host, in the order in which they travel, each with the reasons
    /// for which it does not. Whether the request carries cookies at all is not asked here.
    pub(super) fn candidates(
        &self,
        visit: &Visit<'_>,
        knobs: &Knobs,
        third_party: ThirdParty,
    ) -> Vec<Candidate<'_>> {
        let mut all: Vec<_> = self
            .cookies
            .iter()
            .filter(|cookie| !cookie.is_expired(visit.now_ms))
            .filter(|cookie| cookie.is_of(visit.url.origin().host()))
            .map(|cookie| Candidate { cookie, reasons: cookie.reasons(visit, knobs, third_party) })
            .collect();
        // Longer paths first, then older cookies.
        all.sort_by(|a, b| {
            let length = b.cookie.path.len().cmp(&a.cookie.path.len());
            length.then(a.cookie.order.cmp(&b.cookie.order))
        });
        all
    }

    /// The cookies that a step wrote and that are still there.
    pub(super) fn written_in(&self, step: usize, now_ms: i64) -> impl Iterator<Item = &Cookie> {
        self.cookies.iter().filter(move |c| c.written_in == Some(step) && !c.is_expired(now_ms))
    }

    fn has_cookies_of(&self, site: &str) -> bool {
        self.cookies.iter().any(|cookie| within(&cookie.domain, site))
    }

    /// [Leave Secure Cookies Alone](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-storage-model).
    fn would_touch_secure(&self, new: &Cookie) -> bool {
        !new.secure
            && self.cookies.iter().any(|old| {
                old.secure
                    && old.name == new.name
                    && (within(&old.domain, &new.domain) || within(&new.domain, &old.domain))
                    && path_matches(&new.path, &old.path)
            })
    }
}

impl Cookie {
    fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|when| when <= now_ms)
    }

    /// Whether the two cannot be in the jar together.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
            && self.partition == other.partition
    }

    /// Whether a request could carry both.
    fn overlaps(&self, other: &Self) -> bool {
        within(&self.domain, &other.domain) || within(&other.domain, &self.domain)
    }

    fn is_of(&self, host: &str) -> bool {
        if self.host_only { host == self.domain } else { within(host, &self.domain) }
    }

    /// Why it does not travel, the gravest reason first.
    fn reasons(&self, visit: &Visit<'_>, knobs: &Knobs, third_party: ThirdParty) -> Vec<Code> {
        let mut reasons = Vec::new();
        match &self.partition {
            None if visit.third_party && third_party == ThirdParty::Block => {
                reasons.push(Code::ThirdPartyCookiesBlocked);
            }
            None if visit.third_party && third_party == ThirdParty::Partition => {
                reasons.push(Code::FirefoxTotalCookieProtection);
            }
            None => {}
            Some(partition) => {
                if !partition.is_of(visit, knobs) {
                    reasons.push(if partition.by_attribute {
                        Code::PartitionedOtherTopLevel
                    } else {
                        Code::FirefoxTotalCookieProtection
                    });
                }
                let spared = partition.by_attribute && knobs.block_spares_partitioned;
                if visit.third_party && third_party == ThirdParty::Block && !spared {
                    reasons.push(Code::ThirdPartyCookiesBlocked);
                }
            }
        }
        reasons.extend(self.same_site_reason(visit, knobs));
        let origin = visit.url.origin();
        let secure_enough =
            origin.scheme() == Scheme::Https || (origin.is_loopback() && knobs.secure_on_loopback);
        if self.secure && !secure_enough {
            reasons.push(Code::SecureCookieOverHttp);
        }
        if !path_matches(visit.url.path(), &self.path) {
            reasons.push(Code::CookiePathMismatch);
        }
        reasons
    }

    fn same_site_reason(&self, visit: &Visit<'_>, knobs: &Knobs) -> Option<Code> {
        let Relation::CrossSite(code) = visit.relation else { return None };
        match (effective(self.same_site, knobs), visit.navigation) {
            (SameSite::None, _) | (SameSite::Lax, Some(Navigation::Safe)) => None,
            (SameSite::Lax | SameSite::Default, Some(_)) => {
                let age_ms = visit.now_ms - self.created_ms;
                let grace_ms =
                    i64::try_from(knobs.lax_allowing_unsafe_s * 1000).unwrap_or(i64::MAX);
                let young = self.same_site == SameSite::Default && age_ms < grace_ms;
                (!young).then_some(Code::LaxPostFormPostCallback)
            }
            (SameSite::Strict, Some(_)) => Some(Code::SamesiteStrictAfterRedirect),
            (_, None) => Some(code),
        }
    }
}

impl Partition {
    fn is_of(&self, visit: &Visit<'_>, knobs: &Knobs) -> bool {
        let cross_site = is_cross_site(visit);
        let same_top = self.site.1 == visit.top_level.site()
            && (!knobs.schemeful || self.site.0 == visit.top_level.scheme());
        same_top && self.cross_site == cross_site
    }
}

fn is_cross_site(visit: &Visit<'_>) -> bool {
    visit.navigation.is_none()
        && (visit.third_party || !visit.url.origin().is_same_site(visit.top_level, false))
}

/// What an absent attribute stands for here.
fn effective(same_site: SameSite, knobs: &Knobs) -> SameSite {
    match (same_site, knobs.same_site_default) {
        (SameSite::Default, SameSiteDefault::Lax) => SameSite::Lax,
        (SameSite::Default, SameSiteDefault::None) => SameSite::None,
        (other, _) => other,
    }
}

/// The partition that a new cookie goes to.
fn partition(
    set: &SetCookie<'_>,
    visit: &Visit<'_>,
    knobs: &Knobs,
    third_party: ThirdParty,
) -> Option<Partition> {
    let by_attribute = set.partitioned && knobs.partitioned;
    let by_engine = visit.third_party && third_party == ThirdParty::Partition;
    (by_attribute || by_engine).then(|| Partition {
        site: (visit.top_level.scheme(), visit.top_level.site().to_owned()),
        cross_site: is_cross_site(visit),
        by_attribute,
    })
}

/// The cookie's domain, and whether it is for that host alone.
fn domain_of(set: &SetCookie<'_>, host: &str) -> Result<(String, bool), Code> {
    let wanted = set.domain.unwrap_or_default().to_ascii_lowercase();
    if wanted.is_empty() {
        return Ok((host.to_owned(), true));
    }
    let is_suffix = psl::suffix_str(&wanted).is_some_and(|suffix| suffix == wanted);
    if is_suffix {
        // On the suffix itself the attribute is as good as absent.
        return if wanted == host {
            Ok((host.to_owned(), true))
        } else {
            Err(Code::CookieDomainPublicSuffix)
        };
    }
    if within(host, &wanted) { Ok((wanted, false)) } else { Err(Code::CookieDomainInvalid) }
}

/// [Domain-match](https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#name-domain-matching).
fn within(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    // An address has no subdomains.
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    !is_address && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn violates_prefix(set: &SetCookie<'_>, path: &str, knobs: &Knobs) -> bool {
    if knobs.prefixes == Prefixes::Ignored {
        return false;
    }
    let begins = |text: &str, prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    // A value without a name must not pass for a name with a prefix.
    if set.name.is_empty() {
        return begins(set.value, "__secure-") || begins(set.value, "__host-");
    }
    let has_path = knobs.prefixes == Prefixes::PathMayBeDefault || set.explicit_path().is_some();
    let host = set.secure && set.domain.unwrap_or_default().is_empty() && has_path && path == "/";
    let http = !knobs.http_prefixes || (set.secure && set.http_only);
    if begins(set.name, "__host-http-") {
        !host || !http
    } else if begins(set.name, "__host-") {
        !host
    } else if begins(set.name, "__http-") {
        !http
    } else {
        begins(set.name, "__secure-") && !set.secure
    }
}

fn expiry(set: &SetCookie<'_>, now_ms: i64, knobs: &Knobs) -> Option<i64> {
    let wanted = match (set.max_age_s, set.expires_ms) {
        (Some(seconds), _) if seconds <= 0 => i64::MIN,
        (Some(seconds), _) => now_ms.saturating_add(seconds.saturating_mul(1000)),
        (None, Some(when)) => when,
        (None, None) => return None,
    };
    Some(wanted.min(now_ms.saturating_add(knobs.lifetime_cap_days.saturating_mul(DAY_MS))))
}
