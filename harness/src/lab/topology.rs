//! How page and backend stand to each other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use withcreds::{App, Config, Fixture, Server};

use crate::lab::front::{self, Backstage, Behaviour, Front, State};
use crate::lab::record::WireLog;
use crate::lab::{Certificate, LabError, Sabotage};

/// Where page and backend are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// One origin for both: CORS is not needed at all.
    SameOrigin,
    /// Two ports of one host: cross-origin, yet one site, so `SameSite=Lax` travels.
    SameSite,
    /// Two hosts of different registrable domains, over https: only `SameSite=None; Secure` can
    /// travel, and only where the browser allows third-party cookies.
    CrossSite,
}

impl Topology {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::SameOrigin, Self::SameSite, Self::CrossSite];

    /// Its name in ids: `same-site`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::SameOrigin => "same origin",
            Self::SameSite => "same site, another port",
            Self::CrossSite => "cross-site, https, SameSite=None",
        }
    }

    fn https_hosts(self) -> Option<Hosts> {
        (self == Self::CrossSite).then_some(Hosts {
            page: "app.example.com",
            backend: "api.example.net",
            foreign: "evil.example.org",
        })
    }
}

/// Host names with default ports, mapped to loopback inside the browser.
#[derive(Clone, Copy)]
struct Hosts {
    page: &'static str,
    backend: &'static str,
    foreign: &'static str,
}

/// One topology, running: a frontend, the service, and a foreign page.
#[derive(Debug)]
pub struct Stage {
    /// Which.
    pub topology: Topology,
    /// Origin of the page.
    pub page: String,
    /// Origin of the service.
    pub backend: String,
    /// Origin of a page that no policy lists.
    pub foreign: String,
    /// Name of the session cookie.
    pub cookie: String,
    /// A login that works.
    pub username: &'static str,
    /// Its password.
    pub password: String,
    /// What went over the wire.
    pub log: WireLog,
    /// Host names that the browser must map: `host:443` to a listener.
    pub hosts: Vec<(String, SocketAddr)>,
    sound: Service,
    without_credentials: Service,
    behaviour: Behaviour,
    current: Arc<App>,
    _fronts: Vec<Front>,
}

#[derive(Debug)]
struct Service {
    addr: SocketAddr,
    app: Arc<App>,
    login: String,
    password: String,
    _stop: oneshot::Sender<()>,
}

impl Stage {
    /// Starts the origins of a topology on free ports.
    ///
    /// # Errors
    ///
    /// [`LabError`].
    pub async fn start(topology: Topology, certificate: &Certificate) -> Result<Self, LabError> {
        let listener = || TcpListener::bind(("127.0.0.1", 0));
        let (backend, page, foreign) = (listener().await?, listener().await?, listener().await?);
        let local =
            |l: &TcpListener| l.local_addr().map(|a| format!("http://localhost:{}", a.port()));
        let (origins, hosts) = match topology.https_hosts() {
            Some(names) => {
                let map = |host: &str, l: &TcpListener| {
                    l.local_addr().map(|a| (format!("{host}:443"), a))
                };
                let https = |host: &str| format!("https://{host}");
                let hosts = vec![
                    map(names.backend, &backend)?,
                    map(names.page, &page)?,
                    map(names.foreign, &foreign)?,
                ];
                ([https(names.backend), https(names.page), https(names.foreign)], hosts)
            }
            None => ([local(&backend)?, local(&page)?, local(&foreign)?], Vec::new()),
        };
        let [backend_origin, other_page, foreign_origin] = origins;
        let same_origin = topology == Topology::SameOrigin;
        let page_origin = if same_origin { backend_origin.clone() } else { other_page.clone() };

        // On one origin the policy lists some other page, to show that it plays no part.
        let sound = Service::start(topology, &backend_origin, &other_page, true).await?;
        let without_credentials =
            Service::start(topology, &backend_origin, &other_page, false).await?;
        let behaviour = Behaviour::new(sound.state(None));
        let log = WireLog::default();
        let client = front::client();
        let tls = topology.https_hosts().map(|_| certificate.acceptor());
        let fixture = Fixture::find(parse_origin(&backend_origin)?).ok_or(LabError::NoFixture)?;
        let open = |origin: &str, listener, api, page: Option<Fixture>| {
            let stage = Backstage {
                origin: origin.to_owned(),
                api,
                page,
                log: log.clone(),
                behaviour: behaviour.clone(),
                client: client.clone(),
            };
            Front::start(listener, tls.clone(), stage)
        };
        let fronts = vec![
            open(&backend_origin, backend, true, same_origin.then(|| fixture.clone())),
            open(&other_page, page, false, Some(fixture.clone())),
            open(&foreign_origin, foreign, false, Some(fixture)),
        ];
        let cookie = if topology == Topology::CrossSite { "__Host-session" } else { "session" };
        Ok(Self {
            topology,
            page: page_origin,
            backend: backend_origin,
            foreign: foreign_origin,
            cookie: cookie.to_owned(),
            username: "demo",
            password: sound.password.clone(),
            log,
            hosts,
            current: Arc::clone(&sound.app),
            sound,
            without_credentials,
            behaviour,
            _fronts: fronts,
        })
    }

