//! What was seen, as a scenario: the oracle then says what each engine makes of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::doctor::{Answer, Exchange, Facts, Purpose, REDIRECTS, SeenCookie, Trouble};
use crate::oracle::{self, Profile, predict};
use crate::redact::redact;
use crate::scenario::{
    self, Address, Backend, Engine, Fault, Loaded, Outcome, PlantedCookie, Route, Scenario, Step,
    ThirdPartyCookies, understand,
};

/// What one engine makes of the call.
#[derive(Debug, Clone, Serialize)]
pub struct EngineSees {
    /// The engine.
    pub engine: Engine,
    /// The version that its profile was measured with.
    pub version: String,
    /// The call.
    pub first: Outcome,
    /// The same call once more: cookies that the first answer set travel now, if they do.
    pub second: Outcome,
    /// The rules that decided, of both.
    #[serde(skip)]
    pub why: Vec<oracle::Finding>,
}

/// The call and its answers as a scenario of two steps: the call, and the call once more.
#[must_use]
pub fn scenario(facts: &Facts) -> Scenario {
    let chain: Vec<_> = facts
        .exchanges
        .iter()
        .filter(|e| matches!(e.question.purpose, Purpose::Preflight | Purpose::Actual))
        .collect();
    replayed(facts, &chain)
}

/// What each engine makes of it; nothing of an engine that follows more redirects than the doctor.
#[must_use]
pub fn predictions(facts: &Facts, profiles: &[&Profile], now_ms: i64) -> Vec<EngineSees> {
    let known = |outcome: &Outcome| {
        let hops = outcome.hops.as_ref().map_or(0, Vec::len);
        hops <= REDIRECTS + 1 || !facts.leads_further()
    };
    let mut sees = play(scenario(facts), profiles, now_ms);
    sees.retain(|sees| known(&sees.first) && known(&sees.second));
    sees
}

/// What each engine makes of a single answer, be it to a preflight or to a request.
pub(super) fn of_answer(
    facts: &Facts,
    exchange: &Exchange,
    call: &[(&str, &str)],
    profiles: &[&Profile],
    now_ms: i64,
) -> Vec<EngineSees> {
    let mut scenario = replayed(facts, &[exchange]);
    for step in &mut scenario.steps {
        step.url = Some(exchange.question.address.text().to_owned());
        step.method = Some(if call.is_empty() { "GET" } else { "POST" }.to_owned());
        step.headers = call.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    }
    play(scenario, profiles, now_ms)
}

fn play(scenario: Scenario, profiles: &[&Profile], now_ms: i64) -> Vec<EngineSees> {
    let Ok(Loaded { case, .. }) = understand(scenario) else { return Vec::new() };
    let sees = |profile: &&Profile| {
        let mut steps = predict(&case, profile, now_ms).into_iter();
        let (first, second) = (steps.next()?, steps.next()?);
        let mut why = first.why;
        for finding in second.why {
            if !why.contains(&finding) {
                why.push(finding);
            }
        }
        Some(EngineSees {
            engine: profile.engine,
            version: profile.version.clone(),
            first: first.outcome,
            second: second.outcome,
            why,
        })
    };
    profiles.iter().filter_map(sees).collect()
}

fn replayed(facts: &Facts, exchanges: &[&Exchange]) -> Scenario {
    let call = &facts.call;
    let step = Step {
        url: Some(call.address.text().to_owned()),
        method: Some(call.method.clone()),
        headers: call.headers.clone(),
        credentials: Some(call.credentials),
        ..Step::default()
    };
    let planted = call.cookies.iter().filter_map(|cookie| match cookie {
        SeenCookie::Line(line) => Some(PlantedCookie {
            host: call.address.origin().host().to_owned(),
            set: redacted(line),
            top_level_site: None,
        }),
        SeenCookie::Named(_) => None,
    });
    let mut backends: Vec<Backend> = Vec::new();
    // A recording holds other calls before this one.
    for chain in exchanges.chunk_by(|one, next| is_of_one_chain(one, next)) {
        let places = places(chain);
        for exchange in chain {
            let origin = exchange.question.address.origin().text();
            let index = backends.iter().position(|backend| backend.origin == origin);
            let index = index.unwrap_or_else(|| {
                backends.push(Backend { origin: origin.to_owned(), ..Backend::default() });
                backends.len() - 1
            });
            record(&mut backends[index], exchange, &places);
        }
    }
    Scenario {
        schema: 1,
        id: "doctor".to_owned(),
        title: format!("what {} answered to {}", call.address.origin(), call.page),
        page: call.page.text().to_owned(),
        third_party_cookies: ThirdPartyCookies::Default,
        engines: Vec::new(),
        tags: Vec::new(),
        source: None,
        cookies: planted.collect(),
        backends,
        steps: vec![step.clone(), step],
    }
}

/// Whether an exchange belongs to the same call and its redirects as the one before it.
fn is_of_one_chain(one: &Exchange, next: &Exchange) -> bool {
    let (one, next) = (&one.question, &next.question);
    next.hop == one.hop + 1
        || next.hop == one.hop && next.address.cache_key() == one.address.cache_key()
}

