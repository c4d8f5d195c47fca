//! Preflights: which requests need one, which fail, which are remembered.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::fetch::{API, APP, all_engines, answer, exchange, ok, passes};
use crate::support::assert_meets;

#[test]
fn what_needs_a_preflight() {
    let long = "a".repeat(129);
    for (case, step, acrm, acrh) in [
        ("GET", json!({}), None, None),
        ("get", json!({ "method": "get" }), None, None),
        ("HEAD", json!({ "method": "HEAD" }), None, None),
        ("POST", json!({ "method": "post", "body": "a" }), None, None),
        ("PUT", json!({ "method": "put", "body": "a" }), Some("PUT"), None),
        ("DELETE", json!({ "method": "DELETE" }), Some("DELETE"), None),
        ("patch stays as it is", json!({ "method": "patch" }), Some("patch"), None),
        ("OPTIONS", json!({ "method": "OPTIONS" }), Some("OPTIONS"), None),
        ("an odd one", json!({ "method": "CHICKEN" }), Some("CHICKEN"), None),
        (
            "json",
            json!({ "method": "POST", "headers": [["Content-Type", "application/json"]], "body": "{}" }),
            Some("POST"),
            Some("content-type"),
        ),
        (
            "form",
            json!({ "method": "POST", "headers": [["Content-Type", "application/x-www-form-urlencoded"]], "body": "a" }),
            None,
            None,
        ),
        (
            "text with charset",
            json!({ "method": "POST", "headers": [["content-type", "text/plain; charset=utf-8"]], "body": "a" }),
            None,
            None,
        ),
        (
            "sorted, lower case, once",
            json!({ "headers": [["X-B", "1"], ["x-a", "2"], ["x-b", "3"], ["Accept", "x"]] }),
            Some("GET"),
            Some("x-a,x-b"),
        ),
        (
            "authorization",
            json!({ "headers": [["Authorization", "Bearer x"]] }),
            Some("GET"),
            Some("authorization"),
        ),
        (
            "accept with an unsafe byte",
            json!({ "headers": [["Accept", "a{b"]] }),
            Some("GET"),
            Some("accept"),
        ),
        ("accept too long", json!({ "headers": [["Accept", long]] }), Some("GET"), Some("accept")),
        ("a simple range", json!({ "headers": [["Range", "bytes=0-1"]] }), None, None),
        (
            "a range from the end",
            json!({ "headers": [["Range", "bytes=-1"]] }),
            Some("GET"),
            Some("range"),
        ),
        (
            "forbidden ones are dropped",
            json!({ "headers": [["Cookie", "a=1"], ["Origin", "x"], ["Sec-Fetch-Site", "none"]] }),
            None,
            None,
        ),
        (
            "a response header on the request",
            json!({ "headers": [["Access-Control-Allow-Origin", "*"]] }),
            Some("GET"),
            Some("access-control-allow-origin"),
        ),
        (
            "xhr",
            json!({ "client": "xhr", "headers": [["X-A", "1"], ["X-A", "2"]] }),
            Some("GET"),
            Some("x-a"),
        ),
        ("axios asks for JSON without a preflight", json!({ "client": "axios" }), None, None),
        (
            "axios upper-cases",
            json!({ "client": "axios", "method": "patch", "body": "a" }),
            Some("PATCH"),
            None,
        ),
        (
            "axios posts a string as a form",
            json!({ "client": "axios", "method": "post", "body": "a" }),
            None,
            None,
        ),
        ("no-cors never", json!({ "mode": "no-cors", "headers": [["X-A", "1"]] }), None, None),
        ("image never", json!({ "client": "image" }), None, None),
        ("form never", json!({ "client": "form", "method": "POST", "body": "a" }), None, None),
        ("navigation never", json!({ "client": "navigate" }), None, None),
    ] {
        let mut value = exchange(&step, &passes(), &ok());
        value["step"][0] = step.clone();
        value["step"][0]["url"] = json!(format!("{API}/x"));
        let want = json!({ "preflight_sent": acrm.is_some(), "acrm": acrm, "acrh": acrh });
        all_engines(case, &value, &want);
    }
}

