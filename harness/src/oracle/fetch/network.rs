//! The network's part of a fetch: what goes out, cookies first of all, and what is kept.

use crate::oracle::answers::{Reply, Response, ask};
use crate::oracle::fetch::{Flight, Stop, Tainting, pair};
use crate::oracle::jar::{Candidate, Fate, Navigation, Relation, Visit};
use crate::oracle::profile::RedirectChain;
use crate::oracle::request::RequestMode;
use crate::oracle::service::Call;
use crate::oracle::{Code, Finding, headers, words};
use crate::scenario::{CookieFate, Credentials, Hop, Nullable, Scheme};

impl<'a> Flight<'a, '_> {
    /// [HTTP-network-or-cache fetch](https://fetch.spec.whatwg.org/#concept-http-network-or-cache-fetch).
    pub(super) fn network(
        &mut self,
        origin: Option<&str>,
        hop: usize,
    ) -> Result<Response<'a>, Stop> {
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
    pub(super) fn choose_cookies(
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

    pub(super) fn store_cookies(
        &mut self,
        response: &Response<'_>,
        visit: &Visit<'_>,
        credentials: bool,
    ) {
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

    /// Whether this request is same-site for cookies, and if not, why.
    pub(super) fn relation(&self) -> Relation {
        let knobs = &self.browser.profile.knobs;
        let page = self.browser.case.page.origin();
        // The site for cookies: none under a frame of another site, or of an opaque origin.
        let site = match &self.client {
            Some(client) if self.is_navigation() || client.is_same_site(page, knobs.schemeful) => {
                Some(client)
            }
            Some(_) | None => None,
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

    /// [Append a request `Origin` header](https://fetch.spec.whatwg.org/#append-a-request-origin-header),
    /// with the default referrer policy.
    pub(super) fn origin_header(&self) -> Option<String> {
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
}
