//! The one session of a WebKitWebDriver: its windows, and the jar of the document at hand.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::browser::BrowserError;
use crate::browser::jar::JarCookie;
use crate::browser::process;
use crate::browser::webdriver::{CALL_DEADLINE, WebDriver};

/// How long the browser may take to come up.
pub(super) const SESSION_DEADLINE: Duration = Duration::from_secs(30);
/// How long a page may take to load.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
/// How often a jar is emptied: of cookies that differ in their path only, one goes at a time.
const JAR_TRIES: u32 = 20;

/// The one session that the driver has.
pub(super) struct Session {
    driver: WebDriver,
    capabilities: Value,
    current: Mutex<Current>,
    /// Windows whose tab was dropped. They are closed by whoever has the next turn.
    unused: std::sync::Mutex<Vec<String>>,
    /// What the browser is known by.
    profile: PathBuf,
    mini_browser: PathBuf,
}

struct Current {
    /// Path of the session's commands.
    path: String,
    /// The window in which we look at jars.
    jar: String,
    /// What it shows: the jar is asked about that, as it is at the moment of the question.
    document: Option<String>,
    /// Where commands go; empty if that is not certain.
    window: String,
}

impl Session {
    /// Starts the browser; gives the version that it tells, too.
    pub(super) async fn start(
        driver: WebDriver,
        capabilities: Value,
        profile: PathBuf,
        mini_browser: PathBuf,
    ) -> Result<(Self, String), BrowserError> {
        let (path, told) = driver.session(capabilities.clone(), SESSION_DEADLINE).await?;
        let number = told["browserVersion"].as_str().unwrap_or("unknown").to_owned();
        let (current, unused) = (Mutex::new(Current::begin(path)), std::sync::Mutex::default());
        let session = Self { driver, capabilities, current, unused, profile, mini_browser };
        session.turn().await.find_jar_window().await?;
        Ok((session, number))
    }

    /// Commands go to the current window, so choosing a window and using it is one step.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let mut turn = Turn { session: self, current: self.current.lock().await };
        for window in self.take_unused() {
            // One that cannot be closed is no reason to do nothing else.
            let _ = turn.close(&window).await;
        }
        turn
    }

    /// The window belongs to nobody any more. Needs no runtime, so a `Drop` can use it.
    pub(super) fn leave(&self, window: &str) {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).push(window.to_owned());
    }

    /// Ends the browser. What does not end this way is killed with its driver.
    pub(super) async fn end(&self) {
        let _ = self.current.lock().await.end(self).await;
    }

    /// Ends the browser and starts another: each session has one of its own, and a jar.
    pub(super) async fn start_anew(&self) -> Result<(), BrowserError> {
        let mut current = self.current.lock().await;
        let _ = current.end(self).await;
        self.take_unused();
        let started = self.driver.session(self.capabilities.clone(), SESSION_DEADLINE);
        *current = Current::begin(started.await?.0);
        Turn { session: self, current }.find_jar_window().await
    }

    fn take_unused(&self) -> Vec<String> {
        std::mem::take(&mut *self.unused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn command(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        deadline: Duration,
    ) -> Result<Value, BrowserError> {
        let answer = self.driver.command(method, path, body, deadline).await;
        answer.map_err(|error| self.explain(error))
    }

    /// The driver outlives its browser, and has only "unknown error" for what that left unanswered.
    fn explain(&self, error: BrowserError) -> BrowserError {
        let is_dead = || !process::runs(&self.profile, &self.mini_browser);
        match error {
            BrowserError::Driver { .. } if cfg!(target_os = "linux") && is_dead() => {
                BrowserError::Gone
            }
            other => other,
        }
    }
}

impl Current {
    const fn begin(path: String) -> Self {
        Self { path, jar: String::new(), document: None, window: String::new() }
    }

    async fn end(&self, session: &Session) -> Result<Value, BrowserError> {
        session.command(Method::DELETE, &self.path, None, CALL_DEADLINE).await
    }
}

/// The right to send commands, and to say to which window.
pub(super) struct Turn<'a> {
    session: &'a Session,
    current: MutexGuard<'a, Current>,
}

