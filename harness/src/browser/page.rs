//! A tab, its sessions and the evidence about its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::browser::evidence::{BrowserEvidence, Collector, Progress};
use crate::browser::tap::{Event, Tap};
use crate::browser::{BrowserError, TapError};

/// How long a page may take to load.
const LOAD_DEADLINE: Duration = Duration::from_secs(15);
/// How long a script may run.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(30);
/// How long evidence that must come is waited for.
const EVIDENCE_DEADLINE: Duration = Duration::from_secs(10);
/// How long evidence that may come is waited for.
const QUIET: Duration = Duration::from_millis(100);

/// A tab. All methods take `&self` and may be used at the same time from many tasks. Dropping it
/// asks the browser to close the tab.
pub struct Page {
    tap: Tap,
    sessions: Arc<Sessions>,
    state: Arc<State>,
    target: String,
}

impl Page {
    /// Opens a tab, `target`, whose network events are collected from here on.
    pub(crate) async fn create(
        tap: Tap,
        sessions: Arc<Sessions>,
        target: Value,
    ) -> Result<Self, BrowserError> {
        let target = tap.call(None, "Target.createTarget", target).await?;
        let target = text(&target["targetId"]);
        let attach = json!({"targetId": target, "flatten": true});
        let attached = tap.call(None, "Target.attachToTarget", attach).await?;
        let state = Arc::new(State::new(text(&attached["sessionId"]), target.clone()));
        // Nothing is enabled yet in the new session, so no event came before this line.
        sessions.insert(&state.session, &state);
        let page = Self { tap, sessions, state, target };
        // `Network.setCacheDisabled` stays off: it would switch the preflight cache off as well
        // (measured), and no cache hit would ever be seen.
        tokio::try_join!(
            page.call("Network.enable", json!({})),
            page.call("Page.enable", json!({})),
            page.call("Page.setLifecycleEventsEnabled", json!({"enabled": true})),
            page.call("Runtime.enable", json!({})),
            page.call("Target.setAutoAttach", auto_attach()),
        )?;
        Ok(page)
    }

    /// Loads `url` in this tab and waits for its load event.
    ///
    /// # Errors
    /// [`BrowserError::Page`] with the browser's text if it cannot be loaded,
    /// [`BrowserError::Timeout`] after 15 s, [`BrowserError::Gone`].
    pub async fn navigate(&self, url: &str) -> Result<(), BrowserError> {
        let late =
            || BrowserError::Timeout { what: format!("loading {url}"), after: LOAD_DEADLINE };
        timeout(LOAD_DEADLINE, self.load(url)).await.map_err(|_elapsed| late())?
    }

    async fn load(&self, url: &str) -> Result<(), BrowserError> {
        let mut changes = self.state.changes.subscribe();
        let params = json!({"url": url});
        let reply = self.call_within(LOAD_DEADLINE, "Page.navigate", params).await?;
        if let Some(error) = reply["errorText"].as_str().filter(|error| !error.is_empty()) {
            return Err(BrowserError::Page { what: format!("{url} did not load: {error}") });
        }
        // Without a loader only the fragment changed, and nothing loads.
        let Some(loader) = reply["loaderId"].as_str() else { return Ok(()) };
        loop {
            changes.mark_unchanged();
            {
                let inner = self.state.lock();
                if let Some(end) = inner.end {
                    return Err(end.into());
                }
                if inner.loaded.as_deref() == Some(loader) {
                    return Ok(());
                }
            }
            if changes.changed().await.is_err() {
                return Err(BrowserError::Gone);
            }
        }
    }

    /// Runs `window.withcreds.probe(call)` in the page, then waits for what the browser says about
    /// the request whose URL has `probe=PROBE_ID` in its query. Gives the value that the page's
    /// promise was fulfilled with, and the evidence.
    ///
    /// If an event that must come has not come after 10 s, or the browser said nothing at all about
    /// such a request (the content security policy stopped it, say), the evidence is not
    /// `complete`. The probe is forgotten afterwards.
    ///
    /// # Errors
    /// [`BrowserError::Page`] if the script throws or rejects, [`BrowserError::Timeout`] if it is
    /// not done after 30 s, [`BrowserError::Gone`].
    pub async fn probe(
        &self,
        call: &Value,
        probe_id: &str,
    ) -> Result<(Value, BrowserEvidence), BrowserError> {
        self.probe_until(call, probe_id, |_| true).await
    }

