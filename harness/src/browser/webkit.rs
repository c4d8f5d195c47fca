//! WebKitGTK: its small browser, started by WebKitWebDriver, under a virtual display if there is no
//! other.
//!
//! It says nothing about requests: evidence is what the server got and what the script could read.
//! Nor does it show its whole jar: only that of the document at hand, so a tab of our own goes to
//! where the question is.

mod page;
mod session;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{Instant, interval};

use crate::browser::driver::{Answer, Browser, Sight, Tab};
use crate::browser::engine::{Engine, find_mini_browser, find_xvfb, has_display};
use crate::browser::jar::JarCookie;
use crate::browser::launch::{Hosts, Launch};
use crate::browser::process::{self, Group};
use crate::browser::profile::Profile;
use crate::browser::relay::Relay;
use crate::browser::webdriver::WebDriver;
use crate::browser::webkit::page::WebKitPage;
use crate::browser::webkit::session::Session;
use crate::browser::{BrowserError, display::Display};

/// How long the driver may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(15);
/// How often a port is chosen: between our choice and the driver's start, somebody else may take it.
const PORT_TRIES: u32 = 3;

/// A running WebKitGTK with a scratch profile.
pub struct WebKit {
    session: Arc<Session>,
    version: String,
    // Dropped in this order: the browser before its display, the profile when nothing uses it.
    _group: Group,
    _display: Option<Display>,
    _relay: Relay,
    profile: Profile,
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
        let started =
            Session::start(driver, capabilities, profile.path().to_owned(), mini_browser.clone());
        let (session, number) = started.await.map_err(|error| match error {
            BrowserError::Driver { .. } | BrowserError::Timeout { .. } => {
                failed(format!("it did not bring {} up: {error}", mini_browser.display()))
            }
            other => other,
        })?;
        Ok(Self {
            session: Arc::new(session),
            version: format!("WebKitGTK {number}"),
            _group: group,
            _display: display,
            _relay: relay,
            profile,
        })
    }

    async fn open_page(&self, url: &str) -> Result<WebKitPage, BrowserError> {
        let window = self.session.turn().await.new_window().await?;
        let page = WebKitPage::new(Arc::clone(&self.session), window);
        page.load(url).await?;
        Ok(page)
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
                for cookie in self.session.turn().await.cookies(document).await? {
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
        async move { self.session.turn().await.add_cookie(document, cookie).await }.boxed()
    }

    fn clear_cookies<'a>(&'a self, documents: &'a [String]) -> Answer<'a, ()> {
        async move {
            for document in documents {
                self.session.turn().await.empty_jar(document).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn isolate(&self) -> Answer<'_, ()> {
        self.session.start_anew().boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.session.end().await;
            // What did not end by itself is killed here, off the runtime's threads.
            let _ = tokio::task::spawn_blocking(move || drop(self)).await;
        }
        .boxed()
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
