//! How page and backend stand to each other.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use withcreds::Fixture;

use crate::lab::cast::{self, Asker};
use crate::lab::front::{self, BLANK, Backstage, Behaviour, Front, State};
use crate::lab::hold::{Hold, Holds, Moment};
use crate::lab::record::WireLog;
use crate::lab::sabotage::Listed;
use crate::lab::service::{Policy, Services};
use crate::lab::sessions::Aliases;
use crate::lab::{Certificate, LabError, Sabotage};

/// Where page and backend are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
}

/// One topology, running: the service, and the pages that talk to it.
#[derive(Debug)]
pub struct Stage {
    /// Which.
    pub topology: Topology,
    /// Origin of the service.
    pub backend: String,
    /// Name of the session cookie.
    pub cookie: &'static str,
    /// A login that works.
    pub username: &'static str,
    /// What went over the wire.
    pub log: WireLog,
    /// Host names that the browser must map: `host:443` to a listener.
    pub hosts: Vec<(String, SocketAddr)>,
    pages: Vec<(Asker, String)>,
    services: Services,
    behaviour: Behaviour,
    holds: Holds,
    _fronts: Vec<Front>,
}

impl Stage {
    /// Starts the origins of a topology on free ports.
    ///
    /// # Errors
    ///
    /// [`LabError`].
    pub async fn start(topology: Topology, certificate: &Certificate) -> Result<Self, LabError> {
        let place = cast::backend(topology);
        let mut open = vec![(None, place, listen().await?)];
        for (asker, place) in cast::pages(topology) {
            open.push((Some(*asker), *place, listen().await?));
        }
        let mut origins = Vec::new();
        let mut hosts = Vec::new();
        for (asker, place, listener) in &open {
            let address = listener.local_addr()?;
            origins.push((*asker, place.origin(address.port())));
            hosts.extend(place.mapped().map(|host| (host, address)));
        }
        let backend = origins[0].1.clone();
        let mut pages: Vec<_> = origins
            .iter()
            .filter_map(|(asker, origin)| Some(((*asker)?, origin.clone())))
            .collect();
        if topology == Topology::SameOrigin {
            pages.push((Asker::Page, backend.clone()));
        }
        let by_name = |(asker, _): &&(Asker, String)| match asker {
            Asker::Page => topology != Topology::SameOrigin,
            asker => *asker == Asker::Second,
        };
        let listed: Vec<_> = pages.iter().filter(by_name).map(|(_, o)| o.clone()).collect();

        let facts = Listed {
            first: listed.first().and_then(|origin| HeaderValue::from_str(origin).ok()),
            careless_host: cast::careless_host(topology),
        };
        let services = Services::new(topology, backend.clone(), listed);
        let service = services.with(Policy::Sound).await?;
        let behaviour = Behaviour::new(State { service, sabotage: None });
        let cookie = if topology == Topology::CrossSite { "__Host-session" } else { "session" };
        let (log, holds) = (WireLog::default(), Holds::default());
        let client = front::client();
        let fixture = Fixture::find(parse_origin(&backend)?).ok_or(LabError::NoFixture)?;
        let fronts =
            open.into_iter().zip(origins).map(|((asker, place, listener), (_, origin))| {
                let is_backend = asker.is_none();
                let stage = Backstage {
                    origin,
                    api: is_backend,
                    page: (!is_backend || topology == Topology::SameOrigin)
                        .then(|| fixture.clone()),
                    cookie,
                    log: log.clone(),
                    holds: holds.clone(),
                    behaviour: behaviour.clone(),
                    aliases: Aliases::default(),
                    listed: facts.clone(),
                    client: client.clone(),
                };
                let tls = place.certified().map(|_| certificate.acceptor());
                Front::start(listener, tls, stage)
            });
        let fronts = fronts.collect();
        Ok(Self {
            topology,
            backend,
            cookie,
            username: "demo",
            log,
            hosts,
            pages,
            services,
            behaviour,
            holds,
            _fronts: fronts,
        })
    }