/// Where each hop is in the scenario: at its own path, or beside it if another hop has that. Routes
/// know no query, and one address may answer twice in two ways.
fn places(exchanges: &[&Exchange]) -> BTreeMap<usize, Address> {
    let mut places: BTreeMap<usize, Address> = BTreeMap::new();
    for exchange in exchanges {
        let (hop, address) = (exchange.question.hop, &exchange.question.address);
        if places.contains_key(&hop) {
            continue;
        }
        let is_taken =
            |place: &Address| place.origin() == address.origin() && place.path() == address.path();
        let taken = places.values().any(is_taken);
        let place = if taken { beside(address, &hop.to_string()) } else { None };
        places.insert(hop, place.unwrap_or_else(|| address.clone()));
    }
    places
}

/// A path of its own under an address, where cookies with that path travel as well.
fn beside(address: &Address, name: &str) -> Option<Address> {
    let (origin, path) = (address.origin().text(), address.path());
    let slash = if path.ends_with('/') { "" } else { "/" };
    Address::parse(&format!("{origin}{path}{slash}~{name}"))
}

/// Where a redirect leads in the scenario, if that is not where it says.
fn leads(exchange: &Exchange, places: &BTreeMap<usize, Address>) -> Option<String> {
    let question = &exchange.question;
    let to = question.address.follow(exchange.answer()?.location()?).ok()?;
    if question.purpose != Purpose::Actual || to.has_credentials() {
        return None;
    }
    let place = match places.get(&(question.hop + 1)) {
        Some(place) => place.clone(),
        // Nobody asked there: a hop that can be told from the others, whoever answers it.
        None if question.hop >= REDIRECTS => beside(places.get(&question.hop)?, "further")?,
        None => return None,
    };
    (place.origin() != to.origin() || place.path() != to.path()).then(|| place.text().to_owned())
}

fn record(backend: &mut Backend, exchange: &Exchange, places: &BTreeMap<usize, Address>) {
    let question = &exchange.question;
    let path = places.get(&question.hop).unwrap_or(&question.address).path();
    let answer = match &exchange.result {
        Ok(answer) => {
            let mut answer = written(answer);
            answer.redirect = leads(exchange, places).or(answer.redirect);
            answer
        }
        Err(trouble) => {
            // A backend that fails has no answers.
            backend.routes.clear();
            backend.fault = Some(match trouble {
                Trouble::Certificate(_) => Fault::TlsUntrusted,
                _ => Fault::Refused,
            });
            return;
        }
    };
    if backend.fault.is_some() {
        return;
    }
    let index = backend.routes.iter().position(|route| route.path == path);
    let index = index.unwrap_or_else(|| {
        backend.routes.push(Route { path: path.to_owned(), ..Route::default() });
        backend.routes.len() - 1
    });
    let route = &mut backend.routes[index];
    match question.purpose {
        Purpose::Preflight | Purpose::JsonPreflight | Purpose::StrangerPreflight => {
            route.preflight = Some(answer);
        }
        _ => {
            route.actual = Some(answer);
            // Without the word it would be answered as preflights are.
            route.method = (question.method == "OPTIONS").then(|| "OPTIONS".to_owned());
        }
    }
}

fn written(answer: &Answer) -> scenario::Answer {
    let apart = |name: &str| matches!(name, "set-cookie" | "location");
    // In a scenario the braces stand for something else.
    let headers =
        answer.headers.iter().filter(|(name, value)| !apart(name) && !value.contains("{origin}"));
    let lines = |name| answer.lines(name).map(str::to_owned);
    scenario::Answer {
        status: Some(answer.status),
        headers: headers.cloned().collect(),
        set_cookie: answer.lines("set-cookie").map(redacted).collect(),
        body: None,
        redirect: lines("location").next(),
    }
}

/// A `Set-Cookie` line whose value nobody can use. Of a long one the length stays: it decides.
fn redacted(line: &str) -> String {
    const MUCH: usize = 2000;
    let pair = line.split(';').next().unwrap_or_default();
    let value = pair.split_once('=').map_or(pair, |(_, value)| value);
    // A byte came as a character.
    let length = value.chars().count();
    if length > MUCH {
        let (before, after) = (&line[..pair.len() - value.len()], &line[pair.len()..]);
        format!("{before}{}{after}", "*".repeat(length))
    } else {
        redact("set-cookie", line)
    }
}

impl Facts {
    /// Whether there were more redirects than are followed.
    #[must_use]
    pub fn leads_further(&self) -> bool {
        let last = self.of(Purpose::Actual).last();
        last.is_some_and(|e| {
            e.question.hop >= crate::doctor::REDIRECTS
                && e.answer().is_some_and(|answer| answer.location().is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_cookies_are_hidden_and_their_lengths_are_not() {
        let long = "x".repeat(5000);
        for (line, want) in [
            ("sid=abc; Path=/; Secure", "sid=***; Path=/; Secure".to_owned()),
            ("sid=a=b", "sid=***".to_owned()),
            ("sid=; Max-Age=0", "sid=; Max-Age=0".to_owned()),
            ("naked", "***".to_owned()),
            ("", String::new()),
            ("; Path=/", "; Path=/".to_owned()),
            (&format!("a={long}; Path=/"), format!("a={}; Path=/", "*".repeat(5000))),
        ] {
            assert_eq!(redacted(line), want, "{line}");
        }
    }
}
