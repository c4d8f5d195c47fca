//! WebKitGTK: its small browser, started by WebKitWebDriver, under a virtual display if there is no
//! other.
//!
//! It says nothing about requests: evidence is what the server got and what the script could read.
//! Nor does it show its whole jar: only that of the document at hand, so a tab of our own goes to
//! where the question is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, interval};

use crate::browser::driver::{Answer, Browser, Enough, Sight, Tab};
use crate::browser::engine::{Engine, find_mini_browser, find_xvfb, has_display};
use crate::browser::evidence::BrowserEvidence;
use crate::browser::jar::JarCookie;
use crate::browser::launch::{Hosts, Launch};
use crate::browser::process::{self, Group};
use crate::browser::profile::Profile;
use crate::browser::relay::Relay;
use crate::browser::webdriver::{CALL_DEADLINE, WebDriver};
use crate::browser::{BrowserError, display::Display};

/// How long the driver may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(15);
/// How long the browser may take to come up.
const SESSION_DEADLINE: Duration = Duration::from_secs(30);
/// How long a page may take to load.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a script may run.
const SCRIPT_DEADLINE: Duration = Duration::from_secs(30);
/// How often a port is chosen: between our choice and the driver's start, somebody else may take it.
const PORT_TRIES: u32 = 3;

/// How often a jar is emptied: of cookies that differ in their path only, one goes at a time.
const JAR_TRIES: u32 = 20;

/// A running WebKitGTK with a scratch profile.
pub struct WebKit {
    session: Arc<Session>,
    capabilities: Value,
    version: String,
    // Dropped in this order: the browser before its display, the profile when nothing uses it.
    _group: Group,
    _display: Option<Display>,
    _relay: Relay,
    profile: Profile,
}

/// The one session that the driver has. Commands go to the current window, so choosing a window and
/// using it is one step, which the lock makes.
struct Session {
    driver: WebDriver,
    inner: Mutex<Current>,
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
    window: String,
}

impl WebKit {
    /// Starts a browser and connects to it.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`], [`BrowserError::Launch`], [`BrowserError::Profile`].
    pub async fn launch(launch: Launch) -> Result<Self, BrowserError> {
        let binary = Engine::WebKit.find(launch.binary.as_deref())?;
        let mini_browser = find_mini_browser()?;
        let failed = |reason: String| BrowserError::Launch { binary: binary.clone(), reason };
        let relay = Relay::start(Hosts::new(launch.hosts.clone()));
        let relay = relay.await.map_err(|error| failed(error.to_string()))?;
        let profile = Profile::bare().map_err(BrowserError::Profile)?;
        // Without a window to show there is still one, on a display that nobody sees if that can be.
        let display = match (launch.headed, has_display()) {
            (true, true) => None,
            (true, false) => {
                let reason = "a window needs a display, and DISPLAY is not set";
                return Err(failed(reason.to_owned()));
            }
            (false, true) if find_xvfb().is_err() => None,
            (false, _) => Some(Display::start(launch.window).await?),
        };
        let (group, driver) = start(&binary, display.as_ref(), &profile).await?;
        let capabilities = capabilities(&launch, &mini_browser, relay.address());
        let (path, told) =
            driver.session(capabilities.clone(), SESSION_DEADLINE).await.map_err(|error| {
                match error {
                    BrowserError::Driver { .. } | BrowserError::Timeout { .. } => {
                        failed(format!("it did not bring {} up: {error}", mini_browser.display()))
                    }
                    other => other,
                }
            })?;
        let number = told["browserVersion"].as_str().unwrap_or("unknown").to_owned();
        let session = Session {
            driver,
            inner: Mutex::new(Current::begin(path)),
            profile: profile.path().to_owned(),
            mini_browser,
        };
        session.inner.lock().await.find_jar_window(&session).await?;
        Ok(Self {
            session: Arc::new(session),
            capabilities,
            version: format!("WebKitGTK {number}"),
            _group: group,
            _display: display,
            _relay: relay,
            profile,
        })
    }

    async fn open_page(&self, url: &str) -> Result<WebKitPage, BrowserError> {
        let window = {
            let current = self.session.inner.lock().await;
            let path = format!("{}/window/new", current.path);
            // A window: a tab that is not in front counts as hidden, and its timers are slowed down.
            let body = Some(json!({"type": "window"}));
            let opened = self.session.command(Method::POST, &path, body, CALL_DEADLINE).await?;
            opened["handle"].as_str().unwrap_or_default().to_owned()
        };
        let page =
            WebKitPage { session: Arc::clone(&self.session), window, last_job: AtomicU64::new(0) };
        page.load(url).await?;
        Ok(page)
    }

    async fn cookies_of(&self, document: &str) -> Result<Vec<JarCookie>, BrowserError> {
        let mut current = self.session.inner.lock().await;
        current.look_at(&self.session, document).await?;
        let cookies = self.session.get(&current, "/cookie").await?;
        Ok(list(&cookies).map(JarCookie::from_webdriver).collect())
    }

    async fn end_session(&self) {
        let current = self.session.inner.lock().await;
        let end = self.session.command(Method::DELETE, &current.path, None, CALL_DEADLINE);
        // What does not end this way is killed.
        let _ = end.await;
    }
}

