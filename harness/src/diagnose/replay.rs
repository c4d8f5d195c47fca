//! A recorded call as a scenario, together with the answers that set cookies before it.

use crate::diagnose::calls::{Gap, Recorded};
use crate::doctor::{self, Answer, EngineSees, Exchange, Facts, Purpose, Question, scenario};
use crate::oracle::{Prediction, Profile, predict};
use crate::quote::{quoted, word};
use crate::scenario::{Loaded, Outcome, Scenario, Step, understand};

/// Header lines that are about the connection or the moment: every server writes its own.
const OF_THE_MOMENT: [&str; 10] = [
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "nel",
    "report-to",
    "server-timing",
    "transfer-encoding",
];

/// The call as a scenario, after those that set cookies; `again` makes it twice.
pub(super) fn replayed(recorded: &Recorded, before: &[&Recorded], again: bool) -> Scenario {
    let own = answered(recorded);
    let taken = |exchange: &Exchange| {
        let address = &exchange.question.address;
        own.exchanges.iter().any(|mine| {
            let other = &mine.question.address;
            other.origin() == address.origin() && other.path() == address.path()
        })
    };
    // Two calls of one path cannot both have their answer: the one that this is about has it.
    let before: Vec<_> = before
        .iter()
        .map(|earlier| answered(earlier))
        .filter(|facts| !facts.exchanges.iter().any(taken))
        .collect();
    let mut exchanges: Vec<_> = before.iter().flat_map(|f| f.exchanges.clone()).collect();
    exchanges.extend(own.exchanges.iter().cloned());
    let merged = Facts { exchanges, ..own.clone() };
    let mut scenario = scenario(&merged);
    scenario.steps = before.iter().map(|facts| step(facts, false)).collect();
    scenario.steps.push(step(&own, recorded.is_opaque));
    if again {
        scenario.steps.push(step(&own, recorded.is_opaque));
    }
    for backend in &mut scenario.backends {
        for route in &mut backend.routes {
            for answer in [&mut route.preflight, &mut route.actual].into_iter().flatten() {
                answer.headers.retain(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
                for (name, value) in &mut answer.headers {
                    if super::secrets::is_secret(name) && !is_spoken(name) {
                        "***".clone_into(value);
                    }
                }
            }
        }
    }
    scenario
}

/// Headers that hold words like `auth` and no secret.
fn is_spoken(name: &str) -> bool {
    name.starts_with("access-control-") || name == "www-authenticate"
}

fn step(facts: &Facts, is_opaque: bool) -> Step {
    let call = &facts.call;
    Step {
        url: Some(call.address.text().to_owned()),
        method: Some(call.method.clone()).filter(|method| method != "GET"),
        headers: call.headers.clone(),
        credentials: Some(call.credentials),
        frame: is_opaque.then(|| "sandbox".to_owned()),
        ..Step::default()
    }
}

/// The facts, with a preflight that passes where none was recorded and the call was answered: it
/// must have passed.
fn answered(recorded: &Recorded) -> Facts {
    let mut facts = recorded.facts.clone();
    if recorded.gap != Gap::Preflight || recorded.is_unanswered {
        return facts;
    }
    let call = &facts.call;
    let page = if recorded.is_opaque { "null" } else { call.page.text() };
    let names: Vec<_> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
    let headers = [
        ("access-control-allow-origin", page.to_owned()),
        ("access-control-allow-credentials", "true".to_owned()),
        ("access-control-allow-methods", call.method.clone()),
        ("access-control-allow-headers", names.join(", ")),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
    let question = Question {
        purpose: Purpose::Preflight,
        hop: 0,
        method: "OPTIONS".to_owned(),
        address: call.address.clone(),
        headers: Vec::new(),
    };
    let result = Ok(Answer { status: 204, headers, body: String::new() });
    let passed = Exchange { question, result, peer: None, overlooked: None, millis: 0 };
    facts.exchanges.insert(0, passed);
    facts
}

/// What each engine makes of it.
pub(super) fn predictions(
    recorded: &Recorded,
    before: &[&Recorded],
    profiles: &[&Profile],
    now_ms: i64,
) -> Vec<EngineSees> {
    let Ok(Loaded { case, .. }) = understand(replayed(recorded, before, true)) else {
        return Vec::new();
    };
    let sees = |profile: &&Profile| {
        let mut steps = predict(&case, profile, now_ms);
        let (second, first) = (steps.pop()?, steps.pop()?);
        Some(merged(profile, &steps, first, second))
    };
    profiles.iter().filter_map(sees).collect()
}

/// Cookies that earlier answers set and the browser refused are missing from the call as well.
fn merged(
    profile: &Profile,
    before: &[Prediction],
    first: Prediction,
    second: Prediction,
) -> EngineSees {
    let refused = |outcome: &Outcome| outcome.cookies_refused.clone().unwrap_or_default();
    let mut fates: Vec<_> = before.iter().flat_map(|step| refused(&step.outcome)).collect();
    fates.extend(refused(&first.outcome));
    let of_cookies = |finding: &&crate::oracle::Finding| {
        fates.iter().any(|fate| fate.reason.as_deref() == Some(finding.code().id()))
    };
    let mut why = first.why.clone();
    let earlier = before.iter().flat_map(|step| &step.why).filter(of_cookies);
    for finding in earlier.chain(&second.why) {
        if !why.contains(finding) {
            why.push(finding.clone());
        }
    }
    EngineSees {
        engine: profile.engine,
        version: profile.version.clone(),
        first: Outcome { cookies_refused: Some(fates), ..first.outcome },
        second: second.outcome,
        why,
    }
}

/// The scenario for a file: what all engines agree about is expected.
pub(super) fn kept(
    recorded: &Recorded,
    before: &[&Recorded],
    id: &str,
    profiles: &[&Profile],
    now_ms: i64,
) -> Option<Scenario> {
    let call = &recorded.facts.call;
    let mut scenario = replayed(recorded, before, false);
    id.clone_into(&mut scenario.id);
    scenario.title =
        format!("{} {} for {}, as it was recorded", call.method, call.address.path(), call.page);
    let loaded = understand(scenario).ok()?;
    let mut outcomes = profiles
        .iter()
        .filter_map(|profile| predict(&loaded.case, profile, now_ms).pop())
        .map(|prediction| prediction.outcome);
    let mut agreed = outcomes.next()?;
    for outcome in outcomes {
        agreed = common(agreed, &outcome);
    }
    let mut scenario = loaded.scenario;
    let expect = Outcome {
        preflight_sent: agreed.preflight_sent,
        request_sent: agreed.request_sent,
        readable: agreed.readable,
        status: agreed.status,
        error: agreed.error,
        ..Outcome::default()
    };
    scenario.steps.last_mut()?.expect = Some(expect);
    Some(scenario)
}

fn common(a: Outcome, b: &Outcome) -> Outcome {
    fn same<T: PartialEq>(a: Option<T>, b: Option<&T>) -> Option<T> {
        a.filter(|a| Some(a) == b)
    }
    Outcome {
        preflight_sent: same(a.preflight_sent, b.preflight_sent.as_ref()),
        request_sent: same(a.request_sent, b.request_sent.as_ref()),
        readable: same(a.readable, b.readable.as_ref()),
        status: same(a.status, b.status.as_ref()),
        error: same(a.error, b.error.as_ref()),
        ..Outcome::default()
    }
}

/// `doctor` asks what the recording does not show.
pub(super) fn question(call: &doctor::Call) -> String {
    let mut line = format!(
        "withcreds-harness doctor {} --origin {}",
        quoted(call.address.cache_key()),
        word(call.page.text())
    );
    if call.method != "GET" {
        line.extend([" --method ", word(&call.method).as_str()]);
    }
    for (name, value) in &call.headers {
        line.extend([" --header ", quoted(&format!("{name}: {value}")).as_str()]);
    }
    let mode = serde_json::to_value(call.credentials).unwrap_or_default();
    line.extend([" --credentials ", mode.as_str().unwrap_or_default()]);
    line
}
