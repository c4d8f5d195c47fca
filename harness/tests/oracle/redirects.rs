//! Redirects and what they do to origins.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::support::assert_meets;

const APP: &str = "https://app.example.com";
const API: &str = "https://api.example.com";
const FILES: &str = "https://files.example.net";

fn allows(origin: &str) -> Value {
    json!({ "headers": [["Access-Control-Allow-Origin", origin], ["Access-Control-Allow-Credentials", "true"]] })
}

fn redirects(origin: &str, to: &str) -> Value {
    let mut answer = allows(origin);
    answer["redirect"] = json!(to);
    answer
}

fn all_engines(case: &str, value: &Value, want: &Value) {
    for engine in Engine::ALL {
        assert_meets(case, engine, value, want);
    }
}

/// The page asks the first backend; each answers as it is told.
fn chain(step: &Value, backends: &[(&str, Value, Value)]) -> Value {
    let mut step = step.clone();
    step["url"] = step.get("url").cloned().unwrap_or_else(|| json!(format!("{}/x", backends[0].0)));
    let backends: Vec<_> = backends
        .iter()
        .map(|(origin, preflight, actual)| json!({ "origin": origin, "preflight": preflight, "actual": actual }))
        .collect();
    json!({ "backend": backends, "step": [step] })
}

fn any() -> Value {
    json!({ "status": 204, "headers": [["Access-Control-Allow-Origin", "{origin}"], ["Access-Control-Allow-Credentials", "true"], ["Access-Control-Allow-Methods", "PUT"], ["Access-Control-Allow-Headers", "x-a, authorization, content-type"]] })
}

#[test]
fn every_hop_is_checked() {
    for (case, backends, want) in [
        (
            "same origin to foreign: the page's origin",
            vec![(APP, any(), json!({ "redirect": API })), (API, any(), allows(APP))],
            json!({ "readable": true, "response_type": "cors", "origin_header": APP, "hops": [{ "origin": APP, "origin_header": null }, { "origin": API, "origin_header": APP }] }),
        ),
        (
            "foreign within itself: the page's origin",
            vec![(API, any(), redirects(APP, "/y"))],
            // The same answer redirects for ever.
            json!({ "readable": false, "error": "redirect-loop" }),
        ),
        (
            "foreign to foreign: null",
            vec![(API, any(), redirects(APP, FILES)), (FILES, any(), allows("null"))],
            json!({ "readable": true, "origin_header": "null", "hops": [{ "origin_header": APP }, { "origin_header": "null" }] }),
        ),
        (
            "foreign to foreign, which does not know that",
            vec![(API, any(), redirects(APP, FILES)), (FILES, any(), allows(APP))],
            json!({ "readable": false, "error": "redirect-tainted-origin-null" }),
        ),
        (
            "foreign and back: CORS at home, with null",
            vec![(API, any(), redirects(APP, &format!("{APP}/y"))), (APP, any(), allows("null"))],
            json!({ "readable": true, "response_type": "cors", "origin_header": "null" }),
        ),
        (
            "a redirect without headers",
            vec![(API, any(), json!({ "redirect": "/y" }))],
            json!({ "readable": false, "error": "redirect-hop-without-cors", "hops": [{}] }),
        ),
        (
            "to a login page",
            vec![
                (API, any(), redirects(APP, "https://login.example.net/")),
                ("https://login.example.net", any(), json!({})),
            ],
            json!({ "readable": false, "error": "idp-redirect-in-fetch" }),
        ),
        (
            "to nobody",
            vec![(API, any(), redirects(APP, FILES))],
            json!({ "readable": false, "error": "connection-refused-wrong-port", "request_sent": true, "hops": [{}] }),
        ),
        (
            "with a user name",
            vec![(API, any(), redirects(APP, "https://a:b@api.example.com/"))],
            json!({ "readable": false, "error": "redirect-contains-credentials" }),
        ),
        (
            "to another scheme",
            vec![(API, any(), redirects(APP, "data:text/plain,x"))],
            json!({ "readable": false, "error": "redirect-leads-nowhere" }),
        ),
        (
            "without Location it is an answer",
            vec![(
                API,
                any(),
                json!({ "status": 302, "headers": [["Access-Control-Allow-Origin", "*"]] }),
            )],
            json!({ "readable": true, "status": 302 }),
        ),
    ] {
        all_engines(case, &chain(&json!({}), &backends), &want);
    }
}

