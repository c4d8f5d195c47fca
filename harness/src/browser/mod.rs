//! The browser layer: starts engines, drives pages in them and collects what they say about requests.
//!
//! [`Browser`] and [`Tab`] are what every engine can do; [`launch`] starts one. What an engine does
//! not show ([`Sight`]) is absent from the evidence, never guessed.
//!
//! There are **two connections** to every Chromium. `headless_chrome` finds, starts and ends the
//! browser and gives tests its `Tab`. Its events are typed after an older protocol, though, and an
//! event that no longer fits its types is dropped without a word: Chromium 156 loses every
//! `requestWillBeSentExtraInfo` of a fetch that way, the one event that shows which cookies
//! went over the wire. So everything that has to do with evidence goes over a second websocket,
//! the [`Tap`], which keeps plain JSON and knows no enum of the engine's. Firefox is driven over such
//! a websocket alone, WebKitGTK over HTTP.
//!
//! ```text
//! Chromium ── headless_chrome (process, Tab for UI tests)
//!     └────── Tap ── events ── router ── Collector of the page ──┐
//! Firefox ─── Tap ── events ── Observer ── BidiCollector ────────┴─ BrowserEvidence
//!     └────── Relay (host:port → listener)
//! WebKitGTK ─ WebDriver (script and jar, no evidence about requests)
//!     └────── Relay, Display
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `engine.rs` | [`Engine`]: names, programs, how to get them |
//! | `driver.rs` | [`Browser`], [`Tab`], [`launch`] |
//! | `launch.rs`, `jar.rs` | [`Launch`], [`JarCookie`]: words that hold for every engine |
//! | `profile.rs` | [`Profile`]: scratch user data directory, third-party cookie setting |
//! | `process.rs` | processes: found by their profile, ended as a group |
//! | `relay.rs` | hosts without DNS, by a SOCKS5 proxy |
//! | `tap.rs` | [`Tap`]: raw websocket; calls and events as JSON |
//! | `evidence.rs` | [`Collector`]: pure fold from DevTools events to [`BrowserEvidence`] |
//! | `bidi.rs` | [`BidiCollector`]: the same from BiDi events and console texts |
//! | `chromium.rs`, `page.rs` | `Chromium` and `Page` (feature `chromium`) |
//! | `firefox.rs`, `firefox/` | [`Firefox`]: preferences, start, tabs, which cookie is in which partition |
//! | `webkit.rs`, `webkit/`, `webdriver.rs`, `display.rs` | [`WebKit`], its protocol, its virtual display |
//!
//! **Invariant**: evidence says what the *browser* claims. That something was really sent is for
//! the server's log to prove.
//!
//! **Invariant**: engines never use each other.

mod bidi;
mod display;
mod driver;
mod engine;
mod evidence;
mod firefox;
mod jar;
mod launch;
mod process;
mod profile;
mod relay;
mod tap;
mod webdriver;
mod webkit;

#[cfg(feature = "chromium")]
mod chromium;
#[cfg(feature = "chromium")]
mod page;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use bidi::BidiCollector;
#[cfg(feature = "chromium")]
pub use chromium::{Chromium, find_binary};
pub use driver::{Answer, Browser, Enough, Sight, Tab, launch};
pub use engine::Engine;
pub use evidence::{
    BrowserEvidence, Collector, CookieVerdict, Failure, Leg, Progress, RefusedCookie,
};
pub use firefox::Firefox;
pub use jar::JarCookie;
pub use launch::Launch;
#[cfg(feature = "chromium")]
pub use page::Page;
pub use profile::{Profile, ThirdPartyCookies};
pub use tap::{Event, Tap, TapError};
pub use webkit::WebKit;

/// Why the browser could not do what was asked of it. The texts are written for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// There is no browser to start.
    #[error("no {} found ({looked_for}); {}", engine.title(), engine.how_to_get())]
    NotFound {
        /// Which engine's.
        engine: Engine,
        /// Where it was looked for.
        looked_for: String,
    },
    /// The browser was found, but it did not start.
    #[error("{} did not start: {reason}", binary.display())]
    Launch {
        /// The program that was started.
        binary: PathBuf,
        /// What is known about the cause.
        reason: String,
    },
    /// The scratch profile could not be made.
    #[error("no scratch profile could be made for the browser")]
    Profile(#[source] io::Error),
    /// The browser's process ended, or its connection broke, while it was needed.
    #[error(
        "the browser died; rerun with --headed to watch it, or look for the system's OOM killer"
    )]
    Gone,
    /// The browser lives, but did not do something in time.
    #[error("the browser took longer than {after:?}: {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The browser refused a command, or could not be talked to.
    #[error("the browser could not be driven")]
    Protocol(#[source] TapError),
    /// The program between us and the browser refused a command.
    #[error("the driver answered \"{error}\": {message}")]
    Driver {
        /// The driver's word for it.
        error: String,
        /// Its text.
        message: String,
    },
    /// The page, not the browser, failed: it did not load, threw, crashed or was closed.
    #[error("the page failed: {what}")]
    Page {
        /// What the browser says about it.
        what: String,
    },
}

impl From<TapError> for BrowserError {
    fn from(error: TapError) -> Self {
        match error {
            TapError::BrowserGone => Self::Gone,
            TapError::Timeout { method, after } => Self::Timeout { what: method, after },
            other => Self::Protocol(other),
        }
    }
}
