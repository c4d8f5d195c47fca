//! The [CORS-preflight cache](https://fetch.spec.whatwg.org/#concept-cache).

use crate::oracle::profile::Knobs;

/// For how long an answer without `Access-Control-Max-Age` is kept.
const DEFAULT_S: i64 = 5;

/// What a request has in common with those that an entry is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// Host of the top-level page's site.
    pub(super) partition: &'a str,
    pub(super) origin: &'a str,
    pub(super) url: &'a str,
    pub(super) include: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    partition: String,
    origin: String,
    url: String,
    include: bool,
    expires_ms: i64,
    methods: Vec<String>,
    names: Vec<String>,
}

/// Preflights that need not be repeated.
#[derive(Debug, Clone, Default)]
pub(super) struct PreflightCache(Vec<Entry>);

impl PreflightCache {
    /// Whether the method needs no preflight because of an earlier one.
    pub(super) fn has_method(&self, key: &Key<'_>, method: &str, now_ms: i64) -> bool {
        self.matching(key, now_ms)
            .any(|entry| entry.methods.iter().any(|m| m == method || (m == "*" && !key.include)))
    }

    /// The same for a header.
    pub(super) fn has_name(&self, key: &Key<'_>, name: &str, now_ms: i64) -> bool {
        self.matching(key, now_ms).any(|entry| {
            let star = |n: &String| n == "*" && !key.include && name != "authorization";
            entry.names.iter().any(|n| n == name || star(n))
        })
    }

    /// Keeps what a preflight granted.
    pub(super) fn keep(
        &mut self,
        key: &Key<'_>,
        methods: Vec<String>,
        names: Vec<String>,
        max_age: Option<i64>,
        knobs: &Knobs,
        now_ms: i64,
    ) {
        let cap = i64::try_from(knobs.preflight_cap_s).unwrap_or(i64::MAX);
        let seconds = match max_age {
            Some(seconds) if seconds >= 0 => seconds.min(cap),
            Some(_) if knobs.negative_max_age_disables => 0,
            _ => DEFAULT_S,
        };
        if seconds > 0 {
            self.0.push(Entry {
                partition: key.partition.to_owned(),
                origin: key.origin.to_owned(),
                url: key.url.to_owned(),
                include: key.include,
                expires_ms: now_ms.saturating_add(seconds.saturating_mul(1000)),
                methods,
                names,
            });
        }
    }

    /// A request that fails the CORS check takes its entries with it.
    pub(super) fn forget(&mut self, key: &Key<'_>) {
        self.0.retain(|entry| !entry.is_for(key));
    }

    fn matching<'s>(&'s self, key: &'s Key<'_>, now_ms: i64) -> impl Iterator<Item = &'s Entry> {
        self.0.iter().filter(move |entry| {
            now_ms < entry.expires_ms && entry.is_for(key) && (entry.include || !key.include)
        })
    }
}

impl Entry {
    fn is_for(&self, key: &Key<'_>) -> bool {
        self.partition == key.partition && self.origin == key.origin && self.url == key.url
    }
}
