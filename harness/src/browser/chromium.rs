//! Chromium: found, started, asked about its jar, ended.

mod driver;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use headless_chrome::{Browser, LaunchOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{interval, timeout};

use crate::browser::BrowserError;
use crate::browser::engine::{Engine, has_display};
use crate::browser::jar::JarCookie;
use crate::browser::launch::Launch;
use crate::browser::page::{Page, Sessions};
use crate::browser::process;
use crate::browser::profile::Profile;
use crate::browser::tap::{Tap, TapError};

/// A running Chromium with a scratch profile. Dropping it ends all its processes and removes the
/// profile, whoever still holds a [`Page`] or a clone of the [`Tap`]; that blocks for some 100 ms,
/// and for some seconds if the browser hangs. [`Chromium::close`] does the same without blocking.
pub struct Chromium {
    tap: Tap,
    sessions: Arc<Sessions>,
    router: AbortHandle,
    /// Whose jar is used: the default one, or the context of the last `isolate`.
    context: Mutex<Option<String>>,
    pid: u32,
    binary: PathBuf,
    browser: Owned,
    // Dropped last, when `Drop` has ended all that uses it.
    profile: Profile,
}

impl Chromium {
    /// Starts a browser and connects to it.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`], [`BrowserError::Launch`] (also when the browser ends right
    /// after its start, which is noticed at once), [`BrowserError::Profile`].
    pub async fn launch(launch: Launch) -> Result<Self, BrowserError> {
        let binary = find_binary(launch.binary.as_deref())?;
        if launch.headed && !has_display() {
            let reason = "a window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set";
            return Err(BrowserError::Launch { binary, reason: reason.to_owned() });
        }
        let profile = Profile::create(launch.third_party_cookies).map_err(BrowserError::Profile)?;
        // Should the caller give up half-way, nothing stays behind.
        let mut guard = EndUnlessDone { profile: &profile, done: false };
        let browser = start(&launch, &binary, &profile).await?;
        let Some(pid) = browser.api().get_process_id() else { return Err(BrowserError::Gone) };
        let (tap, events) = Tap::connect(&browser.api().get_ws_url()).await?;
        let sessions = Arc::new(Sessions::default());
        let router = tokio::spawn(Arc::clone(&sessions).route(events, tap.clone())).abort_handle();
        guard.done = true;
        drop(guard);
        let context = Mutex::default();
        Ok(Self { tap, sessions, router, context, pid, binary, browser, profile })
    }

    /// The product and its version, for example `Chromium 156.0.8078.79`.
    ///
    /// # Errors
    /// [`BrowserError::Gone`] and other failures of the connection.
    pub async fn version(&self) -> Result<String, BrowserError> {
        let reply = self.tap.call(None, "Browser.getVersion", json!({})).await?;
        let product = reply["product"].as_str().unwrap_or("Chrome/unknown");
        let (name, version) = product.split_once('/').unwrap_or(("Chrome", product));
        // Chromium calls itself Chrome here; only the program's name tells them apart.
        let is_chromium = self.binary.to_string_lossy().to_lowercase().contains("chromium");
        let name = match name {
            "Chrome" | "HeadlessChrome" if is_chromium => "Chromium",
            "HeadlessChrome" => "Chrome",
            other => other,
        };
        Ok(format!("{name} {version}"))
    }

    /// Opens `url` in a new tab and waits until it has loaded.
    ///
    /// # Errors
    /// [`BrowserError::Page`] with the browser's text if it cannot be loaded,
    /// [`BrowserError::Timeout`] after 15 s, [`BrowserError::Gone`].
    pub async fn open(&self, url: &str) -> Result<Page, BrowserError> {
        let page = self.in_context(json!({"url": "about:blank"}));
        let page = Page::create(self.tap.clone(), Arc::clone(&self.sessions), page).await?;
        page.navigate(url).await?;
        Ok(page)
    }

    /// All cookies in the jar.
    ///
    /// # Errors
    /// [`BrowserError::Gone`] and other failures of the connection.
    pub async fn cookies(&self) -> Result<Vec<JarCookie>, BrowserError> {
        let reply = self.tap.call(None, "Storage.getCookies", self.in_context(json!({}))).await?;
        Ok(reply["cookies"]
            .as_array()
            .into_iter()
            .flatten()
            .map(JarCookie::from_devtools)
            .collect())
    }

    /// Empties the jar.
    ///
    /// # Errors
    /// [`BrowserError::Gone`] and other failures of the connection.
    pub async fn clear_cookies(&self) -> Result<(), BrowserError> {
        self.tap.call(None, "Storage.clearCookies", self.in_context(json!({}))).await?;
        Ok(())
    }

    /// Names our browser context to a command that takes one.
    fn in_context(&self, mut params: Value) -> Value {
        if let Some(context) = &*self.context.lock().unwrap_or_else(PoisonError::into_inner) {
            params["browserContextId"] = json!(context);
        }
        params
    }