    /// The host names that the certificate of a run is made for.
    #[must_use]
    pub fn certified_hosts() -> Vec<String> {
        let places = Topology::ALL.iter().flat_map(|topology| {
            let pages = cast::pages(*topology).iter().map(|(_, place)| *place);
            pages.chain([cast::backend(*topology)])
        });
        let mut hosts: Vec<_> =
            places.filter_map(cast::Place::certified).map(str::to_owned).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Whether the fixture page has its axios.
    #[must_use]
    pub fn has_axios() -> bool {
        parse_origin("http://localhost")
            .is_ok_and(|origin| Fixture::find(origin).is_some_and(|page| page.has_axios()))
    }

    /// Breaks the service, or mends it again.
    ///
    /// # Errors
    ///
    /// [`LabError`]: another service may have to start for it.
    pub async fn sabotage(&self, sabotage: Option<Sabotage>) -> Result<(), LabError> {
        let policy = match sabotage {
            Some(Sabotage::CredentialsOff) => Policy::WithoutCredentials,
            _ => Policy::Sound,
        };
        let service = self.services.with(policy).await?;
        self.behaviour.set(State { service, sabotage });
        Ok(())
    }

    /// Puts a service with another policy behind the backend's origin, as a restart with another
    /// configuration would; its sessions are its own. What was there before comes back when the
    /// guard is dropped. A sabotage stays.
    ///
    /// # Errors
    ///
    /// [`LabError`].
    pub async fn under(&self, policy: Policy) -> Result<Under<'_>, LabError> {
        let service = self.services.with(policy).await?;
        let before = self.behaviour.state();
        self.behaviour.set(State { service, ..before.clone() });
        Ok(Under { behaviour: &self.behaviour, before: Some(before) })
    }

    /// Holds up the request of this probe (not its preflight) once.
    pub fn hold(&self, probe_id: &str, moment: Moment) -> Hold {
        self.holds.add(probe_id, moment)
    }

    /// Puts the clock of the service forward that is in force, for good.
    pub fn advance(&self, by: Duration) {
        self.behaviour.state().service.clock.advance(by);
    }

    /// The password of [`Stage::username`].
    #[must_use]
    pub fn password(&self) -> String {
        self.behaviour.state().service.password.clone()
    }

    /// Sessions that the service holds at this moment.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.behaviour.state().service.app.live_sessions()
    }

    /// The pages of this stage.
    pub fn askers(&self) -> impl Iterator<Item = Asker> {
        self.pages.iter().map(|(asker, _)| *asker)
    }

    /// The origin of a page.
    ///
    /// # Errors
    ///
    /// [`LabError::NotCast`]: this topology has no such page.
    pub fn origin(&self, asker: Asker) -> Result<&str, LabError> {
        let found = self.pages.iter().find(|(other, _)| *other == asker);
        found.map(|(_, origin)| origin.as_str()).ok_or(LabError::NotCast(asker))
    }

    /// An empty document of the host that sets cookies: nobody else does.
    #[must_use]
    pub fn document(&self) -> String {
        format!("{}{BLANK}", self.backend)
    }

    /// The page's address: it talks to this stage's backend and asks nothing by itself.
    #[must_use]
    pub fn page_url(&self, origin: &str) -> String {
        format!("{origin}/?backend={}&autocheck=off", self.backend)
    }
}

/// While it lives, another policy is in force.
#[derive(Debug)]
#[must_use = "the former policy comes back as soon as this is dropped"]
pub struct Under<'a> {
    behaviour: &'a Behaviour,
    before: Option<State>,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.behaviour.set(before);
        }
    }
}

async fn listen() -> Result<TcpListener, LabError> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).await?)
}

fn parse_origin(text: &str) -> Result<withcreds::Origin, LabError> {
    text.parse().map_err(|e: withcreds::OriginError| LabError::Config(e.to_string()))
}
