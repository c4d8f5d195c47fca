//! The CORS protocol: what the standards say, row by row. All engines agree here.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::support::{assert_meets, last};

pub(super) const APP: &str = "https://app.example.com";
pub(super) const API: &str = "https://api.example.com";

/// One request to a scripted backend.
pub(super) fn exchange(step: &Value, preflight: &Value, actual: &Value) -> Value {
    let mut step = step.clone();
    step["url"] = step.get("url").cloned().unwrap_or(json!(format!("{API}/x")));
    let mut backend = json!({ "origin": API });
    for (key, answer) in [("preflight", preflight), ("actual", actual)] {
        if !answer.is_null() {
            backend[key] = answer.clone();
        }
    }
    json!({ "backend": [backend], "step": [step] })
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)]) -> Value {
    json!({ "status": status, "headers": headers })
}

pub(super) fn ok() -> Value {
    answer(
        200,
        &[("Access-Control-Allow-Origin", APP), ("Access-Control-Allow-Credentials", "true")],
    )
}

/// A preflight that allows everything that these tables ask for.
pub(super) fn passes() -> Value {
    answer(
        204,
        &[
            ("Access-Control-Allow-Origin", APP),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Allow-Methods", "PUT, DELETE, PATCH"),
            ("Access-Control-Allow-Headers", "content-type, x-csrf-token, authorization"),
        ],
    )
}

pub(super) fn all_engines(case: &str, value: &Value, want: &Value) {
    for engine in Engine::ALL {
        assert_meets(case, engine, value, want);
    }
}

#[test]
fn the_cors_check() {
    let acao = |value: &str| answer(200, &[("access-control-allow-origin", value)]);
    let both = |acao: &str, acac: &str| {
        answer(
            200,
            &[("access-control-allow-origin", acao), ("access-control-allow-credentials", acac)],
        )
    };
    for (case, include, response, error, name) in [
        ("exact", false, acao(APP), None, None),
        ("star without credentials", false, acao("*"), None, None),
        ("surrounding blanks", false, acao(" \t* "), None, None),
        ("none", false, answer(200, &[]), Some("acao-missing"), Some("MissingAllowOriginHeader")),
        ("empty", false, acao(""), Some("acao-origin-mismatch"), Some("InvalidAllowOriginValue")),
        ("null", false, acao("null"), Some("acao-origin-mismatch"), Some("AllowOriginMismatch")),
        (
            "NULL",
            false,
            acao("NULL"),
            Some("acao-origin-mismatch"),
            Some("InvalidAllowOriginValue"),
        ),
        ("**", false, acao("**"), Some("acao-origin-mismatch"), Some("InvalidAllowOriginValue")),
        (
            "\\0*",
            false,
            acao("*\u{1}"),
            Some("acao-origin-mismatch"),
            Some("InvalidAllowOriginValue"),
        ),
        ("star and more", false, acao("* *"), Some("acao-list"), Some("MultipleAllowOriginValues")),
        ("', *'", false, acao(", *"), Some("acao-list"), Some("MultipleAllowOriginValues")),
        ("'*, '", false, acao("*, "), Some("acao-list"), Some("MultipleAllowOriginValues")),
        (
            "twice on one line",
            false,
            acao(&format!("{APP}, {APP}")),
            Some("acao-list"),
            Some("MultipleAllowOriginValues"),
        ),
        (
            "separated by a blank",
            false,
            acao(&format!("{APP} {API}")),
            Some("acao-list"),
            Some("MultipleAllowOriginValues"),
        ),
        (
            "slash",
            false,
            acao(&format!("{APP}/")),
            Some("acao-trailing-slash-or-path"),
            Some("AllowOriginMismatch"),
        ),
        (
            "path",
            false,
            acao(&format!("{APP}/x")),
            Some("acao-trailing-slash-or-path"),
            Some("AllowOriginMismatch"),
        ),
        (
            "port",
            false,
            acao(&format!("{APP}:443")),
            Some("acao-origin-mismatch"),
            Some("AllowOriginMismatch"),
        ),
        (
            "scheme",
            false,
            acao("http://app.example.com"),
            Some("acao-origin-mismatch"),
            Some("AllowOriginMismatch"),
        ),
        (
            "upper case",
            false,
            acao("HTTPS://app.example.com"),
            Some("acao-origin-mismatch"),
            Some("AllowOriginMismatch"),
        ),
        (
            "host alone",
            false,
            acao("app.example.com"),
            Some("acao-origin-mismatch"),
            Some("InvalidAllowOriginValue"),
        ),
        (
            "longer host",
            false,
            acao(&format!("{APP}.evil.test")),
            Some("acao-origin-mismatch"),
            Some("AllowOriginMismatch"),
        ),
        ("with credentials", true, both(APP, "true"), None, None),
        (
            "star with credentials",
            true,
            both("*", "true"),
            Some("acao-wildcard-with-credentials"),
            Some("WildcardOriginNotAllowed"),
        ),
        ("no ACAC", true, acao(APP), Some("acac-missing"), Some("InvalidAllowCredentials")),
        (
            "True",
            true,
            both(APP, "True"),
            Some("acac-wrong-value"),
            Some("InvalidAllowCredentials"),
        ),
        ("1", true, both(APP, "1"), Some("acac-wrong-value"), Some("InvalidAllowCredentials")),
        (
            "'true, true'",
            true,
            both(APP, "true, true"),
            Some("acac-wrong-value"),
            Some("InvalidAllowCredentials"),
        ),
        ("ACAC false without credentials", false, both(APP, "false"), None, None),
    ] {
        let credentials = if include { "include" } else { "omit" };
        let value = exchange(&json!({ "credentials": credentials }), &Value::Null, &response);
        let want = json!({
            "preflight_sent": false, "request_sent": true, "readable": error.is_none(),
            "status": if error.is_none() { 200 } else { 0 }, "error": error,
            "response_type": if error.is_none() { "cors" } else { "error" },
            "origin_header": APP, "acrm": null, "acrh": null,
        });
        all_engines(case, &value, &want);
        assert_meets(case, Engine::Chromium, &value, &json!({ "cors_error": name }));
        assert_meets(case, Engine::Webkit, &value, &json!({ "cors_error": null }));
    }
}

