//! A recording → what went wrong in it, and what it does not show.

use crate::catalogue::Catalogue;
use crate::diagnose::calls::{Gap, Recorded, calls};
use crate::diagnose::recording::Recording;
use crate::diagnose::replay::{kept, predictions};
use crate::doctor::{EngineSees, Facts, Finding, Severity, findings};
use crate::oracle::{Code, Profile};
use crate::scenario::{Credentials, Engine, Scenario};

/// From this score on the catalogue knows the browser's sentence.
const SURE: u8 = 70;
/// More answers that set cookies are not replayed before a call.
const BEFORE: usize = 8;

/// One call that failed, or met something worth knowing.
#[derive(Debug)]
pub struct Diagnosis {
    /// The call and its exchanges.
    pub facts: Facts,
    /// How often the recording has it.
    pub times: usize,
    /// What was recorded, in a few words.
    pub happened: String,
    /// Whether the page did not get what it asked for.
    pub failed: bool,
    /// What is wrong, the gravest first.
    pub findings: Vec<Finding>,
    /// What each engine makes of the recorded answers.
    pub sees: Vec<EngineSees>,
    /// What this recording does not show about it.
    pub not_shown: Vec<String>,
    /// The call and its answers; none where the answers were not recorded.
    pub scenario: Option<Scenario>,
}

impl Diagnosis {
    /// Whether the recording shows why the call did not do what it should.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        is_explained(&self.findings)
    }
}

/// Everything that went wrong, in the order of the recording, and how many calls there are.
#[must_use]
pub fn diagnose(
    recording: &Recording,
    profiles: &[&Profile],
    now_ms: i64,
) -> (Vec<Diagnosis>, usize) {
    let judge = Judge {
        recording,
        profiles,
        now_ms,
        is_sanitized: recording.is_sanitized(),
        own: own_profile(recording, profiles),
    };
    let mut all = calls(recording);
    let sent_later: Vec<_> = all.iter().flat_map(|call| call.cookies.clone()).collect();
    let modes: Vec<_> = all.iter().map(|call| judge.credentials(call, &sent_later)).collect();
    for (call, mode) in all.iter_mut().zip(&modes) {
        call.facts.call.credentials = mode.mode;
    }
    let mut found: Vec<Diagnosis> = Vec::new();
    for (index, call) in all.iter().enumerate() {
        let Some(diagnosis) = judge.one(call, &all[..index], &modes[index], found.len()) else {
            continue;
        };
        match found.iter_mut().find(|known| is_same(known, &diagnosis)) {
            Some(known) => known.times += 1,
            None => found.push(diagnosis),
        }
    }
    (found, all.len())
}

/// The profile of the browser that recorded; another's where it is not known.
fn own_profile<'p>(recording: &Recording, profiles: &[&'p Profile]) -> Option<&'p Profile> {
    let engine = recording.recorder.engine.unwrap_or(Engine::Chromium);
    let own = profiles.iter().find(|profile| profile.engine == engine);
    own.or(profiles.first()).copied()
}

fn is_same(a: &Diagnosis, b: &Diagnosis) -> bool {
    let key = |d: &Diagnosis| {
        let codes: Vec<_> = d.findings.iter().map(|f| f.code.clone()).collect();
        let call = &d.facts.call;
        let path = call.address.path().to_owned();
        (call.page.text().to_owned(), call.address.origin().text().to_owned(), path, codes)
    };
    a.facts.call.method == b.facts.call.method && a.happened == b.happened && key(a) == key(b)
}

/// What a recorded call comes to by its recorded answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// An answer is missing that it depends on.
    Unknown,
    /// The page may read the answer.
    Passes,
    /// It may not, or there is none.
    Fails,
}

/// The credentials mode and how it is known.
struct Mode {
    mode: Credentials,
    /// None: cookies travelled.
    guess: Option<&'static str>,
}

struct Judge<'a> {
    recording: &'a Recording,
    profiles: &'a [&'a Profile],
    now_ms: i64,
    is_sanitized: bool,
    own: Option<&'a Profile>,
}

