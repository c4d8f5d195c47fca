//! Which cookies would not travel, and why.

use crate::doctor::EngineSees;
use crate::doctor::judge::{Judge, Severity};
use crate::oracle::Code;
use crate::scenario::{CookieFate, Credentials, Engine};

/// One reason for which one cookie is of no use.
struct Lost {
    name: String,
    reason: String,
    text: String,
    engines: Vec<Engine>,
}

impl Judge<'_> {
    pub(super) fn cookies(&mut self) {
        let mut lost: Vec<Lost> = Vec::new();
        for sees in self.sees {
            for fate in fates(sees) {
                let Some(reason) = &fate.reason else { continue };
                let known = lost.iter_mut().find(|l| l.name == fate.name && l.reason == *reason);
                match known {
                    Some(lost) if lost.engines.contains(&sees.engine) => {}
                    Some(lost) => lost.engines.push(sees.engine),
                    None => lost.push(Lost {
                        name: fate.name.clone(),
                        reason: reason.clone(),
                        text: told(sees, fate),
                        engines: vec![sees.engine],
                    }),
                }
            }
        }
        let counts = |engine: &Engine, name: &str| {
            lost.iter().any(|l| l.name == name && l.engines.contains(engine))
        };
        let said: Vec<_> = lost
            .iter()
            .map(|l| {
                let everywhere = self.sees.iter().all(|s| counts(&s.engine, &l.name));
                (l, self.gravity(&l.name, &l.reason, everywhere))
            })
            .map(|(l, severity)| (l.reason.clone(), severity, l.engines.clone(), l.text.clone()))
            .collect();
        for (reason, severity, engines, text) in said {
            self.say_of(&reason, severity, engines, text);
        }
    }

    fn gravity(&self, name: &str, reason: &str, everywhere: bool) -> Severity {
        let call = &self.facts.call;
        let wanted = call.cookies.iter().any(|cookie| cookie.name() == name);
        let by_choice = reason == Code::ClientCredentialsNotEnabled.id()
            && call.credentials != Credentials::Include;
        match (wanted, call.cookies.is_empty()) {
            (true, _) if everywhere => Severity::Error,
            (true, _) => Severity::Warning,
            // Nobody said which cookie matters; without credentials none is meant to.
            (false, true) if !by_choice => Severity::Warning,
            (false, _) => Severity::Info,
        }
    }
}

/// A cookie that is refused at first is not there to be withheld; both are told once.
fn fates(sees: &EngineSees) -> impl Iterator<Item = &CookieFate> {
    let refused = sees.first.cookies_refused.iter().flatten();
    refused.chain(sees.second.cookies_withheld.iter().flatten())
}

/// The oracle's sentence about this cookie and this reason.
fn told(sees: &EngineSees, fate: &CookieFate) -> String {
    let begins = format!("{} ", fate.name);
    let mut texts = sees
        .why
        .iter()
        .filter(|finding| fate.reason.as_deref() == Some(finding.code().id()))
        .map(crate::oracle::Finding::text);
    texts.find(|text| text.starts_with(&begins)).unwrap_or_else(|| format!("{begins}is not sent"))
}
