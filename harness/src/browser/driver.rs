//! What every engine can do, whatever speaks to it.

use std::path::Path;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::browser::{BrowserError, BrowserEvidence, Engine, Firefox, JarCookie, Launch, WebKit};

/// What a call to a browser comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, BrowserError>>;

/// Says whether evidence is enough.
pub type Enough<'a> = &'a (dyn Fn(&BrowserEvidence) -> bool + Sync);

/// A running browser with a scratch profile. Dropping it ends all its processes and removes the
/// profile, whoever still holds a [`Tab`]; that blocks for a moment. [`Browser::close`] does the
/// same without blocking.
pub trait Browser: Send + Sync {
    /// Which engine this is.
    fn engine(&self) -> Engine;

    /// What it lets us see.
    fn sight(&self) -> Sight;

    /// Its scratch profile. It is gone once the browser is closed or dropped.
    fn profile(&self) -> &Path;

    /// Its name and version, for example `Firefox 153.7.0`.
    fn version(&self) -> Answer<'_, String>;

    /// Opens `url` in a new tab and waits until it has loaded.
    fn open<'a>(&'a self, url: &'a str) -> Answer<'a, Box<dyn Tab>>;

    /// The cookies in the jar. An engine that shows only the jar of the document at hand shows that
    /// of `documents`: addresses of empty documents, one for each host that is of interest.
    fn cookies<'a>(&'a self, documents: &'a [String]) -> Answer<'a, Vec<JarCookie>>;

    /// Puts a cookie into the jar, as if the host of `document` had set it: into the partition that
    /// it names, if it names one. So a cookie that was shown goes back to where it was.
    fn plant<'a>(&'a self, document: &'a str, cookie: &'a JarCookie) -> Answer<'a, ()>;

    /// Empties the jar; where only documents' jars can be reached, that of `documents`.
    fn clear_cookies<'a>(&'a self, documents: &'a [String]) -> Answer<'a, ()>;

    /// Starts anew without starting anew: from here on jar and preflight cache are empty, and what
    /// an earlier call opened is closed.
    fn isolate(&self) -> Answer<'_, ()>;

    /// Ends the browser in an orderly way, then removes its profile. Returns when both are done.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A tab. Its methods may be used at the same time from many tasks. Dropping it asks the browser
/// to close it.
pub trait Tab: Send + Sync {
    /// Loads `url` in this tab and waits for its load event.
    fn navigate<'a>(&'a self, url: &'a str) -> Answer<'a, ()>;

    /// Runs `window.withcreds.probe(call)` in the page and gives the value of its promise, together
    /// with what the engine says about the request whose URL has `probe=PROBE_ID` in its query:
    /// `None` if it says nothing about requests at all. The caller may know from elsewhere what the
    /// browser must have seen: evidence that is not `enough` is waited for like any that must come.
    fn probe<'a>(
        &'a self,
        call: &'a Value,
        probe_id: &'a str,
        enough: Enough<'a>,
    ) -> Answer<'a, (Value, Option<BrowserEvidence>)>;

    /// Evaluates an expression in the page, awaits it if it is a promise, and gives its value as
    /// JSON (`null` for `undefined`).
    fn evaluate<'a>(&'a self, js: &'a str) -> Answer<'a, Value>;
}

/// What an engine lets us see. What it does not show is never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sight {
    /// The requests it made, with their headers.
    pub requests: bool,
    /// Which rule of CORS a failed request broke.
    pub cors_errors: bool,
    /// Which cookies it kept back, and why.
    pub withheld_cookies: bool,
}

/// Starts a browser.
///
/// # Errors
/// [`BrowserError::NotFound`], [`BrowserError::Launch`], [`BrowserError::Profile`].
pub async fn launch(engine: Engine, launch: Launch) -> Result<Box<dyn Browser>, BrowserError> {
    match engine {
        #[cfg(feature = "chromium")]
        Engine::Chromium => Ok(Box::new(crate::browser::Chromium::launch(launch).await?)),
        #[cfg(not(feature = "chromium"))]
        Engine::Chromium => {
            Err(engine.check(launch.binary.as_deref()).err().unwrap_or(BrowserError::Gone))
        }
        Engine::Firefox => Ok(Box::new(Firefox::launch(launch).await?)),
        Engine::WebKit => Ok(Box::new(WebKit::launch(launch).await?)),
    }
}
