//! The document of `--format json`.

use serde_json::{Value, json};

use crate::browser::{BrowserEvidence, Leg};
use crate::lab::WireExchange;
use crate::prove::{Check, Observed, PageView, Proof, Verdict, must_break};
use crate::report::redact;

/// The whole proof as one document (`"schema": 1`).
#[must_use]
pub fn document(proof: &Proof) -> Value {
    let failed = proof.verdicts.iter().filter(|v| !v.holds()).count();
    let missed = proof.controls.iter().filter(|c| !c.is_caught()).count();
    json!({
        "schema": 1,
        "engines": [{ "name": "chromium", "version": proof.version }],
        "results": proof.verdicts.iter().map(result).collect::<Vec<_>>(),
        "controls": proof.controls.iter().map(|control| json!({
            "sabotage": control.sabotage,
            "title": control.sabotage.title(),
            "caught": control.is_caught(),
            "must_break": must_break(control.sabotage).1,
            "tried": control.tried.iter().map(|v| json!({
                "id": v.id(),
                "why": why(v),
            })).collect::<Vec<_>>(),
            "fell": control.fell,
            "asked": control.asked,
        })).collect::<Vec<_>>(),
        "summary": {
            "pass": proof.verdicts.len() - failed,
            "fail": failed,
            "controls_caught": proof.controls.len() - missed,
            "controls_missed": missed,
            "timing": proof.timing,
        },
    })
}

fn result(verdict: &Verdict) -> Value {
    json!({
        "scenario": format!("prove/{}/{}", verdict.topology.id(), verdict.claim.id()),
        "id": verdict.id(),
        "engine": "chromium",
        "claim": verdict.claim.number(),
        "title": verdict.claim.title(),
        "topology": verdict.topology,
        "client": verdict.client,
        "verdict": if verdict.holds() { "pass" } else { "fail" },
        "checks": verdict.checks,
        "why": why(verdict),
        "evidence": verdict.exchanges.iter().map(|seen| evidence(seen)).collect::<Vec<_>>(),
        "millis": verdict.millis,
    })
}

fn why(verdict: &Verdict) -> Vec<&str> {
    let broken = |check: &&Check| !check.holds;
    verdict.checks.iter().filter(broken).map(|check| check.says.as_str()).collect()
}

fn evidence(seen: &Observed) -> Value {
    json!({
        "from": seen.from,
        "asker": seen.asker,
        "method": seen.method,
        "path": seen.path,
        "credentials": seen.mode,
        "script": script(&seen.page),
        "wire": {
            "preflight": seen.preflight.as_ref().map(wire),
            "request": seen.request.as_ref().map(wire),
        },
        "browser": browser(&seen.browser),
    })
}

fn script(page: &PageView) -> Value {
    json!({
        "readable": page.readable,
        "status": page.status,
        "type": page.kind,
        "headers": redacted(&page.headers),
        "error": page.error,
    })
}

fn wire(exchange: &WireExchange) -> Value {
    json!({
        "origin": exchange.origin,
        "method": exchange.method,
        "target": exchange.target,
        "request_headers": redacted(&exchange.request_headers),
        "status": exchange.status,
        "response_headers": redacted(&exchange.response_headers),
    })
}

fn redacted(headers: &[(String, String)]) -> Vec<(&str, String)> {
    headers.iter().map(|(name, value)| (name.as_str(), redact(name, value))).collect()
}

/// What the browser says beyond what the wire shows already.
fn browser(evidence: &BrowserEvidence) -> Value {
    let leg = |leg: &Leg| {
        json!({
            "sent": leg.sent,
            "status": leg.status,
            "cookies": leg.cookies,
            "refused_set_cookies": leg.refused_set_cookies.iter().map(|refused| json!({
                "line": redact("set-cookie", &refused.line),
                "reasons": refused.reasons,
            })).collect::<Vec<_>>(),
        })
    };
    json!({
        "preflight": evidence.preflight.as_ref().map(leg),
        "request": evidence.request.as_ref().map(leg),
        "failure": evidence.failure,
        "complete": evidence.complete,
    })
}
