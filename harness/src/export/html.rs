//! A page without anything around it.

use serde_json::{Value, json};

use crate::export::script_json;
use crate::oracle::{Profile, predict};
use crate::scenario::{Action, Client, Loaded, Step};

/// The page that makes the scenario's calls, to be served under its origin; it shows what a script
/// sees beside what is predicted.
#[must_use]
pub fn html(loaded: &Loaded, profile: &Profile, now_ms: i64) -> String {
    let scenario = &loaded.scenario;
    let predictions = predict(&loaded.case, profile, now_ms);
    let steps = loaded.case.steps.iter().zip(&scenario.steps).zip(&predictions);
    let steps: Vec<_> = steps
        .map(|((action, step), prediction)| {
            let mut step = call(action, step);
            step["predicted"] = json!(prediction.outcome.sentence());
            step
        })
        .collect();
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    include_str!("page.html")
        .replace("{title}", &escaped(&scenario.title))
        .replace("{page}", &escaped(loaded.case.page.origin().text()))
        .replace("{engine}", profile.engine.id())
        .replace("{calls}", include_str!("calls.js"))
        .replace("{steps}", &script_json(&Value::Array(steps)))
}

/// A step as the page's script takes it.
pub(super) fn call(action: &Action, step: &Step) -> Value {
    let client = match action.client {
        Client::Fetch => "fetch",
        // axios is XMLHttpRequest.
        Client::Xhr | Client::Axios => "xhr",
        Client::Image => "image",
        Client::Form => "form",
        Client::Navigate => "navigate",
    };
    json!({
        "client": client,
        "url": action.address.text(),
        "method": action.method,
        "headers": action.headers,
        "body": action.body,
        "login": action.is_login,
        "credentials": action.credentials,
        "mode": step.mode,
        "redirect": step.redirect,
        "repeat": action.repeat,
        "wait": action.wait_ms,
    })
}