#[test]
fn nothing_needs_a_preflight_on_one_origin() {
    let value = json!({
        "backend": [{ "origin": APP, "actual": { "headers": [["X-Id", "1"], ["Set-Cookie", "a=1"]] } }],
        "step": [{ "url": format!("{APP}/x"), "method": "PUT", "headers": [["X-A", "1"]], "body": "a" }],
    });
    let want = json!({
        "preflight_sent": false, "readable": true, "response_type": "basic", "origin_header": APP,
        "exposed_headers": ["x-id"], "hidden_headers": ["set-cookie"], "cookies_stored": ["a=1"],
    });
    all_engines("same origin", &value, &want);
}

#[test]
fn preflights_that_fail() {
    let with = |status: u16, more: &[(&str, &str)]| {
        let mut headers = vec![("Access-Control-Allow-Origin", APP)];
        headers.extend(more);
        answer(status, &headers)
    };
    let put = json!({ "method": "PUT" });
    let header = |name: &str| json!({ "headers": [[name, "1"]] });
    let redirect = |mut answer: Value| {
        answer["redirect"] = json!("/elsewhere");
        answer
    };
    for (case, step, preflight, error, name) in [
        (
            "no answer",
            &put,
            Value::Null,
            "preflight-not-routed",
            "PreflightMissingAllowOriginHeader",
        ),
        (
            "405",
            &put,
            answer(405, &[]),
            "preflight-not-routed",
            "PreflightMissingAllowOriginHeader",
        ),
        ("401", &put, answer(401, &[]), "preflight-auth-401", "PreflightMissingAllowOriginHeader"),
        ("403 with headers", &put, with(403, &[]), "preflight-auth-401", "PreflightInvalidStatus"),
        ("699", &put, with(699, &[]), "preflight-odd-status", "PreflightInvalidStatus"),
        (
            "500",
            &put,
            answer(500, &[]),
            "preflight-odd-status",
            "PreflightMissingAllowOriginHeader",
        ),
        (
            "301 with Location",
            &put,
            redirect(with(301, &[])),
            "preflight-redirect",
            "PreflightDisallowedRedirect",
        ),
        (
            "301 bare with Location",
            &put,
            redirect(answer(301, &[])),
            "preflight-redirect",
            "PreflightDisallowedRedirect",
        ),
        (
            "301 without Location",
            &put,
            with(301, &[]),
            "preflight-odd-status",
            "PreflightInvalidStatus",
        ),
        ("bare 200", &put, answer(200, &[]), "acao-missing", "PreflightMissingAllowOriginHeader"),
        (
            "other origin",
            &put,
            answer(204, &[("Access-Control-Allow-Origin", API)]),
            "acao-origin-mismatch",
            "PreflightAllowOriginMismatch",
        ),
        (
            "no method",
            &put,
            with(204, &[]),
            "preflight-method-not-allowed",
            "MethodDisallowedByPreflightResponse",
        ),
        (
            "lower-case method",
            &put,
            with(204, &[("Access-Control-Allow-Methods", "put")]),
            "preflight-method-not-allowed",
            "MethodDisallowedByPreflightResponse",
        ),
        (
            "bad methods",
            &put,
            with(204, &[("Access-Control-Allow-Methods", "GET PUT")]),
            "allow-list-unparsable",
            "InvalidAllowMethodsPreflightResponse",
        ),
        (
            "no header",
            &header("X-CSRF-Token"),
            with(204, &[]),
            "preflight-header-not-allowed",
            "HeaderDisallowedByPreflightResponse",
        ),
        (
            "bad headers",
            &header("X-CSRF-Token"),
            with(204, &[("Access-Control-Allow-Headers", "x csrf")]),
            "allow-list-unparsable",
            "InvalidAllowHeadersPreflightResponse",
        ),
        (
            "tracing",
            &header("baggage"),
            with(204, &[("Access-Control-Allow-Headers", "x-a")]),
            "tracing-header-injected",
            "HeaderDisallowedByPreflightResponse",
        ),
        (
            "response header",
            &header("Access-Control-Allow-Origin"),
            with(204, &[]),
            "headers-set-on-request",
            "HeaderDisallowedByPreflightResponse",
        ),
    ] {
        let value = exchange(step, &preflight, &ok());
        let want = json!({
            "preflight_sent": true, "request_sent": false, "cookies_sent": [], "readable": false,
            "status": 0, "error": error, "origin_header": null, "response_type": "error",
            "hops": [{ "origin": API, "preflight": true, "cookies_sent": [], "origin_header": null }],
        });
        all_engines(case, &value, &want);
        assert_meets(case, Engine::Chromium, &value, &json!({ "cors_error": name }));
    }
}

