//! Expected × what there is → a verdict. Pure; used for predictions and for observations alike.

use serde::Serialize;

use crate::scenario::{Difference, Outcome};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As expected, or nothing was expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Not as expected, in an engine that is known to depart from the standards here: a browser
    /// that keeps to them would meet the expectation. `expect_on` says so in a file.
    Divergence,
    /// Nothing could be known.
    Skipped,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Where the two differ.
    pub differences: Vec<Difference>,
}

/// Judges an outcome. `standard` is asked only if the expectation is not met: the outcome in a
/// browser that keeps to the standards.
pub fn judge(
    expected: Option<&Outcome>,
    got: &Outcome,
    standard: impl FnOnce() -> Option<Outcome>,
) -> Judged {
    if *got == Outcome::default() {
        return Judged { verdict: Verdict::Skipped, differences: Vec::new() };
    }
    let Some(expected) = expected else {
        return Judged { verdict: Verdict::Pass, differences: Vec::new() };
    };
    let differences = expected.differences(got);
    let verdict = if differences.is_empty() {
        Verdict::Pass
    } else if standard().is_some_and(|standard| expected.differences(&standard).is_empty()) {
        Verdict::Divergence
    } else {
        Verdict::Fail
    };
    Judged { verdict, differences }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_departure_is_told_apart_from_a_failure() {
        let status = |status| Outcome { status: Some(status), ..Outcome::default() };
        for (case, expected, got, standard, want) in [
            ("nothing expected", None, status(200), None, Verdict::Pass),
            ("met", Some(status(200)), status(200), None, Verdict::Pass),
            ("not met", Some(status(200)), status(0), Some(status(0)), Verdict::Fail),
            (
                "met by the standards",
                Some(status(200)),
                status(0),
                Some(status(200)),
                Verdict::Divergence,
            ),
            ("unknown", Some(status(200)), Outcome::default(), Some(status(200)), Verdict::Skipped),
        ] {
            assert_eq!(judge(expected.as_ref(), &got, || standard).verdict, want, "{case}");
        }
    }
}
