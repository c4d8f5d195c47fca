//! The only owner of sockets: binds, accepts, drains.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_service::Service;
use warp::reply::Response;

use crate::app::App;
use crate::config::{Config, Frontend};
use crate::effects::{Clock, IdSource as _, SystemClock, SystemIds};
use crate::filters::{self, Door};
use crate::fixture::Fixture;
use crate::identity::{AccountsError, LocalAccounts, User};
use crate::policy::session::SessionSecret;
use crate::pulse::{Beating, Pulse};
use crate::secret::Secret;

/// A client that has not sent its headers by then is cut off.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// Request line and headers together.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How often expired sessions are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a provider that has never answered is asked again.
const REACH_EVERY: Duration = Duration::from_secs(5);

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
    frontend: Option<(Vec<TcpListener>, Fixture)>,
    demo: Option<DemoAccount>,
    grace: Duration,
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
        Ok(Self { app, api, frontend, demo, grace: config.server.shutdown_grace })
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

    /// The state behind the routes.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
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
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let mut servers = tokio::task::JoinSet::new();
        for listener in self.api {
            let filter = filters::service(Arc::clone(&self.app));
            let service = Door::new(warp::service(filter), self.app.cors.clone());
            let service = move |peer| service.for_peer(peer);
            servers.spawn(serve(listener, service, stopped.clone(), self.grace));
        }
        if let Some((listeners, fixture)) = self.frontend {
            for listener in listeners {
                let service = warp::service(fixture.filter());
                let service = move |_| service.clone();
                servers.spawn(serve(listener, service, stopped.clone(), self.grace));
            }
        }
        let sweeper = tokio::spawn(sweep(Arc::clone(&self.app)));
        let scout = tokio::spawn(reach_provider(Arc::clone(&self.app)));
        shutdown.await;
        drop(stopped);
        // Fails only if nobody listens any more, and then there is nobody to tell.
        let _ = stop.send(());
        while servers.join_next().await.is_some() {}
        sweeper.abort();
        scout.abort();
        self.app.save();
    }
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

/// Until the provider has answered once: the first user shall not be the one who waits.
async fn reach_provider(app: Arc<App>) {
    let mut ticks = tokio::time::interval(REACH_EVERY);
    loop {
        ticks.tick().await;
        if app.reach_provider().await {
            break;
        }
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

/// Serves one listener until told to stop, then drains. Each connection gets a service for the one
/// at its other end.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    service: impl Fn(IpAddr) -> S,
    mut stopped: watch::Receiver<()>,
    grace: Duration,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let mut http = http1::Builder::new();
    // Answers are small: one buffer and one plain write cost less than gathering two.
    http.max_buf_size(MAX_HEAD_BYTES).writev(false);
    let draining = GracefulShutdown::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Small answers go out at once instead of waiting for more to say.
                    let _ = stream.set_nodelay(true);
                    let pulse = Arc::new(Pulse::default());
                    let service = Beating::new(service(peer.ip()), Arc::clone(&pulse));
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    let connection = draining.watch(connection);
                    tokio::spawn(async move {
                        tokio::select! {
                            ended = connection => if let Err(error) = ended {
                                tracing::debug!(%error, "a connection ended badly");
                            },
                            () = pulse.silence(HEADER_DEADLINE) => {}
                        }
                    });
                }
                Err(error) => {
                    // Most likely out of file descriptors: those who are served will free some.
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, draining.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still running after the grace period");
    }
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
