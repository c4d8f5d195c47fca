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

/// What the browser says about one probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// For example `net::ERR_FAILED`, which is what every CORS error says.
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
fn probe_of(url: &str) -> Option<&str> {
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
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://api.test/me?probe=p1";

    fn event(method: &str, params: Value) -> Event {
        Event { session: Some("S".to_owned()), method: format!("Network.{method}"), params }
    }

    fn announced(id: &str, method: &str, url: &str) -> Event {
        let request = json!({"url": url, "method": method, "headers": {}});
        event("requestWillBeSent", json!({"requestId": id, "request": request}))
    }

    fn preflight(id: &str, of: &str) -> Event {
        let request = json!({"url": URL, "method": "OPTIONS"});
        let initiator = json!({"type": "preflight", "requestId": of});
        let params = json!({"requestId": id, "request": request, "initiator": initiator});
        event("requestWillBeSent", params)
    }

    fn redirected(id: &str, url: &str, has_extra: bool) -> Event {
        let mut event = announced(id, "GET", url);
        event.params["redirectResponse"] = json!({"status": 302});
        event.params["redirectHasExtraInfo"] = json!(has_extra);
        event
    }

    fn sent(id: &str, cookie: Option<&str>) -> Event {
        let mut headers = json!({"Host": "api.test"});
        if let Some(cookie) = cookie {
            headers["Cookie"] = json!(cookie);
        }
        let params = json!({"requestId": id, "headers": headers, "associatedCookies": []});
        event("requestWillBeSentExtraInfo", params)
    }

    fn answered(id: &str, status: u16) -> Event {
        let params = json!({"requestId": id, "statusCode": status, "headers": {"Vary": "Origin"}});
        event("responseReceivedExtraInfo", params)
    }

    fn received(id: &str, has_extra: bool) -> Event {
        let response = json!({"status": 200});
        let params = json!({"requestId": id, "response": response, "hasExtraInfo": has_extra});
        event("responseReceived", params)
    }

    fn finished(id: &str) -> Event {
        event("loadingFinished", json!({"requestId": id}))
    }

    fn failed(id: &str, cors_error: Option<&str>) -> Event {
        let mut params = json!({"requestId": id, "errorText": "net::ERR_FAILED"});
        if let Some(name) = cors_error {
            params["corsErrorStatus"] = json!({"corsError": name, "failedParameter": ""});
        }
        event("loadingFailed", params)
    }

    fn fed(events: &[Event]) -> Collector {
        let mut collector = Collector::default();
        for event in events {
            collector.feed(event);
        }
        collector
    }

    fn cookie_of(leg: Option<&Leg>) -> Option<&str> {
        leg?.cookie_header.as_deref()
    }

    #[test]
    fn any_order_of_the_extra_events_gives_the_same_evidence() {
        let events = [
            announced("1.1", "GET", URL),
            sent("1.1", Some("sid=1")),
            received("1.1", true),
            answered("1.1", 200),
            finished("1.1"),
        ];
        let want = fed(&events).exchange("p1").unwrap();
        assert!(want.complete);
        assert_eq!(cookie_of(want.request.as_ref()), Some("sid=1"));
        assert_eq!(want.request.as_ref().unwrap().status, Some(200));

        // The others keep their order among themselves; ExtraInfo may be anywhere.
        for order in [[1, 0, 2, 3, 4], [1, 3, 0, 2, 4], [3, 1, 0, 2, 4], [0, 2, 4, 3, 1]] {
            let mut collector = Collector::default();
            for (n, index) in order.into_iter().enumerate() {
                assert!(!collector.is_settled("p1"), "{order:?} at {n}");
                collector.feed(&events[index]);
            }
            assert_eq!(collector.exchange("p1").as_ref(), Some(&want), "{order:?}");
        }
    }

    #[test]
    fn a_preflight_is_told_from_its_actual_request() {
        let collector = fed(&[
            announced("1.1", "PUT", URL),
            sent("GUID", None),
            preflight("GUID", "1.1"),
            answered("GUID", 204),
            received("GUID", true),
            finished("GUID"),
            sent("1.1", Some("sid=1")),
            answered("1.1", 200),
            received("1.1", true),
            finished("1.1"),
        ]);
        let evidence = collector.exchange("p1").unwrap();
        let leg = evidence.preflight.as_ref().unwrap();
        assert_eq!((leg.method.as_str(), leg.sent, leg.status), ("OPTIONS", true, Some(204)));
        assert_eq!(cookie_of(Some(leg)), None);
        assert_eq!(cookie_of(evidence.request.as_ref()), Some("sid=1"));
        assert_eq!((evidence.hops.len(), evidence.complete), (1, true));
    }

    #[test]
    fn after_a_failed_preflight_the_announced_request_counts_as_not_sent() {
        let mut collector = fed(&[
            announced("1.1", "PUT", URL),
            failed("1.1", Some("PreflightMissingAllowOriginHeader")),
        ]);
        assert_eq!(collector.progress("p1"), Progress::Unsure, "the preflight is not here yet");
        for event in [preflight("G", "1.1"), sent("G", None), received("G", true)] {
            collector.feed(&event);
            assert_ne!(collector.progress("p1"), Progress::Settled);
        }
        collector.feed(&answered("G", 200));
        collector.feed(&finished("G"));
        let evidence = collector.exchange("p1").unwrap();
        assert!(evidence.complete);
        assert!(!evidence.request.unwrap().sent);
        assert!(evidence.preflight.unwrap().sent);
        let failure = evidence.failure.unwrap();
        assert_eq!(failure.cors_error.as_deref(), Some("PreflightMissingAllowOriginHeader"));
        assert_eq!(failure.failed_parameter, None);
    }

    #[test]
    fn a_refused_answer_settles_as_soon_as_both_extra_events_are_here() {
        let mut collector = fed(&[
            announced("1.1", "GET", URL),
            sent("1.1", Some("sid=1")),
            failed("1.1", Some("MissingAllowOriginHeader")),
        ]);
        assert_eq!(collector.progress("p1"), Progress::Unsure);
        collector.feed(&answered("1.1", 200));
        assert_eq!(collector.progress("p1"), Progress::Settled);
        let evidence = collector.exchange("p1").unwrap();
        assert!(evidence.request.unwrap().sent);
    }

    #[test]
    fn hops_pair_with_extra_events_in_order() {
        let to = "https://auth.test/login";
        let collector = fed(&[
            announced("1.1", "GET", URL),
            sent("1.1", Some("a=1")),
            sent("1.1", Some("b=2")),
            redirected("1.1", to, true),
            answered("1.1", 302),
            received("1.1", true),
            answered("1.1", 200),
            finished("1.1"),
        ]);
        let evidence = collector.exchange("p1").unwrap();
        let hops: Vec<_> = evidence
            .hops
            .iter()
            .map(|hop| (hop.url.as_str(), hop.cookie_header.as_deref(), hop.status))
            .collect();
        assert_eq!(hops, [(URL, Some("a=1"), Some(302)), (to, Some("b=2"), Some(200))]);
        assert_eq!(evidence.request.as_ref(), evidence.hops.last());
        assert!(evidence.complete);
    }

    #[test]
    fn a_hop_without_extra_events_does_not_take_those_of_the_next() {
        let collector = fed(&[
            announced("1.1", "GET", URL),
            redirected("1.1", "https://api.test/b", false),
            sent("1.1", Some("b=2")),
            answered("1.1", 200),
            received("1.1", true),
            finished("1.1"),
        ]);
        let evidence = collector.exchange("p1").unwrap();
        assert_eq!((evidence.hops[0].sent, evidence.hops[0].status), (false, Some(302)));
        assert_eq!(cookie_of(evidence.hops.get(1)), Some("b=2"));
        assert!(evidence.complete);
    }

    #[test]
    fn a_redirect_waits_for_the_extra_events_of_every_hop() {
        let collector = fed(&[
            announced("1.1", "GET", URL),
            redirected("1.1", "https://api.test/b", true),
            received("1.1", true),
            finished("1.1"),
            sent("1.1", None),
            answered("1.1", 302),
        ]);
        assert_eq!(collector.progress("p1"), Progress::Waiting);
    }

    #[test]
    fn engine_words_pass_through_also_when_nobody_knows_them() {
        let cookies = json!([
            {"cookie": {"name": "lax"}, "blockedReasons": ["SameSiteLax", "MoonIsFull"]},
            {"cookie": {"name": "sid"}, "blockedReasons": [], "exemptionReason": "TrustMe"},
        ]);
        let headers = json!({"cookie": "sid=1"});
        let extra = json!({"requestId": "1.1", "headers": headers, "associatedCookies": cookies,
            "clientSecurityState": {"notAFieldWeKnow": -1}});
        let refused = json!([{"cookieLine": "x=1; Secure", "blockedReasons": ["TooShiny"]}]);
        let response = json!({"requestId": "1.1", "statusCode": 299, "blockedCookies": refused,
            "headers": {"Set-Cookie": "a=1\nx=1; Secure", "Via": "x"}});
        let mut end = failed("1.1", Some("CosmicRays"));
        end.params["corsErrorStatus"]["failedParameter"] = json!("gamma");
        end.params["blockedReason"] = json!("aliens");
        let evidence = fed(&[
            announced("1.1", "GET", URL),
            event("requestWillBeSentExtraInfo", extra),
            event("responseReceivedExtraInfo", response),
            event("somethingNew", json!({"requestId": "1.1"})),
            end,
        ])
        .exchange("p1")
        .unwrap();

        let leg = evidence.request.unwrap();
        assert_eq!(leg.cookie_header.as_deref(), Some("sid=1"));
        assert_eq!(leg.cookies[0].blocked, ["SameSiteLax", "MoonIsFull"]);
        assert_eq!(leg.cookies[1].exemption.as_deref(), Some("TrustMe"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let want = [pair("Set-Cookie", "a=1"), pair("Set-Cookie", "x=1; Secure"), pair("Via", "x")];
        assert_eq!(leg.response_headers, want);
        let reasons = vec!["TooShiny".to_owned()];
        assert_eq!(
            leg.refused_set_cookies,
            [RefusedCookie { line: "x=1; Secure".to_owned(), reasons }]
        );
        let want = Failure {
            net_error: "net::ERR_FAILED".to_owned(),
            cors_error: Some("CosmicRays".to_owned()),
            failed_parameter: Some("gamma".to_owned()),
            blocked_reason: Some("aliens".to_owned()),
        };
        assert_eq!(evidence.failure, Some(want));
    }

    #[test]
    fn missing_and_misshapen_fields_lose_no_event() {
        let evidence = fed(&[
            event("requestWillBeSent", json!({"requestId": "1.1", "request": {"url": URL}})),
            event("requestWillBeSentExtraInfo", json!({"requestId": "1.1"})),
            event(
                "responseReceivedExtraInfo",
                json!({"requestId": "1.1", "statusCode": "x", "headers": [], "blockedCookies": 7}),
            ),
            event("responseReceived", json!({"requestId": "1.1"})),
            event("loadingFailed", json!({"requestId": "1.1"})),
            event("loadingFailed", json!({"requestId": 5})),
            event("loadingFailed", Value::Null),
        ])
        .exchange("p1")
        .unwrap();
        let leg = evidence.request.unwrap();
        assert_eq!((leg.sent, leg.status, leg.method.as_str()), (true, None, ""));
        assert!(evidence.failure.is_some() && evidence.complete);
    }

    #[test]
    fn an_answer_out_of_a_cache_waits_for_nothing() {
        let events = [announced("1.1", "GET", URL), received("1.1", false), finished("1.1")];
        let evidence = fed(&events).exchange("p1").unwrap();
        assert!(evidence.complete && !evidence.request.unwrap().sent);
    }

    #[test]
    fn an_answer_whose_body_never_ends_is_unsure_not_waiting() {
        let collector = fed(&[
            announced("1.1", "GET", URL),
            sent("1.1", None),
            received("1.1", true),
            answered("1.1", 200),
        ]);
        assert_eq!(collector.progress("p1"), Progress::Unsure);
    }

    #[test]
    fn a_probe_is_found_by_its_query_parameter_only() {
        for (url, want) in [
            ("http://a/?probe=1", Some("1")),
            ("http://a/x?a=b&probe=1&c=d#probe=2", Some("1")),
            ("http://a/probe=1", None),
            ("http://a/?myprobe=1", None),
            ("http://a/?probe=", None),
            ("http://a/#?probe=1", None),
            ("", None),
        ] {
            assert_eq!(probe_of(url), want, "{url}");
        }
    }

    #[test]
    fn probes_do_not_mix_and_forgetting_leaves_nothing() {
        let mut collector = Collector::default();
        for n in 0..3 {
            let id = format!("1.{n}");
            let url = format!("http://a/?probe=p{n}");
            for event in [
                announced(&id, "PUT", &url),
                sent(&id, Some(&format!("n={n}"))),
                received(&id, true),
                answered(&id, 200),
                finished(&id),
            ] {
                collector.feed(&event);
            }
        }
        for n in 0..3 {
            let probe = format!("p{n}");
            let evidence = collector.exchange(&probe).unwrap();
            assert_eq!(cookie_of(evidence.request.as_ref()), Some(format!("n={n}").as_str()));
            collector.forget(&probe);
            assert_eq!(collector.exchange(&probe), None);
            assert_eq!(collector.progress(&probe), Progress::Unseen);
        }
        assert!(collector.requests.is_empty() && collector.probes.is_empty());
    }

    #[test]
    fn strangers_do_not_pile_up_and_do_not_push_probes_out() {
        let mut collector = fed(&[announced("1.1", "GET", URL)]);
        for n in 0..5_000 {
            let (loaded, orphan) = (format!("2.{n}"), format!("3.{n}"));
            collector.feed(&announced(&loaded, "GET", "http://a/logo.png"));
            collector.feed(&finished(&loaded));
            collector.feed(&sent(&loaded, None));
            collector.feed(&sent(&orphan, None));
        }
        assert!(collector.requests.len() <= STRANGERS + 1, "{}", collector.requests.len());
        assert!(collector.by_age.len() <= STRANGERS);
        assert!(collector.exchange("p1").is_some());
    }
}
