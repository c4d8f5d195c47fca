//! The smallest scenario that still shows the same.

use crate::oracle::{Profile, predict};
use crate::scenario::{Answer, Backend, Loaded, Outcome, Scenario, Step, understand};
use crate::verdict::{Verdict, judge};

/// What has to stay as it is, in one engine.
#[derive(PartialEq)]
struct Shown {
    verdict: Verdict,
    outcome: Outcome,
}

/// Drops steps, cookies, backends, headers and bodies, one after the other, as long as the last step
/// ends as before in each engine: verdict, error, what was sent, and which cookies went along.
#[must_use]
pub fn shrink(loaded: &Loaded, profiles: &[&Profile], now_ms: i64) -> Scenario {
    let mut best = loaded.scenario.clone();
    let Some(wanted) = shown(&best, profiles, now_ms) else { return best };
    loop {
        let smaller = candidates(&best)
            .into_iter()
            .find(|smaller| shown(smaller, profiles, now_ms).as_ref() == Some(&wanted));
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// How the last step ends in each engine.
fn shown(scenario: &Scenario, profiles: &[&Profile], now_ms: i64) -> Option<Vec<Shown>> {
    let loaded = understand(scenario.clone()).ok()?;
    let last = scenario.steps.len().checked_sub(1)?;
    let about = |profile: &&&Profile| {
        scenario.engines.is_empty() || scenario.engines.contains(&profile.engine)
    };
    let shown = profiles.iter().filter(about).map(|profile| {
        let outcome = predict(&loaded.case, profile, now_ms).pop().map(|p| p.outcome);
        let outcome = outcome.unwrap_or_default();
        let expected = loaded.scenario.expected(last, profile.engine);
        let judged = judge(expected.as_ref(), &outcome, || {
            let standard = Profile::standard(profile.engine);
            predict(&loaded.case, &standard, now_ms).pop().map(|p| p.outcome)
        });
        Shown { verdict: judged.verdict, outcome: core(outcome) }
    });
    Some(shown.collect())
}

/// The part of an outcome that a case is about. Of headers nothing is kept: those that nobody
/// expects may go.
fn core(outcome: Outcome) -> Outcome {
    Outcome { exposed_headers: None, hidden_headers: None, acrm: None, acrh: None, ..outcome }
}

/// Everything that is one thing smaller, the largest things first.
fn candidates(from: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Scenario)| {
        let mut smaller = from.clone();
        change(&mut smaller);
        if smaller != *from {
            all.push(smaller);
        }
    };
    for index in 0..from.steps.len().saturating_sub(1) {
        add(&|s| drop(s.steps.remove(index)));
    }
    for index in 0..from.backends.len() {
        add(&|s| drop(s.backends.remove(index)));
    }
    for index in 0..from.cookies.len() {
        add(&|s| drop(s.cookies.remove(index)));
    }
    add(&|s| s.tags.clear());
    add(&|s| s.source = None);
    for (index, backend) in from.backends.iter().enumerate() {
        for route in 0..backend.routes.len() {
            add(&|s| drop(s.backends[index].routes.remove(route)));
        }
        for slot in 0..slots(backend).len() {
            add(&|s| *slots_mut(&mut s.backends[index]).swap_remove(slot) = None);
            let Some(answer) = slots(backend)[slot] else { continue };
            for change in answer_changes(answer) {
                add(&|s| {
                    if let Some(answer) = slots_mut(&mut s.backends[index]).swap_remove(slot) {
                        change(answer);
                    }
                });
            }
        }
    }
    for (index, step) in from.steps.iter().enumerate() {
        for header in 0..step.headers.len() {
            add(&|s| drop(s.steps[index].headers.remove(header)));
        }
        for change in STEP_CHANGES {
            add(&|s| change(&mut s.steps[index]));
        }
    }
    all
}

const STEP_CHANGES: [fn(&mut Step); 7] = [
    |step| step.body = None,
    |step| step.repeat = None,
    |step| step.wait_ms = None,
    |step| step.method = None,
    |step| step.mode = None,
    |step| step.redirect = None,
    |step| step.frame = None,
];

fn slots(backend: &Backend) -> Vec<Option<&Answer>> {
    let routes = backend.routes.iter().flat_map(|r| [r.preflight.as_ref(), r.actual.as_ref()]);
    [backend.preflight.as_ref(), backend.actual.as_ref()].into_iter().chain(routes).collect()
}

fn slots_mut(backend: &mut Backend) -> Vec<&mut Option<Answer>> {
    let routes = backend.routes.iter_mut().flat_map(|r| [&mut r.preflight, &mut r.actual]);
    [&mut backend.preflight, &mut backend.actual].into_iter().chain(routes).collect()
}

type Change = Box<dyn Fn(&mut Answer)>;

fn answer_changes(answer: &Answer) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for index in 0..answer.headers.len() {
        changes.push(Box::new(move |answer| drop(answer.headers.remove(index))));
    }
    for index in 0..answer.set_cookie.len() {
        changes.push(Box::new(move |answer| drop(answer.set_cookie.remove(index))));
    }
    changes.push(Box::new(|answer| answer.body = None));
    changes.push(Box::new(|answer| answer.status = None));
    changes
}
