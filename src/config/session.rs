//! `[session]`: the cookie, its times, and where sessions live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cookie::SameSite;

use crate::config::reader::{Document, Section};
use crate::policy::cookie::{CookieError, SessionCookie};
use crate::policy::origin::Origin;
use crate::policy::session::Lifetimes;
use crate::seal::KeyRing;
use crate::secret::Secret;
use crate::store::{Evict, RedisStore, StoreLimits};

const KEYGEN: &str = "run `withcreds keygen` and put what it prints first in session.keys";
/// More keys than that nobody rotates through; each one costs time on every forged cookie.
const MAX_KEYS: usize = 16;

/// `[session]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Name and attributes.
    pub cookie: SessionCookie,
    /// Both timeouts.
    pub lifetimes: Lifetimes,
    /// What the memory store may hold.
    pub limits: StoreLimits,
    /// Where sessions live.
    pub store: StoreConfig,
    /// What the service seals with; `None`: a key that ends with the process.
    pub keys: Option<KeyRing>,
}

/// `dangerous_allow_cross_site`: whether frontends may be on another site than the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CrossSite {
    Allowed,
    Refused,
}

/// The keys of a section that name a cookie, for messages.
#[derive(Clone, Copy)]
pub(super) struct CookieKeys {
    pub(super) name: &'static str,
    pub(super) domain: &'static str,
}

/// Where sessions live.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreConfig {
    /// In this process.
    Memory {
        /// Kept over a graceful restart in this file.
        snapshot: Option<PathBuf>,
    },
    /// Sealed in the browsers' cookies. No session can be listed or ended from another browser;
    /// a logout is remembered by this process alone, so a cookie that was copied before works
    /// again after a restart, and on every other instance, until its time is over.
    Cookie,
    /// In a Redis or Valkey server.
    Redis(RedisConfig),
}

/// `[redis]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is; there may be a password in it.
    pub url: Secret<String>,
    /// Whether it is one of a cluster.
    pub cluster: bool,
}

pub(super) fn read(
    document: &mut Document<'_>,
    public_origin: Option<&Origin>,
) -> (Option<SessionConfig>, CrossSite) {
    let base = document.directory();
    let redis = read_redis(document);
    let by_provider = document.has("oidc");
    document.section("session", |s| {
        let keys = read_keys(s);
        let store = read_store(s, &base, keys.is_some(), redis);
        if matches!(store, StoreConfig::Redis(_)) && by_provider && keys.is_none() && !s.is_bad("keys") {
            // In memory there is one instance, and a restart ends its sessions as well.
            let reason = "instances that share sessions finish each other's logins at the provider, and without session.keys none can open the login cookie of another";
            s.fault("keys", None, "session_keys_missing", reason, KEYGEN);
        }
        let lifetimes = read_lifetimes(s);
        let limits = StoreLimits {
            max_sessions: s.within("max_sessions", 1..=100_000_000).unwrap_or(1_000_000),
            max_sessions_per_user: s.within("max_sessions_per_user", 1..=1_000_000).unwrap_or(10),
            max_bytes: s.within("max_bytes", 1 << 20..=1 << 40).unwrap_or(1 << 30),
            evict: read_evict(s),
        };
        let cross_site = read_cross_site(s);
        let cookie = read_cookie(s, public_origin, cross_site);
        let config = cookie.map(|cookie| SessionConfig { cookie, lifetimes, limits, store, keys });
        (config, cross_site)
    })
}

/// Where the server is, if `[redis]` was written.
struct Redis {
    config: Option<RedisConfig>,
    written: bool,
}

fn read_redis(document: &mut Document<'_>) -> Redis {
    document.section("redis", |s| {
        let url = s.secret("url");
        let cluster = s.value("cluster").unwrap_or(false);
        let bad = url.as_ref().and_then(|url| RedisStore::check_url(url.expose(), cluster).err());
        if let Some(error) = bad {
            let mend = "write a URL such as \"redis://127.0.0.1:6379\", \"rediss://user:password@host\" or \"redis+unix:///run/redis.sock\"";
            s.fault("url", None, "redis_url_malformed", &error.to_string(), mend);
        }
        let written = s.has("url");
        Redis { config: url.map(|url| RedisConfig { url, cluster }), written }
    })
}

