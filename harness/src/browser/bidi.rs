//! Folds WebDriver BiDi's network and log events into evidence about single requests. No IO, no
//! clock.
//!
//! What makes this more than a map from request id to events (all of it measured in Firefox):
//! - `beforeRequestSent` comes before the preflight's and also when nothing is ever sent. Only
//!   `responseStarted` says that a request went out.
//! - `request.cookies` lists what the jar holds, not what was sent. The `Cookie` entry of
//!   `request.headers` is what went over the wire.
//! - A response that the CORS check refuses looks like a success. Only the console says otherwise,
//!   and its text comes before or after the script's promise is rejected.
//! - Words and events that are not known count as absent, and lose nothing else.

mod console;

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::browser::evidence::{
    BrowserEvidence, CookieVerdict, Failure, Leg, Progress, RefusedCookie, probe_of,
};
use crate::browser::jar;
use crate::browser::tap::Event;

/// Collects the events of a browser.
///
/// A probe is a request whose URL has `probe=ID` in its query. What belongs to a probe is kept until
/// [`BidiCollector::forget`]; of all other requests at most 1,024 are remembered.
#[derive(Debug, Default)]
pub struct BidiCollector {
    requests: HashMap<String, Request>,
    probes: HashMap<String, Probe>,
    by_age: VecDeque<String>,
}

impl BidiCollector {
    /// Takes an event in. Others than those of the modules `network` and `log` are ignored.
    pub fn feed(&mut self, event: &Event) {
        let params = &event.params;
        if event.method == "log.entryAdded" {
            self.heard(params["text"].as_str().unwrap_or_default());
            return;
        }
        let Some(id) = params["request"]["request"].as_str() else { return };
        match event.method.as_str() {
            "network.beforeRequestSent" => self.announced(id, params),
            "network.responseStarted" => self.hop(id, params, Hop::started),
            "network.responseCompleted" => {
                self.hop(id, params, Hop::started);
                self.hop(id, params, |hop, _| hop.end = End::Finished);
            }
            "network.fetchError" => {
                self.hop(id, params, |hop, params| {
                    let error = params["errorText"].as_str().unwrap_or("an error without a name");
                    hop.end = End::Failed(error.to_owned());
                });
            }
            _ => {}
        }
        self.forget_stranger(id);
    }

    /// What is known about the probe so far. With several actual requests, the latest.
    #[must_use]
    pub fn exchange(&self, probe_id: &str) -> Option<BrowserEvidence> {
        let probe = self.probes.get(probe_id)?;
        let of = |ids: &[String]| ids.last().and_then(|id| self.requests.get(id));
        let hops: Vec<_> = of(&probe.actual).map(|r| r.legs(probe)).unwrap_or_default();
        Some(BrowserEvidence {
            preflight: of(&probe.preflights).and_then(|request| request.legs(probe).pop()),
            request: hops.last().cloned(),
            hops,
            failure: of(&probe.actual).and_then(|request| request.failure(probe)),
            complete: self.progress(probe_id) == Progress::Settled,
        })
    }

    /// How much has arrived: the least of all requests of the probe.
    #[must_use]
    pub fn progress(&self, probe_id: &str) -> Progress {
        let Some(probe) = self.probes.get(probe_id) else { return Progress::Unseen };
        let known = |ids: &[String]| -> Vec<&Request> {
            ids.iter().filter_map(|id| self.requests.get(id)).collect()
        };
        let (preflights, actual) = (known(&probe.preflights), known(&probe.actual));
        // Only a preflight so far: its actual request is yet to be announced.
        let unannounced = actual.is_empty().then_some(Progress::Waiting);
        let preflights = preflights.into_iter().map(Request::loading);
        let actual = actual.into_iter().map(|request| request.progress(probe));
        preflights.chain(actual).chain(unannounced).min().unwrap_or(Progress::Unseen)
    }

    /// Lets go of everything about the probe.
    pub fn forget(&mut self, probe_id: &str) {
        let Some(probe) = self.probes.remove(probe_id) else { return };
        for id in probe.actual.iter().chain(&probe.preflights) {
            self.requests.remove(id);
        }
    }

