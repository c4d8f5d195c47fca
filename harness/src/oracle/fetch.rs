//! One fetch from beginning to end: main fetch, preflight, network, redirects, filtering.
//! <https://fetch.spec.whatwg.org/#fetching>

mod network;
mod preflight;
mod redirect;
mod seen;

use crate::oracle::answers::Response;
use crate::oracle::fetch::seen::Seen;
use crate::oracle::jar::Jar;
use crate::oracle::preflight_cache::PreflightCache;
use crate::oracle::profile::{Profile, ThirdParty};
use crate::oracle::request::{Request, RequestMode};
use crate::oracle::service::{Sessions, shown};
use crate::oracle::{Code, Finding, headers};
use crate::scenario::{
    Action, Address, Case, Client, CookieFate, Credentials, Fault, Frame, Hop, Nullable, Origin,
    Outcome, Redirect, ResponseType, Scheme,
};

/// <https://fetch.spec.whatwg.org/#bad-port>
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// What a browser profile remembers, and what the servers do.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) jar: Jar,
    pub(super) cache: PreflightCache,
    pub(super) sessions: Sessions,
    pub(super) now_ms: i64,
}

/// Everything about a browser that a fetch asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Browser<'a> {
    pub(super) case: &'a Case,
    pub(super) profile: &'a Profile,
    pub(super) third_party: ThirdParty,
}

/// What a step came to; none of the facts if only a real server could tell.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) outcome: Outcome,
    pub(super) why: Vec<Finding>,
}

/// [Response tainting](https://fetch.spec.whatwg.org/#concept-request-response-tainting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tainting {
    Basic,
    Cors,
    Opaque,
}

/// Why there is no response for the script.
enum Stop {
    /// A network error; the code that says why, and Chromium's name if CORS refused.
    Error(Code, Option<&'static str>),
    /// Nobody can know.
    Unknown,
}

/// One fetch under way.
struct Flight<'a, 'w> {
    browser: Browser<'a>,
    world: &'w mut World,
    action: &'a Action,
    step: usize,
    request: Request,
    /// None: opaque.
    client: Option<Origin>,
    chain: Vec<Address>,
    tainting: Tainting,
    origin_tainted: bool,
    site: &'static str,
    hops: Vec<Hop>,
    first_preflight: Option<(String, Option<String>)>,
    last_origin: Option<String>,
    sent: Option<Vec<String>>,
    withheld: Vec<CookieFate>,
    refused: Vec<CookieFate>,
    why: Vec<Finding>,
}

/// Makes the request of an action and says what came of it.
pub(super) fn fetch<'a>(
    browser: Browser<'a>,
    world: &mut World,
    action: &'a Action,
    step: usize,
) -> Fetched {
    let request = match Request::of(action) {
        Ok(request) => request,
        Err(finding) => return never_made(finding),
    };
    let client = match &action.frame {
        Frame::Page => Some(browser.case.page.origin().clone()),
        Frame::Opaque => None,
        Frame::Framed(origin) => Some(origin.clone()),
    };
    let mut flight = Flight {
        browser,
        world,
        action,
        step,
        request,
        client,
        chain: vec![action.address.clone()],
        tainting: Tainting::Basic,
        origin_tainted: false,
        site: "same-origin",
        hops: Vec::new(),
        first_preflight: None,
        last_origin: None,
        sent: None,
        withheld: Vec::new(),
        refused: Vec::new(),
        why: Vec::new(),
    };
    let result = flight.run();
    flight.finish(result)
}

fn never_made(finding: Finding) -> Fetched {
    let code = finding.code().id().to_owned();
    let outcome = Outcome {
        preflight_sent: Some(false),
        preflight_cookies: Some(Vec::new()),
        request_sent: Some(false),
        cookies_sent: Some(Vec::new()),
        cookies_stored: Some(Vec::new()),
        cookies_withheld: Some(Vec::new()),
        cookies_refused: Some(Vec::new()),
        readable: Some(false),
        status: Some(0),
        response_type: Some(ResponseType::Error),
        exposed_headers: Some(Vec::new()),
        hidden_headers: Some(Vec::new()),
        origin_header: Some(Nullable(None)),
        hops: Some(Vec::new()),
        acrm: Some(Nullable(None)),
        acrh: Some(Nullable(None)),
        error: Some(Nullable(Some(code))),
        cors_error: Some(Nullable(None)),
    };
    Fetched { outcome, why: vec![finding] }
}

