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
    tabs: HashMap<String, TabState>,
    gone: bool,
}

/// What became of a tab of ours.
#[derive(Debug, Default)]
struct TabState {
    /// How many documents it has shown.
    documents: u64,
    end: Option<&'static str>,
}

impl State {
    fn take(&mut self, event: &Event) {
        let context = event.params["context"].as_str().unwrap_or_default();
        match event.method.as_str() {
            "browsingContext.contextDestroyed" => {
                if let Some(tab) = self.tabs.get_mut(context) {
                    tab.end.get_or_insert("it was closed");
                }
            }
            "browsingContext.navigationCommitted" => {
                if let Some(tab) = self.tabs.get_mut(context) {
                    tab.shows(event.params["url"].as_str().unwrap_or_default());
                }
            }
            _ => self.collector.feed(event),
        }
    }
}

impl TabState {
    /// The browser's word for a dead process is a document about it, after an empty one.
    fn shows(&mut self, url: &str) {
        if url.starts_with("about:tabcrashed") {
            self.end.get_or_insert("it crashed");
        } else if url != "about:blank" {
            self.documents += 1;
        }
    }
}

impl Observer {
    /// Takes the events in until the connection ends.
    pub(super) async fn listen(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.update(|state| state.take(&event));
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
            state.tabs.insert(context.clone(), TabState::default());
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
        // The browser answers no call whose document is replaced meanwhile.
        let began = self.observer.lock().tabs.get(&self.context).map(|tab| tab.documents);
        let replaced = |state: &State| {
            let now = state.tabs.get(&self.context).map(|tab| tab.documents);
            let what = || BrowserError::Page { what: "it was replaced by another".to_owned() };
            (now != began).then(what)
        };
        let reply = tokio::select! {
            biased;
            reply = self.call(SCRIPT_DEADLINE, "script.evaluate", params) => reply?,
            end = self.until(replaced) => return Err(end),
        };
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
            end = self.until(|state| self.end(state)) => Err(end),
        }
    }

    /// Waits until the browser has said something that means an end.
    async fn until(&self, end: impl Fn(&State) -> Option<BrowserError>) -> BrowserError {
        let mut changes = self.observer.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(end) = end(&self.observer.lock()) {
                return end;
            }
            if changes.changed().await.is_err() {
                return BrowserError::Gone;
            }
        }
    }

    fn end(&self, state: &State) -> Option<BrowserError> {
        if state.gone {
            return Some(BrowserError::Gone);
        }
        let end = state.tabs.get(&self.context)?.end?;
        Some(BrowserError::Page { what: end.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(method: &str, params: Value) -> Event {
        Event { session: None, method: method.to_owned(), params }
    }

    #[test]
    fn a_tab_is_told_from_its_frames_and_its_end_from_a_new_document() {
        let mut state = State::default();
        state.tabs.insert("t".to_owned(), TabState::default());
        let mut shows = |context: &str, url: &str| {
            let params = json!({"context": context, "url": url});
            state.take(&event("browsingContext.navigationCommitted", params));
            (state.tabs["t"].documents, state.tabs["t"].end)
        };
        assert_eq!(shows("t", "about:blank"), (0, None));
        assert_eq!(shows("t", "https://a.test/"), (1, None));
        assert_eq!(shows("frame", "https://b.test/"), (1, None));
        assert_eq!(shows("t", "about:blank"), (1, None));
        assert_eq!(shows("t", "about:tabcrashed?e=tabcrashed"), (1, Some("it crashed")));
        let params = json!({"context": "t", "parent": null});
        state.take(&event("browsingContext.contextDestroyed", params));
        assert_eq!(state.tabs["t"].end, Some("it crashed"), "the first word counts");
    }
}