/// The ring, if every key in it is good.
fn read_keys(s: &mut Section<'_, '_>) -> Option<KeyRing> {
    let texts = s.secrets("keys")?;
    if texts.is_empty() || texts.len() > MAX_KEYS {
        let reason = format!("it has {} keys and takes 1 to {MAX_KEYS}", texts.len());
        s.fault("keys", None, "session_keys_number", &reason, KEYGEN);
        return None;
    }
    let mut keys = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        match text.expose().parse() {
            Ok(key) => keys.push(key),
            Err(error) => {
                // Which one it is, without a character of it.
                let reason = format!("key {}: {error}", n + 1);
                let error: crate::policy::key::KeyError = error;
                s.fault("keys", None, error.code(), &reason, KEYGEN);
            }
        }
    }
    KeyRing::new(keys).filter(|_| !s.is_bad("keys"))
}

fn read_store(s: &mut Section<'_, '_>, base: &Path, has_keys: bool, redis: Redis) -> StoreConfig {
    let name = s.value::<String>("store");
    let snapshot = s.value::<PathBuf>("snapshot").map(|path| base.join(path));
    let lacks_keys = !has_keys && !s.is_bad("keys");
    let store = match name.as_deref() {
        None | Some("memory") => StoreConfig::Memory { snapshot: snapshot.clone() },
        Some("cookie") => {
            if lacks_keys {
                let reason = "cookies are sealed with the session key, and without session.keys that ends with the process";
                s.fault("store", None, "session_keys_missing", reason, KEYGEN);
            }
            StoreConfig::Cookie
        }
        Some("redis") => {
            if let Some(config) = redis.config {
                StoreConfig::Redis(config)
            } else {
                if !redis.written {
                    let mend = "write [redis] and url = \"redis://127.0.0.1:6379\" below it";
                    s.fault(
                        "store",
                        name.clone(),
                        "redis_url_missing",
                        "nobody knows where the server is",
                        mend,
                    );
                }
                StoreConfig::Memory { snapshot: None }
            }
        }
        Some(_) => {
            let mend = "write \"memory\", \"redis\" or \"cookie\"";
            s.fault("store", name.clone(), "store_unknown", "no store has this name", mend);
            StoreConfig::Memory { snapshot: None }
        }
    };
    let in_memory = matches!(name.as_deref(), None | Some("memory"));
    if snapshot.is_some() && !in_memory {
        let reason = "only sessions in memory need one";
        s.fault("snapshot", None, "snapshot_without_memory", reason, "leave it out");
    } else if snapshot.is_some() && lacks_keys {
        let reason = "it is sealed with the session key, and without session.keys that ends with the process";
        s.fault("snapshot", None, "session_keys_missing", reason, KEYGEN);
    }
    store
}

fn read_lifetimes(s: &mut Section<'_, '_>) -> Lifetimes {
    let lifetimes = Lifetimes {
        idle: s.duration("idle_timeout").unwrap_or(Duration::from_hours(1)),
        absolute: s.duration("absolute_timeout").unwrap_or(Duration::from_hours(12)),
    };
    let unread = s.is_bad("idle_timeout") || s.is_bad("absolute_timeout");
    if lifetimes.idle > lifetimes.absolute && !unread {
        let value = Some(humantime::format_duration(lifetimes.idle).to_string());
        let absolute = humantime::format_duration(lifetimes.absolute);
        s.fault(
            "idle_timeout",
            value,
            "idle_beyond_absolute",
            &format!("it is longer than absolute_timeout ({absolute}), so it would never count"),
            "make it shorter than absolute_timeout",
        );
    }
    lifetimes
}

fn read_cross_site(s: &mut Section<'_, '_>) -> CrossSite {
    // A switch that cannot be read has been reported: nothing follows from it.
    if s.value("dangerous_allow_cross_site").unwrap_or(s.has("dangerous_allow_cross_site")) {
        CrossSite::Allowed
    } else {
        CrossSite::Refused
    }
}

