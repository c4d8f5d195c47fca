//! One fetch from beginning to end: main fetch, preflight, network, redirects, filtering.
//! <https://fetch.spec.whatwg.org/#fetching>

use crate::oracle::answers::{Reply, Response, ask};
use crate::oracle::cors::{self, Asked, Circumstances, Violation};
use crate::oracle::jar::{Candidate, Fate, Jar, Navigation, Relation, Visit};
use crate::oracle::preflight_cache::{Key, PreflightCache};
use crate::oracle::profile::{Profile, RedirectChain, ThirdParty};
use crate::oracle::request::{Request, RequestMode};
use crate::oracle::service::{Call, Sessions, shown};
use crate::oracle::{Code, Finding, headers, words};
use crate::scenario::{
    Action, Address, BadLocation, Case, Client, CookieFate, Credentials, Fault, Frame, Hop,
    Nullable, Origin, Outcome, Redirect, ResponseType, Scheme,
};

/// <https://fetch.spec.whatwg.org/#bad-port>
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// A browser follows so many redirects.
const REDIRECTS: usize = 20;

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

    fn needs_preflight(&mut self) -> bool {
        let names = self.names();
        let safe_method = headers::is_safelisted_method(&self.request.method);
        if safe_method && names.is_empty() {
            return false;
        }
        let origin = self.serialized_origin();
        let key = self.cache_key(&origin);
        let (cache, now) = (&self.world.cache, self.world.now_ms);
        let method_known = safe_method || cache.has_method(&key, &self.request.method, now);
        let cached = method_known && names.iter().all(|name| cache.has_name(&key, name, now));
        let finding = if cached {
            let values = [self.request.method.as_str(), self.url().origin().host()];
            Finding::new(Code::PreflightCached, "an earlier preflight covers {} to {}", values)
        } else {
            self.why_preflight(&names, safe_method)
        };
        self.why.push(finding);
        !cached
    }

    fn why_preflight(&self, names: &[&str], safe_method: bool) -> Finding {
        let method = self.request.method.as_str();
        let host = self.url().origin().host();
        if !safe_method {
            let template = "a preflight comes first: no form could send {} to {}";
            return Finding::new(Code::PreflightNeeded, template, [method, host]);
        }
        if names == ["content-type"] {
            let template = "a preflight comes first: no form could send this Content-Type to {}";
            return Finding::new(Code::ContentTypeJsonTriggersPreflight, template, [host]).advice();
        }
        let template = "a preflight comes first: no form could send {} to {}";
        Finding::new(Code::PreflightNeeded, template, [&names.join(", "), host])
    }

    fn cache_key<'k>(&'k self, origin: &'k str) -> Key<'k> {
        Key {
            partition: self.browser.case.page.origin().site(),
            origin,
            url: self.url().cache_key(),
            include: self.includes(),
        }
    }

    fn includes(&self) -> bool {
        self.request.credentials == Credentials::Include
    }

    /// [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch).
    fn preflight(&mut self) -> Result<bool, Stop> {
        let knobs = &self.browser.profile.knobs;
        let origin = match &self.client {
            Some(client) if knobs.preflight_origin_survives_redirect => client.text().to_owned(),
            _ => self.serialized_origin(),
        };
        let names = headers::unsafe_names(&self.request.headers);
        let joined = names.join(",");
        let url = self.chain.last().unwrap_or(&self.action.address);
        let call = Call {
            address: url,
            method: "OPTIONS",
            headers: &[],
            cookies: Vec::new(),
            origin: Some(&origin),
            preflight: Some((&self.request.method, &joined)),
            site: None,
            is_demo_login: false,
        };
        let reply = ask(self.browser.case, &mut self.world.sessions, &call);
        let response = match reply {
            Reply::Response(response) => response,
            Reply::Fault(fault) => return Err(self.fault(fault)),
            Reply::Unknown => return Err(Stop::Unknown),
        };
        let about = Circumstances { preflight: true, ..self.circumstances(&origin) };
        let asked = Asked {
            method: &self.request.method,
            names: &names,
            wildcard_covers_authorization: knobs.wildcard_covers_authorization,
        };
        let granted = cors::preflight(&response, &about, &asked);
        let acrh = (!joined.is_empty()).then_some(joined);
        let host = url.origin().host().to_owned();
        let hop = Hop {
            origin: Some(url.origin().text().to_owned()),
            preflight: Some(true),
            cookies_sent: Some(Vec::new()),
            origin_header: Some(Nullable(None)),
        };
        self.why.extend(granted.notes);
        self.hops.push(hop);
        if self.first_preflight.is_none() {
            self.first_preflight = Some((self.request.method.clone(), acrh));
        }
        if !granted.violations.is_empty() {
            return Err(self.violated(granted.violations));
        }
        let finding =
            Finding::new(Code::PreflightPassed, "{} allows what the preflight asked for", [&host]);
        self.why.push(finding);
        let key = Key {
            partition: self.browser.case.page.origin().site(),
            origin: &origin,
            url: self.chain.last().unwrap_or(&self.action.address).cache_key(),
            include: self.request.credentials == Credentials::Include,
        };
        let now = self.world.now_ms;
        self.world.cache.keep(&key, granted.methods, granted.names, granted.max_age, knobs, now);
        Ok(true)
    }

    fn circumstances<'c>(&'c self, origin: &'c str) -> Circumstances<'c> {
        Circumstances {
            host: self.url().origin().host(),
            origin,
            include: self.includes(),
            preflight: false,
            preflight_passed: false,
            tainted: self.origin_tainted,
            elsewhere: self.url().origin().host() != self.action.address.origin().host(),
            leads_elsewhere: false,
        }
    }

    /// The CORS check of an actual response.
    fn check(&mut self, response: &Response<'_>, preflight_passed: bool) -> Result<(), Stop> {
        let origin = self.serialized_origin();
        let leads_elsewhere = response.location.as_deref().is_some_and(|location| {
            let next = self.url().follow(location);
            next.is_ok_and(|next| next.origin().host() != self.url().origin().host())
        });
        let about =
            Circumstances { preflight_passed, leads_elsewhere, ..self.circumstances(&origin) };
        let violations = cors::check(response, &about);
        if violations.is_empty() {
            let values = [self.url().origin().host(), origin.as_str()];
            let finding = Finding::new(Code::CorsPassed, "{} lets {} read its answer", values);
            self.why.push(finding);
            return Ok(());
        }
        let key = Key {
            partition: self.browser.case.page.origin().site(),
            origin: &origin,
            url: self.chain.last().unwrap_or(&self.action.address).cache_key(),
            include: self.request.credentials == Credentials::Include,
        };
        self.world.cache.forget(&key);
        Err(self.violated(violations))
    }

    /// The cause that people look for first, and the rule that the engine names.
    fn violated(&mut self, violations: Vec<Violation>) -> Stop {
        // A status that is no success says more than the headers that its answer lacks.
        let status = [
            Code::PreflightRedirect,
            Code::PreflightAuth401,
            Code::PreflightNotRouted,
            Code::PreflightOddStatus,
        ];
        let first = violations.first();
        let name = first.map(|violation| violation.name);
        let cause = violations.iter().map(|v| v.finding.code()).find(|code| status.contains(code));
        let code = cause.or_else(|| first.map(|v| v.finding.code())).unwrap_or(Code::AcaoMissing);
        let (mut causes, others): (Vec<_>, Vec<_>) =
            violations.into_iter().map(|v| v.finding).partition(|f| f.code() == code);
        causes.extend(others);
        self.why.splice(0..0, causes);
        Stop::Error(code, name)
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

    /// [Append a request `Origin` header](https://fetch.spec.whatwg.org/#append-a-request-origin-header),
    /// with the default referrer policy.
    fn origin_header(&self) -> Option<String> {
        if self.tainting == Tainting::Cors {
            return Some(self.serialized_origin());
        }
        if matches!(self.request.method.as_str(), "GET" | "HEAD") {
            return None;
        }
        let downgrade = self.request.mode != RequestMode::Cors
            && self.client.as_ref().is_some_and(|c| c.scheme() == Scheme::Https)
            && self.url().origin().scheme() == Scheme::Http;
        Some(if downgrade { "null".to_owned() } else { self.serialized_origin() })
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

    /// Whether this request is same-site for cookies, and if not, why.
    fn relation(&self) -> Relation {
        let knobs = &self.browser.profile.knobs;
        let page = self.browser.case.page.origin();
        // The site for cookies: none under a frame of another site, or of an opaque origin.
        let site = match &self.client {
            None => None,
            Some(client) if client.is_same_site(page, knobs.schemeful) => Some(client),
            Some(client) if self.is_navigation() => Some(client),
            Some(_) => None,
        };
        let Some(site) = site else {
            return Relation::CrossSite(Code::SamesiteLaxDefaultCrossSite);
        };
        let here = self.url().origin();
        if !here.is_same_site(site, knobs.schemeful) {
            return Relation::CrossSite(if here.site() == site.site() {
                Code::SchemefulSameSite
            } else if here.is_loopback() && site.is_loopback() {
                Code::LocalhostVs127Site
            } else {
                Code::SamesiteLaxDefaultCrossSite
            });
        }
        let whole_chain = match knobs.redirect_chain {
            RedirectChain::Last => true,
            RedirectChain::AllUnlessOwnOrigin if here == site => true,
            RedirectChain::All | RedirectChain::AllUnlessOwnOrigin => {
                self.chain.iter().all(|hop| hop.origin().is_same_site(site, knobs.schemeful))
            }
        };
        if whole_chain {
            Relation::SameSite
        } else {
            Relation::CrossSite(Code::SamesiteLaxDefaultCrossSite)
        }
    }

    /// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch).
    fn network(&mut self, origin: Option<&str>, hop: usize) -> Result<Response<'a>, Stop> {
        let credentials = match self.request.credentials {
            Credentials::Include => true,
            Credentials::SameOrigin => self.tainting == Tainting::Basic,
            Credentials::Omit => false,
        };
        let url = self.chain.last().unwrap_or(&self.action.address).clone();
        let page = self.browser.case.page.origin();
        let top_level = if self.is_navigation() { url.origin() } else { page };
        let third_party = match &self.client {
            _ if self.is_navigation() => false,
            // Under a frame of another site everything is a third party.
            Some(client) if client.is_same_site(page, false) => {
                !url.origin().is_same_site(page, false)
            }
            _ => true,
        };
        let navigation = self.is_navigation().then(|| {
            if headers::is_safe_method(&self.request.method) {
                Navigation::Safe
            } else {
                Navigation::Unsafe
            }
        });
        let visit = Visit {
            url: &url,
            top_level,
            relation: self.relation(),
            third_party,
            navigation,
            now_ms: self.world.now_ms,
        };
        let (cookies, pairs) = self.choose_cookies(&visit, credentials);
        let trustworthy = url.origin().is_trustworthy();
        let call = Call {
            address: &url,
            method: &self.request.method,
            headers: &self.request.headers,
            cookies,
            origin,
            preflight: None,
            site: trustworthy.then_some(self.site),
            is_demo_login: self.action.is_login,
        };
        let response = match ask(self.browser.case, &mut self.world.sessions, &call) {
            Reply::Response(response) => response,
            Reply::Fault(fault) => {
                self.withheld.clear();
                return Err(self.fault(fault));
            }
            Reply::Unknown => return Err(Stop::Unknown),
        };
        let origin = Nullable(origin.map(str::to_owned));
        match self.hops.get_mut(hop) {
            Some(hop) => {
                hop.cookies_sent = Some(pairs.clone());
                hop.origin_header = Some(origin.clone());
            }
            None => self.hops.push(Hop {
                origin: Some(url.origin().text().to_owned()),
                preflight: Some(false),
                cookies_sent: Some(pairs.clone()),
                origin_header: Some(origin.clone()),
            }),
        }
        self.sent = Some(pairs);
        self.last_origin = origin.0;
        self.store_cookies(&response, &visit, credentials);
        Ok(response)
    }

    /// The cookies of the request, as name and value and as they are shown.
    fn choose_cookies(
        &mut self,
        visit: &Visit<'_>,
        credentials: bool,
    ) -> (Vec<(String, String)>, Vec<String>) {
        let knobs = &self.browser.profile.knobs;
        let host = visit.url.origin().host();
        let (mut cookies, mut pairs) = (Vec::new(), Vec::new());
        self.withheld.clear();
        for Candidate { cookie, mut reasons } in
            self.world.jar.candidates(visit, knobs, self.browser.third_party)
        {
            if !credentials {
                reasons.insert(0, Code::ClientCredentialsNotEnabled);
            }
            if reasons.is_empty() {
                let twin = cookies.iter().any(|(name, _)| *name == cookie.name);
                let (code, template) = if twin {
                    (Code::CookieShadowedDuplicate, "a second cookie named {} travels to {}")
                } else {
                    (Code::CookieSent, "{} travels to {}")
                };
                self.why.push(Finding::new(code, template, [&cookie.name, host]).advice());
                pairs.push(pair(&cookie.name, &cookie.value));
                cookies.push((cookie.name.clone(), cookie.value.clone()));
            }
            for code in reasons {
                let template = words::withheld(code);
                self.why.push(Finding::new(code, template, [&cookie.name, host]));
                let reason = Some(code.id().to_owned());
                self.withheld.push(CookieFate { name: cookie.name.clone(), reason });
            }
        }
        (cookies, pairs)
    }

    fn store_cookies(&mut self, response: &Response<'_>, visit: &Visit<'_>, credentials: bool) {
        let knobs = &self.browser.profile.knobs;
        let host = visit.url.origin().host();
        for line in &response.set_cookie {
            let name = line.split(';').next().unwrap_or_default();
            let name = name.split_once('=').map_or("", |(name, _)| name).trim();
            let fate = if credentials {
                let (third_party, step) = (self.browser.third_party, Some(self.step));
                self.world.jar.store(line, visit, knobs, third_party, step)
            } else {
                Fate::Refused(vec![Code::ClientCredentialsNotEnabled])
            };
            match fate {
                Fate::Stored => {
                    let values = [name, host];
                    self.why.push(Finding::new(Code::CookieStored, "{} of {} is stored", values));
                }
                Fate::Removed => {}
                Fate::RemovedNothing => self.why.push(Finding::new(
                    Code::CookieDeleteAttributesMismatch,
                    "deleting {} does nothing: the one that {} can see lives under another Domain or Path",
                    [name, host],
                )),
                Fate::Refused(codes) => {
                    for code in codes {
                        let template = words::refused(code);
                        self.why.push(Finding::new(code, template, [name, host]));
                        let reason = Some(code.id().to_owned());
                        self.refused.push(CookieFate { name: name.to_owned(), reason });
                    }
                }
            }
        }
    }

    /// [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#concept-http-redirect-fetch).
    fn redirect(&mut self, location: &str, status: u16) -> Result<(), Stop> {
        if self.request.redirect == Redirect::Error {
            let template = "{} redirects, and the request says that redirects are errors";
            return Err(self.stop(Code::RedirectNotFollowed, template));
        }
        let cors = self.request.mode == RequestMode::Cors;
        let next = match self.url().follow(location) {
            Ok(next) => next,
            Err(bad) => {
                let template = "the Location that {} sends is no http or https address";
                self.stop(Code::RedirectLeadsNowhere, template);
                let scheme = cors && bad == BadLocation::Scheme;
                let name = scheme.then_some("CorsDisabledScheme");
                return Err(Stop::Error(Code::RedirectLeadsNowhere, name));
            }
        };
        if self.chain.len() > REDIRECTS {
            let template = "{} redirects, and it is the twenty-first redirect";
            return Err(self.stop(Code::RedirectLoop, template));
        }
        let foreign = self.client.as_ref() != Some(next.origin());
        if next.has_credentials() && ((cors && foreign) || self.tainting == Tainting::Cors) {
            let code = Code::RedirectContainsCredentials;
            self.stop(code, "the Location that {} sends holds a user name or a password");
            return Err(Stop::Error(code, Some("RedirectContainsCredentials")));
        }
        let method = self.request.method.as_str();
        let becomes_get = match status {
            301 | 302 => method == "POST",
            303 => !matches!(method, "GET" | "HEAD"),
            _ => false,
        };
        if becomes_get {
            "GET".clone_into(&mut self.request.method);
            let of_body =
                ["content-encoding", "content-language", "content-location", "content-type"];
            self.request.headers.retain(|(name, _)| !of_body.contains(&name.as_str()));
        }
        if self.url().origin() != next.origin() {
            self.request.headers.retain(|(name, _)| name != "authorization");
            self.origin_tainted |= self.client.as_ref() != Some(self.url().origin());
        }
        self.chain.push(next);
        Ok(())
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
        let names = &self.browser.profile.cors_names;
        let stored = self.world.jar.written_in(self.step, self.world.now_ms);
        let stored = stored.map(|cookie| pair(&cookie.name, &cookie.value)).collect();
        let (acrm, acrh) = match self.first_preflight {
            Some((method, names)) => (Some(method), names),
            None => (None, None),
        };
        let outcome = Outcome {
            preflight_sent: Some(acrm.is_some()),
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
            acrm: Some(Nullable(acrm)),
            acrh: Some(Nullable(acrh)),
            error: Some(Nullable(error.map(|code| code.id().to_owned()))),
            cors_error: Some(Nullable(name.and_then(|name| names.get(name).cloned()))),
        };
        Fetched { outcome, why: self.why }
    }

    /// What the script gets of a response.
    fn seen(&self, response: &Response<'_>) -> Seen {
        let manual = self.request.redirect == Redirect::Manual
            && response.is_redirect()
            && response.location.is_some();
        let all = || response.headers.iter().map(|(name, _)| &**name);
        let (kind, names) = match self.tainting {
            _ if manual => (ResponseType::OpaqueRedirect, Vec::new()),
            Tainting::Basic => {
                let readable = all().filter(|name| !headers::is_forbidden_response(name));
                (ResponseType::Basic, readable.collect())
            }
            Tainting::Cors => (ResponseType::Cors, cors::exposed(response, self.includes())),
            Tainting::Opaque => (ResponseType::Opaque, Vec::new()),
        };
        let readable = matches!(kind, ResponseType::Basic | ResponseType::Cors);
        // A script that navigates away reads nothing; the person sees the answer.
        let navigation = self.is_navigation();
        let exposed = if navigation { Vec::new() } else { lower(names.into_iter()) };
        let mut hidden = lower(all());
        hidden.retain(|name| !exposed.contains(name));
        if !response.set_cookie.is_empty() {
            hidden.push("set-cookie".to_owned());
        }
        Seen {
            readable: readable && !navigation,
            status: if readable { response.status } else { 0 },
            kind: (!navigation).then_some(kind),
            exposed,
            hidden,
        }
    }

    /// What works and yet surprises.
    fn remarks(&mut self, response: &Response<'_>, seen: &Seen) {
        let host = self.url().origin().host().to_owned();
        let mut remark = |code, template, value: &str| {
            self.why.push(Finding::new(code, template, [host.as_str(), value]).advice());
        };
        if seen.kind == Some(ResponseType::Opaque) && self.action.client != Client::Image {
            let template = "mode no-cors: {} answers, and the script sees status 0 and no body";
            remark(Code::NoCorsOpaque, template, "");
        }
        if seen.kind == Some(ResponseType::Cors) {
            for name in seen.hidden.iter().filter(|name| is_meant_for_scripts(name)) {
                let template = "{} sends {}, which the script cannot see: it is not exposed";
                remark(Code::ExposeHeadersMissing, template, name);
            }
            let mut exposed = response.lines("access-control-expose-headers");
            if exposed.any(|line| line.to_ascii_lowercase().contains("set-cookie")) {
                let template = "{} exposes Set-Cookie, which no script ever sees";
                remark(Code::SetCookieNotReadableByScript, template, "");
            }
            let by_origin = response.lines("access-control-allow-origin").any(|value| value != "*");
            let lists = |header: &str, words: &[&str]| {
                let lines: Vec<_> = response.lines(header).map(str::to_ascii_lowercase).collect();
                lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
            };
            let cacheable = lists("cache-control", &["max-age", "public"]);
            if by_origin && cacheable && !lists("vary", &["origin", "*"]) {
                let template =
                    "{} lets caches keep an answer that is for one origin, without Vary: Origin";
                remark(Code::VaryOriginMissingCache, template, "");
            }
        }
        if response.status == 401 && self.sent.as_ref().is_some_and(|sent| !sent.is_empty()) {
            let template = "the cookie arrived at {}, which answers 401 all the same";
            self.why.push(Finding::new(Code::ServerSessionRejected, template, [&host]));
        }
        if seen.kind == Some(ResponseType::Basic) && self.chain.len() == 1 {
            let template = "page and {} are one origin: CORS plays no part";
            self.why.push(Finding::new(Code::SameOrigin, template, [&host]));
        }
        if self.is_navigation() {
            let template = "a navigation to {} needs no CORS";
            self.why.push(Finding::new(Code::NavigationNeedsNoCors, template, [&host]));
        }
    }
}

/// What a script can see of a response.
struct Seen {
    readable: bool,
    status: u16,
    kind: Option<ResponseType>,
    exposed: Vec<String>,
    hidden: Vec<String>,
}

impl Seen {
    fn nothing() -> Self {
        Self {
            readable: false,
            status: 0,
            kind: Some(ResponseType::Error),
            exposed: Vec::new(),
            hidden: Vec::new(),
        }
    }
}

/// Lower case, each once, in order.
fn lower<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut all: Vec<_> = names.map(str::to_ascii_lowercase).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether anybody would miss a header that is not exposed.
fn is_meant_for_scripts(name: &str) -> bool {
    const NOT: [&str; 8] = [
        "connection",
        "date",
        "referrer-policy",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "x-content-type-options",
    ];
    !NOT.contains(&name) && !name.starts_with("access-control-")
}

/// `name=value`, as outcomes show it.
fn pair(name: &str, value: &str) -> String {
    let value = shown(value);
    // A cookie without a name travels as its value alone.
    if name.is_empty() { value.to_owned() } else { format!("{name}={value}") }
}
