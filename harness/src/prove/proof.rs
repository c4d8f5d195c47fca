//! What a proof found.

use std::time::Duration;

use serde::Serialize;

use crate::browser::{Engine, Sight, ThirdPartyCookies};
use crate::lab::Sabotage;
use crate::prove::must_break;
use crate::prove::verdict::{Judgement, Verdict, millis};

/// What a proof found, engine by engine.
#[derive(Debug)]
pub struct Proof {
    /// One for each engine.
    pub engines: Vec<EngineProof>,
    /// Engines that were asked for and are not here, each with the reason.
    pub skipped: Vec<(Engine, String)>,
    /// The dimension under which all of it holds.
    pub third_party_cookies: ThirdPartyCookies,
    /// How long it took.
    pub timing: Timing,
}

/// What was found in one engine.
#[derive(Debug)]
pub struct EngineProof {
    /// Which.
    pub engine: Engine,
    /// Its name and version.
    pub version: String,
    /// What it let us see.
    pub sight: Sight,
    /// One for each claim, topology and client.
    pub verdicts: Vec<Verdict>,
    /// One for each sabotage, if asked for.
    pub controls: Vec<Control>,
    /// How long it took, from the start of the browser.
    pub timing: Timing,
}

/// One negative control.
#[derive(Debug)]
pub struct Control {
    /// In which engine.
    pub engine: Engine,
    /// What was broken.
    pub sabotage: Sabotage,
    /// The verdicts of the claim that is about exactly this, wherever it matters and its check holds
    /// over the sound service.
    pub tried: Vec<Verdict>,
    /// How many verdicts fell, that claim's and others.
    pub fell: usize,
    /// How many were asked.
    pub asked: usize,
}

/// Times of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// From the start to the first verdict, in milliseconds.
    pub first_verdict_millis: u64,
    /// From the start to the last, in milliseconds.
    pub total_millis: u64,
    /// Requests that pages made, controls included.
    pub probes: u64,
    /// Verdicts a second after the first, controls included.
    pub verdicts_per_second: f64,
}

impl Proof {
    /// All verdicts, engine by engine.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.engines.iter().flat_map(|engine| &engine.verdicts)
    }

    /// All negative controls, engine by engine.
    pub fn controls(&self) -> impl Iterator<Item = &Control> {
        self.engines.iter().flat_map(|engine| &engine.controls)
    }

    /// Whether every claim held, or fell just as is known of its engine, and every sabotage was
    /// noticed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts().all(|verdict| verdict.judgement() != Judgement::Fail)
            && self.controls().all(Control::is_caught)
    }
}

impl Control {
    /// Whether the check that is about exactly this broke, everywhere where it matters. That other
    /// claims fall as well is no proof: over a service that does not answer every claim falls.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        let (_, check) = must_break(self.sabotage);
        !self.tried.is_empty() && self.tried.iter().all(|verdict| verdict.broke(check))
    }
}

impl Timing {
    /// From when the first verdict came, when the last, and how many there were.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred verdicts are exact in an f64")]
    pub(super) fn of(first: Duration, total: Duration, verdicts: usize, probes: u64) -> Self {
        let proving = total.saturating_sub(first).as_secs_f64().max(0.001);
        Self {
            first_verdict_millis: millis(first),
            total_millis: millis(total),
            probes,
            verdicts_per_second: verdicts.saturating_sub(1) as f64 / proving,
        }
    }
}