fn read_cookie(
    s: &mut Section<'_, '_>,
    public_origin: Option<&Origin>,
    cross_site: CrossSite,
) -> Option<SessionCookie> {
    let https = public_origin.is_none_or(Origin::is_https);
    let same_site = read_same_site(s, cross_site);
    let domain = s.value::<String>("domain");
    let name = s.value::<String>("cookie_name");
    // `__Host-` promises that there is no Domain; `__Secure-` is what remains.
    let name = name.or_else(|| (domain.is_some() && https).then(|| "__Secure-session".to_owned()));
    let partitioned = s.value("partitioned").unwrap_or(false);
    let mut cookie = SessionCookie::new(name.as_deref(), https, same_site, partitioned);
    if let (Some(domain), Some(origin)) = (domain, public_origin) {
        cookie = cookie.and_then(|cookie| cookie.for_domain(&domain, origin.host()));
    }
    let keys = CookieKeys { name: "cookie_name", domain: "domain" };
    cookie.map_err(|error| report_cookie(s, &error, keys)).ok()
}

fn read_evict(s: &mut Section<'_, '_>) -> Evict {
    match s.value::<String>("evict").as_deref() {
        None | Some("none") => Evict::Nobody,
        Some("lru") => Evict::LeastRecentlyUsed,
        Some(other) => {
            s.fault(
                "evict",
                Some(other.to_owned()),
                "evict_unknown",
                "not a way to make room",
                "write \"none\", which refuses logins when the store is full, or \"lru\"",
            );
            Evict::Nobody
        }
    }
}

fn read_same_site(s: &mut Section<'_, '_>, cross_site: CrossSite) -> SameSite {
    match s.value::<String>("same_site").as_deref() {
        None | Some("lax") => SameSite::Lax,
        Some("strict") => SameSite::Strict,
        Some("none") => {
            if cross_site == CrossSite::Refused {
                s.fault("same_site", Some("none".to_owned()), "same_site_none", "the cookie would go out with requests from every site; Safari and Firefox keep it back all the same", "put frontend and service on one site (app.example.com and api.example.com), or set dangerous_allow_cross_site = true");
            }
            SameSite::None
        }
        Some(other) => {
            s.fault(
                "same_site",
                Some(other.to_owned()),
                "same_site_unknown",
                "not a value of SameSite",
                "write \"lax\", \"strict\" or \"none\"",
            );
            SameSite::Lax
        }
    }
}

pub(super) fn report_cookie(s: &mut Section<'_, '_>, error: &CookieError, keys: CookieKeys) {
    let (key, value, code, mend) = match error {
        CookieError::Name(name) => {
            (keys.name, name.as_str(), "cookie_name_malformed", "write a name such as \"session\"")
        }
        CookieError::PrefixNeedsSecure(name) => (
            keys.name,
            name.as_str(),
            "cookie_prefix_needs_https",
            "use an https public_origin, or a name without prefix",
        ),
        CookieError::PrefixForbidsDomain(name) => (
            keys.name,
            name.as_str(),
            "cookie_prefix_forbids_domain",
            "use a name that starts with \"__Secure-\", or leave the domain out",
        ),
        CookieError::Domain(domain) => (
            keys.domain,
            domain.as_str(),
            "cookie_domain_malformed",
            "write a host name such as \"example.com\", or leave it out: then only this host gets the cookie",
        ),
        CookieError::ForeignDomain { domain, .. } => (
            keys.domain,
            domain.as_str(),
            "cookie_domain_foreign",
            "write the host of public_origin or a parent of it, or leave it out",
        ),
        CookieError::PublicDomain(domain) => (
            keys.domain,
            domain.as_str(),
            "cookie_domain_public_suffix",
            "write a domain of your own, or leave it out",
        ),
        CookieError::Taken(name) => (
            keys.name,
            name.as_str(),
            "cookie_name_taken",
            "write another name, such as \"CSRF-TOKEN\"",
        ),
        CookieError::PrefixNeedsHttpOnly(name) => (
            keys.name,
            name.as_str(),
            "cookie_prefix_hides_from_scripts",
            "use a name such as \"CSRF-TOKEN\" or \"__Host-CSRF-TOKEN\"",
        ),
        CookieError::SameSiteNoneNeedsSecure => (
            "same_site",
            "none",
            "same_site_none_needs_https",
            "use an https public_origin, or same_site = \"lax\"",
        ),
        CookieError::PartitionedNeedsSecure => (
            "partitioned",
            "true",
            "partitioned_needs_https",
            "use an https public_origin, or leave it out",
        ),
    };
    s.fault(key, Some(value.to_owned()), code, &error.to_string(), mend);
}