    /// As [`Page::probe`], for a caller who knows from elsewhere what the browser must have seen:
    /// evidence that is not `enough` is waited for like any that must come. On a busy machine
    /// events come late, and of some nothing tells that they will come.
    ///
    /// # Errors
    /// As [`Page::probe`].
    pub async fn probe_until(
        &self,
        call: &Value,
        probe_id: &str,
        enough: impl Fn(&BrowserEvidence) -> bool,
    ) -> Result<(Value, BrowserEvidence), BrowserError> {
        let _forget = Forget { state: &self.state, probe_id };
        let value = self.evaluate(&format!("window.withcreds.probe({call})")).await?;
        let evidence = self.settle(probe_id, enough).await?;
        Ok((value, evidence))
    }

    /// Waits for the evidence about a request that something other than [`Page::probe`] started: a
    /// navigation, a form, a click. As there, but the probe stays known.
    ///
    /// # Errors
    /// [`BrowserError::Gone`], or [`BrowserError::Page`] if the page crashed or was closed.
    pub async fn evidence(&self, probe_id: &str) -> Result<BrowserEvidence, BrowserError> {
        self.settle(probe_id, |_| true).await
    }

    /// Lets go of what was collected about the probe.
    pub fn forget(&self, probe_id: &str) {
        self.state.lock().collector.forget(probe_id);
    }

    /// Evaluates an expression in the page, awaits it if it is a promise, and gives its value as
    /// JSON (`null` for `undefined`).
    ///
    /// # Errors
    /// As [`Page::probe`].
    pub async fn evaluate(&self, js: &str) -> Result<Value, BrowserError> {
        let params = json!({"expression": js, "awaitPromise": true, "returnByValue": true});
        let reply = self.call_within(SCRIPT_DEADLINE, "Runtime.evaluate", params).await;
        let mut reply = reply.map_err(|error| match error {
            // The page was replaced by another, or is no more.
            BrowserError::Protocol(TapError::Refused { message, .. }) => {
                BrowserError::Page { what: message }
            }
            other => other,
        })?;
        let Some(thrown) = reply.get("exceptionDetails") else {
            return Ok(reply["result"]["value"].take());
        };
        let exception = &thrown["exception"];
        let what = exception["description"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| exception.get("value").map(Value::to_string))
            .unwrap_or_else(|| text(&thrown["text"]));
        Err(BrowserError::Page { what })
    }

    /// A picture of the viewport, as PNG.
    ///
    /// # Errors
    /// [`BrowserError::Gone`], [`BrowserError::Page`] and failures of the connection.
    pub async fn screenshot(&self) -> Result<Vec<u8>, BrowserError> {
        let reply = self.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        STANDARD.decode(reply["data"].as_str().unwrap_or_default()).map_err(|error| {
            BrowserError::Page { what: format!("its picture is not base64: {error}") }
        })
    }

    /// Calls a DevTools method in the page's session.
    ///
    /// # Errors
    /// [`BrowserError::Gone`], [`BrowserError::Page`] if the page crashes or is closed meanwhile,
    /// and failures of the connection.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.call_within(CALL_DEADLINE, method, params).await
    }

    /// Closes the tab and waits for the browser's word that it does.
    ///
    /// # Errors
    /// Failures of the connection. That the tab is closed already is none.
    pub async fn close(self) -> Result<(), BrowserError> {
        let params = json!({"targetId": self.target});
        match self.tap.call(None, "Target.closeTarget", params).await {
            Ok(_) | Err(TapError::Refused { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn call_within(
        &self,
        deadline: Duration,
        method: &str,
        params: Value,
    ) -> Result<Value, BrowserError> {
        // A crashed tab answers no call, so the crash has to.
        tokio::select! {
            biased;
            reply = self.tap.call_within(deadline, Some(&self.state.session), method, params) => {
                Ok(reply?)
            }
            end = self.state.ended() => Err(end.into()),
        }
    }

    async fn settle(
        &self,
        probe_id: &str,
        enough: impl Fn(&BrowserEvidence) -> bool,
    ) -> Result<BrowserEvidence, BrowserError> {
        let mut changes = self.state.changes.subscribe();
        let deadline = Instant::now() + EVIDENCE_DEADLINE;
        let mut quiet_ends = None;
        loop {
            changes.mark_unchanged();
            let progress = {
                let inner = self.state.lock();
                if let Some(end) = inner.end {
                    return Err(end.into());
                }
                inner.collector.progress(probe_id)
            };
            let until = match progress {
                Progress::Waiting => deadline,
                _ if !enough(&self.exchange(probe_id)) => deadline,
                Progress::Settled => return Ok(self.exchange(probe_id)),
                Progress::Unseen | Progress::Unsure => {
                    *quiet_ends.get_or_insert_with(|| Instant::now() + QUIET)
                }
            };
            match timeout_at(until.min(deadline), changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_no_sender)) => return Err(BrowserError::Gone),
                Err(_elapsed) => {
                    let mut evidence = self.exchange(probe_id);
                    // After the quiet period there is nothing more to be expected.
                    evidence.complete |= progress == Progress::Unsure;
                    return Ok(evidence);
                }
            }
        }
    }

    fn exchange(&self, probe_id: &str) -> BrowserEvidence {
        self.state.lock().collector.exchange(probe_id).unwrap_or_default()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.sessions.remove(&self.state);
        self.tap.post(None, "Target.closeTarget", json!({"targetId": self.target}));
    }
}

struct Forget<'a> {
    state: &'a State,
    probe_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.state.lock().collector.forget(self.probe_id);
    }
}