#[test]
fn redirect_modes() {
    let value = |mode: &str| {
        chain(
            &json!({ "redirect": mode }),
            &[(API, any(), redirects(APP, FILES)), (FILES, any(), allows("null"))],
        )
    };
    all_engines("follow", &value("follow"), &json!({ "readable": true, "status": 200 }));
    all_engines(
        "error",
        &value("error"),
        &json!({ "readable": false, "error": "redirect-not-followed" }),
    );
    let want = json!({ "readable": false, "status": 0, "response_type": "opaqueredirect", "error": null, "hops": [{}] });
    all_engines("manual", &value("manual"), &want);
}

#[test]
fn preflights_of_later_hops() {
    let step = json!({ "method": "PUT", "headers": [["X-A", "1"], ["Authorization", "b"]] });
    let value = chain(
        &step,
        &[(API, any(), redirects("{origin}", FILES)), (FILES, any(), allows("{origin}"))],
    );
    let want = json!({
        "readable": true, "acrm": "PUT", "acrh": "authorization,x-a",
        "hops": [{ "preflight": true }, { "preflight": true, "origin_header": "null" }],
    });
    all_engines("each hop asks anew", &value, &want);

    // Firefox's preflight of the second hop names the page; the request after it says null.
    let only = |origin: &str| json!({ "status": 204, "headers": [["Access-Control-Allow-Origin", origin], ["Access-Control-Allow-Methods", "PUT"], ["Access-Control-Allow-Headers", "x-a"]] });
    let step = json!({ "method": "PUT", "headers": [["X-A", "1"]] });
    for (preflight, chromium, firefox) in [("null", true, false), (APP, false, true)] {
        let value = chain(
            &step,
            &[(API, any(), redirects("{origin}", FILES)), (FILES, only(preflight), allows("null"))],
        );
        assert_meets(preflight, Engine::Chromium, &value, &json!({ "readable": chromium }));
        assert_meets(preflight, Engine::Firefox, &value, &json!({ "readable": firefox }));
    }
}

#[test]
fn methods_and_bodies_change() {
    for (status, method, after) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
    ] {
        let mut first = allows(APP);
        first["status"] = json!(status);
        first["redirect"] = json!("/done");
        let done = json!({ "headers": [["Access-Control-Allow-Origin", APP]], "status": 299 });
        let body = if method == "HEAD" { Value::Null } else { json!("a") };
        let value = json!({
            "backend": [{
                "origin": API, "preflight": any(), "actual": first,
                "route": [{ "path": "/done", "method": after, "actual": done }],
            }],
            "step": [{ "url": format!("{API}/x"), "method": method, "body": body }],
        });
        all_engines(
            &format!("{status} {method}"),
            &value,
            &json!({ "readable": true, "status": 299 }),
        );
    }
}

#[test]
fn authorization_does_not_leave_its_origin() {
    let step = json!({ "headers": [["Authorization", "b"]] });
    let value = chain(
        &step,
        &[(API, any(), redirects("{origin}", FILES)), (FILES, any(), allows("{origin}"))],
    );
    all_engines(
        "dropped",
        &value,
        &json!({ "hops": [{ "preflight": true }, { "preflight": false }] }),
    );
}

#[test]
fn routes_and_relative_locations() {
    let value = json!({
        "backend": [{
            "origin": API,
            "route": [
                { "path": "/a/b", "actual": redirects(APP, "../c?q") },
                { "path": "/c", "actual": allows(APP) },
            ],
        }],
        "step": [{ "url": format!("{API}/a/b") }],
    });
    all_engines("relative", &value, &json!({ "readable": true, "status": 200, "hops": [{}, {}] }));
}
