//! A stage with its pages open, and what happens when one of them makes a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::browser::{Browser, BrowserError, BrowserEvidence, JarCookie, Leg, Tab};
use crate::lab::{Asker, LabError, Stage, Topology, WireExchange};
use crate::prove::ProveError;

/// How long the browser layer waits for evidence.
const EVIDENCE_DEADLINE: Duration = Duration::from_secs(10);

/// How a frontend makes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// `fetch(url, { credentials })`.
    Fetch,
    /// `XMLHttpRequest` and its `withCredentials`.
    Xhr,
    /// axios with `axios.defaults.withCredentials = true`.
    AxiosDefaults,
    /// axios by `axios.create({ withCredentials: true, baseURL })`.
    AxiosCreate,
}

impl Client {
    /// All forms.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Xhr, Self::AxiosDefaults, Self::AxiosCreate];

    /// The name that the fixture page knows it by.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Xhr => "xhr",
            Self::AxiosDefaults => "axios-defaults",
            Self::AxiosCreate => "axios-create",
        }
    }

    /// Whether it needs the npm package.
    #[must_use]
    pub fn is_axios(self) -> bool {
        matches!(self, Self::AxiosDefaults | Self::AxiosCreate)
    }

    /// The ways to leave credentials out that this client has.
    #[must_use]
    pub fn modes_without_credentials(self) -> &'static [Mode] {
        match self {
            Self::Fetch => &[Mode::Default, Mode::SameOrigin, Mode::Omit],
            // `withCredentials` is a switch with two positions: neither says omit.
            Self::Xhr | Self::AxiosDefaults | Self::AxiosCreate => {
                &[Mode::Default, Mode::SameOrigin]
            }
        }
    }
}

/// Fetch's [credentials mode](https://fetch.spec.whatwg.org/#concept-request-credentials-mode),
/// or none given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `include`; `withCredentials = true`.
    Include,
    /// Not mentioned.
    Default,
    /// `same-origin`; `withCredentials = false`.
    SameOrigin,
    /// `omit`.
    Omit,
}

impl Mode {
    /// Its name on the page.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Default => "default",
            Self::SameOrigin => "same-origin",
            Self::Omit => "omit",
        }
    }
}

/// One request to make.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) from: Asker,
    pub(super) client: Client,
    pub(super) mode: Mode,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
    pub(super) no_cors: bool,
    /// What stands for `{handle}` in the path.
    pub(super) handle: Option<String>,
    /// Asks the address of an earlier probe again; `None` takes a new one.
    pub(super) probe: Option<String>,
}

/// What the page's script could see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageView {
    /// Whether the script got the response.
    pub readable: bool,
    /// The status it saw; 0 for none.
    pub status: u16,
    /// fetch's response type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The headers it could read.
    pub headers: Vec<(String, String)>,
    /// The body it could read.
    #[serde(skip_serializing)]
    pub body: Option<String>,
    /// What it caught.
    pub error: Option<Thrown>,
    /// `document.cookie` afterwards.
    #[serde(rename(deserialize = "cookie"), skip_serializing)]
    pub document_cookie: String,
}

/// An error as a script catches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thrown {
    /// For example `TypeError`.
    pub name: String,
    /// The engine's own words.
    pub message: String,
}

/// One request from all three sides: script, wire, browser.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Origin of the page that asked.
    pub from: String,
    /// Its standing with the policy.
    pub asker: Asker,
    /// The credentials mode it asked for.
    pub mode: Mode,
    /// Method as the script gave it.
    pub method: &'static str,
    /// Path.
    pub path: &'static str,
    /// What the script could see.
    pub page: PageView,
    /// The preflight as the server got it.
    pub preflight: Option<WireExchange>,
    /// The request as the server got it; `None` if it never came.
    pub request: Option<WireExchange>,
    /// Further preflights or requests of the same probe; there should be none.
    pub repeats: usize,
    /// What the browser says; `None` if it says nothing about requests.
    pub browser: Option<BrowserEvidence>,
}

