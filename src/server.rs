//! The only owner of sockets: binds, accepts, drains.

mod connection;
mod desk;
mod listener;
mod pulse;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::connection::Protocols;
use self::desk::Desk;
use self::listener::{Stage, serve};
use crate::app::App;
use crate::config::{Config, Frontend, Http2Config, ServerLimits};
use crate::effects::{Clock, IdSource as _, SystemClock, SystemIds};
use crate::filters::{self, Door};
use crate::fixture::Fixture;
use crate::identity::{AccountsError, LocalAccounts, User};
use crate::policy::session::SessionSecret;
use crate::secret::Secret;
use crate::tls::{LiveTls, Pair};
use crate::{admin, audit};

/// How often expired sessions are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a store or provider that has never answered is asked again.
const REACH_EVERY: Duration = Duration::from_secs(5);
/// How often the files of the certificate are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits for one more request of connections that wait: their clients cannot know yet,
/// and a request that crosses the end of its connection is lost. At most half of the grace.
const LAST_CALL: Duration = Duration::from_secs(1);
/// Enough for an operator, a probe and a few scrapers.
const ADMIN_CONNECTIONS: usize = 64;
/// In development: a page, its images, its scripts.
const FIXTURE_CONNECTIONS: usize = 256;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", port_hint(source, *address, key))]
    Bind {
        /// The key that names it.
        key: &'static str,
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

fn port_hint(error: &io::Error, address: SocketAddr, key: &str) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        let port = address.port();
        format!(
            "\n  mend: end the program that holds port {port} (`ss -ltnp 'sport = :{port}'` names it), or set another in {key}"
        )
    } else {
        String::new()
    }
}

/// The account that development mode makes up at each start.
#[derive(Debug, Clone)]
pub struct DemoAccount {
    /// Always `demo`.
    pub username: &'static str,
    /// Random, gone with the process.
    pub password: Secret<String>,
}

/// A service whose addresses are bound, but which answers nobody yet.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    api: Vec<TcpListener>,
    admin: Vec<TcpListener>,
    /// Why there is no admin listener, though there should be one.
    admin_missing: Option<ServeError>,
    frontend: Option<(Vec<TcpListener>, Fixture)>,
    demo: Option<DemoAccount>,
    grace: Duration,
    limits: ServerLimits,
    max_connections: usize,
    tls: Option<LiveTls>,
    http2: Http2Config,
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everything that was asked has been answered.
    Drained,
    /// The grace period was over first.
    GraceOver,
    /// It was told not to wait.
    AtOnce,
}