    /// From here on that one; gives the one before.
    fn enter_context(&self, context: String) -> Option<String> {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).replace(context)
    }

    /// The browser's process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The user data directory. It is gone once the browser is closed or dropped.
    #[must_use]
    pub fn profile_path(&self) -> &Path {
        self.profile.path()
    }

    /// The raw connection, for commands that have no method here.
    #[must_use]
    pub const fn tap(&self) -> &Tap {
        &self.tap
    }

    /// The browser as `headless_chrome` sees it, for tests that click and type. Its methods block.
    #[must_use]
    pub fn tab_api(&self) -> &Browser {
        self.browser.api()
    }

    /// Ends the browser in an orderly way, then removes its profile. Returns when both are done.
    pub async fn close(self) {
        let end = self.tap.call_within(CLOSE_DEADLINE, None, "Browser.close", json!({}));
        let hangs = matches!(end.await, Err(TapError::Timeout { .. }));
        if !hangs {
            let profile = self.profile.path();
            let ended = poll_until(|| process::users_of(profile).is_empty());
            let _ = timeout(CLOSE_DEADLINE, ended).await;
        }
        // What did not end by itself is killed here, off the runtime's threads.
        let ending = tokio::task::spawn_blocking(move || {
            if hangs {
                process::end_users_of(self.profile.path(), Duration::ZERO);
            }
            drop(self);
        });
        let _ = ending.await;
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.router.abort();
        self.browser.end(self.profile.path());
        // Also for the other clones: their calls fail at once.
        self.tap.close();
        self.sessions.end_all();
    }
}

/// The program to start, see [`Engine::find`].
///
/// # Errors
/// [`BrowserError::NotFound`].
pub fn find_binary(explicit: Option<&Path>) -> Result<PathBuf, BrowserError> {
    Engine::Chromium.find(explicit)
}

/// Starts the browser on a thread of its own: the call blocks for up to 30 s when the browser is
/// broken, and a blocking task of tokio's would keep the whole program from ending as long.
async fn start(launch: &Launch, binary: &Path, profile: &Profile) -> Result<Owned, BrowserError> {
    let failed = |reason: String| BrowserError::Launch { binary: binary.to_owned(), reason };
    let arguments: Vec<OsString> = arguments(launch).into_iter().map(OsString::from).collect();
    // The browser's own temporary files go into the profile, see `Profile::scratch`.
    let scratch = profile.scratch().to_string_lossy().into_owned();
    let environment = HashMap::from([("TMPDIR".to_owned(), scratch)]);
    let (headed, window) = (launch.headed, launch.window);
    let (path, data) = (binary.to_owned(), profile.path().to_owned());
    let (outcome_in, outcome) = oneshot::channel();
    let spawned = thread::Builder::new().name("chromium-launch".to_owned()).spawn(move || {
        let options = LaunchOptions {
            headless: !headed,
            sandbox: !process::is_root(),
            window_size: Some(window),
            // The system picks a free port; otherwise the crate tries out a thousand fixed ones.
            port: Some(0),
            ignore_certificate_errors: false,
            path: Some(path),
            user_data_dir: Some(data),
            args: arguments.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>(),
            ignore_default_args: vec![OsStr::new(CRATE_DISABLED_FEATURES)],
            idle_browser_timeout: IDLE,
            process_envs: Some(environment),
            ..LaunchOptions::default()
        };
        // If nobody waits any more, the browser comes back here and ends with this thread.
        let _ = outcome_in.send(Browser::new(options).map(|browser| Owned(Some(browser))));
    });
    spawned.map_err(|error| failed(error.to_string()))?;

    tokio::select! {
        biased;
        outcome = outcome => match outcome {
            Ok(started) => started.map_err(|error| failed(format!("{error:#}"))),
            Err(_panicked) => Err(failed("the launching thread panicked".to_owned())),
        },
        // The crate does not notice an early death and waits for its address for 30 s.
        () = has_died(profile.path()) => Err(failed(format!(
            "it ended right after its start; try `{} --headless --no-sandbox about:blank`",
            binary.display()
        ))),
    }
}

/// Completes once no process uses `profile` any more, or if none does so for a while. One that
/// ends within milliseconds is never seen: looking only for its end would miss it.
async fn has_died(profile: &Path) {
    let seen = poll_until(|| !process::users_of(profile).is_empty());
    if timeout(START_DEADLINE, seen).await.is_ok() {
        // A start script has no command line for an instant while it becomes the browser.
        let mut unseen = 0;
        let has_ended = || {
            unseen = if process::users_of(profile).is_empty() { unseen + 1 } else { 0 };
            unseen == LOOKS
        };
        poll_until(has_ended).await;
    }
}

/// Looks every 20 ms: the process belongs to the crate, so its end cannot be awaited.
async fn poll_until(mut condition: impl FnMut() -> bool) {
    let mut tick = interval(Duration::from_millis(20));
    while !condition() {
        tick.tick().await;
    }
}

