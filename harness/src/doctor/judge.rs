//! Facts and predictions → what is wrong, the gravest first.

mod caches;
mod call;
mod cookies;
mod errors;
mod lists;
mod reach;
mod strangers;
mod unanswered;

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::doctor::{EngineSees, Facts, mend};
use crate::oracle::{Code, Profile};
use crate::scenario::Engine;

/// How grave a finding is. The gravest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Strangers can read what they must not.
    Critical,
    /// The call does not work, or others can make it fail or read it: a cache, somebody in the
    /// network between, a preflight granted to everybody.
    Error,
    /// It works, and fails under some circumstances or in some engines.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The catalogue's code.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// Whom it concerns.
    pub engines: Vec<Engine>,
    /// What was seen, in a sentence or two.
    pub text: String,
    /// What to do about it.
    pub mend: String,
    /// Whether no CORS header mends it.
    pub not_cors: bool,
}

/// Everything that is wrong, gravest first; among equals what is no CORS problem comes first, since
/// it makes the rest look like one.
#[must_use]
pub fn findings(
    facts: &Facts,
    sees: &[EngineSees],
    profiles: &[&Profile],
    now_ms: i64,
) -> Vec<Finding> {
    let servers = mend::servers(facts);
    let mut judge = Judge { facts, sees, profiles, now_ms, servers, found: Vec::new() };
    judge.reach();
    judge.call();
    judge.errors();
    judge.strangers();
    judge.caches();
    judge.cookies();
    judge.lists();
    judge.unanswered();
    let mut found = judge.found;
    found.sort_by_key(|finding| (finding.severity, !finding.not_cors));
    found
}

/// Who looks, and what was found so far.
struct Judge<'a> {
    facts: &'a Facts,
    sees: &'a [EngineSees],
    profiles: &'a [&'a Profile],
    now_ms: i64,
    servers: Vec<&'static str>,
    found: Vec<Finding>,
}

impl Judge<'_> {
    /// Says it of all engines.
    fn say(&mut self, code: &str, severity: Severity, text: impl Into<String>) {
        let engines = self.profiles.iter().map(|profile| profile.engine).collect();
        self.say_of(code, severity, engines, text);
    }

    /// Says it of some.
    fn say_of(
        &mut self,
        code: &str,
        severity: Severity,
        engines: Vec<Engine>,
        text: impl Into<String>,
    ) {
        let general = Code::ALL.iter().find(|known| known.id() == code).map_or("", |c| c.mend());
        let mend = mend::mend(code, &self.servers, general);
        let not_cors = Catalogue::embedded().bug(code).is_some_and(|bug| bug.not_cors);
        let text = text.into();
        let finding = Finding { code: code.to_owned(), severity, engines, text, mend, not_cors };
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    fn has(&self, code: &str) -> bool {
        self.found.iter().any(|finding| finding.code == code)
    }

    /// Whether the call works in at least one engine, as far as CORS is concerned.
    fn works(&self) -> bool {
        self.sees.iter().any(|sees| error(sees).is_none())
    }

    fn host(&self) -> &str {
        self.facts.call.address.origin().host()
    }
}

/// Why the call fails.
fn error(sees: &EngineSees) -> Option<&str> {
    sees.first.error.as_ref().and_then(|error| error.0.as_deref())
}