impl Judge<'_> {
    /// No recording says which mode a script chose: cookies that travelled tell, else what fits.
    fn credentials(&self, call: &Recorded, sent_later: &[String]) -> Mode {
        let known = Mode { mode: Credentials::Include, guess: None };
        if !call.cookies.is_empty() || call.cookies_set().any(|n| sent_later.iter().any(|s| s == n))
        {
            return known;
        }
        let fits = |mode| {
            let mut tried = call.clone();
            tried.facts.call.credentials = mode;
            match self.end(&tried) {
                End::Unknown => None,
                End::Fails => Some(call.failed),
                End::Passes => Some(!call.failed),
            }
        };
        let (without, with) = (fits(Credentials::SameOrigin), fits(Credentials::Include));
        let is_certain = self.recording.recorder.marks_failures;
        match (without, with) {
            (Some(false), Some(true)) if is_certain => Mode {
                mode: Credentials::Include,
                guess: Some(
                    "the credentials mode; by what was recorded it is include: without credentials the answer would not have failed",
                ),
            },
            (Some(true), Some(false)) if is_certain => Mode {
                mode: Credentials::SameOrigin,
                guess: Some(
                    "the credentials mode; by what was recorded it is not include: with credentials the answer would have failed",
                ),
            },
            _ if call.facts.exchanges.iter().any(|exchange| {
                exchange.answer().is_some_and(crate::doctor::Answer::agrees_to_credentials)
            }) =>
            {
                Mode {
                    mode: Credentials::Include,
                    guess: Some(
                        "the credentials mode; include is assumed, since the server agrees to credentials",
                    ),
                }
            }
            _ => Mode {
                mode: Credentials::SameOrigin,
                guess: Some(
                    "the credentials mode; the scripts' default, no credentials, is assumed",
                ),
            },
        }
    }

    /// What the call comes to in the engine that recorded.
    fn end(&self, call: &Recorded) -> End {
        let sees = predictions(call, &[], self.own.as_slice(), self.now_ms);
        let Some(first) = sees.first().map(|sees| &sees.first) else { return End::Unknown };
        let sent = first.request_sent == Some(true);
        let asks = call.gap == Gap::Preflight && first.preflight_sent == Some(true);
        let error = first.error.as_ref().and_then(|error| error.0.clone());
        // Whoever has no answer in the scenario refuses the connection there.
        let is_nobody = error.as_deref() == Some(Code::ConnectionRefusedWrongPort.id());
        if (sent || asks || is_nobody) && call.is_unanswered && call.trouble().is_none() {
            return End::Unknown;
        }
        if error.is_some() { End::Fails } else { End::Passes }
    }

    fn one(
        &self,
        call: &Recorded,
        earlier: &[Recorded],
        mode: &Mode,
        place: usize,
    ) -> Option<Diagnosis> {
        let status = call.status.unwrap_or_default();
        let is_unauthorized = matches!(status, 401 | 403 | 419) && !call.failed;
        let mut call = call.clone();
        let before: Vec<&Recorded> = if is_unauthorized {
            let host = call.facts.call.address.origin().site().to_owned();
            let sets = |other: &&Recorded| {
                other.sets_cookies() && other.facts.call.address.origin().site() == host
            };
            let last = earlier.iter().rev().filter(sets).take(BEFORE);
            last.collect::<Vec<_>>().into_iter().rev().collect()
        } else {
            Vec::new()
        };
        let missing: Vec<_> = before
            .iter()
            .flat_map(|other| other.cookies_set())
            .filter(|name| !call.cookies.iter().any(|sent| sent == name))
            .map(str::to_owned)
            .collect();
        call.wants(missing);
        let end = self.end(&call);
        let (is_known, fails) = (end != End::Unknown, end == End::Fails);
        let marks = self.recording.recorder.marks_failures;
        let mut not_shown = Vec::new();
        let mut found = Vec::new();
        let mut sees = Vec::new();
        if is_known && (fails == call.failed || !marks) {
            sees = predictions(&call, &before, self.profiles, self.now_ms);
            found = findings(&call.facts, &sees, self.profiles, self.now_ms);
            if call.failed && !fails {
                not_shown.push(
                    "why it failed: by its headers the page may read the answer. A Content-Security-Policy, an extension or the page itself may have stopped it; the console says more"
                        .to_owned(),
                );
            }
        } else if call.failed {
            not_shown.push(self.gap(&call, is_known));
        }
        let failed = call.failed || fails && !marks;
        if failed && !is_explained(&found) {
            found.extend(self.said(&call));
        }
        let own = self.own.map(|profile| profile.engine);
        for finding in &mut found {
            // It did not only happen somewhere: it happened here.
            if is_unauthorized
                && finding.severity == Severity::Warning
                && own.is_some_and(|own| finding.engines.contains(&own))
            {
                finding.severity = Severity::Error;
            }
        }
        if is_unauthorized && !fails {
            found.extend(self.unauthorized(&call, status, &found, &mut not_shown));
        }
        if is_explained(&found) {
            // Whoever holds a failure in hand needs its cause, not what else is worth knowing.
            found.retain(|finding| finding.severity != Severity::Info);
        }
        found.sort_by_key(|finding| (finding.severity, !finding.not_cors));
        // A preflight that passes, and whose call is not there: a recording that ended early.
        let is_worth_it = is_explained(&found)
            || failed && !(call.gap == Gap::Call && end == End::Passes)
            || is_unauthorized && self.is_sanitized;
        if !is_worth_it {
            return None;
        }
        if call.gap == Gap::Preflight {
            not_shown.push(
                "the preflight that this call needs: it was answered from the browser's preflight cache, or the recorder leaves preflights out"
                    .to_owned(),
            );
        }
        not_shown.extend(mode.guess.map(str::to_owned));
        let id = format!("recorded-{}", place + 1);
        let scenario = (!sees.is_empty())
            .then(|| kept(&call, &before, &id, self.profiles, self.now_ms))
            .flatten();
        Some(Diagnosis {
            happened: happened(&call, fails && !marks),
            facts: call.facts,
            times: 1,
            failed,
            findings: found,
            sees,
            not_shown,
            scenario,
        })
    }

    /// What is missing from the recording.
    fn gap(&self, call: &Recorded, is_known: bool) -> String {
        let what = if is_known {
            "why it failed: by the recorded headers the page may read the answer"
        } else if call.gap == Gap::Preflight {
            "why it failed: neither its preflight nor an answer was recorded"
        } else {
            "why it failed: its preflight passes, if it needs one, and no answer was recorded"
        };
        let more = if self.recording.recorder.engine == Some(Engine::Safari) {
            " (Safari records no preflights)"
        } else {
            ""
        };
        format!("{what}{more}; the line in the console says more: withcreds-harness explain \"…\"")
    }

    /// What the browser's own word for the failure means, where it has one that says something.
    fn said(&self, call: &Recorded) -> Option<Finding> {
        let error = call.error.as_deref().filter(|error| !error.contains("ERR_FAILED"))?;
        let best = Catalogue::embedded().explain(error).into_iter().next()?;
        (best.score >= SURE).then(|| {
            let text = format!("the browser says {error}: {}", best.bug.title);
            self.finding(&best.bug.id, Severity::Error, text)
        })
    }

    /// The page may read the answer, and the answer is no.
    fn unauthorized(
        &self,
        call: &Recorded,
        status: u16,
        found: &[Finding],
        not_shown: &mut Vec<String>,
    ) -> Option<Finding> {
        let host = call.facts.call.address.origin().host();
        if self.is_sanitized {
            not_shown.push(
                "whether a cookie travelled: cookies and authorization were left out of this recording (in Chrome: settings, Network, \"Allow to generate HAR with sensitive data\")"
                    .to_owned(),
            );
            return None;
        }
        if is_explained(found) {
            return None;
        }
        let names = call.cookies.join(", ");
        if call.cookies.is_empty() {
            let code = Code::ClientCredentialsNotEnabled;
            let text = format!(
                "{host} answers {status}, which the page can read: CORS is not the matter. No cookie travelled: the call does not include credentials, or the browser has no cookie for {host} that fits"
            );
            Some(self.finding(code.id(), Severity::Warning, text))
        } else {
            let text = format!(
                "{host} answers {status}, which the page can read: CORS is not the matter. Cookies travelled ({names}), so the session is unknown to the server, or over, or another header is missing (a CSRF token)"
            );
            Some(self.finding(Code::ServerSessionRejected.id(), Severity::Warning, text))
        }
    }

    fn finding(&self, code: &str, severity: Severity, text: String) -> Finding {
        let bug = Catalogue::embedded().bug(code);
        let general = Code::ALL.iter().find(|known| known.id() == code).map(|c| c.mend());
        Finding {
            code: code.to_owned(),
            severity,
            engines: self.profiles.iter().map(|profile| profile.engine).collect(),
            text,
            mend: general.map_or_else(
                || bug.map(|bug| bug.client.clone()).unwrap_or_default(),
                str::to_owned,
            ),
            not_cors: bug.is_some_and(|bug| bug.not_cors),
        }
    }
}

fn is_explained(found: &[Finding]) -> bool {
    found.iter().any(|finding| finding.severity != Severity::Info)
}

fn happened(call: &Recorded, unmarked: bool) -> String {
    let error = call.error.as_deref();
    match (call.status, error) {
        (Some(status), Some(error)) => format!("answered {status}; the page got {error}"),
        (Some(status), None) if unmarked => {
            format!("answered {status}; this recorder does not say whether the page got it")
        }
        (Some(status), None) => format!("answered {status}"),
        (None, Some(error)) => format!("no answer: {error}"),
        (None, None) if call.gap == Gap::Call => "its preflight alone was recorded".to_owned(),
        (None, None) => "no answer".to_owned(),
    }
}
