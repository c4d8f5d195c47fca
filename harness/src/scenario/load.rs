//! Text → scenario, or everything that is wrong with it.

use std::sync::LazyLock;

use serde_json::Value;

use crate::scenario::case::Case;
use crate::scenario::check::check;
use crate::scenario::problem::{Complaint, Problem};
use crate::scenario::{Scenario, json_text, toml_text};

/// A scenario file that was read and understood.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As it is written.
    pub scenario: Scenario,
    /// As it is understood.
    pub case: Case,
}

/// Made once: many files are read in a row.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Scenario).to_value());

/// The JSON Schema of the format (2020-12).
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// Reads one scenario. The name tells the notation: `….json` is JSON, everything else TOML.
///
/// # Errors
///
/// Everything that is wrong, in the order of the file.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let problems = |complaints: Vec<Complaint>| {
        complaints.into_iter().map(|c| Problem::new(name, text, c)).collect::<Vec<_>>()
    };
    let is_json = name.rsplit_once('.').is_some_and(|(_, e)| e.eq_ignore_ascii_case("json"));
    let read = if is_json { json_text::parse } else { toml_text::parse };
    let node = read(text).map_err(problems)?;
    let complaints = check(schema(), &node);
    if !complaints.is_empty() {
        return Err(problems(complaints));
    }
    let scenario: Scenario =
        serde_json::from_value(node.clone().into_value()).map_err(|error| {
            // The schema refuses whatever the types refuse; this is for the day when it does not.
            problems(vec![Complaint { at: node.at, path: Vec::new(), says: error.to_string() }])
        })?;
    match Case::of(&scenario) {
        Ok(case) => Ok(Loaded { scenario, case }),
        Err(wrong) => {
            let mut complaints: Vec<_> = wrong
                .into_iter()
                .map(|(path, says)| Complaint { at: node.locate(&path), path, says })
                .collect();
            complaints.sort_by_key(|complaint| complaint.at);
            Err(problems(complaints))
        }
    }
}

/// Understands a scenario that was made by a program.
///
/// # Errors
///
/// What makes no sense, each with its key.
pub fn understand(scenario: Scenario) -> Result<Loaded, Vec<Problem>> {
    match Case::of(&scenario) {
        Ok(case) => Ok(Loaded { scenario, case }),
        Err(wrong) => Err(wrong
            .into_iter()
            .map(|(path, says)| Problem::new("", "", Complaint { at: 0, path, says }))
            .collect()),
    }
}
