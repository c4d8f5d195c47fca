//! A tab of WebKitGTK.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;

use crate::browser::BrowserError;
use crate::browser::driver::{Answer, Enough, Tab};
use crate::browser::evidence::BrowserEvidence;
use crate::browser::webkit::session::Session;

/// How long a script may run.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(30);
/// A tab.
pub(super) struct WebKitPage {
    session: Arc<Session>,
    window: String,
    last_job: AtomicU64,
}

impl WebKitPage {
    pub(super) fn new(session: Arc<Session>, window: String) -> Self {
        Self { session, window, last_job: AtomicU64::new(0) }
    }

    pub(super) async fn load(&self, url: &str) -> Result<(), BrowserError> {
        self.session.turn().await.load(&self.window, url).await?;
        // A page that cannot be loaded is no error to the driver: the browser shows a text instead.
        let shown = self.run(LOADED).await?;
        if shown["answered"] == true {
            return Ok(());
        }
        let text = shown["text"].as_str().unwrap_or("no reason given");
        Err(BrowserError::Page { what: format!("{url} did not load: {text}") })
    }

    /// The driver carries out one command at a time, and a script may wait for something that another
    /// tab does: so it is started, and asked for again and again what has come of it.
    async fn run(&self, js: &str) -> Result<Value, BrowserError> {
        let job = self.last_job.fetch_add(1, Ordering::Relaxed) + 1;
        let start = format!(
            "const jobs = window.withcredsJobs ??= {{}};
             jobs[{job}] = (async () => await ({js}))().then(
                (value) => ({{ value: value ?? null }}),
                (error) => ({{ thrown: String(error) }}));"
        );
        let deadline = Instant::now() + SCRIPT_DEADLINE;
        let mut answer = self.ask(&format!("{start} {}", look_at_job(job))).await?;
        while answer["running"] == true {
            if Instant::now() > deadline {
                let what = "a script in the page".to_owned();
                return Err(BrowserError::Timeout { what, after: SCRIPT_DEADLINE });
            }
            answer = self.ask(&look_at_job(job)).await?;
        }
        match answer["thrown"].as_str() {
            Some(thrown) => Err(BrowserError::Page { what: thrown.to_owned() }),
            None => Ok(answer["value"].take()),
        }
    }

    async fn ask(&self, script: &str) -> Result<Value, BrowserError> {
        let answer = self.session.turn().await.execute(&self.window, script).await;
        let answer = answer.map_err(|error| match error {
            BrowserError::Driver { error, message } => {
                BrowserError::Page { what: format!("{error}: {message}") }
            }
            other => other,
        })?;
        Ok(serde_json::from_str(answer.as_str().unwrap_or_default()).unwrap_or_default())
    }
}

/// A script that gives what has come of a job, or after a moment that it still runs.
fn look_at_job(job: u64) -> String {
    format!(
        "const done = arguments[arguments.length - 1];
         const job = window.withcredsJobs?.[{job}] ?? {{ thrown: \"the page was replaced\" }};
         const moment = new Promise((over) => setTimeout(over, {MOMENT_MILLIS}, {{ running: true }}));
         Promise.race([job, moment]).then((answer) => {{
            if (!answer.running) delete window.withcredsJobs?.[{job}];
            done(JSON.stringify(answer));
         }});"
    )
}

/// Long enough for what takes no time to be done at once, short for other tabs to wait.
const MOMENT_MILLIS: u32 = 150;

/// Whether a server answered for the document.
const LOADED: &str = "{
    answered: (performance.getEntriesByType('navigation')[0]?.responseEnd ?? 0) > 0,
    text: document.body?.innerText ?? '',
}";

impl Tab for WebKitPage {
    fn navigate<'a>(&'a self, url: &'a str) -> Answer<'a, ()> {
        self.load(url).boxed()
    }

    fn probe<'a>(
        &'a self,
        call: &'a Value,
        _probe_id: &'a str,
        _enough: Enough<'a>,
    ) -> Answer<'a, (Value, Option<BrowserEvidence>)> {
        async move { Ok((self.run(&format!("window.withcreds.probe({call})")).await?, None)) }
            .boxed()
    }

    fn evaluate<'a>(&'a self, js: &'a str) -> Answer<'a, Value> {
        self.run(js).boxed()
    }
}

impl Drop for WebKitPage {
    fn drop(&mut self) {
        self.session.leave(&self.window);
    }
}
