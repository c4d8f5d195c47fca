//! The real service, started with the policies that the claims are about.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, oneshot};
use withcreds::{App, Config, Server};

use crate::lab::clock::StageClock;
use crate::lab::{LabError, Topology};

/// A configuration of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Two listed origins, across sites a pattern as well, credentials, a preflight cache of 600 s.
    Sound,
    /// The same without credentials.
    WithoutCredentials,
    /// No origin by name, but `http://localhost:*`.
    AnyPort,
    /// No `max_age_s`.
    NoMaxAge,
    /// `max_age_s = 0`.
    ZeroMaxAge,
    /// As the first, with sessions of their own: moving the clock ends them.
    MovedClock,
    /// `csrf.mode = "header"`.
    CsrfHeader,
    /// `csrf.mode = "origin"`.
    CsrfOrigin,
    /// Two failed logins, and the third has to wait.
    FewLogins,
}

impl Policy {
    /// For how long [`Policy::Sound`] lets browsers cache a preflight, in seconds.
    pub const MAX_AGE_S: u64 = 600;

    /// What all of them expose beside the CSRF token: a header that the service sends anyway.
    pub const EXPOSED: &str = "referrer-policy";

    /// How long a session lives unused, in every one of them.
    pub const IDLE: Duration = Duration::from_mins(30);

    /// How long it lives at the most.
    pub const ABSOLUTE: Duration = Duration::from_hours(1);

    const ALL: [Self; 9] = [
        Self::Sound,
        Self::WithoutCredentials,
        Self::AnyPort,
        Self::NoMaxAge,
        Self::ZeroMaxAge,
        Self::MovedClock,
        Self::CsrfHeader,
        Self::CsrfOrigin,
        Self::FewLogins,
    ];

    fn max_age_s(self) -> Option<u64> {
        match self {
            Self::NoMaxAge => None,
            Self::ZeroMaxAge => Some(0),
            _ => Some(Self::MAX_AGE_S),
        }
    }
}

/// The services of one stage, each started when it is first needed: starting one takes a password
/// hash, and not every run needs all.
#[derive(Debug)]
pub(super) struct Services {
    topology: Topology,
    backend: String,
    /// Those that the policies list by name.
    listed: Vec<String>,
    started: [OnceCell<Arc<Service>>; Policy::ALL.len()],
}

/// A running service; ends when dropped.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) addr: SocketAddr,
    pub(super) app: Arc<App>,
    /// The body of a login that works, for the sabotage that needs one.
    pub(super) login: String,
    pub(super) password: String,
    pub(super) clock: StageClock,
    _stop: oneshot::Sender<()>,
}

impl Services {
    pub(super) fn new(topology: Topology, backend: String, listed: Vec<String>) -> Self {
        Self { topology, backend, listed, started: Default::default() }
    }

    /// The service with this policy.
    pub(super) async fn with(&self, policy: Policy) -> Result<Arc<Service>, LabError> {
        let place = Policy::ALL.iter().position(|p| *p == policy).unwrap_or_default();
        let start = || async { Service::start(&self.config(policy)).await.map(Arc::new) };
        self.started[place].get_or_try_init(start).await.map(Arc::clone)
    }

    fn config(&self, policy: Policy) -> String {
        let quoted = |origins: &[String]| {
            origins.iter().map(|o| format!("'{o}'")).collect::<Vec<_>>().join(", ")
        };
        let (origins, pattern) = match (policy, self.topology) {
            (Policy::AnyPort, _) => (String::new(), "'http://localhost:*'"),
            (_, Topology::CrossSite) => (quoted(&self.listed), "'https://*.preview.example.com'"),
            (_, Topology::SameOrigin | Topology::SameSite) => (quoted(&self.listed), ""),
        };
        let mut text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = '{}'\n\
             [cors]\nallow_origins = [{origins}]\nallow_origin_patterns = [{pattern}]\n\
             allow_credentials = {}\nallow_methods = ['*']\nallow_headers = ['*']\n\
             expose_headers = ['{}']\n",
            self.backend,
            policy != Policy::WithoutCredentials,
            Policy::EXPOSED,
        );
        if let Some(seconds) = policy.max_age_s() {
            let _ = writeln!(text, "max_age_s = {seconds}");
        }
        // Claims fail to log in as often as they please, all from one address; but for one.
        let attempts = if policy == Policy::FewLogins { 2 } else { 1_000_000 };
        let _ = writeln!(text, "[rate_limit]\nlogin_attempts = {attempts}");
        match policy {
            Policy::CsrfHeader => text += "[csrf]\nmode = 'header'\n",
            Policy::CsrfOrigin => text += "[csrf]\nmode = 'origin'\n",
            _ => {}
        }
        text += "[dev]\nenabled = true\n[session]\nmax_sessions_per_user = 1000\n";
        let (idle, absolute) = (Policy::IDLE.as_secs(), Policy::ABSOLUTE.as_secs());
        let _ = writeln!(text, "idle_timeout = '{idle}s'\nabsolute_timeout = '{absolute}s'");
        if self.topology == Topology::CrossSite {
            text += "same_site = 'none'\ndangerous_allow_cross_site = true\n";
        }
        text
    }
}

impl Service {
    async fn start(config: &str) -> Result<Self, LabError> {
        let config = Config::parse(config, Path::new("(made by the harness)"))
            .map_err(|errors| LabError::Config(errors.iter().map(ToString::to_string).collect()))?;
        let clock = StageClock::default();
        let server = Server::bind_with_clock(&config, clock.clone()).await?;
        let addr = server.addr()?;
        let app = Arc::clone(server.app());
        let password = server.demo().map(|demo| demo.password.expose().clone()).unwrap_or_default();
        let login = serde_json::json!({ "username": "demo", "password": password }).to_string();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run_until(async {
            // Resolves when the sender is dropped: with the stage.
            let _ = stopped.await;
        }));
        Ok(Self { addr, app, login, password, clock, _stop: stop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_takes_each_configuration() {
        for topology in Topology::ALL {
            let backend = match topology {
                Topology::CrossSite => "https://api.example.net",
                Topology::SameOrigin | Topology::SameSite => "http://localhost:41234",
            };
            let listed = vec!["http://localhost:41235".to_owned()];
            let services = Services::new(topology, backend.to_owned(), listed);
            for policy in Policy::ALL {
                let text = services.config(policy);
                let config = Config::parse(&text, Path::new("test"));
                assert!(config.is_ok(), "{topology:?} {policy:?}: {:?}\n{text}", config.err());
                let age = policy.max_age_s().map(|seconds| format!("max_age_s = {seconds}\n"));
                assert_eq!(text.contains("max_age_s"), age.is_some(), "{policy:?}");
                assert!(age.is_none_or(|line| text.contains(&line)), "{policy:?}");
            }
        }
    }
}
