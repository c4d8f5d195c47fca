//! What a browser wrote down, whichever it was.

use std::net::IpAddr;

use crate::doctor::Answer;
use crate::scenario::{Address, Engine};

/// A recording that was read.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Who recorded.
    pub recorder: Recorder,
    /// Requests in the file, those included that are no http.
    pub total: usize,
    /// Requests in their order.
    pub entries: Vec<Entry>,
}

/// Who recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// For people.
    pub name: String,
    /// Whose behaviour it shows, if that is known.
    pub engine: Option<Engine>,
    /// Whether a request that failed is marked as one. Without marks an answer that the page was
    /// not allowed to read looks like any other.
    pub marks_failures: bool,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The preflight of another request.
    Preflight,
    /// A script's, or another that CORS has a say in.
    Script,
    /// A page.
    Document,
    /// An image, a style sheet: no CORS.
    Other,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Method.
    pub method: String,
    /// Where to.
    pub address: Address,
    /// Header lines, names in lower case; all, or what was known before it went out.
    pub request: Vec<(String, String)>,
    /// Names of the cookies that travelled.
    pub cookies: Vec<String>,
    /// The answer, if there was one.
    pub answer: Option<Answer>,
    /// What the browser says of its failure.
    pub error: Option<String>,
    /// The page that asked, as far as it is known.
    pub page: Option<Address>,
    /// Whether it named itself `null`.
    pub is_opaque: bool,
    /// What it was for.
    pub kind: Kind,
    /// Who answered.
    pub peer: Option<IpAddr>,
    /// How long it took.
    pub millis: u64,
}

impl Recorder {
    pub(super) fn of(creator: &str, browser: &str, version: &str) -> Self {
        let is = |word: &str| {
            [creator, browser].iter().any(|name| name.to_ascii_lowercase().contains(word))
        };
        let (name, engine, marks_failures) = if is("playwright") {
            let engine = match browser.to_ascii_lowercase().as_str() {
                "firefox" => Some(Engine::Firefox),
                "webkit" => Some(Engine::Webkit),
                _ => Some(Engine::Chromium),
            };
            (format!("Playwright {version} ({browser})"), engine, true)
        } else if is("firefox") {
            (format!("Firefox {version}"), Some(Engine::Firefox), false)
        } else if is("webkit web inspector") || is("safari") {
            ("Safari or WebKit".to_owned(), Some(Engine::Safari), false)
        } else if is("webinspector") || is("chrom") || is("edge") {
            ("Chrome or another Chromium".to_owned(), Some(Engine::Chromium), true)
        } else {
            let name = if creator.is_empty() { "an unknown recorder" } else { creator };
            (name.to_owned(), None, false)
        };
        Self { name, engine, marks_failures }
    }
}

impl Recording {
    /// Whether cookies and authorization were left out on purpose: there is not one of them.
    #[must_use]
    pub fn is_sanitized(&self) -> bool {
        let told = |entry: &Entry| {
            let carries =
                ["cookie", "authorization"].iter().any(|name| entry.header(name).is_some());
            let sets =
                entry.answer.as_ref().is_some_and(|a| a.lines("set-cookie").next().is_some());
            carries || sets || !entry.cookies.is_empty()
        };
        !self.entries.is_empty() && !self.entries.iter().any(told)
    }
}

impl Entry {
    /// A header that was sent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the browser says that it failed. That a page was left meanwhile is no failure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.error.as_deref().is_some_and(|error| !error.contains("ERR_ABORTED"))
            || self.answer.is_none() && self.error.is_none()
    }
}
