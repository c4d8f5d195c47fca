//! Folds DevTools network events into evidence about single requests. No IO, no clock.
//!
//! What makes this more than a map from request id to events (all of it measured):
//! - `requestWillBeSent` also comes for requests that are never sent (a failed preflight). Only
//!   `requestWillBeSentExtraInfo` says that headers went out, and only it has the cookies.
//! - The `…ExtraInfo` events come from another process than the others, in any order to them, with
//!   nothing but the request id. The n-th belongs to the n-th hop that has any.
//! - A redirect reuses the request id; a preflight has its own and points to the actual request.
//! - Engine enums grow and shrink with every release, so they stay strings.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use crate::browser::tap::Event;

/// What the browser says about one probe. The default is that it said nothing yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BrowserEvidence {
    /// The preflight; the last one, if a redirect needed a second. `None`: there was none, or the
    /// browser took its answer from the preflight cache.
    pub preflight: Option<Leg>,
    /// The actual request: the last of its hops.
    pub request: Option<Leg>,
    /// All hops of the actual request in order, the last one included.
    pub hops: Vec<Leg>,
    /// How loading the actual request failed, if it did.
    pub failure: Option<Failure>,
    /// False if the browser still owed something when it was asked.
    pub complete: bool,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leg {
    /// The URL without its fragment.
    pub url: String,
    /// The method, as sent.
    pub method: String,
    /// True if the browser reported the headers that it put on the wire. A request that was only
    /// announced was not sent.
    pub sent: bool,
    /// The value of the `Cookie` header on the wire; `None` if there was none.
    pub cookie_header: Option<String>,
    /// The cookies that the browser considered, sent or withheld. Empty as well when the
    /// credentials mode left all cookies out.
    pub cookies: Vec<CookieVerdict>,
    /// The header lines on the wire, sorted by name. Empty if not sent.
    pub request_headers: Vec<(String, String)>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The header lines of the answer on the wire, one entry a line, `Set-Cookie` included.
    pub response_headers: Vec<(String, String)>,
    /// The `Set-Cookie` lines that the browser refused to store.
    pub refused_set_cookies: Vec<RefusedCookie>,
}

/// What became of one cookie of the jar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CookieVerdict {
    /// The cookie's name.
    pub name: String,
    /// Why it was withheld, in the engine's words. Empty: it was sent.
    pub blocked: Vec<String>,
    /// Why it was sent although third-party cookies are blocked, in the engine's words.
    pub exemption: Option<String>,
}

/// A `Set-Cookie` line that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedCookie {
    /// The value of the header line.
    pub line: String,
    /// Why, in the engine's words.
    pub reasons: Vec<String>,
}

/// How loading failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The engine's name of the error, for example `net::ERR_FAILED`, which is what every CORS
    /// error says in Chromium. Empty where the engine itself takes the loading for a success: in
    /// Firefox a response that only the script must not read.
    pub net_error: String,
    /// The CORS rule that was broken, in the engine's words. `None`: the cause is not CORS.
    pub cors_error: Option<String>,
    /// What the rule stumbled over: a header's value, a method, a header's name.
    pub failed_parameter: Option<String>,
    /// Why the browser itself blocked the request, for example `mixed-content`.
    pub blocked_reason: Option<String>,
}

/// How much of a probe's evidence has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// No request of this probe is known.
    Unseen,
    /// An event that must come has not come.
    Waiting,
    /// Nothing that must come is missing, but more may come: after some failures the browser does
    /// not tell whether `…ExtraInfo` follows, and a body may never end. Wait a moment, then go on.
    Unsure,
    /// All is here.
    Settled,
}

/// Collects the events of a page (of its main session and of its frames' sessions).
///
/// A probe is a request whose URL has `probe=ID` in its query. Nothing is decoded: use ids of
/// letters and digits. What belongs to a probe is kept until [`Collector::forget`]; of all other
/// requests at most 1,024 are remembered.
#[derive(Debug, Default)]
pub struct Collector {
    requests: HashMap<String, Request>,
    probes: HashMap<String, Ids>,
    /// Request ids by age, candidates for removal unless they turn out to belong to a probe.
    by_age: VecDeque<String>,
}