impl Server {
    /// Binds all addresses; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`ServeError`], which says what to do about it.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        Self::bind_with_clock(config, SystemClock::new()).await
    }

    /// The same by another clock, for tests that move time themselves.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub async fn bind_with_clock(config: &Config, clock: impl Clock) -> Result<Self, ServeError> {
        let (accounts, demo) = match &config.accounts {
            Some(accounts) => (Arc::clone(accounts), None),
            None if config.dev && config.oidc.is_none() => {
                let (accounts, demo) = demo_account()?;
                (Arc::new(accounts), Some(demo))
            }
            None => (Arc::new(LocalAccounts::none()?), None),
        };
        let api = listen("server.listen", &config.server.listen, config.dev).await?;
        let (admin, admin_missing) =
            match listen("server.admin_listen", &config.server.admin_listen, config.dev).await {
                Ok(listeners) => (listeners, None),
                // Two services on a developer's machine are no reason to start neither.
                Err(error) if config.dev => (Vec::new(), Some(error)),
                Err(error) => return Err(error),
            };
        let mut frontend = None;
        if let Some(Frontend { listen: addresses, .. }) =
            config.frontend.as_ref().filter(|_| config.dev)
        {
            // Without the folder there is nothing to serve, so nobody listens either.
            if let Some(fixture) = Fixture::find(config.server.public_origin.clone()) {
                frontend = Some((listen("dev.frontend", addresses, true).await?, fixture));
            }
        }
        let app = Arc::new(App::new(config, accounts).with_clock(clock));
        Ok(Self {
            app,
            api,
            admin,
            admin_missing,
            frontend,
            demo,
            grace: config.server.shutdown_grace,
            limits: config.server.limits,
            max_connections: config.server.max_connections,
            tls: config.server.tls.clone().map(LiveTls::new),
            http2: config.server.http2,
        })
    }

    /// The first address of the service.
    ///
    /// # Errors
    ///
    /// What the system says when it does not know.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.api.first().map_or(Err(io::ErrorKind::NotConnected.into()), TcpListener::local_addr)
    }

    /// Every address of the service.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.api.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Where health, readiness and metrics are.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.admin.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// In development mode: why there is no admin listener, though there should be one.
    #[must_use]
    pub fn admin_missing(&self) -> Option<&ServeError> {
        self.admin_missing.as_ref()
    }

    /// The state behind the routes.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The certificate in force, if the service ends TLS itself.
    #[must_use]
    pub fn tls(&self) -> Option<&LiveTls> {
        self.tls.as_ref()
    }

    /// The demo account, in development mode.
    #[must_use]
    pub fn demo(&self) -> Option<&DemoAccount> {
        self.demo.as_ref()
    }

    /// The fixture page, in development mode.
    #[must_use]
    pub fn fixture(&self) -> Option<&Fixture> {
        self.frontend.as_ref().map(|(_, fixture)| fixture)
    }

    /// Serves until `shutdown` resolves; then accepts nobody any more, finishes what runs, and
    /// returns after the grace period at the latest.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Stopped {
        self.run_until_or(shutdown, std::future::pending()).await
    }

    /// The same, but does not wait for anybody once `at_once` resolves.
    pub async fn run_until_or(
        self,
        shutdown: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> Stopped {
        let (stage, open) = watch::channel(Stage::Open);
        let (admin_stage, admin_open) = watch::channel(Stage::Open);
        let app = self.app;
        let counted = Some(app.metrics.connections().clone());
        let desk = Arc::new(Desk::new(self.limits, self.max_connections, counted));
        let fixture_desk = Arc::new(Desk::new(self.limits, FIXTURE_CONNECTIONS, None));
        let admin_desk = Arc::new(Desk::new(self.limits, ADMIN_CONNECTIONS, None));
        let mut listeners = JoinSet::new();
        for listener in self.api {
            let filter = filters::service(Arc::clone(&app));
            let door = Door::new(warp::service(filter), &app);
            let service = move |peer| door.for_peer(peer);
            let protocols = Protocols::new(self.tls.clone(), &self.http2, &self.limits);
            listeners.spawn(serve(listener, protocols, service, Arc::clone(&desk), open.clone()));
        }
        if let Some((sockets, fixture)) = self.frontend {
            for listener in sockets {
                let service = warp::service(fixture.filter());
                let service = move |_| service.clone();
                let plain = Protocols::plain(&self.limits);
                listeners.spawn(serve(
                    listener,
                    plain,
                    service,
                    Arc::clone(&fixture_desk),
                    open.clone(),
                ));
            }
        }
        for listener in self.admin {
            let service = warp::service(admin::routes(Arc::clone(&app)));
            let service = move |_| service.clone();
            let plain = Protocols::plain(&self.limits);
            listeners.spawn(serve(
                listener,
                plain,
                service,
                Arc::clone(&admin_desk),
                admin_open.clone(),
            ));
        }
        // Whoever still holds one of these is a listener or a connection.
        drop((open, admin_open));
        let sweeper = tokio::spawn(sweep(Arc::clone(&app)));
        let scout = tokio::spawn(reach(Arc::clone(&app)));
        let watch = self.tls.map(|tls| tokio::spawn(watch_certificate(Arc::clone(&app), tls)));

        let mut at_once = std::pin::pin!(at_once);
        let stopped = tokio::select! {
            () = shutdown => {
                // Load balancers hear of it first, then clients with each answer.
                app.readiness.drain();
                desk.drain();
                fixture_desk.drain();
                tokio::select! {
                    stopped = drain(&stage, self.grace) => stopped,
                    () = at_once.as_mut() => Stopped::AtOnce,
                }
            }
            () = at_once.as_mut() => Stopped::AtOnce,
        };
        for stage in [stage, admin_stage] {
            // Fails only if nobody is left, and then there is nobody to tell.
            let _ = stage.send(Stage::Gone);
            stage.closed().await;
        }
        sweeper.abort();
        scout.abort();
        if let Some(watch) = watch {
            watch.abort();
        }
        app.save();
        stopped
    }
}