impl Observed {
    /// The JSON that the script could read.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(self.page.body.as_deref()?).ok()
    }

    /// A field of it that is a string.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        self.json()?.get(name)?.as_str().map(str::to_owned)
    }

    /// Whether the browser gives this reason for a cookie that it kept back or refused to store.
    pub(super) fn gives(&self, reason: &str) -> bool {
        let legs =
            self.browser.iter().flat_map(|browser| browser.hops.iter().chain(&browser.preflight));
        legs.flat_map(|leg| {
            let withheld = leg.cookies.iter().flat_map(|cookie| &cookie.blocked);
            withheld.chain(leg.refused_set_cookies.iter().flat_map(|refused| &refused.reasons))
        })
        .any(|given| given == reason)
    }

    /// Whether the browser names the rule of CORS that the request broke.
    pub(super) fn names_cors_rule(&self) -> bool {
        let failure = self.browser.as_ref().and_then(|evidence| evidence.failure.as_ref());
        failure.is_some_and(|failure| failure.cors_error.is_some())
    }

    /// The value of a cookie on the wire.
    pub(super) fn sent(&self, cookie: &str) -> Option<&str> {
        self.request.as_ref()?.cookie(cookie)
    }

    /// Where browser and wire contradict each other; a proof that rests on either alone is none.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.repeats > 0 {
            found.push(format!("{} more requests came than were made", self.repeats));
        }
        let on_wire = self.request.as_ref().map(|wire| wire.status);
        if self.page.readable && on_wire != Some(self.page.status) {
            found.push("the script read another status than was sent".to_owned());
        }
        // A browser that says nothing contradicts nothing: then wire and script are all there is.
        let Some(browser) = &self.browser else { return found };
        if self.page.readable && browser.failure.is_some() {
            found.push("the script read what the browser calls failed".to_owned());
        }
        let legs = [
            ("preflight", &browser.preflight, &self.preflight),
            ("request", &browser.request, &self.request),
        ];
        for (what, leg, wire) in legs {
            let says = leg.as_ref().filter(|leg| leg.sent);
            match (says, wire) {
                (None, None) => {}
                (Some(_), None) => found.push(format!("the browser sent a {what} that never came")),
                (None, Some(_)) => found.push(format!("a {what} came that the browser never sent")),
                (Some(leg), Some(wire)) => {
                    let on_wire = wire.request("cookie").collect::<Vec<_>>().join("; ");
                    if leg.cookie_header.as_deref().unwrap_or("") != on_wire {
                        found.push(format!("browser and server saw other cookies on the {what}"));
                    }
                    if leg.status.is_some_and(|status| status != wire.status) {
                        found.push(format!("browser and server saw another status of the {what}"));
                    }
                }
            }
        }
        found
    }
}

/// A stage with its pages: the two that most claims need are open, others open when asked for.
pub(super) struct Scene<'a> {
    pub(super) stage: &'a Stage,
    /// Where its cookies are looked for.
    documents: [String; 1],
    pages: HashMap<Asker, OnceCell<Box<dyn Tab>>>,
    number: usize,
    next_probe: AtomicU64,
}

impl<'a> Scene<'a> {
    pub(super) async fn open(
        browser: &dyn Browser,
        stage: &'a Stage,
        number: usize,
    ) -> Result<Self, ProveError> {
        let pages = stage.askers().map(|asker| (asker, OnceCell::new())).collect();
        let documents = [stage.document()];
        let scene = Self { stage, documents, pages, number, next_probe: AtomicU64::new(0) };
        scene.raise(browser, &[Asker::Page, Asker::Foreign]).await?;
        Ok(scene)
    }

    /// The pages that the claims of this topology let ask.
    pub(super) fn askers(&self) -> Vec<Asker> {
        let only_two = self.stage.topology == Topology::SameOrigin;
        let asks = |asker: &Asker| !only_two || matches!(asker, Asker::Page | Asker::Foreign);
        self.stage.askers().filter(asks).collect()
    }

    /// Opens pages that are not open yet, all at once.
    pub(super) async fn raise(
        &self,
        browser: &dyn Browser,
        askers: &[Asker],
    ) -> Result<(), ProveError> {
        let pages = askers.iter().map(|asker| self.page(browser, *asker));
        try_join_all(pages).await.map(|_open| ())
    }

    async fn page(&self, browser: &dyn Browser, asker: Asker) -> Result<&dyn Tab, ProveError> {
        let url = self.stage.page_url(self.stage.origin(asker)?);
        let cell = self.pages.get(&asker).ok_or(LabError::NotCast(asker))?;
        Ok(cell.get_or_try_init(|| browser.open(&url)).await?.as_ref())
    }

