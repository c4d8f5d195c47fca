//! Firefox: started with a scratch profile, driven by WebDriver BiDi over its own websocket. There
//! is no geckodriver in between.

mod jar;
mod page;
mod prefs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, try_join_all};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, Command};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use url::Url;

use crate::browser::BrowserError;
use crate::browser::driver::{Answer, Browser, Sight, Tab};
use crate::browser::engine::{Engine, has_display};
use crate::browser::firefox::page::{FirefoxPage, Observer};
use crate::browser::jar::JarCookie;
use crate::browser::launch::{Hosts, Launch};
use crate::browser::process::{self, Group};
use crate::browser::profile::Profile;
use crate::browser::relay::Relay;
use crate::browser::tap::{Tap, TapError};

/// How long the browser may take until it listens.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How long the first command may take: it waits until the browser is really up.
const SESSION_DEADLINE: Duration = Duration::from_secs(30);
/// How long an orderly end may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// A running Firefox with a scratch profile.
pub struct Firefox {
    tap: Tap,
    observer: Arc<Observer>,
    router: AbortHandle,
    version: String,
    /// Whose jar is used: `default`, or the user context of the last [`Browser::isolate`].
    user_context: Mutex<String>,
    group: Group,
    _relay: Relay,
    // Dropped last, when all that uses it has ended.
    profile: Profile,
}

impl Firefox {
    /// Starts a browser and connects to it.
    ///
    /// # Errors
    /// [`BrowserError::NotFound`], [`BrowserError::Launch`] (also when the browser ends right after
    /// its start, which is noticed at once), [`BrowserError::Profile`].
    pub async fn launch(launch: Launch) -> Result<Self, BrowserError> {
        let binary = Engine::Firefox.find(launch.binary.as_deref())?;
        let failed = |reason: String| BrowserError::Launch { binary: binary.clone(), reason };
        if launch.headed && !has_display() {
            let reason = "a window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set";
            return Err(failed(reason.to_owned()));
        }
        let relay = Relay::start(Hosts::new(launch.hosts.clone()));
        let relay = relay.await.map_err(|error| failed(error.to_string()))?;
        let profile = Profile::bare().map_err(BrowserError::Profile)?;
        prefs::write(&profile, &launch, relay.address()).map_err(BrowserError::Profile)?;

        let command = command(&binary, &launch, &profile);
        let mut group =
            Group::start(command, &profile).map_err(|error| failed(error.to_string()))?;
        let Some(stderr) = group.child().stderr.take() else { return Err(BrowserError::Gone) };
        let mut lines = BufReader::new(stderr).lines();
        let address = match timeout(START_DEADLINE, listening(&mut lines)).await {
            Ok(Ok(address)) => address,
            Ok(Err(said)) => return Err(failed(format!("it ended right after its start{said}"))),
            Err(_elapsed) => {
                return Err(failed(format!("it does not listen after {START_DEADLINE:?}")));
            }
        };
        // A pipe that nobody empties would stop the browser one day.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let (tap, events) = Tap::connect(&format!("{address}/session")).await?;
        let session = json!({"capabilities": {}});
        let session = tap.call_within(SESSION_DEADLINE, None, "session.new", session).await?;
        let observer = Arc::new(Observer::default());
        let router = tokio::spawn(Arc::clone(&observer).listen(events)).abort_handle();
        let events = json!({"events": [
            "network.beforeRequestSent", "network.responseStarted", "network.responseCompleted",
            "network.fetchError", "log.entryAdded", "browsingContext.contextDestroyed",
            "browsingContext.navigationCommitted",
        ]});
        tap.call(None, "session.subscribe", events).await?;
        let number = session["capabilities"]["browserVersion"].as_str().unwrap_or("unknown");
        let version = format!("Firefox {number}");
        let user_context = Mutex::new("default".to_owned());
        Ok(Self { tap, observer, router, version, user_context, group, _relay: relay, profile })
    }

    async fn open_page(&self, url: &str) -> Result<FirefoxPage, BrowserError> {
        let params = json!({"type": "tab", "userContext": self.user_context()});
        let created = self.tap.call(None, "browsingContext.create", params).await?;
        let context = created["context"].as_str().unwrap_or_default().to_owned();
        let page = FirefoxPage::new(self.tap.clone(), Arc::clone(&self.observer), context);
        page.load(url).await?;
        Ok(page)
    }

    /// The cookies of the first-party jar and of the partitions of all open pages.
    async fn all_cookies(&self) -> Result<Vec<JarCookie>, BrowserError> {
        let all = json!({"type": "storageKey", "userContext": self.user_context()});
        let all = self.cookies_of(all).await?;
        let pages = self.partitions().await?.into_iter().map(|partition| async {
            match self.cookies_of(partition).await {
                // A page that was closed since has none to show.
                Err(BrowserError::Protocol(TapError::Refused { .. })) => Ok(Value::Null),
                other => other,
            }
        });
        Ok(jar::sort(&all, &try_join_all(pages).await?))
    }

    async fn cookies_of(&self, partition: Value) -> Result<Value, BrowserError> {
        let params = json!({"partition": partition});
        Ok(self.tap.call(None, "storage.getCookies", params).await?)
    }

