//! Everything that one running service shares between its requests.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use url::Url;

use crate::admin::Readiness;
use crate::call::BodyLimits;
use crate::config::{Config, RedisConfig, SessionConfig, StoreConfig, TokenConfig};
use crate::effects::{Clock, IdSource, SystemClock, SystemIds};
use crate::handlers::Refreshed;
use crate::identity::oidc::{AttemptCookies, Flights, OidcSettings, Provider};
use crate::identity::{LocalAccounts, ReturnUrls};
use crate::limit::LoginLimit;
use crate::live::LivePolicy;
use crate::metrics::Metrics;
use crate::policy::client::ProxyRange;
use crate::policy::cookie::{SessionCookie, TokenCookie};
use crate::policy::cors::CorsPolicy;
use crate::policy::csrf::CsrfRules;
use crate::policy::origin::Origin;
use crate::policy::session::{StoreKey, UnixMillis};
use crate::seal::KeyRing;
use crate::store::{CookieStore, MemoryStore, RedisStore, Store};

/// The state behind the filter chain: configuration that was checked, the store, the accounts,
/// and the two effects.
pub struct App {
    pub(crate) cors: LivePolicy,
    pub(crate) cookie: SessionCookie,
    pub(crate) csrf: CsrfRules,
    pub(crate) token_cookie: TokenCookie,
    pub(crate) store: Store,
    snapshot: Option<PathBuf>,
    pub(crate) keys: KeyRing,
    pub(crate) accounts: Arc<LocalAccounts>,
    pub(crate) public_origin: Origin,
    pub(crate) post_logout_url: HeaderValue,
    /// The same with an origin, for those who are on another.
    pub(crate) post_logout_absolute: String,
    pub(crate) revoke_at_logout: bool,
    pub(crate) end_session_at_provider: bool,
    pub(crate) oidc: Option<Oidc>,
    pub(crate) login_page: Option<String>,
    pub(crate) return_urls: ReturnUrls,
    pub(crate) token: TokenConfig,
    pub(crate) body: BodyLimits,
    pub(crate) login_limit: Option<LoginLimit>,
    pub(crate) trusted_proxies: Vec<ProxyRange>,
    pub(crate) example: bool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Box<dyn IdSource>,
}

/// The identity provider, and what goes on with it.
pub(crate) struct Oidc {
    pub(crate) provider: Provider,
    pub(crate) attempts: AttemptCookies,
    pub(crate) refreshes: Flights<StoreKey, Refreshed>,
}

impl Oidc {
    fn new(settings: OidcSettings, keys: &KeyRing, https: bool) -> Self {
        Self {
            provider: Provider::new(settings),
            attempts: AttemptCookies::new(keys, https),
            refreshes: Flights::default(),
        }
    }
}

/// A URL, or a path on our own origin, as a URL.
fn absolute(place: &HeaderValue, own: &Origin) -> String {
    let place = place.to_str().unwrap_or("/");
    let url = Url::parse(own.as_str()).and_then(|own| own.join(place));
    url.map_or_else(|_| own.to_string(), String::from)
}

impl App {
    /// Puts a service together from a checked configuration and its accounts.
    /// Takes in the sessions of a snapshot, if there is one.
    #[must_use]
    pub fn new(config: &Config, accounts: Arc<LocalAccounts>) -> Self {
        let clock = SystemClock::new();
        let public_origin = &config.server.public_origin;
        let keys = config.session.keys.clone().unwrap_or_else(KeyRing::random);
        let https = public_origin.is_https();
        let (store, snapshot) = open_store(&config.session, &keys, clock.now());
        let oidc = config.oidc.clone().map(|settings| Oidc::new(settings, &keys, https));
        Self {
            cors: config.cors.clone().into(),
            cookie: config.session.cookie.clone(),
            csrf: config.csrf.rules.clone(),
            token_cookie: config.csrf.cookie.clone(),
            metrics: Arc::new(Metrics::new(matches!(store, Store::Memory(_)))),
            store,
            snapshot,
            keys,
            accounts,
            public_origin: public_origin.clone(),
            post_logout_absolute: absolute(&config.logout.post_logout_url, public_origin),
            post_logout_url: config.logout.post_logout_url.clone(),
            revoke_at_logout: config.logout.revoke,
            end_session_at_provider: config.logout.rp_initiated,
            oidc,
            login_page: config.login_page.clone(),
            return_urls: ReturnUrls::new(
                config.return_url.default.clone(),
                &config.return_url.allowed_origins,
                public_origin,
            ),
            token: config.token,
            body: BodyLimits {
                bytes: config.server.max_body_bytes,
                deadline: config.server.limits.body,
                min_rate: config.server.limits.min_rate,
            },
            login_limit: config.login_quota.map(LoginLimit::new),
            trusted_proxies: config.server.trusted_proxies.clone(),
            example: config.dev,
            readiness: Readiness::default(),
            clock: Arc::new(clock),
            ids: Box::new(SystemIds),
        }
    }