    /// An id for probes of one address.
    pub(super) fn new_probe(&self) -> String {
        let n = self.next_probe.fetch_add(1, Ordering::Relaxed);
        format!("s{}n{n}", self.number)
    }

    /// Lets a page make a request and gathers what script, wire and browser say about it.
    ///
    /// # Errors
    ///
    /// What is wrong with browser, page or stage, and says nothing about the service.
    pub(super) async fn call(
        &self,
        browser: &dyn Browser,
        call: Call,
    ) -> Result<Arc<Observed>, ProveError> {
        // Calls come one after another, and what belongs to one is taken out before the next: so
        // one id, and with it one URL, serves several.
        let probe_id = call.probe.unwrap_or_else(|| self.new_probe());
        let (page, from) = (self.page(browser, call.from).await?, self.stage.origin(call.from)?);
        let path = call.path.replace("{handle}", call.handle.as_deref().unwrap_or_default());
        let joint = if path.contains('?') { '&' } else { '?' };
        let address = format!("{}{path}{joint}probe={probe_id}", self.stage.backend);
        let mut request = json!({
            "client": call.client.id(),
            "credentials": call.mode.id(),
            "method": call.method,
            "url": address,
            "headers": call.headers,
            "body": call.body,
        });
        if call.no_cors {
            request["mode"] = json!("no-cors");
        }
        // What came to the server, the browser must have sent: until it says so, it is only late.
        let told = |evidence: &BrowserEvidence| {
            let came = self.stage.log.arrivals(&probe_id);
            let sent = |leg: &Option<Leg>| leg.as_ref().is_some_and(|leg| leg.sent);
            (sent(&evidence.preflight) || !came.preflight)
                && (sent(&evidence.request) || !came.request)
        };
        let (seen, browser) = page.probe(&request, &probe_id, &told).await?;
        let page: PageView = serde_json::from_value(seen).map_err(|error| BrowserError::Page {
            what: format!(
                "the fixture page answered in a form this harness does not know: {error}"
            ),
        })?;
        if browser.as_ref().is_some_and(|evidence| !evidence.complete) {
            let what = format!("telling all about {} {}", call.method, call.path);
            return Err(BrowserError::Timeout { what, after: EVIDENCE_DEADLINE }.into());
        }
        // The page's own complaints are ours to mend: they must not pass for an unreadable answer.
        let own = ["AxiosMissing", "NotExpressible", "TimeoutError", "AbortError"];
        if let Some(error) = page.error.as_ref().filter(|e| own.contains(&e.name.as_str())) {
            return Err(
                BrowserError::Page { what: format!("{}: {}", error.name, error.message) }.into()
            );
        }
        let (mut preflight, mut last, mut repeats) = (None, None, 0);
        for exchange in self.stage.log.take(&probe_id) {
            if exchange.status == 502 {
                return Err(LabError::ServiceSilent(exchange.origin).into());
            }
            let slot = if exchange.is_preflight() { &mut preflight } else { &mut last };
            repeats += usize::from(slot.replace(exchange).is_some());
        }
        Ok(Arc::new(Observed {
            from: from.to_owned(),
            asker: call.from,
            mode: call.mode,
            method: call.method,
            path: call.path,
            page,
            preflight,
            request: last,
            repeats,
            browser,
        }))
    }

    /// All cookies in the browser's jar.
    pub(super) async fn jar_of_all(
        &self,
        browser: &dyn Browser,
    ) -> Result<Vec<JarCookie>, BrowserError> {
        browser.cookies(&self.documents).await
    }

    /// The session cookie in the browser's jar.
    pub(super) async fn jar(
        &self,
        browser: &dyn Browser,
    ) -> Result<Option<JarCookie>, BrowserError> {
        let all = self.jar_of_all(browser).await?;
        Ok(all.into_iter().find(|cookie| cookie.name == self.stage.cookie))
    }

    /// Empties the browser's jar.
    pub(super) async fn clear(&self, browser: &dyn Browser) -> Result<(), BrowserError> {
        browser.clear_cookies(&self.documents).await
    }

    /// Puts a session cookie back into the jar that the browser has deleted.
    pub(super) async fn plant(
        &self,
        browser: &dyn Browser,
        cookie: &JarCookie,
    ) -> Result<(), BrowserError> {
        browser.plant(&self.documents[0], cookie).await
    }
}