/// The sessions of a browser: which page an event belongs to. A page has one for itself and one
/// for each frame and worker that lives in another process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<State>>>);

impl Sessions {
    /// Hands the events out until the connection ends.
    pub(crate) async fn route(
        self: Arc<Self>,
        mut events: mpsc::UnboundedReceiver<Event>,
        tap: Tap,
    ) {
        while let Some(event) = events.recv().await {
            self.take(&event, &tap);
        }
        self.end_all();
    }

    /// Tells all pages that the browser is gone.
    pub(crate) fn end_all(&self) {
        for (_, state) in self.lock().drain() {
            state.end(End::BrowserGone);
        }
    }

    fn take(&self, event: &Event, tap: &Tap) {
        if event.method == "Target.detachedFromTarget" {
            let session = event.params["sessionId"].as_str().unwrap_or_default();
            if let Some(state) = self.lock().remove(session)
                && state.session == session
            {
                state.end(End::Closed);
            }
            return;
        }
        let Some(session) = &event.session else { return };
        let Some(state) = self.lock().get(session).cloned() else { return };
        match event.method.as_str() {
            // Frames of other sites and sandboxed ones report their requests in sessions of their
            // own. They wait at their start, so none of their requests goes by unseen.
            "Target.attachedToTarget" => {
                let child = text(&event.params["sessionId"]);
                self.insert(&child, &state);
                for (method, params) in [
                    ("Network.enable", json!({})),
                    ("Target.setAutoAttach", auto_attach()),
                    ("Runtime.runIfWaitingForDebugger", json!({})),
                ] {
                    tap.post(Some(&child), method, params);
                }
            }
            "Inspector.targetCrashed" if state.session == *session => state.end(End::Crashed),
            "Page.lifecycleEvent" if state.has_loaded(&event.params) => {
                state.update(|inner| inner.loaded = Some(text(&event.params["loaderId"])));
            }
            method if method.starts_with("Network.") => {
                state.update(|inner| inner.collector.feed(event));
            }
            _ => {}
        }
    }

    fn insert(&self, session: &str, state: &Arc<State>) {
        self.lock().insert(session.to_owned(), Arc::clone(state));
    }

    fn remove(&self, state: &Arc<State>) {
        self.lock().retain(|_, other| !Arc::ptr_eq(other, state));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<State>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known about a page.
pub(crate) struct State {
    session: String,
    /// Of a tab's main frame, the frame id is the tab's target id.
    main_frame: String,
    inner: Mutex<Inner>,
    /// Says that `inner` has changed.
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    collector: Collector,
    /// The loader of the document that fired its load event last.
    loaded: Option<String>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    BrowserGone,
    Closed,
    Crashed,
}

impl From<End> for BrowserError {
    fn from(end: End) -> Self {
        match end {
            End::BrowserGone => Self::Gone,
            End::Closed => Self::Page { what: "it was closed".to_owned() },
            End::Crashed => Self::Page { what: "it crashed".to_owned() },
        }
    }
}

impl State {
    fn new(session: String, main_frame: String) -> Self {
        let changes = watch::Sender::new(());
        Self { session, main_frame, inner: Mutex::default(), changes }
    }

    fn has_loaded(&self, lifecycle: &Value) -> bool {
        lifecycle["name"] == "load" && lifecycle["frameId"] == self.main_frame.as_str()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.changes.send_replace(());
    }

    fn end(&self, end: End) {
        self.update(|inner| inner.end = Some(end));
    }

    async fn ended(&self) -> End {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(end) = self.lock().end {
                return end;
            }
            if changes.changed().await.is_err() {
                return End::BrowserGone;
            }
        }
    }
}

fn auto_attach() -> Value {
    json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const CALL_DEADLINE: Duration = Duration::from_secs(10);