    /// Replaces the clock; tests move time themselves.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Puts another CORS policy in force, for requests that arrive from now on.
    pub fn replace_cors(&self, policy: CorsPolicy) {
        self.cors.replace(policy);
    }

    /// Whether the identity provider has answered at least once; true if there is none.
    #[must_use]
    pub fn knows_provider(&self) -> bool {
        self.oidc.as_ref().is_none_or(|oidc| oidc.provider.was_reached())
    }

    /// Asks the identity provider for its endpoints and keys, unless they are known.
    pub(crate) async fn reach_provider(&self) -> bool {
        match &self.oidc {
            Some(oidc) => match oidc.provider.reach(&self.clock).await {
                Ok(()) => true,
                Err(error) => {
                    self.metrics.provider_failed(&error);
                    false
                }
            },
            None => true,
        }
    }

    /// Sessions in this process at this moment.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        match &self.store {
            Store::Memory(store) => store.len(),
            Store::Cookie(_) | Store::Redis(_) => 0,
        }
    }

    /// Connections of users that were accepted since the start.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.metrics.connections().accepted.get()
    }

    /// At the very end: keeps the sessions for the next start, where the configuration says so.
    pub(crate) fn save(&self) {
        let (Some(path), Store::Memory(store)) = (&self.snapshot, &self.store) else { return };
        match store.save(path, &self.keys, self.clock.now()) {
            Ok(sessions) => tracing::info!(sessions, path = %path.display(), "wrote the snapshot"),
            Err(error) => tracing::error!("the sessions are lost: {error}"),
        }
    }

    /// Drops expired sessions, without holding anybody up; returns how many.
    pub(crate) async fn sweep(&self) -> usize {
        match &self.store {
            Store::Memory(store) => store.sweep(self.clock.now()).await,
            Store::Cookie(_) | Store::Redis(_) => 0,
        }
    }
}

/// The store, and the file that keeps it over a restart.
fn open_store(config: &SessionConfig, keys: &KeyRing, now: UnixMillis) -> (Store, Option<PathBuf>) {
    let memory = || MemoryStore::new(config.lifetimes, config.limits);
    match &config.store {
        StoreConfig::Memory { snapshot: None } => (Store::Memory(memory()), None),
        StoreConfig::Memory { snapshot: Some(path) } => {
            let store = memory();
            let store = match store.load(path, keys, now) {
                Ok(sessions) => {
                    tracing::info!(sessions, path = %path.display(), "took in the snapshot");
                    store
                }
                Err(error) => {
                    tracing::warn!("starting without the snapshot's sessions: {error}");
                    memory()
                }
            };
            (Store::Memory(store), Some(path.clone()))
        }
        StoreConfig::Redis(RedisConfig { url, cluster }) => {
            let per_user = config.limits.max_sessions_per_user;
            match RedisStore::new(url.expose(), *cluster, config.lifetimes, per_user) {
                Ok(store) => (Store::Redis(Box::new(store)), None),
                // The configuration has checked it.
                Err(error) => unreachable!("{error}"),
            }
        }
        StoreConfig::Cookie => {
            tracing::warn!(
                "sessions are kept in cookies: no session can be listed or ended from another \
                 browser, and this process forgets at its end who has logged out"
            );
            (Store::Cookie(CookieStore::new(keys, config.cookie.name(), config.lifetimes)), None)
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("public_origin", &self.public_origin).finish_non_exhaustive()
    }
}