impl Collector {
    /// Takes an event in. Events of other domains and events without a request id are ignored;
    /// fields that are missing or of an unexpected type count as absent.
    pub fn feed(&mut self, event: &Event) {
        let Some(id) = event.params["requestId"].as_str() else { return };
        let params = &event.params;
        match event.method.as_str() {
            "Network.requestWillBeSent" => self.announced(id, params),
            "Network.requestWillBeSentExtraInfo" => {
                self.request(id).sent.push(RequestExtra::read(params));
            }
            "Network.responseReceivedExtraInfo" => {
                self.request(id).answered.push(ResponseExtra::read(params));
            }
            "Network.responseReceived" => {
                if let Some(hop) = self.request(id).hops.last_mut() {
                    hop.answer(&params["response"], params["hasExtraInfo"].as_bool());
                }
            }
            "Network.loadingFinished" => self.ended(id, End::Finished),
            "Network.loadingFailed" => self.ended(id, End::Failed(failure(params))),
            _ => {}
        }
    }

    /// What is known about the probe so far. With several actual requests, the latest.
    #[must_use]
    pub fn exchange(&self, probe_id: &str) -> Option<BrowserEvidence> {
        let ids = self.probes.get(probe_id)?;
        let actual_id = ids.actual.last();
        let actual = actual_id.and_then(|id| self.requests.get(id));
        let preflight = ids
            .preflights
            .iter()
            .rev()
            .filter_map(|id| self.requests.get(id))
            .find(|preflight| actual_id.is_none() || preflight.parent.as_ref() == actual_id);
        let hops = actual.map(Request::legs).unwrap_or_default();
        Some(BrowserEvidence {
            preflight: preflight.and_then(|preflight| preflight.legs().pop()),
            request: hops.last().cloned(),
            hops,
            failure: actual.and_then(Request::failure).cloned(),
            complete: self.is_settled(probe_id),
        })
    }

    /// How much has arrived: the least of all requests of the probe.
    #[must_use]
    pub fn progress(&self, probe_id: &str) -> Progress {
        let Some(ids) = self.probes.get(probe_id) else { return Progress::Unseen };
        let preflights = ids.preflights.iter().filter_map(|id| self.requests.get(id));
        let stopped_early = preflights.clone().any(Request::has_ended);
        let actual = ids
            .actual
            .iter()
            .filter_map(|id| self.requests.get(id))
            .map(|request| request.progress(stopped_early));
        // Only a preflight so far: its actual request is yet to be announced.
        let unannounced = ids.actual.is_empty().then_some(Progress::Waiting);
        preflights
            .map(|preflight| preflight.progress(false))
            .chain(actual)
            .chain(unannounced)
            .min()
            .unwrap_or(Progress::Unseen)
    }

    /// True once the probe has finished or failed and every event it must wait for is here.
    #[must_use]
    pub fn is_settled(&self, probe_id: &str) -> bool {
        self.progress(probe_id) == Progress::Settled
    }

    /// Lets go of everything about the probe.
    pub fn forget(&mut self, probe_id: &str) {
        let Some(ids) = self.probes.remove(probe_id) else { return };
        for id in ids.actual.iter().chain(&ids.preflights) {
            self.requests.remove(id);
        }
    }