#[test]
fn two_lines_are_never_one_origin() {
    let value = exchange(
        &json!({}),
        &Value::Null,
        &answer(200, &[("Access-Control-Allow-Origin", APP), ("access-control-allow-origin", APP)]),
    );
    all_engines("twice", &value, &json!({ "error": "acao-duplicate-header", "readable": false }));
    for (engine, name) in [
        (Engine::Chromium, "MultipleAllowOriginValues"),
        (Engine::Firefox, "CORSMultipleAllowOriginNotAllowed"),
    ] {
        assert_meets("twice", engine, &value, &json!({ "cors_error": name }));
    }
}

#[test]
fn wildcards_count_only_without_credentials() {
    let stars = |origin: &str| {
        answer(
            204,
            &[
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Methods", "*"),
                ("Access-Control-Allow-Headers", "*"),
            ],
        )
    };
    let code = "wildcard-headers-methods-with-credentials";
    for (case, step, error) in [
        ("method, omit", json!({ "method": "PUT", "credentials": "omit" }), None),
        ("header, same-origin", json!({ "headers": [["x-a", "1"]] }), None),
        ("method, include", json!({ "method": "PUT", "credentials": "include" }), Some(code)),
        (
            "header, include",
            json!({ "headers": [["x-a", "1"]], "credentials": "include" }),
            Some(code),
        ),
        ("method named *", json!({ "method": "*", "credentials": "include" }), None),
        ("header named *", json!({ "headers": [["*", "1"]], "credentials": "include" }), None),
        ("authorization", json!({ "headers": [["authorization", "1"]] }), None),
    ] {
        let value = exchange(&step, &stars(APP), &ok());
        all_engines(case, &value, &json!({ "readable": error.is_none(), "error": error }));
    }
}

#[test]
fn every_violated_rule_is_listed_not_only_the_first() {
    let step = json!({ "method": "PUT", "credentials": "include", "headers": [["x-a", "1"], ["x-b", "1"]] });
    let preflight = answer(
        401,
        &[("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Methods", "GET")],
    );
    let prediction = last(Engine::Chromium, exchange(&step, &preflight, &ok()));
    let codes: Vec<_> =
        prediction.why.iter().filter(|f| f.is_violation()).map(|f| f.code().id()).collect();
    assert_eq!(
        codes,
        [
            "preflight-auth-401",
            "acao-wildcard-with-credentials",
            "acac-missing",
            "preflight-method-not-allowed",
            "preflight-header-not-allowed",
            "preflight-header-not-allowed",
        ]
    );
    for finding in &prediction.why {
        assert!(!finding.text().contains("{}"), "{}", finding.text());
    }
}

#[test]
fn the_actual_answer_is_checked_too() {
    let put = json!({ "method": "PUT", "credentials": "include" });
    for (case, step, actual, error) in [
        ("only on the preflight", &put, answer(200, &[]), "cors-only-on-preflight"),
        ("an error without headers", &put, answer(500, &[]), "error-response-without-cors-headers"),
        (
            "an error, no preflight",
            &json!({}),
            answer(502, &[]),
            "error-response-without-cors-headers",
        ),
        ("no ACAC", &put, answer(200, &[("Access-Control-Allow-Origin", APP)]), "acac-missing"),
    ] {
        let value = exchange(step, &passes(), &actual);
        all_engines(
            case,
            &value,
            &json!({ "request_sent": true, "readable": false, "error": error }),
        );
    }
    let readable = answer(
        404,
        &[("Access-Control-Allow-Origin", APP), ("Access-Control-Allow-Credentials", "true")],
    );
    let value = exchange(&put, &passes(), &readable);
    all_engines(
        "an error with headers",
        &value,
        &json!({ "readable": true, "status": 404, "error": null }),
    );
}

