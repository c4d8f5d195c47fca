//! The CORS protocol: what the standards say, row by row. All engines agree here.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::support::{assert_meets, last};

const APP: &str = "https://app.example.com";
const API: &str = "https://api.example.com";

/// One request to a scripted backend.
fn exchange(step: &Value, preflight: &Value, actual: &Value) -> Value {
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

fn answer(status: u16, headers: &[(&str, &str)]) -> Value {
    json!({ "status": status, "headers": headers })
}

fn ok() -> Value {
    answer(
        200,
        &[("Access-Control-Allow-Origin", APP), ("Access-Control-Allow-Credentials", "true")],
    )
}

/// A preflight that allows everything that these tables ask for.
fn passes() -> Value {
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

fn all_engines(case: &str, value: &Value, want: &Value) {
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