fn arguments(launch: &Launch) -> Vec<String> {
    let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    arguments.push(format!("--host-resolver-rules={}", resolver_rules(&launch.hosts)));
    if !launch.trusted_keys.is_empty() {
        let keys = launch.trusted_keys.join(",");
        arguments.push(format!("--ignore-certificate-errors-spki-list={keys}"));
    }
    arguments
}

/// The first rule that matches counts. `EXCLUDE` would come before all others and so take hosts
/// under `localhost` away from `hosts`: loopback is mapped to itself instead.
fn resolver_rules(hosts: &[(String, SocketAddr)]) -> String {
    let mut rules: Vec<String> =
        hosts.iter().map(|(host, address)| format!("MAP {host} {address}")).collect();
    rules.extend(LOOPBACK_RULES.map(str::to_owned));
    rules.join(",")
}

/// The crate's browser. `None` only while it is being ended.
struct Owned(Option<Browser>);

impl Owned {
    #[expect(clippy::expect_used, reason = "taken out by nothing but the drop of the owner")]
    fn api(&self) -> &Browser {
        self.0.as_ref().expect("the browser is there until it is dropped")
    }

    /// Ends the browser within a bound.
    fn end(&mut self, profile: &Path) {
        let Some(browser) = self.0.take() else { return };
        // The crate's drop asks the browser to close and waits for the reply as long as its idle
        // timeout, an hour here: a browser that hangs would take us along. So it gets a thread,
        // and if that does not come back, the process is killed.
        let (done_in, done) = mpsc::channel();
        let spawned = thread::Builder::new().name("chromium-end".to_owned()).spawn(move || {
            drop(browser);
            let _ = done_in.send(());
        });
        let ended = spawned.is_ok() && done.recv_timeout(DROP_DEADLINE).is_ok();
        let grace = if ended { CHILDREN_GRACE } else { Duration::ZERO };
        process::end_users_of(profile, grace);
    }
}

/// Kills what was started when a launch does not come to its end.
struct EndUnlessDone<'a> {
    profile: &'a Profile,
    done: bool,
}

impl Drop for EndUnlessDone<'_> {
    fn drop(&mut self) {
        // The launching thread may be about to fork at this moment: one empty look is no proof.
        for _ in (0..LOOKS).take_while(|_| !self.done) {
            process::end_users_of(self.profile.path(), Duration::ZERO);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// How long the process may take to appear, on a busy machine too.
const START_DEADLINE: Duration = Duration::from_secs(5);
/// How many looks in a row must find no process before it counts as ended.
const LOOKS: u32 = 5;
/// How long a reply to `Browser.close`, and then the end of the processes, is waited for.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);
/// How long the crate may take to end its browser.
const DROP_DEADLINE: Duration = Duration::from_secs(3);
/// How long the browser's children may outlive it before they are killed.
const CHILDREN_GRACE: Duration = Duration::from_millis(500);
/// After this long without an event the crate closes its own connection: longer than any run.
const IDLE: Duration = Duration::from_hours(1);

const LOOPBACK_RULES: [&str; 5] = [
    "MAP localhost localhost",
    "MAP *.localhost localhost",
    "MAP 127.0.0.1 127.0.0.1",
    "MAP [::1] [::1]",
    "MAP * ~NOTFOUND",
];

/// The crate's own list, which is left out: of several `--disable-features` the last one counts.
const CRATE_DISABLED_FEATURES: &str = "--disable-features=TranslateUI,BlinkGenPropertyTrees";

/// On top of the crate's defaults. Nothing here touches how cookies or CORS work.
const FLAGS: [&str; 7] = [
    // One protocol less whose connections outlive a test server.
    "--disable-quic",
    // No traffic that no test asked for.
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-default-browser-check",
    "--disable-search-engine-choice-screen",
    "--mute-audio",
    // HttpsUpgrades would try https first for every http page and change what is measured.
    // IsolateSandboxedIframes gives such frames a process, hence a DevTools session, of their own;
    // a `srcdoc` frame does not wait there for its debugger, and its first request goes by unseen.
    "--disable-features=Translate,MediaRouter,OptimizationHints,HttpsUpgrades,\
     IsolateSandboxedIframes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_before_the_rule_that_hides_the_rest() {
        let hosts = [("api.example.net:443".to_owned(), "127.0.0.1:41234".parse().unwrap())];
        let rules = resolver_rules(&hosts);
        assert!(rules.starts_with("MAP api.example.net:443 127.0.0.1:41234,MAP localhost"));
        assert!(rules.ends_with(",MAP * ~NOTFOUND"), "{rules}");
    }

    #[test]
    fn certificates_are_verified_unless_their_key_is_listed() {
        let launch = Launch { trusted_keys: vec!["a=".into(), "b=".into()], ..Launch::default() };
        let with = arguments(&launch);
        assert!(with.contains(&"--ignore-certificate-errors-spki-list=a=,b=".to_owned()));
        let without = arguments(&Launch::default());
        assert!(!without.iter().any(|flag| flag.starts_with("--ignore-certificate-errors")));
    }
}