impl Browser for WebKit {
    fn engine(&self) -> Engine {
        Engine::WebKit
    }

    fn sight(&self) -> Sight {
        Sight { requests: false, cors_errors: false, withheld_cookies: false }
    }

    fn profile(&self) -> &Path {
        self.profile.path()
    }

    fn version(&self) -> Answer<'_, String> {
        async { Ok(self.version.clone()) }.boxed()
    }

    fn open<'a>(&'a self, url: &'a str) -> Answer<'a, Box<dyn Tab>> {
        async { Ok(Box::new(self.open_page(url).await?) as Box<dyn Tab>) }.boxed()
    }

    fn cookies<'a>(&'a self, documents: &'a [String]) -> Answer<'a, Vec<JarCookie>> {
        async move {
            let mut all: Vec<JarCookie> = Vec::new();
            for document in documents {
                for cookie in self.cookies_of(document).await? {
                    if !all.contains(&cookie) {
                        all.push(cookie);
                    }
                }
            }
            Ok(all)
        }
        .boxed()
    }

    fn plant<'a>(&'a self, document: &'a str, cookie: &'a JarCookie) -> Answer<'a, ()> {
        async move {
            let mut current = self.session.inner.lock().await;
            current.look_at(&self.session, document).await?;
            let body = json!({"cookie": cookie.to_webdriver()});
            self.session.post(&current, "/cookie", body, CALL_DEADLINE).await?;
            Ok(())
        }
        .boxed()
    }

    fn clear_cookies<'a>(&'a self, documents: &'a [String]) -> Answer<'a, ()> {
        async move {
            for document in documents {
                let mut current = self.session.inner.lock().await;
                current.look_at(&self.session, document).await?;
                self.session.empty_jar(&current).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn isolate(&self) -> Answer<'_, ()> {
        async {
            // The driver has one session at a time, and each has a browser and a jar of its own.
            self.end_session().await;
            let started = self.session.driver.session(self.capabilities.clone(), SESSION_DEADLINE);
            let (path, _told) = started.await?;
            let mut current = self.session.inner.lock().await;
            *current = Current::begin(path);
            current.find_jar_window(&self.session).await
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.end_session().await;
            // What did not end by itself is killed here, off the runtime's threads.
            let _ = tokio::task::spawn_blocking(move || drop(self)).await;
        }
        .boxed()
    }
}

impl Session {
    async fn get(&self, current: &Current, command: &str) -> Result<Value, BrowserError> {
        let path = format!("{}{command}", current.path);
        self.command(Method::GET, &path, None, CALL_DEADLINE).await
    }

    async fn post(
        &self,
        current: &Current,
        command: &str,
        body: Value,
        deadline: Duration,
    ) -> Result<Value, BrowserError> {
        let path = format!("{}{command}", current.path);
        self.command(Method::POST, &path, Some(body), deadline).await
    }

    /// Deletes cookie by cookie. The command that deletes all answers before it has done so, and
    /// takes what a page stores meanwhile along (measured with 2.50).
    async fn empty_jar(&self, current: &Current) -> Result<(), BrowserError> {
        for _ in 0..JAR_TRIES {
            let cookies = self.get(current, "/cookie").await?;
            let names: Vec<_> =
                list(&cookies).filter_map(|cookie| cookie["name"].as_str()).collect();
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                let path = format!("{}/cookie/{name}", current.path);
                self.command(Method::DELETE, &path, None, CALL_DEADLINE).await?;
            }
        }
        Err(BrowserError::Page { what: "its cookies cannot be deleted".to_owned() })
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
    fn begin(path: String) -> Self {
        Self { path, jar: String::new(), document: None, window: String::new() }
    }

    async fn find_jar_window(&mut self, session: &Session) -> Result<(), BrowserError> {
        let path = format!("{}/window", self.path);
        let window = session.command(Method::GET, &path, None, CALL_DEADLINE).await?;
        window.as_str().unwrap_or_default().clone_into(&mut self.jar);
        self.window.clone_from(&self.jar);
        Ok(())
    }

    async fn switch_to(&mut self, session: &Session, window: &str) -> Result<(), BrowserError> {
        if self.window != window {
            let path = format!("{}/window", self.path);
            let body = Some(json!({"handle": window}));
            session.command(Method::POST, &path, body, CALL_DEADLINE).await?;
            window.clone_into(&mut self.window);
        }
        Ok(())
    }

    async fn go_to(&mut self, session: &Session, url: &str) -> Result<(), BrowserError> {
        let path = format!("{}/url", self.path);
        session.command(Method::POST, &path, Some(json!({"url": url})), LOAD_DEADLINE).await?;
        Ok(())
    }

    async fn look_at(&mut self, session: &Session, document: &str) -> Result<(), BrowserError> {
        let jar = self.jar.clone();
        self.switch_to(session, &jar).await?;
        if self.document.as_deref() != Some(document) {
            self.document = None;
            self.go_to(session, document).await?;
            self.document = Some(document.to_owned());
        }
        Ok(())
    }
}

/// A tab.
struct WebKitPage {
    session: Arc<Session>,
    window: String,
    last_job: AtomicU64,
}

impl WebKitPage {
    async fn load(&self, url: &str) -> Result<(), BrowserError> {
        {
            let mut current = self.session.inner.lock().await;
            current.switch_to(&self.session, &self.window).await?;
            current.go_to(&self.session, url).await?;
        }
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
        let body = json!({"script": script, "args": []});
        let answer = {
            let mut current = self.session.inner.lock().await;
            current.switch_to(&self.session, &self.window).await?;
            self.session.post(&current, "/execute/async", body, CALL_DEADLINE).await
        };
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

/// Starts the driver on a port that was free a moment ago. It takes none that the system picks.
async fn start(
    binary: &PathBuf,
    display: Option<&Display>,
    profile: &Profile,
) -> Result<(Group, WebDriver), BrowserError> {
    let failed = |reason: String| BrowserError::Launch { binary: binary.clone(), reason };
    for _ in 0..PORT_TRIES {
        let free = TcpListener::bind(("127.0.0.1", 0)).await.and_then(|free| free.local_addr());
        let address = free.map_err(|error| failed(error.to_string()))?;
        let command = command(binary, address, display, profile);
        let mut group =
            Group::start(command, profile).map_err(|error| failed(error.to_string()))?;
        let driver = WebDriver::at(address);
        if answers(&mut group, &driver).await {
            return Ok((group, driver));
        }
    }
    Err(failed(format!("it did not answer, {PORT_TRIES} times in a row")))
}

/// Waits until the driver answers. It prints nothing, so only asking tells.
async fn answers(group: &mut Group, driver: &WebDriver) -> bool {
    let deadline = Instant::now() + START_DEADLINE;
    let mut tick = interval(Duration::from_millis(20));
    while Instant::now() < deadline {
        if group.has_ended(Duration::ZERO).await {
            return false;
        }
        if driver.is_ready().await {
            return true;
        }
        tick.tick().await;
    }
    false
}

fn command(
    binary: &PathBuf,
    address: SocketAddr,
    display: Option<&Display>,
    profile: &Profile,
) -> Command {
    let mut command = Command::new(binary);
    command
        .arg(format!("--port={}", address.port()))
        // Caches and settings beside the profile would outlive it.
        .env("HOME", profile.path())
        .env("XDG_RUNTIME_DIR", profile.scratch())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_DATA_HOME")
        // No desktop: no settings of a person's, no bus, no graphics card.
        .env("GSETTINGS_BACKEND", "memory")
        .env("NO_AT_BRIDGE", "1")
        .env("WEBKIT_DISABLE_COMPOSITING_MODE", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(display) = display {
        command.env("DISPLAY", display.name()).env("GDK_BACKEND", "x11");
        command.env_remove("WAYLAND_DISPLAY");
    }
    if process::is_root() {
        // As root its sandbox does not start, and neither does the browser.
        command.env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1");
    }
    command
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn capabilities(launch: &Launch, mini_browser: &Path, relay: SocketAddr) -> Value {
    let mut arguments = vec!["--automation".to_owned()];
    // WebDriver's own `proxy` sets SOCKS for no scheme at all (measured with 2.50); this is heard.
    arguments.push(format!("--proxy=socks5://{relay}"));
    arguments.extend(LOOPBACK.map(|host| format!("--ignore-host={host}")));
    let trusts = !launch.trusted_certificates.is_empty() || !launch.trusted_keys.is_empty();
    if trusts {
        arguments.push("--ignore-tls-errors".to_owned());
    }
    if let Some(policy) = launch.third_party_cookies.cookies_policy() {
        arguments.push(format!("--cookies-policy={policy}"));
    }
    json!({
        "acceptInsecureCerts": trusts,
        "webkitgtk:browserOptions": {"binary": mini_browser, "args": arguments},
    })
}

/// What means this machine anyway.
const LOOPBACK: [&str; 4] = ["localhost", "*.localhost", "127.0.0.1", "::1"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::ThirdPartyCookies;

    #[test]
    fn the_browser_is_told_what_was_asked_and_nothing_more() {
        let relay = SocketAddr::from(([127, 0, 0, 1], 4711));
        let told = |launch: &Launch| {
            let told = capabilities(launch, Path::new("/MiniBrowser"), relay);
            let arguments = told["webkitgtk:browserOptions"]["args"].to_string();
            (told["acceptInsecureCerts"] == true, arguments)
        };
        let (trusts, arguments) = told(&Launch::default());
        assert!(!trusts && arguments.contains("--proxy=socks5://127.0.0.1:4711"), "{arguments}");
        assert!(!arguments.contains("tls") && !arguments.contains("cookies"), "{arguments}");
        let (trusts, arguments) = told(&Launch {
            trusted_certificates: vec!["AB".to_owned()],
            third_party_cookies: ThirdPartyCookies::Block,
            ..Launch::default()
        });
        assert!(trusts && arguments.contains("--ignore-tls-errors"), "{arguments}");
        assert!(arguments.contains("--cookies-policy=no-third-party"), "{arguments}");
    }
}