impl Turn<'_> {
    /// Opens a window and gives its handle. A tab that is not in front counts as hidden, and its
    /// timers are slowed down; a window does not.
    pub(super) async fn new_window(&mut self) -> Result<String, BrowserError> {
        // The driver does nothing from a window that is closed, not even this.
        if self.current.window.is_empty() {
            let jar = self.current.jar.clone();
            self.switch_to(&jar).await?;
        }
        let body = json!({"type": "window"});
        let opened = self.post("/window/new", body, CALL_DEADLINE).await?;
        Ok(opened["handle"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs a script there, whose last argument is called with its result.
    pub(super) async fn execute(
        &mut self,
        window: &str,
        script: &str,
    ) -> Result<Value, BrowserError> {
        self.switch_to(window).await?;
        let body = json!({"script": script, "args": []});
        self.post("/execute/async", body, CALL_DEADLINE).await
    }

    /// Loads an address there.
    pub(super) async fn load(&mut self, window: &str, url: &str) -> Result<(), BrowserError> {
        self.switch_to(window).await?;
        self.post("/url", json!({"url": url}), LOAD_DEADLINE).await?;
        Ok(())
    }

    /// The jar of a document.
    pub(super) async fn cookies(&mut self, document: &str) -> Result<Vec<JarCookie>, BrowserError> {
        self.look_at(document).await?;
        let cookies = self.get("/cookie").await?;
        Ok(list(&cookies).map(JarCookie::from_webdriver).collect())
    }

    /// Adds to the jar of a document.
    pub(super) async fn add_cookie(
        &mut self,
        document: &str,
        cookie: &JarCookie,
    ) -> Result<(), BrowserError> {
        self.look_at(document).await?;
        self.post("/cookie", json!({"cookie": cookie.to_webdriver()}), CALL_DEADLINE).await?;
        Ok(())
    }

    /// Empties the jar of a document, cookie by cookie. The command that deletes all answers before
    /// it has done so, and takes what a page stores meanwhile along (measured with 2.50).
    pub(super) async fn empty_jar(&mut self, document: &str) -> Result<(), BrowserError> {
        self.look_at(document).await?;
        for _ in 0..JAR_TRIES {
            let cookies = self.get("/cookie").await?;
            let names: Vec<_> =
                list(&cookies).filter_map(|cookie| cookie["name"].as_str()).collect();
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                // A name may hold what ends a path, and a percent sign.
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                self.delete(&format!("/cookie/{name}")).await?;
            }
        }
        Err(BrowserError::Page { what: "its cookies cannot be deleted".to_owned() })
    }

    async fn find_jar_window(&mut self) -> Result<(), BrowserError> {
        let window = self.get("/window").await?;
        let window = window.as_str().unwrap_or_default();
        window.clone_into(&mut self.current.jar);
        window.clone_into(&mut self.current.window);
        Ok(())
    }

    async fn look_at(&mut self, document: &str) -> Result<(), BrowserError> {
        let jar = self.current.jar.clone();
        self.switch_to(&jar).await?;
        if self.current.document.as_deref() != Some(document) {
            self.current.document = None;
            self.load(&jar, document).await?;
            self.current.document = Some(document.to_owned());
        }
        Ok(())
    }

    async fn close(&mut self, window: &str) -> Result<(), BrowserError> {
        self.switch_to(window).await?;
        self.current.window.clear();
        self.delete("/window").await?;
        Ok(())
    }

    async fn switch_to(&mut self, window: &str) -> Result<(), BrowserError> {
        if self.current.window != window {
            // Nobody may wait for the answer any more, and the driver switches all the same.
            self.current.window.clear();
            self.post("/window", json!({"handle": window}), CALL_DEADLINE).await?;
            window.clone_into(&mut self.current.window);
        }
        Ok(())
    }

    async fn get(&self, command: &str) -> Result<Value, BrowserError> {
        let path = format!("{}{command}", self.current.path);
        self.session.command(Method::GET, &path, None, CALL_DEADLINE).await
    }

    async fn delete(&self, command: &str) -> Result<Value, BrowserError> {
        let path = format!("{}{command}", self.current.path);
        self.session.command(Method::DELETE, &path, None, CALL_DEADLINE).await
    }

    async fn post(
        &self,
        command: &str,
        body: Value,
        deadline: Duration,
    ) -> Result<Value, BrowserError> {
        let path = format!("{}{command}", self.current.path);
        self.session.command(Method::POST, &path, Some(body), deadline).await
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
