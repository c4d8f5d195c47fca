//! Everything that one running service shares between its requests.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;

use crate::config::{Config, RedisConfig, SessionConfig, StoreConfig};
use crate::effects::{Clock, IdSource, SystemClock, SystemIds};
use crate::identity::LocalAccounts;
use crate::live::LivePolicy;
use crate::policy::cookie::SessionCookie;
use crate::policy::cors::CorsPolicy;
use crate::policy::origin::Origin;
use crate::policy::session::UnixMillis;
use crate::seal::KeyRing;
use crate::store::{CookieStore, MemoryStore, RedisStore, Store};

/// The state behind the filter chain: configuration that was checked, the store, the accounts,
/// and the two effects.
pub struct App {
    pub(crate) cors: LivePolicy,
    pub(crate) cookie: SessionCookie,
    pub(crate) store: Store,
    snapshot: Option<PathBuf>,
    pub(crate) keys: KeyRing,
    pub(crate) accounts: Arc<LocalAccounts>,
    pub(crate) public_origin: Origin,
    pub(crate) post_logout_url: HeaderValue,
    pub(crate) max_body_bytes: usize,
    pub(crate) example: bool,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) ids: Box<dyn IdSource>,
}

impl App {
    /// Puts a service together from a checked configuration and its accounts.
    /// Takes in the sessions of a snapshot, if there is one.
    #[must_use]
    pub fn new(config: &Config, accounts: Arc<LocalAccounts>) -> Self {
        let clock = SystemClock::new();
        let keys = config.session.keys.clone().unwrap_or_else(KeyRing::random);
        let (store, snapshot) = open_store(&config.session, &keys, clock.now());
        Self {
            cors: config.cors.clone().into(),
            cookie: config.session.cookie.clone(),
            store,
            snapshot,
            keys,
            accounts,
            public_origin: config.server.public_origin.clone(),
            post_logout_url: config.logout.post_logout_url.clone(),
            max_body_bytes: config.server.max_body_bytes,
            example: config.dev,
            clock: Box::new(clock),
            ids: Box::new(SystemIds),
        }
    }

    /// Replaces the clock; tests move time themselves.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Puts another CORS policy in force, for requests that arrive from now on.
    pub fn replace_cors(&self, policy: CorsPolicy) {
        self.cors.replace(policy);
    }

    /// Sessions in this process at this moment.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        match &self.store {
            Store::Memory(store) => store.len(),
            Store::Cookie(_) | Store::Redis(_) => 0,
        }
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
