//! The browser layer: starts Chromium, drives pages in it and collects what it says about requests.
//!
//! There are **two connections** to every Chromium. `headless_chrome` finds, starts and ends the
//! browser and gives tests its `Tab`. Its events are typed after an older protocol, though, and an
//! event that no longer fits its types is dropped without a word: Chromium 156 loses every
//! `requestWillBeSentExtraInfo` of a fetch that way, the one event that shows which cookies
//! went over the wire. So everything that has to do with evidence goes over a second websocket,
//! the [`Tap`], which keeps plain JSON and knows no enum of the engine's.
//!
//! ```text
//! Chromium ── headless_chrome (process, Tab for UI tests)
//!     └────── Tap ── events ── router ── Collector of the page ── BrowserEvidence
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `profile.rs` | [`Profile`]: scratch user data directory, third-party cookie setting |
//! | `tap.rs` | [`Tap`]: raw DevTools websocket; calls and events as JSON |
//! | `evidence.rs` | [`Collector`]: pure fold from events to [`BrowserEvidence`] |
//! | `chromium.rs` | `Chromium`: launch, open, jar, end (feature `chromium`, as the next two) |
//! | `page.rs` | `Page`: navigate, probe, evaluate; which event belongs to which page |
//! | `process.rs` | the browser's processes, found by their profile |
//!
//! **Invariant**: evidence says what the *browser* claims. That something was really sent is for
//! the server's log to prove.

mod evidence;
mod profile;
mod tap;

#[cfg(feature = "chromium")]
mod chromium;
#[cfg(feature = "chromium")]
mod page;
#[cfg(feature = "chromium")]
mod process;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "chromium")]
pub use chromium::{Chromium, JarCookie, Launch, find_binary};
pub use evidence::{
    BrowserEvidence, Collector, CookieVerdict, Failure, Leg, Progress, RefusedCookie,
};
#[cfg(feature = "chromium")]
pub use page::Page;
pub use profile::{Profile, ThirdPartyCookies};
pub use tap::{Event, Tap, TapError};

/// Why the browser could not do what was asked of it. The texts are written for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// There is no browser to start.
    #[error(
        "no Chromium found ({looked_for}); install one with `apt-get install chromium`, or say \
         where it is with the environment variable CHROME or with --chromium PATH"
    )]
    NotFound {
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