    /// The partitions of the pages that are open in our user context.
    async fn partitions(&self) -> Result<Vec<Value>, BrowserError> {
        Ok(self
            .open_pages()
            .await?
            .into_iter()
            .map(|(context, _url)| partition(&context))
            .collect())
    }

    /// The partition that the pages of an origin have.
    async fn partition_of(&self, origin: &str) -> Result<Value, BrowserError> {
        let pages = self.open_pages().await?;
        let is_of = |url: &str| url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        let page = pages.iter().find(|(_context, url)| is_of(url));
        page.map(|(context, _url)| partition(context)).ok_or_else(|| BrowserError::Page {
            what: format!("no page of {origin} is open, whose cookie partition was asked for"),
        })
    }

    /// The pages that are open in our user context, each with its address.
    async fn open_pages(&self) -> Result<Vec<(Value, String)>, BrowserError> {
        let user_context = self.user_context();
        let tree = self.tap.call(None, "browsingContext.getTree", json!({"maxDepth": 0})).await?;
        let ours = list(&tree["contexts"]).filter(|c| c["userContext"] == user_context.as_str());
        // A page that shows nothing has no origin, and no partition.
        let pages =
            ours.filter_map(|c| Some((c["context"].clone(), c["url"].as_str()?.to_owned())));
        Ok(pages.filter(|(_context, url)| url.starts_with("http")).collect())
    }

    fn user_context(&self) -> String {
        self.user_context.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Browser for Firefox {
    fn engine(&self) -> Engine {
        Engine::Firefox
    }

    fn sight(&self) -> Sight {
        Sight { requests: true, cors_errors: true, withheld_cookies: false }
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

    fn cookies<'a>(&'a self, _documents: &'a [String]) -> Answer<'a, Vec<JarCookie>> {
        self.all_cookies().boxed()
    }

    fn plant<'a>(&'a self, document: &'a str, cookie: &'a JarCookie) -> Answer<'a, ()> {
        async move {
            let mut planted = cookie.to_bidi();
            if cookie.domain.is_empty() {
                planted["domain"] = json!(host_of(document));
            }
            let partition = match &cookie.partition_key {
                None => json!({"type": "storageKey", "userContext": self.user_context()}),
                Some(origin) => self.partition_of(origin).await?,
            };
            let params = json!({"cookie": planted, "partition": partition});
            self.tap.call(None, "storage.setCookie", params).await?;
            Ok(())
        }
        .boxed()
    }

    fn clear_cookies<'a>(&'a self, _documents: &'a [String]) -> Answer<'a, ()> {
        async {
            let mut partitions = self.partitions().await?;
            partitions.push(json!({"type": "storageKey", "userContext": self.user_context()}));
            let delete = |partition| {
                self.tap.call(None, "storage.deleteCookies", json!({"partition": partition}))
            };
            for partition in partitions {
                delete(partition).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn isolate(&self) -> Answer<'_, ()> {
        async {
            let fresh = self.tap.call(None, "browser.createUserContext", json!({})).await?;
            let fresh = fresh["userContext"].as_str().unwrap_or_default().to_owned();
            let old = {
                let mut now = self.user_context.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *now, fresh)
            };
            if old != "default" {
                let params = json!({"userContext": old});
                self.tap.call(None, "browser.removeUserContext", params).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            let end = self.tap.call_within(CLOSE_DEADLINE, None, "browser.close", json!({}));
            if end.await.is_ok() {
                self.group.has_ended(CLOSE_DEADLINE).await;
            }
            // What did not end by itself is killed here, off the runtime's threads.
            let _ = tokio::task::spawn_blocking(move || drop(self)).await;
        }
        .boxed()
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        self.router.abort();
        self.tap.close();
        self.observer.end();
    }
}

fn command(binary: &PathBuf, launch: &Launch, profile: &Profile) -> Command {
    let mut command = Command::new(binary);
    if !launch.headed {
        command.arg("--headless");
    }
    let (width, height) = launch.window;
    command
        .args(["--no-remote", "--new-instance", "--remote-debugging-port", "0"])
        .args(["--width", &width.to_string(), "--height", &height.to_string()])
        .arg("--profile")
        .arg(profile.path())
        .arg("about:blank")
        // Caches and settings beside the profile would outlive it.
        .env("HOME", profile.path())
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_CACHE_HOME")
        .env("MOZ_CRASHREPORTER_DISABLE", "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    if process::is_root() {
        // Firefox refuses to run as root in a session of somebody else's.
        command.env_remove("XAUTHORITY");
    }
    command
}

/// Reads up to the line that says where the browser listens. If it ends before: what it said last.
async fn listening(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<String, String> {
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, address)) = line.split_once("WebDriver BiDi listening on ") {
            return Ok(address.trim().to_owned());
        }
        if !line.trim().is_empty() {
            last = format!(": {}", line.trim());
        }
    }
    Err(last)
}

/// The partition of an open page, as the module `storage` takes it.
fn partition(context: &Value) -> Value {
    json!({"type": "context", "context": context})
}

fn host_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.to_owned())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address() {
        for (url, host) in [
            ("https://api.example.net/x", "api.example.net"),
            ("http://localhost:3000/", "localhost"),
            ("http://localhost:3000", "localhost"),
            ("http://[::1]:3000/", "[::1]"),
            ("http://[::1]/", "[::1]"),
        ] {
            assert_eq!(host_of(url).as_deref(), Some(host));
        }
    }
}