    fn announced(&mut self, id: &str, params: &Value) {
        self.hop(id, params, |_, _| {});
        let Some(request) = self.requests.get_mut(id) else { return };
        // The first hop's id holds for the whole chain: a redirect's target need not repeat it.
        let probe = params["request"]["url"].as_str().and_then(probe_of);
        let (None, Some(probe)) = (&request.probe, probe) else { return };
        request.probe = Some(probe.to_owned());
        let known = self.probes.entry(probe.to_owned()).or_default();
        let list = if request.is_preflight { &mut known.preflights } else { &mut known.actual };
        list.push(id.to_owned());
    }

    /// Changes the hop that an event is about, new if need be.
    fn hop(&mut self, id: &str, params: &Value, change: impl FnOnce(&mut Hop, &Value)) {
        if !self.requests.contains_key(id) {
            self.by_age.push_back(id.to_owned());
        }
        let request = self.requests.entry(id.to_owned()).or_insert_with(|| Request {
            is_preflight: is_preflight(&params["request"]),
            ..Request::default()
        });
        let number = params["redirectCount"].as_u64().and_then(|n| usize::try_from(n).ok());
        let number = number.unwrap_or(0).min(REDIRECTS);
        while request.hops.len() <= number {
            request.hops.push(Hop::default());
        }
        let hop = &mut request.hops[number];
        if hop.url.is_empty() {
            hop.url = without_fragment(params["request"]["url"].as_str().unwrap_or_default());
            params["request"]["method"].as_str().unwrap_or_default().clone_into(&mut hop.method);
        }
        change(hop, params);
    }

    fn forget_stranger(&mut self, id: &str) {
        // What ended and belongs to nobody is of no use.
        let ended = |request: &Request| {
            request.probe.is_none()
                && request.hops.last().is_some_and(|hop| hop.end != End::Loading)
        };
        let is_redirect = |request: &Request| {
            request.hops.last().and_then(|hop| hop.status).is_some_and(|s| (300..400).contains(&s))
        };
        if self.requests.get(id).is_some_and(|request| ended(request) && !is_redirect(request)) {
            self.requests.remove(id);
        }
        while self.by_age.len() > STRANGERS {
            let Some(oldest) = self.by_age.pop_front() else { return };
            if self.requests.get(&oldest).is_some_and(|request| request.probe.is_none()) {
                self.requests.remove(&oldest);
            }
        }
    }

    fn heard(&mut self, text: &str) {
        if let Some(blocked) = console::blocked(text) {
            if let Some(probe) = probe_of(&blocked.url).and_then(|id| self.probes.get_mut(id)) {
                probe.blocked.push(blocked);
            }
        } else if let Some(cookie) = console::refused_cookie(text) {
            // The text names no request: it belongs to those whose answer sets such a cookie.
            for probe in self.probes.values_mut() {
                let ids = probe.actual.iter().chain(&probe.preflights);
                let sets = ids
                    .filter_map(|id| self.requests.get(id))
                    .any(|request| request.hops.iter().any(|hop| hop.sets(&cookie.name)));
                if sets {
                    probe.refused.push(cookie.clone());
                }
            }
        }
    }
}

/// How many requests without a probe id are remembered.
const STRANGERS: usize = 1024;
/// No engine follows more than 20.
const REDIRECTS: usize = 64;

#[derive(Debug, Default)]
struct Probe {
    actual: Vec<String>,
    preflights: Vec<String>,
    /// What the console says about its being blocked.
    blocked: Vec<console::Blocked>,
    /// What the console says about cookies of that name.
    refused: Vec<console::Refused>,
}

/// One request id: a chain of hops.
#[derive(Debug, Default)]
struct Request {
    probe: Option<String>,
    is_preflight: bool,
    hops: Vec<Hop>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Loading,
    Finished,
    Failed(String),
}

impl Request {
    fn loading(&self) -> Progress {
        match self.hops.last() {
            Some(hop) if hop.end != End::Loading => Progress::Settled,
            // A body may never end.
            Some(hop) if hop.started => Progress::Unsure,
            _ => Progress::Waiting,
        }
    }

    fn progress(&self, probe: &Probe) -> Progress {
        let loading = self.loading();
        let Some(last) = self.hops.last() else { return Progress::Waiting };
        if loading != Progress::Settled || probe.blocked.iter().any(|text| text.name.is_some()) {
            return loading;
        }
        match &last.end {
            // Of a failed preflight, or of a redirect that CORS forbids, the console tells.
            End::Failed(error) if error == FORBIDDEN => Progress::Waiting,
            End::Failed(_) => Progress::Unsure,
            _ => last.cors_check(),
        }
    }