    /// Whether the fixture page has its axios.
    #[must_use]
    pub fn has_axios() -> bool {
        parse_origin("http://localhost")
            .is_ok_and(|origin| Fixture::find(origin).is_some_and(|page| page.has_axios()))
    }

    /// Breaks the service, or mends it again.
    pub fn sabotage(&mut self, sabotage: Option<Sabotage>) {
        let service = match sabotage {
            Some(Sabotage::CredentialsOff) => &self.without_credentials,
            _ => &self.sound,
        };
        self.behaviour.set(service.state(sabotage));
        self.password.clone_from(&service.password);
        self.current = Arc::clone(&service.app);
    }

    /// Sessions that the service holds at this moment.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.current.live_sessions()
    }

    /// The page's address: it talks to this stage's backend and asks nothing by itself.
    #[must_use]
    pub fn page_url(&self, origin: &str) -> String {
        format!("{origin}/?backend={}&autocheck=off", self.backend)
    }
}

fn parse_origin(text: &str) -> Result<withcreds::Origin, LabError> {
    text.parse().map_err(|e: withcreds::OriginError| LabError::Config(e.to_string()))
}

impl Service {
    async fn start(
        topology: Topology,
        backend: &str,
        listed: &str,
        credentials: bool,
    ) -> Result<Self, LabError> {
        let session = match topology {
            Topology::CrossSite => "same_site = 'none'\ndangerous_allow_cross_site = true\n",
            Topology::SameOrigin | Topology::SameSite => "",
        };
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\npublic_origin = '{backend}'\n\
             [cors]\nallow_origins = ['{listed}']\nallow_credentials = {credentials}\n\
             allow_methods = ['*']\nallow_headers = ['*']\n\
             [session]\n{session}max_sessions_per_user = 1000\n\
             [dev]\nenabled = true\n"
        );
        let config = Config::parse(&text, Path::new("(made by the harness)"))
            .map_err(|errors| LabError::Config(errors.iter().map(ToString::to_string).collect()))?;
        let server = Server::bind(&config).await?;
        let addr = server.addr()?;
        let app = Arc::clone(server.app());
        let password = server.demo().map(|demo| demo.password.expose().clone()).unwrap_or_default();
        let login = serde_json::json!({ "username": "demo", "password": password }).to_string();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run_until(async {
            // Resolves when the sender is dropped: with the stage.
            let _ = stopped.await;
        }));
        Ok(Self { addr, app, login, password, _stop: stop })
    }

    fn state(&self, sabotage: Option<Sabotage>) -> State {
        State { service: self.addr, sabotage, login: self.login.clone() }
    }
}
