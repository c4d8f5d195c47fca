//! Predictions and expectations in a few words.

use serde_json::{Value, json};
use withcreds_harness::oracle::{Prediction, Profile, predict};
use withcreds_harness::scenario::{Engine, Loaded, Outcome, parse};

/// 2026-01-01.
pub(crate) const NOW_MS: i64 = 1_767_225_600_000;

/// A scenario given as JSON; what is always the same is added.
pub(crate) fn scenario(mut value: Value) -> Loaded {
    for (key, usual) in [
        ("schema", json!(1)),
        ("id", json!("case")),
        ("title", json!("a case")),
        ("page", json!("https://app.example.com")),
    ] {
        let table = value.as_object_mut().expect("a table");
        table.entry(key).or_insert(usual);
    }
    let text = value.to_string();
    parse("case.json", &text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
}

pub(crate) fn predictions(engine: Engine, value: Value) -> Vec<Prediction> {
    predict(&scenario(value).case, Profile::of(engine).expect("a profile"), NOW_MS)
}

/// The last step's prediction.
pub(crate) fn last(engine: Engine, value: Value) -> Prediction {
    predictions(engine, value).pop().expect("a step")
}

/// Fails with everything there is to know if an expectation is not met.
#[track_caller]
pub(crate) fn assert_meets(case: &str, engine: Engine, value: &Value, want: &Value) {
    let prediction = last(engine, value.clone());
    let want: Outcome = serde_json::from_value(want.clone()).expect("an outcome");
    let differences = want.differences(&prediction.outcome);
    let why: Vec<_> =
        prediction.why.iter().map(|f| format!("{}: {}", f.code().id(), f.text())).collect();
    assert!(
        differences.is_empty(),
        "{case}, {}: {differences:#?}\nwhy {why:#?}\n{value:#}",
        engine.id()
    );
}
