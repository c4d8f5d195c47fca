//! A tab of Firefox, and the evidence about its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::browser::BrowserError;
use crate::browser::bidi::BidiCollector;
use crate::browser::driver::{Answer, Enough, Tab};
use crate::browser::evidence::{BrowserEvidence, Progress};
use crate::browser::tap::{Event, Tap, TapError};

/// How long a page may take to load.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a script may run.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(30);
/// How long evidence that must come is waited for.
const EVIDENCE_DEADLINE: Duration = Duration::from_secs(10);
/// How long evidence that may come is waited for.
const QUIET: Duration = Duration::from_millis(150);

/// What the browser says, for all tabs together: the id of a probe tells where it belongs, also if a
/// frame or a worker asks.
#[derive(Debug, Default)]
pub(super) struct Observer {
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    collector: BidiCollector,
    /// Our tabs, and whether they are still there: one may be closed by its page, or crash.
    tabs: HashMap<String, bool>,
    gone: bool,
}

impl Observer {
    /// Takes the events in until the connection ends.
    pub(super) async fn listen(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.update(|state| match event.method.as_str() {
                "browsingContext.contextDestroyed" if event.params["parent"].is_null() => {
                    let context = event.params["context"].as_str().unwrap_or_default();
                    if let Some(is_there) = state.tabs.get_mut(context) {
                        *is_there = false;
                    }
                }
                _ => state.collector.feed(&event),
            });
        }
        self.end();
    }

    /// Tells all who wait that the browser is gone.
    pub(super) fn end(&self) {
        self.update(|state| state.gone = true);
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tab.
pub(super) struct FirefoxPage {
    tap: Tap,
    observer: Arc<Observer>,
    context: String,
}

impl FirefoxPage {
    pub(super) fn new(tap: Tap, observer: Arc<Observer>, context: String) -> Self {
        observer.update(|state| {
            state.tabs.insert(context.clone(), true);
        });
        Self { tap, observer, context }
    }

    pub(super) async fn load(&self, url: &str) -> Result<(), BrowserError> {
        let params = json!({"context": self.context, "url": url, "wait": "complete"});
        match self.call(LOAD_DEADLINE, "browsingContext.navigate", params).await {
            Ok(_) => Ok(()),
            Err(BrowserError::Protocol(TapError::Refused { message, .. })) => {
                Err(BrowserError::Page { what: format!("{url} did not load: {message}") })
            }
            Err(BrowserError::Timeout { after, .. }) => {
                Err(BrowserError::Timeout { what: format!("loading {url}"), after })
            }
            Err(error) => Err(error),
        }
    }

    async fn run(&self, js: &str) -> Result<Value, BrowserError> {
        // BiDi has a form of its own for values; as text they come as JSON.
        let expression = format!("(async () => JSON.stringify(await ({js}) ?? null))()");
        let params = json!({
            "expression": expression, "target": {"context": self.context}, "awaitPromise": true,
        });
        let reply = self.call(SCRIPT_DEADLINE, "script.evaluate", params).await?;
        if reply["type"] == "exception" {
            let what = reply["exceptionDetails"]["text"].as_str().unwrap_or("no reason given");
            return Err(BrowserError::Page { what: what.to_owned() });
        }
        let text = reply["result"]["value"].as_str().unwrap_or("null");
        serde_json::from_str(text)
            .map_err(|error| BrowserError::Page { what: format!("its answer is no JSON: {error}") })
    }

    async fn call(
        &self,
        deadline: Duration,
        method: &str,
        params: Value,
    ) -> Result<Value, BrowserError> {
        // A tab that is gone may answer no call, so its end has to.
        tokio::select! {
            biased;
            reply = self.tap.call_within(deadline, None, method, params) => Ok(reply?),
            end = self.ended() => Err(end),
        }
    }

    async fn ended(&self) -> BrowserError {
        let mut changes = self.observer.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(end) = self.end(&self.observer.lock()) {
                return end;
            }
            if changes.changed().await.is_err() {
                return BrowserError::Gone;
            }
        }
    }

    fn end(&self, state: &State) -> Option<BrowserError> {
        let closed = || BrowserError::Page { what: "it was closed".to_owned() };
        if state.gone {
            return Some(BrowserError::Gone);
        }
        (state.tabs.get(&self.context) == Some(&false)).then(closed)
    }

    async fn settle(
        &self,
        probe_id: &str,
        enough: Enough<'_>,
    ) -> Result<BrowserEvidence, BrowserError> {
        let mut changes = self.observer.changes.subscribe();
        let deadline = Instant::now() + EVIDENCE_DEADLINE;
        let mut quiet_ends = None;
        loop {
            changes.mark_unchanged();
            let progress = {
                let state = self.observer.lock();
                if let Some(end) = self.end(&state) {
                    return Err(end);
                }
                state.collector.progress(probe_id)
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
        self.observer.lock().collector.exchange(probe_id).unwrap_or_default()
    }
}

impl Tab for FirefoxPage {
    fn navigate<'a>(&'a self, url: &'a str) -> Answer<'a, ()> {
        self.load(url).boxed()
    }

    fn probe<'a>(
        &'a self,
        call: &'a Value,
        probe_id: &'a str,
        enough: Enough<'a>,
    ) -> Answer<'a, (Value, Option<BrowserEvidence>)> {
        async move {
            let _forget = Forget { observer: &self.observer, probe_id };
            let value = self.run(&format!("window.withcreds.probe({call})")).await?;
            Ok((value, Some(self.settle(probe_id, enough).await?)))
        }
        .boxed()
    }

    fn evaluate<'a>(&'a self, js: &'a str) -> Answer<'a, Value> {
        self.run(js).boxed()
    }
}

impl Drop for FirefoxPage {
    fn drop(&mut self) {
        self.observer.update(|state| {
            state.tabs.remove(&self.context);
        });
        self.tap.post(None, "browsingContext.close", json!({"context": self.context}));
    }
}

struct Forget<'a> {
    observer: &'a Observer,
    probe_id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.observer.lock().collector.forget(self.probe_id);
    }
}
