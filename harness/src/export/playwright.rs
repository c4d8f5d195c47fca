//! A test that brings the scenario's servers with it.

use serde_json::{Value, json};

use crate::export::html::call;
use crate::export::script_json;
use crate::oracle::{Profile, predict};
use crate::scenario::{Fault, Frame, Loaded, Scheme, ServerKind};

/// Why there can be no such test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoScript {
    /// A backend is a real server.
    #[error(
        "{0} is a real server: only answers that stand in the scenario can be exported; try --as html or --as curl"
    )]
    Server(String),
    /// Something that the test does not do.
    #[error("step {0}: {1} cannot be exported as a Playwright test; try --as html or --as curl")]
    Step(usize, &'static str),
}

/// A Playwright test for Chromium, in one file, under the scenario's real host names.
///
/// # Errors
///
/// [`NoScript`] where the scenario holds what a test cannot bring along.
pub fn playwright(loaded: &Loaded, profile: &Profile, now_ms: i64) -> Result<String, NoScript> {
    let scenario = &loaded.scenario;
    let mut backends = Vec::new();
    for (server, backend) in loaded.case.servers.iter().zip(&scenario.backends) {
        match &server.kind {
            ServerKind::Scripted(_) | ServerKind::Fault(Fault::Refused) => {}
            _ => return Err(NoScript::Server(server.origin.text().to_owned())),
        }
        backends.push(json!({
            "host": server.origin.host(),
            "port": server.origin.port(),
            "https": server.origin.scheme() == Scheme::Https,
            "refused": backend.fault.is_some(),
            "preflight": backend.preflight,
            "actual": backend.actual,
            "routes": backend.routes,
        }));
    }
    let mut steps = Vec::new();
    let predictions = predict(&loaded.case, profile, now_ms);
    for (index, action) in loaded.case.steps.iter().enumerate() {
        let step = &scenario.steps[index];
        let mut made = call(action, step);
        if action.is_login {
            return Err(NoScript::Step(index + 1, "a login"));
        }
        if action.frame != Frame::Page {
            return Err(NoScript::Step(index + 1, "a frame"));
        }
        if matches!(made["client"].as_str(), Some("form" | "navigate" | "image")) {
            return Err(NoScript::Step(index + 1, "a form, a link or an image"));
        }
        let predicted = predictions.get(index).map(|prediction| &prediction.outcome);
        let wanted = scenario.expected(index, profile.engine).unwrap_or_default();
        made["expected"] = json!({
            "readable": wanted.readable.or_else(|| predicted.and_then(|p| p.readable)),
            "status": wanted.status.or_else(|| predicted.and_then(|p| p.status)),
        });
        steps.push(made);
    }
    let page = &loaded.case.page;
    let origin = page.origin();
    let page = json!({
        "url": page.text(),
        "host": origin.host(),
        "port": origin.port(),
        "https": origin.scheme() == Scheme::Https,
    });
    let cookies: Vec<_> =
        scenario.cookies.iter().map(|c| json!({ "host": c.host, "set": c.set })).collect();
    let title = serde_json::to_string(&scenario.title).unwrap_or_default();
    Ok(include_str!("case.spec.mjs")
        .replace("'{title}'", &title)
        .replace("'{page}'", &script_json(&page))
        .replace("'{cookies}'", &script_json(&Value::Array(cookies)))
        .replace("'{backends}'", &script_json(&Value::Array(backends)))
        .replace("'{steps}'", &script_json(&Value::Array(steps)))
        .replace("'{calls}';", include_str!("calls.js")))
}