impl<'a> Flight<'a, '_> {
    /// [Main fetch](https://fetch.spec.whatwg.org/#concept-main-fetch), once for each hop.
    fn run(&mut self) -> Result<Response<'a>, Stop> {
        loop {
            self.gates()?;
            self.tainting = self.taint()?;
            let response = self.http_fetch()?;
            if !response.is_redirect() || self.request.redirect == Redirect::Manual {
                return Ok(response);
            }
            let Some(location) = response.location.clone() else { return Ok(response) };
            self.redirect(&location, response.status)?;
        }
    }

    fn url(&self) -> &Address {
        // The chain begins with one address and only grows.
        self.chain.last().unwrap_or(&self.action.address)
    }

    fn is_navigation(&self) -> bool {
        self.request.mode == RequestMode::Navigate
    }

    /// What stops a request before Fetch looks at its mode.
    fn gates(&mut self) -> Result<(), Stop> {
        if self.mixed_content() {
            // An image is asked for over https instead of being blocked.
            let upgraded = format!("https{}", self.url().text().trim_start_matches("http"));
            let image =
                self.request.mode == RequestMode::NoCors && self.action.client == Client::Image;
            match Address::parse(&upgraded).filter(|_| image) {
                Some(address) => {
                    self.chain.pop();
                    self.chain.push(address);
                }
                None => {
                    return Err(self.stop(
                        Code::MixedContent,
                        "the page was loaded over https and asks {}, which is http: blocked before anything is sent",
                    ));
                }
            }
        }
        if BAD_PORTS.contains(&self.url().origin().port()) {
            return Err(self.stop(Code::DnsFailureOrBadPort, "browsers refuse the port of {}"));
        }
        Ok(())
    }

    fn mixed_content(&self) -> bool {
        let target = self.url().origin();
        let loopback_passes =
            target.is_loopback() && self.browser.profile.knobs.mixed_loopback_allowed;
        !self.is_navigation()
            && self.browser.case.page.origin().scheme() == Scheme::Https
            && target.scheme() == Scheme::Http
            && !loopback_passes
    }

    /// A network error that is about the current origin.
    fn stop(&mut self, code: Code, template: &'static str) -> Stop {
        let finding = Finding::new(code, template, [self.url().origin().text()]);
        // Whoever fails is told why, first of all.
        self.why.insert(0, finding);
        Stop::Error(code, None)
    }

    fn is_same_origin(&self) -> bool {
        self.client.as_ref() == Some(self.url().origin())
    }

    /// Which kind of response this hop may give.
    fn taint(&mut self) -> Result<Tainting, Stop> {
        if self.is_navigation() {
            return Ok(Tainting::Basic);
        }
        if self.is_same_origin() && self.tainting == Tainting::Basic {
            return Ok(Tainting::Basic);
        }
        match self.request.mode {
            RequestMode::SameOrigin => {
                let stop = self.stop(
                    Code::RequestModeSameOrigin,
                    "the request's mode is same-origin, and {} is another origin",
                );
                let Stop::Error(code, _) = stop else { return Err(stop) };
                Err(Stop::Error(code, Some("DisallowedByMode")))
            }
            RequestMode::NoCors if self.request.redirect != Redirect::Follow => Err(self.stop(
                Code::RequestRefusedByClient,
                "mode no-cors to {} allows no other redirect mode than follow",
            )),
            RequestMode::NoCors => Ok(Tainting::Opaque),
            RequestMode::Cors | RequestMode::Navigate => Ok(Tainting::Cors),
        }
    }

    /// [HTTP fetch](https://fetch.spec.whatwg.org/#concept-http-fetch).
    fn http_fetch(&mut self) -> Result<Response<'a>, Stop> {
        self.note_site();
        let hops = self.hops.len();
        let mut preflight_passed = false;
        if self.tainting == Tainting::Cors && self.needs_preflight() {
            preflight_passed = self.preflight()?;
        }
        let origin = self.origin_header();
        let response = self.network(origin.as_deref(), hops)?;
        if self.tainting == Tainting::Cors {
            self.check(&response, preflight_passed)?;
        }
        Ok(response)
    }

    fn names(&self) -> Vec<&str> {
        headers::unsafe_names(&self.request.headers)
    }

    fn includes(&self) -> bool {
        self.request.credentials == Credentials::Include
    }

    fn fault(&mut self, fault: Fault) -> Stop {
        match fault {
            Fault::Refused => self.stop(
                Code::ConnectionRefusedWrongPort,
                "nothing listens at {}: no CORS error, whatever the console says",
            ),
            Fault::TlsUntrusted => self.stop(
                Code::TlsUntrustedCertificate,
                "the browser does not trust the certificate of {}",
            ),
            Fault::BlockedByClient => self.stop(
                Code::BlockedByClient,
                "something inside the browser stopped the request to {}",
            ),
        }
    }

    /// [Serializing a request origin](https://fetch.spec.whatwg.org/#serializing-a-request-origin).
    fn serialized_origin(&self) -> String {
        match &self.client {
            Some(client) if !self.origin_tainted => client.text().to_owned(),
            _ => "null".to_owned(),
        }
    }

    /// How far the chain has left the page: what `Sec-Fetch-Site` says.
    fn note_site(&mut self) {
        let here = self.url().origin();
        let now = match &self.client {
            Some(client) if client == here => "same-origin",
            Some(client) if client.is_same_site(here, true) => "same-site",
            _ => "cross-site",
        };
        let rank =
            |site: &str| ["same-origin", "same-site", "cross-site"].iter().position(|s| *s == site);
        if rank(now) > rank(self.site) {
            self.site = now;
        }
    }

    fn finish(mut self, result: Result<Response<'a>, Stop>) -> Fetched {
        let (error, name, response) = match result {
            Ok(response) => (None, None, Some(response)),
            Err(Stop::Error(code, name)) => (Some(code), name, None),
            Err(Stop::Unknown) => {
                return Fetched { outcome: Outcome::default(), why: Vec::new() };
            }
        };
        let seen = response.as_ref().map_or_else(Seen::nothing, |response| self.seen(response));
        if let Some(response) = &response {
            self.remarks(response, &seen);
        }
        // What is violated comes first; else in the order in which it was decided.
        self.why.sort_by_key(|finding| !finding.is_violation());
        let engine_names = &self.browser.profile.cors_names;
        let stored = self.world.jar.written_in(self.step, self.world.now_ms);
        let stored = stored.map(|cookie| pair(&cookie.name, &cookie.value)).collect();
        let (method, names) = match self.first_preflight {
            Some((method, names)) => (Some(method), names),
            None => (None, None),
        };
        let outcome = Outcome {
            preflight_sent: Some(method.is_some()),
            preflight_cookies: Some(Vec::new()),
            request_sent: Some(self.sent.is_some()),
            cookies_sent: Some(self.sent.unwrap_or_default()),
            cookies_stored: Some(stored),
            cookies_withheld: Some(self.withheld),
            cookies_refused: Some(self.refused),
            readable: Some(seen.readable),
            status: Some(seen.status),
            response_type: seen.kind,
            exposed_headers: Some(seen.exposed),
            hidden_headers: Some(seen.hidden),
            origin_header: Some(Nullable(self.last_origin)),
            hops: Some(self.hops),
            acrm: Some(Nullable(method)),
            acrh: Some(Nullable(names)),
            error: Some(Nullable(error.map(|code| code.id().to_owned()))),
            cors_error: Some(Nullable(name.and_then(|name| engine_names.get(name).cloned()))),
        };
        Fetched { outcome, why: self.why }
    }
}

/// `name=value`, as outcomes show it.
fn pair(name: &str, value: &str) -> String {
    let value = shown(value);
    // A cookie without a name travels as its value alone.
    if name.is_empty() { value.to_owned() } else { format!("{name}={value}") }
}