#[test]
fn preflights_are_remembered() {
    let cached = |seconds: &str| {
        let mut answer = passes();
        let headers = answer["headers"].as_array_mut().expect("headers");
        headers.push(json!(["Access-Control-Max-Age", seconds]));
        answer
    };
    let twice = |preflight: Value, wait_ms: u64, second: Value| {
        let first = json!({ "url": format!("{API}/x"), "method": "PUT", "credentials": "include" });
        let mut second_step = first.clone();
        second_step["wait_ms"] = json!(wait_ms);
        for (key, value) in second.as_object().expect("a table") {
            second_step[key] = value.clone();
        }
        json!({
            "backend": [{ "origin": API, "preflight": preflight, "actual": ok() }],
            "step": [first, second_step],
        })
    };
    for (case, value, again) in [
        ("five seconds by default", twice(passes(), 4_000, json!({})), true),
        ("not longer", twice(passes(), 5_000, json!({})), false),
        ("as long as it says", twice(cached("60"), 59_000, json!({})), true),
        ("zero", twice(cached("0"), 0, json!({})), false),
        ("negative", twice(cached("-1"), 0, json!({})), false),
        ("no number is the default", twice(cached("1h"), 4_999, json!({})), true),
        ("nor is a sign", twice(cached("+60"), 5_000, json!({})), false),
        (
            "more than anybody counts to",
            twice(cached("99999999999999999999"), 500_000, json!({})),
            true,
        ),
        ("another method", twice(cached("60"), 0, json!({ "method": "DELETE" })), true),
        (
            "a method that was not allowed",
            twice(cached("60"), 0, json!({ "method": "LOCK" })),
            false,
        ),
        (
            "a header that was allowed",
            twice(cached("60"), 0, json!({ "headers": [["X-CSRF-Token", "1"]] })),
            true,
        ),
        (
            "a header that was not",
            twice(cached("60"), 0, json!({ "headers": [["X-Other", "1"]] })),
            false,
        ),
        ("another address", twice(cached("60"), 0, json!({ "url": format!("{API}/y") })), false),
        ("another query", twice(cached("60"), 0, json!({ "url": format!("{API}/x?y") })), false),
        (
            "only the fragment differs",
            twice(cached("60"), 0, json!({ "url": format!("{API}/x#y") })),
            true,
        ),
        ("without credentials", twice(cached("60"), 0, json!({ "credentials": "omit" })), true),
        (
            "another origin",
            twice(cached("60"), 0, json!({ "frame": "https://other.example.com" })),
            false,
        ),
    ] {
        all_engines(case, &value, &json!({ "preflight_sent": !again }));
    }
    // The caps: 600 s, 7200 s, 86,400 s.
    for (engine, wait_s, sent) in [
        (Engine::Webkit, 599, false),
        (Engine::Webkit, 600, true),
        (Engine::Chromium, 7_199, false),
        (Engine::Chromium, 7_200, true),
        (Engine::Firefox, 86_399, false),
        (Engine::Firefox, 86_400, true),
    ] {
        let value = twice(cached("1000000"), wait_s * 1000, json!({}));
        assert_meets("cap", engine, &value, &json!({ "preflight_sent": sent }));
    }
}
