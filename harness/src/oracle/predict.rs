//! A scenario and an engine's profile → what will happen, step by step.

use crate::oracle::fetch::{Browser, World, fetch};
use crate::oracle::jar::{Relation, Visit};
use crate::oracle::profile::ThirdParty;
use crate::oracle::{Code, Finding, Profile};
use crate::scenario::{Case, Outcome, Planted, ThirdPartyCookies};

/// What will happen in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The facts. None of them where only a real server could tell.
    pub outcome: Outcome,
    /// The rules that decided, violated ones first.
    pub why: Vec<Finding>,
}

/// Predicts every step of a scenario in one engine. `now_ms`, milliseconds since 1970, is the time
/// at which the first step begins; nothing else of the world is asked.
#[must_use]
pub fn predict(case: &Case, profile: &Profile, now_ms: i64) -> Vec<Prediction> {
    let third_party = match case.third_party {
        ThirdPartyCookies::Default => profile.knobs.third_party,
        ThirdPartyCookies::Allow => ThirdParty::Allow,
        ThirdPartyCookies::Block => ThirdParty::Block,
    };
    let browser = Browser { case, profile, third_party };
    let mut world = World { now_ms, ..World::default() };
    for planted in &case.cookies {
        plant(&mut world, planted, &browser);
    }
    let mut predictions = Vec::with_capacity(case.steps.len());
    for (step, action) in case.steps.iter().enumerate() {
        let wait = i64::try_from(action.wait_ms).unwrap_or(i64::MAX);
        world.now_ms = world.now_ms.saturating_add(wait);
        let mut fetched = fetch(browser, &mut world, action, step);
        for _ in 1..action.repeat {
            fetched = fetch(browser, &mut world, action, step);
        }
        predictions.push(Prediction { outcome: fetched.outcome, why: fetched.why });
    }
    predictions
}

/// A cookie from before: a real answer set it, so everything is asked that is always asked.
fn plant(world: &mut World, planted: &Planted, browser: &Browser<'_>) {
    let Browser { profile, third_party, .. } = browser;
    let host = planted.from.origin();
    let top_level = planted.top_level.as_ref().unwrap_or(host);
    let relation = if host.is_same_site(top_level, profile.knobs.schemeful) {
        Relation::SameSite
    } else {
        Relation::CrossSite(Code::SamesiteLaxDefaultCrossSite)
    };
    let visit = Visit {
        url: &planted.from,
        top_level,
        relation,
        third_party: !host.is_same_site(top_level, false),
        navigation: None,
        now_ms: world.now_ms,
    };
    world.jar.store(&planted.line, &visit, &profile.knobs, *third_party, None);
}
