//! The document of `--format json`.

use serde_json::{Value, json};

use crate::browser::{BrowserEvidence, Leg};
use crate::lab::WireExchange;
use crate::prove::{Control, Judgement, Observed, PageView, Proof, Verdict, must_break};
use crate::redact::redact;

/// The whole proof as one document (`"schema": 1`).
#[must_use]
pub fn document(proof: &Proof) -> Value {
    let judged = |judgement| proof.verdicts().filter(|v| v.judgement() == judgement).count();
    let caught = proof.controls().filter(|control| control.is_caught()).count();
    json!({
        "schema": 1,
        "engines": proof.engines.iter().map(|engine| json!({
            "name": engine.engine,
            "version": engine.version,
            "sight": engine.sight,
            "timing": engine.timing,
        })).collect::<Vec<_>>(),
        "skipped": proof.skipped.iter().map(|(engine, reason)| json!({
            "name": engine,
            "reason": reason,
        })).collect::<Vec<_>>(),
        "third_party_cookies": proof.third_party_cookies,
        "results": proof.verdicts().map(result).collect::<Vec<_>>(),
        "controls": proof.controls().map(control).collect::<Vec<_>>(),
        "summary": {
            "pass": judged(Judgement::Pass),
            "divergence": judged(Judgement::Divergence),
            "fail": judged(Judgement::Fail),
            "controls_caught": caught,
            "controls_missed": proof.controls().count() - caught,
            "timing": proof.timing,
        },
    })
}

fn control(control: &Control) -> Value {
    json!({
        "engine": control.engine,
        "sabotage": control.sabotage,
        "title": control.sabotage.title(),
        "caught": control.is_caught(),
        "must_break": must_break(control.sabotage).1,
        "tried": control.tried.iter().map(|v| json!({
            "id": v.id(),
            "why": v.surprises(),
        })).collect::<Vec<_>>(),
        "fell": control.fell,
        "asked": control.asked,
    })
}

fn result(verdict: &Verdict) -> Value {
    json!({
        "scenario": format!("prove/{}/{}", verdict.topology.id(), verdict.claim.id()),
        "id": verdict.id(),
        "engine": verdict.engine,
        "claim": verdict.claim.number(),
        "title": verdict.claim.title(),
        "topology": verdict.topology,
        "client": verdict.client,
        "verdict": verdict.judgement(),
        "checks": verdict.checks,
        "why": verdict.surprises(),
        "known": verdict.known,
        "outdated": verdict.outdated(),
        "evidence": verdict.exchanges.iter().map(|seen| evidence(seen)).collect::<Vec<_>>(),
        "millis": verdict.millis,
    })
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
        "browser": seen.browser.as_ref().map(browser),
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