    fn failure(&self, probe: &Probe) -> Option<Failure> {
        let error = self.hops.last().and_then(|hop| match &hop.end {
            End::Failed(error) => Some(error.clone()),
            End::Loading | End::Finished => None,
        });
        // One failure may have two texts: its own, and a generic one that names no rule.
        let blocked = probe.blocked.iter().find(|blocked| blocked.name.is_some());
        if error.is_none() && probe.blocked.is_empty() {
            return None;
        }
        Some(Failure {
            net_error: error.unwrap_or_default(),
            cors_error: blocked.and_then(|blocked| blocked.name.clone()),
            failed_parameter: blocked.and_then(|blocked| blocked.parameter.clone()),
            blocked_reason: None,
        })
    }

    fn legs(&self, probe: &Probe) -> Vec<Leg> {
        self.hops.iter().map(|hop| hop.leg(probe)).collect()
    }
}

/// What Firefox calls a request that the rules forbid, not the network.
const FORBIDDEN: &str = "NS_ERROR_DOM_BAD_URI";

#[derive(Debug, Default)]
struct Hop {
    url: String,
    method: String,
    /// True once there is an answer: proof that the request went out.
    started: bool,
    request_headers: Vec<(String, String)>,
    status: Option<u16>,
    response_headers: Vec<(String, String)>,
    end: End,
}

impl Hop {
    fn started(&mut self, params: &Value) {
        self.started = true;
        self.request_headers = headers(&params["request"]["headers"]);
        self.status = params["response"]["status"].as_u64().and_then(|s| u16::try_from(s).ok());
        self.response_headers = headers(&params["response"]["headers"]);
    }

    /// Whether a text must still come: a response that surely fails the
    /// [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) is reported in the console.
    fn cors_check(&self) -> Progress {
        let Some(origin) = value(&self.request_headers, "origin") else { return Progress::Settled };
        let cors = value(&self.request_headers, "sec-fetch-mode").is_none_or(|mode| mode == "cors");
        let same = self.url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        if !cors || same {
            return Progress::Settled;
        }
        let credentials = value(&self.response_headers, "access-control-allow-credentials");
        match value(&self.response_headers, "access-control-allow-origin") {
            None => Progress::Waiting,
            Some(granted) if granted == origin && credentials == Some("true") => Progress::Settled,
            // Whether the rest fails depends on the credentials mode, which the events do not show.
            Some(granted) if granted == origin || granted == "*" => Progress::Unsure,
            Some(_other) => Progress::Waiting,
        }
    }

    fn sets(&self, cookie: &str) -> bool {
        self.set_cookies(cookie).next().is_some()
    }

    fn set_cookies<'a>(&'a self, cookie: &'a str) -> impl Iterator<Item = &'a str> {
        self.response_headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            // Several lines may come as one value.
            .flat_map(|(_, value)| value.split('\n'))
            .filter(move |line| line.split('=').next().map(str::trim) == Some(cookie))
    }

    fn leg(&self, probe: &Probe) -> Leg {
        let cookie_header = value(&self.request_headers, "cookie").map(str::to_owned);
        let sent = cookie_header.iter().flat_map(|header| header.split(';'));
        let cookies = sent.map(|pair| CookieVerdict {
            name: pair.split('=').next().unwrap_or_default().trim().to_owned(),
            blocked: Vec::new(),
            exemption: None,
        });
        let refused = probe.refused.iter().flat_map(|refused| {
            self.set_cookies(&refused.name).map(|line| RefusedCookie {
                line: line.to_owned(),
                reasons: vec![refused.reason.clone()],
            })
        });
        Leg {
            url: self.url.clone(),
            method: self.method.clone(),
            sent: self.started,
            cookies: cookies.collect(),
            cookie_header,
            request_headers: self.request_headers.clone(),
            status: self.status,
            response_headers: self.response_headers.clone(),
            refused_set_cookies: refused.collect(),
        }
    }
}

fn is_preflight(request: &Value) -> bool {
    let asks =
        |(name, _): &(String, String)| name.eq_ignore_ascii_case("access-control-request-method");
    request["method"] == "OPTIONS" && headers(&request["headers"]).iter().any(asks)
}

fn headers(list: &Value) -> Vec<(String, String)> {
    let entries = list.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), jar::bytes(&entry["value"]))))
        .collect()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn without_fragment(url: &str) -> String {
    url.split('#').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
