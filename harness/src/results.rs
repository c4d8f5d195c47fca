//! The document of `--format json`: one result for each scenario, engine and step.

use serde::Serialize;
use serde_json::Value;

use crate::oracle::{Finding, Prediction, Profile, predict};
use crate::scenario::{Difference, Engine, Loaded, Outcome};
use crate::verdict::{Verdict, judge};

/// All results of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// Version of this format: 1.
    pub schema: u32,
    /// The engines that took part.
    pub engines: Vec<EngineName>,
    /// In the order of scenarios, engines, steps.
    pub results: Vec<StepResult>,
    /// Counts.
    pub summary: Summary,
}

/// An engine and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineName {
    /// `chromium`, `firefox`, …
    pub name: Engine,
    /// As it names itself; of a profile: the version that was measured.
    pub version: String,
}

/// One step in one engine.
#[derive(Debug, Clone, Serialize)]
pub struct StepResult {
    /// The scenario's id.
    pub scenario: String,
    /// The engine.
    pub engine: Engine,
    /// The step, counted from 0.
    pub step: usize,
    /// How it ended.
    pub verdict: Verdict,
    /// What the oracle says.
    pub predicted: Outcome,
    /// What engine and servers saw; absent from mere predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Outcome>,
    /// What the file expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Outcome>,
    /// Whether oracle and engine agree; absent from mere predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agree: Option<bool>,
    /// Where expectation and outcome differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The rules that decided, violated ones first.
    pub why: Vec<Finding>,
    /// What was looked at.
    pub evidence: Value,
    /// How long it took.
    pub millis: u64,
}

/// How many steps ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As expected.
    pub pass: usize,
    /// Not as expected.
    pub fail: usize,
    /// Not as expected, for a known reason.
    pub divergence: usize,
    /// Not known.
    pub skipped: usize,
}

impl Summary {
    /// Counts results.
    #[must_use]
    pub fn of(results: &[StepResult]) -> Self {
        let mut summary = Self::default();
        for result in results {
            match result.verdict {
                Verdict::Pass => summary.pass += 1,
                Verdict::Fail => summary.fail += 1,
                Verdict::Divergence => summary.divergence += 1,
                Verdict::Skipped => summary.skipped += 1,
            }
        }
        summary
    }

    /// Whether everything that was expected came true.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.fail == 0 && self.divergence == 0
    }
}

/// What the oracle says about scenarios in engines.
#[must_use]
pub fn predictions(scenarios: &[Loaded], profiles: &[&Profile], now_ms: i64) -> Document {
    let mut results = Vec::new();
    for loaded in scenarios {
        let engines = &loaded.scenario.engines;
        let about = |profile: &&&Profile| engines.is_empty() || engines.contains(&profile.engine);
        for profile in profiles.iter().filter(about) {
            for (step, prediction) in predict(&loaded.case, profile, now_ms).into_iter().enumerate()
            {
                results.push(predicted(loaded, profile, step, prediction, now_ms));
            }
        }
    }
    let version =
        |profile: &&Profile| EngineName { name: profile.engine, version: profile.version.clone() };
    let engines = profiles.iter().map(version).collect();
    let summary = Summary::of(&results);
    Document { schema: 1, engines, results, summary }
}

fn predicted(
    loaded: &Loaded,
    profile: &Profile,
    step: usize,
    prediction: Prediction,
    now_ms: i64,
) -> StepResult {
    let expected = loaded.scenario.expected(step, profile.engine);
    let judged = judge(expected.as_ref(), &prediction.outcome, || {
        let standard = predict(&loaded.case, &Profile::standard(profile.engine), now_ms);
        standard.into_iter().nth(step).map(|prediction| prediction.outcome)
    });
    let evidence = match judged.verdict {
        Verdict::Skipped => serde_json::json!({
            "note": "only the real server behind this origin could tell: run it"
        }),
        _ => serde_json::json!({}),
    };
    StepResult {
        scenario: loaded.scenario.id.clone(),
        engine: profile.engine,
        step,
        verdict: judged.verdict,
        predicted: prediction.outcome,
        observed: None,
        expected,
        agree: None,
        differences: judged.differences,
        why: prediction.why,
        evidence,
        millis: 0,
    }
}