    fn announced(&mut self, id: &str, params: &Value) {
        let url = params["request"]["url"].as_str().unwrap_or_default();
        let initiator = &params["initiator"];
        let is_preflight = initiator["type"] == "preflight";
        let parent = initiator["requestId"].as_str().filter(|_| is_preflight);
        let probe = probe_of(url)
            .or_else(|| parent.and_then(|parent| self.requests.get(parent)?.probe.as_deref()))
            .map(str::to_owned);

        let hop = Hop {
            url: url.to_owned(),
            method: params["request"]["method"].as_str().unwrap_or_default().to_owned(),
            status: None,
            has_extra: None,
            is_answered: false,
        };
        let request = self.request(id);
        if let Some(redirected) = request.hops.last_mut() {
            redirected
                .answer(&params["redirectResponse"], params["redirectHasExtraInfo"].as_bool());
        }
        request.hops.push(hop);
        if is_preflight {
            request.parent = parent.map(str::to_owned);
        }
        // The first hop's id holds for the whole chain: a redirect's target need not repeat it.
        if let (None, Some(probe)) = (&request.probe, probe) {
            request.probe = Some(probe.clone());
            let ids = self.probes.entry(probe).or_default();
            let list = if is_preflight { &mut ids.preflights } else { &mut ids.actual };
            list.push(id.to_owned());
        }
    }

    fn ended(&mut self, id: &str, end: End) {
        // The end of a request that nobody announced is of no use, and so is that of a stranger.
        let Some(request) = self.requests.get_mut(id) else { return };
        if request.probe.is_some() {
            request.end = end;
        } else if !request.hops.is_empty() {
            self.requests.remove(id);
        }
    }

    /// The request with this id, new if need be: `…ExtraInfo` may be the first to mention it.
    fn request(&mut self, id: &str) -> &mut Request {
        if !self.requests.contains_key(id) {
            self.by_age.push_back(id.to_owned());
            if self.by_age.len() > STRANGERS
                && let Some(oldest) = self.by_age.pop_front()
                && self.requests.get(&oldest).is_some_and(|request| request.probe.is_none())
            {
                self.requests.remove(&oldest);
            }
        }
        self.requests.entry(id.to_owned()).or_default()
    }
}

/// How many requests without a probe id are remembered.
const STRANGERS: usize = 1024;

#[derive(Debug, Default)]
struct Ids {
    actual: Vec<String>,
    preflights: Vec<String>,
}

/// One CDP request id: a chain of hops.
#[derive(Debug, Default)]
struct Request {
    probe: Option<String>,
    /// Of a preflight: the id of the actual request.
    parent: Option<String>,
    hops: Vec<Hop>,
    sent: Vec<RequestExtra>,
    answered: Vec<ResponseExtra>,
    end: End,
}

/// How far loading got.
#[derive(Debug, Default)]
enum End {
    #[default]
    Loading,
    Finished,
    Failed(Failure),
}

impl Request {
    fn progress(&self, preflight_ended: bool) -> Progress {
        let awaited = self.hops.iter().filter(|hop| hop.has_extra == Some(true)).count();
        if self.sent.len() < awaited || self.answered.len() < awaited {
            return Progress::Waiting;
        }
        let Some(last) = self.hops.last() else { return Progress::Waiting };
        let has_all = self.sent.len() >= self.hops.len() && self.answered.len() >= self.hops.len();
        match &self.end {
            End::Loading if last.is_answered => Progress::Unsure,
            End::Loading => Progress::Waiting,
            _ if last.has_extra.is_some() || has_all => Progress::Settled,
            // All names of errors found in a preflight have this word, and after such an error
            // nothing is sent. A name that breaks the pattern costs a short wait, nothing else.
            End::Failed(failure) if preflight_ended && failure.names_preflight() => {
                Progress::Settled
            }
            _ => Progress::Unsure,
        }
    }

    fn has_ended(&self) -> bool {
        !matches!(self.end, End::Loading)
    }

    fn failure(&self) -> Option<&Failure> {
        match &self.end {
            End::Failed(failure) => Some(failure),
            End::Loading | End::Finished => None,
        }
    }

    fn legs(&self) -> Vec<Leg> {
        let mut sent = self.sent.iter();
        let mut answered = self.answered.iter();
        let last = self.hops.len().saturating_sub(1);
        let leg = |(n, hop): (usize, &Hop)| {
            // A hop out of a cache, or one the browser made up (HSTS), has no ExtraInfo. The last
            // hop takes what is left: whatever the browser announced, it reported the headers.
            let has_extra = n == last || hop.has_extra != Some(false);
            let (sent, answered) =
                if has_extra { (sent.next(), answered.next()) } else { (None, None) };
            hop.leg(sent, answered)
        };
        self.hops.iter().enumerate().map(leg).collect()
    }
}

