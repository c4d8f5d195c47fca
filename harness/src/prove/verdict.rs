//! What was found about one claim.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::browser::Engine;
use crate::lab::Topology;
use crate::prove::claim::Claim;
use crate::prove::claims::Trial;
use crate::prove::divergence::Known;
use crate::prove::scene::{Client, Observed};

/// One fact that a claim rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Whether it is so.
    pub holds: bool,
    /// The fact, as a sentence that should be true.
    pub says: String,
}

/// What a verdict comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Every check holds.
    Pass,
    /// Just those checks fell that are known to fall in this engine.
    Divergence,
    /// A check fell that should hold, or one holds that is known to fall.
    Fail,
}

/// One claim in one engine and topology with one client.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// In which engine.
    pub engine: Engine,
    /// The claim.
    pub claim: Claim,
    /// Where.
    pub topology: Topology,
    /// With which client.
    pub client: Client,
    /// The facts it rests on.
    pub checks: Vec<Check>,
    /// What is known of the engine about this claim.
    pub known: Vec<Known>,
    /// Every request that was made for it.
    pub exchanges: Vec<Arc<Observed>>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Verdict {
    pub(super) fn of(
        (engine, topology, claim, client): (Engine, Topology, Claim, Client),
        trial: Trial,
        known: Vec<Known>,
        took: Duration,
    ) -> Self {
        let Trial { checks, exchanges } = trial;
        let given = |reason: &String| exchanges.iter().any(|seen| seen.gives(reason));
        let counts = |known: &Known| match &known.reasons {
            Some(reasons) => reasons.iter().any(given),
            None => true,
        };
        let known = known.into_iter().filter(counts).collect();
        Self { engine, claim, topology, client, checks, known, exchanges, millis: millis(took) }
    }

    /// What it comes to. A claim without a check holds nothing.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        if self.checks.is_empty() || !self.surprises().is_empty() || !self.outdated().is_empty() {
            Judgement::Fail
        } else if self.known.is_empty() {
            Judgement::Pass
        } else {
            Judgement::Divergence
        }
    }

    /// The checks that fell although they should hold.
    #[must_use]
    pub fn surprises(&self) -> Vec<&str> {
        let fell = self.checks.iter().filter(|check| !check.holds && !self.is_known(&check.says));
        fell.map(|check| check.says.as_str()).collect()
    }

    /// The checks that are known to fall and did not: the engine has changed, and what is written
    /// down about it must follow.
    #[must_use]
    pub fn outdated(&self) -> Vec<&str> {
        let all = self.known.iter().flat_map(|known| &known.checks);
        all.filter(|check| !self.broke(check)).map(String::as_str).collect()
    }

    /// Whether a check of these words fell.
    #[must_use]
    pub fn broke(&self, says: &str) -> bool {
        self.checks.iter().any(|check| check.says == says && !check.holds)
    }

    /// Whether a check is known to fall.
    #[must_use]
    pub fn is_known(&self, says: &str) -> bool {
        self.known.iter().any(|known| known.checks.iter().any(|check| check == says))
    }

    /// A stable id that a filter can select: `chromium::same-site::credentials-on::fetch`.
    #[must_use]
    pub fn id(&self) -> String {
        verdict_id(self.engine, self.topology, self.claim, self.client)
    }
}

/// The id of a verdict before it is there.
#[must_use]
pub fn verdict_id(engine: Engine, topology: Topology, claim: Claim, client: Client) -> String {
    format!("{}::{}::{}::{}", engine.id(), topology.id(), claim.id(), client.id())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(checks: &[(&str, bool)], known: &[&str]) -> Verdict {
        let checks =
            checks.iter().map(|(says, holds)| Check { holds: *holds, says: (*says).into() });
        let topology = Topology::CrossSite;
        let known = known.iter().map(|check| Known {
            what: String::new(),
            since: String::new(),
            link: String::new(),
            reasons: None,
            checks: vec![(*check).to_owned()],
        });
        let trial = Trial { checks: checks.collect(), exchanges: Vec::new() };
        let place = (Engine::Firefox, topology, Claim::Logout, Client::Fetch);
        Verdict::of(place, trial, known.collect(), Duration::ZERO)
    }

    #[test]
    fn what_is_known_is_tried_both_ways() {
        for (case, checks, known, want) in [
            ("all hold", &[("a", true), ("b", true)][..], &[][..], Judgement::Pass),
            ("one fell", &[("a", true), ("b", false)], &[], Judgement::Fail),
            ("as known", &[("a", true), ("b", false)], &["b"], Judgement::Divergence),
            ("no longer", &[("a", true), ("b", true)], &["b"], Judgement::Fail),
            ("another", &[("a", false), ("b", true)], &["b"], Judgement::Fail),
            ("and another", &[("a", false), ("b", false)], &["b"], Judgement::Fail),
            ("never asked", &[("a", true)], &["b"], Judgement::Fail),
            ("nothing checked", &[], &[], Judgement::Fail),
        ] {
            assert_eq!(verdict(checks, known).judgement(), want, "{case}");
        }
        let changed = verdict(&[("a", false), ("b", true)], &["b"]);
        assert_eq!((changed.surprises(), changed.outdated()), (vec!["a"], vec!["b"]));
        assert_eq!(changed.id(), "firefox::cross-site::logout::fetch");
    }
}