#[test]
fn what_a_script_can_read_of_the_headers() {
    let response = |expose: &str| {
        answer(
            200,
            &[
                ("Access-Control-Allow-Origin", APP),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", expose),
                ("Content-Type", "text/plain"),
                ("X-Id", "1"),
                ("Authorization", "1"),
                ("Set-Cookie", "a=1"),
            ],
        )
    };
    for (case, include, expose, exposed, hidden) in [
        ("nothing listed", true, "", json!(["content-type", "content-length"]), json!(["x-id"])),
        ("listed", true, "x-other, X-ID", json!(["x-id"]), json!(["authorization", "set-cookie"])),
        (
            "star with credentials",
            true,
            "*",
            json!(["content-type"]),
            json!(["x-id", "authorization"]),
        ),
        ("star without", false, "*", json!(["x-id", "authorization"]), json!(["set-cookie"])),
        ("Set-Cookie never", false, "set-cookie, *", json!(["x-id"]), json!(["set-cookie"])),
        ("unparsable", false, "x-id x-other", json!([]), json!(["x-id"])),
    ] {
        let credentials = if include { "include" } else { "omit" };
        let value =
            exchange(&json!({ "credentials": credentials }), &Value::Null, &response(expose));
        all_engines(case, &value, &json!({ "exposed_headers": exposed, "hidden_headers": hidden }));
    }
}

#[test]
fn modes() {
    for (case, step, want) in [
        (
            "no-cors sends cookies if told to, and reads nothing",
            json!({ "mode": "no-cors", "credentials": "include" }),
            json!({ "request_sent": true, "readable": false, "status": 0, "response_type": "opaque", "exposed_headers": [], "origin_header": null, "error": null }),
        ),
        (
            "no-cors POST names the origin",
            json!({ "mode": "no-cors", "method": "POST", "body": "a" }),
            json!({ "response_type": "opaque", "origin_header": APP }),
        ),
        (
            "no-cors PUT is refused by fetch",
            json!({ "mode": "no-cors", "method": "PUT" }),
            json!({ "request_sent": false, "error": "request-refused-by-client" }),
        ),
        (
            "same-origin to another origin",
            json!({ "mode": "same-origin" }),
            json!({ "request_sent": false, "error": "request-mode-same-origin", "readable": false }),
        ),
        (
            "GET with a body is refused by fetch",
            json!({ "body": "a" }),
            json!({ "request_sent": false, "error": "request-refused-by-client" }),
        ),
        (
            "but not by xhr",
            json!({ "client": "xhr", "body": "a" }),
            json!({ "request_sent": true, "readable": true }),
        ),
        (
            "TRACE",
            json!({ "method": "trace" }),
            json!({ "request_sent": false, "error": "request-refused-by-client" }),
        ),
        (
            "a navigation needs no CORS",
            json!({ "client": "navigate" }),
            json!({ "request_sent": true, "readable": false, "status": 200, "error": null, "origin_header": null }),
        ),
        (
            "a form names its origin",
            json!({ "client": "form", "method": "POST" }),
            json!({ "request_sent": true, "origin_header": APP }),
        ),
        (
            "a sandbox has no origin",
            json!({ "frame": "sandbox" }),
            json!({ "origin_header": "null", "error": "origin-null-file-or-sandbox" }),
        ),
    ] {
        all_engines(case, &exchange(&step, &passes(), &ok()), &want);
    }
    let null = answer(200, &[("Access-Control-Allow-Origin", "null")]);
    let value = exchange(&json!({ "frame": "data" }), &Value::Null, &null);
    all_engines("null is an origin", &value, &json!({ "readable": true, "origin_header": "null" }));
}

#[test]
fn what_is_no_matter_of_cors() {
    for (case, page, url, fault, want) in [
        (
            "nobody listens",
            APP,
            "https://nobody.example.com/",
            Value::Null,
            json!({ "error": "connection-refused-wrong-port", "request_sent": false, "preflight_sent": false, "hops": [] }),
        ),
        (
            "refused",
            APP,
            "https://api.example.com/",
            json!("refused"),
            json!({ "error": "connection-refused-wrong-port" }),
        ),
        (
            "certificate",
            APP,
            "https://api.example.com/",
            json!("tls-untrusted"),
            json!({ "error": "tls-untrusted-certificate" }),
        ),
        (
            "ad blocker",
            APP,
            "https://api.example.com/",
            json!("blocked-by-client"),
            json!({ "error": "blocked-by-client" }),
        ),
        (
            "mixed content",
            APP,
            "http://api.example.com/",
            Value::Null,
            json!({ "error": "mixed-content", "request_sent": false }),
        ),
        (
            "a bad port",
            "http://app.example.com",
            "http://app.example.com:6000/",
            Value::Null,
            json!({ "error": "dns-failure-or-bad-port" }),
        ),
    ] {
        let mut value = json!({ "page": page, "step": [{ "url": url, "method": "PUT" }] });
        if !fault.is_null() {
            value["backend"] = json!([{ "origin": API, "fault": fault }]);
        }
        all_engines(case, &value, &want);
        all_engines(case, &value, &json!({ "cors_error": null, "readable": false, "status": 0 }));
    }
}