#[derive(Debug)]
struct Hop {
    url: String,
    method: String,
    status: Option<u16>,
    /// The browser's word on whether there is `…ExtraInfo` for this hop.
    has_extra: Option<bool>,
    is_answered: bool,
}

impl Hop {
    fn answer(&mut self, response: &Value, has_extra: Option<bool>) {
        self.status = status(&response["status"]);
        self.has_extra = has_extra;
        self.is_answered = true;
    }

    fn leg(&self, sent: Option<&RequestExtra>, answered: Option<&ResponseExtra>) -> Leg {
        let request = sent.cloned().unwrap_or_default();
        let response = answered.cloned().unwrap_or_default();
        Leg {
            url: self.url.clone(),
            method: self.method.clone(),
            sent: sent.is_some(),
            cookie_header: request
                .headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("cookie"))
                .map(|(_, value)| value.clone()),
            cookies: request.cookies,
            request_headers: request.headers,
            // The wire first: after a revalidation the other events say 200 for a 304.
            status: response.status.or(self.status),
            response_headers: response.headers,
            refused_set_cookies: response.refused,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct RequestExtra {
    headers: Vec<(String, String)>,
    cookies: Vec<CookieVerdict>,
}

impl RequestExtra {
    fn read(params: &Value) -> Self {
        let cookies = list(&params["associatedCookies"]).map(|entry| CookieVerdict {
            name: entry["cookie"]["name"].as_str().unwrap_or_default().to_owned(),
            blocked: strings(&entry["blockedReasons"]),
            exemption: string(&entry["exemptionReason"]),
        });
        Self { headers: headers(&params["headers"]), cookies: cookies.collect() }
    }
}

#[derive(Debug, Clone, Default)]
struct ResponseExtra {
    status: Option<u16>,
    headers: Vec<(String, String)>,
    refused: Vec<RefusedCookie>,
}

impl ResponseExtra {
    fn read(params: &Value) -> Self {
        let refused = list(&params["blockedCookies"]).map(|entry| RefusedCookie {
            line: entry["cookieLine"].as_str().unwrap_or_default().to_owned(),
            reasons: strings(&entry["blockedReasons"]),
        });
        Self {
            status: status(&params["statusCode"]),
            headers: headers(&params["headers"]),
            refused: refused.collect(),
        }
    }
}

impl Failure {
    fn names_preflight(&self) -> bool {
        self.cors_error.as_deref().is_some_and(|name| name.contains("Preflight"))
    }
}

fn failure(params: &Value) -> Failure {
    let cors = &params["corsErrorStatus"];
    Failure {
        net_error: params["errorText"].as_str().unwrap_or_default().to_owned(),
        cors_error: string(&cors["corsError"]),
        // The field is always there, and empty for the errors that have no parameter.
        failed_parameter: string(&cors["failedParameter"]).filter(|value| !value.is_empty()),
        blocked_reason: string(&params["blockedReason"]),
    }
}

/// The value of `probe` in the query of `url`.
pub(crate) fn probe_of(url: &str) -> Option<&str> {
    let url = url.split('#').next()?;
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("probe=")).filter(|id| !id.is_empty())
}

/// CDP gives headers as an object and joins the lines of one name with line feeds.
fn headers(object: &Value) -> Vec<(String, String)> {
    let entries = object.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, lines)| Some((name, lines.as_str()?)))
        .flat_map(|(name, lines)| lines.split('\n').map(|line| (name.clone(), line.to_owned())))
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> Vec<String> {
    list(value).filter_map(string).collect()
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn status(value: &Value) -> Option<u16> {
    // 0 is the browser's way of saying that there was no answer.
    value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|status| *status != 0)
}

#[cfg(test)]
mod tests;