/// Waits until nobody is served any more, or the grace is over.
async fn drain(stage: &watch::Sender<Stage>, grace: Duration) -> Stopped {
    let last_call = LAST_CALL.min(grace / 2);
    let _ = stage.send(Stage::Draining);
    if tokio::time::timeout(last_call, stage.closed()).await.is_ok() {
        return Stopped::Drained;
    }
    let _ = stage.send(Stage::Closing);
    let rest = grace.saturating_sub(last_call);
    if tokio::time::timeout(rest, stage.closed()).await.is_ok() {
        return Stopped::Drained;
    }
    tracing::warn!("stopped with requests still running after the grace period");
    Stopped::GraceOver
}

async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let swept = app.sweep().await;
        if swept > 0 {
            tracing::debug!(swept, "dropped expired sessions");
        }
    }
}

/// Until store and provider have answered once: the first user shall not be the one who waits, nor
/// whoever asks whether the service is ready.
async fn reach(app: Arc<App>) {
    let mut ticks = tokio::time::interval(REACH_EVERY);
    loop {
        ticks.tick().await;
        let (store, provider) =
            tokio::join!(app.readiness.reach_store(&app.store), app.reach_provider());
        if store && provider {
            break;
        }
    }
}

/// Puts another certificate in force when its files have changed. What cannot be used is told once,
/// and the old one stays: between the two files that are written there is such a moment.
async fn watch_certificate(app: Arc<App>, tls: LiveTls) {
    let mut seen = Ok(tls.current().fingerprint());
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let current = tls.current();
        let files = current.files().clone();
        let read = tokio::task::spawn_blocking(move || {
            Pair::read(&files).map(|pair| (pair.fingerprint(), pair))
        });
        let Ok(read) = read.await else { continue };
        // What cannot be read has no fingerprint, but a reason.
        let found = read.as_ref().map(|(print, _)| *print).map_err(ToString::to_string);
        // SIGHUP may have been faster.
        if found == seen || found == Ok(current.fingerprint()) {
            seen = found;
            continue;
        }
        seen = found;
        let new = read.and_then(|(_, pair)| pair.ready(current.files().clone()));
        audit::tls_reload(&app, &new.map(|new| tls.replace(new)));
    }
}

async fn listen(
    key: &'static str,
    addresses: &[SocketAddr],
    dev: bool,
) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 is no reason not to develop on it.
            Err(error)
                if dev
                    && address.is_ipv6()
                    && !listeners.is_empty()
                    && error.kind() != io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(ServeError::Bind { key, address, source }),
        }
    }
    Ok(listeners)
}

fn demo_account() -> Result<(LocalAccounts, DemoAccount), AccountsError> {
    // As long as a session secret, cut to what a person can still copy: 96 bits.
    let random = SessionSecret::from_random(SystemIds.session_secret()).to_cookie_value();
    let password = random.chars().filter(char::is_ascii_alphanumeric).take(16).collect::<String>();
    let metadata = r#"{"name":"Demo User","email":"demo@example.com"}"#;
    let user = User::from_parts("demo", "", metadata);
    let accounts = LocalAccounts::single("demo", &password, user)?;
    Ok((accounts, DemoAccount { username: "demo", password: Secret::new(password) }))
}
