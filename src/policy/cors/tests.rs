use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, VARY,
};
use proptest::prelude::*;

use super::*;

const APP: &str = "https://app.example.com";

pub(super) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

pub(super) fn config() -> CorsConfig {
    CorsConfig {
        allow_origins: strings(&[APP, "http://localhost:3000"]),
        allow_credentials: true,
        allow_methods: strings(&["*"]),
        allow_headers: strings(&["*"]),
        expose_headers: strings(&["X-CSRF-TOKEN"]),
        max_age_s: Some(600),
        ..CorsConfig::default()
    }
}

fn policy() -> CorsPolicy {
    CorsPolicy::compile(&config()).unwrap()
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

/// All headers of an answer as sorted `name: value` lines.
fn answer(
    policy: &CorsPolicy,
    method: &str,
    lines: &[(&str, &str)],
) -> (&'static str, Vec<String>) {
    let method = Method::try_from(method).unwrap();
    let decision = policy.decide(&method, &map(lines));
    let reason = decision.reason();
    let mut out = HeaderMap::new();
    policy.apply(decision, &mut out);
    let mut all: Vec<_> =
        out.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    all.sort();
    (reason, all)
}

#[test]
fn actual_requests() {
    let granted = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://app.example.com",
        "access-control-expose-headers: x-csrf-token",
        "vary: Origin",
    ];
    for (case, lines, reason, want) in [
        ("no origin", vec![], "no_origin", &granted[3..]),
        ("listed", vec![("origin", APP)], "allowed", &granted[..]),
        ("twice the same", vec![("origin", APP), ("origin", APP)], "allowed", &granted[..]),
        (
            "two different",
            vec![("origin", APP), ("origin", "http://localhost:3000")],
            "origin_not_allowed",
            &granted[3..],
        ),
        ("foreign", vec![("origin", "https://evil.example")], "origin_not_allowed", &granted[3..]),
        ("null", vec![("origin", "null")], "origin_not_allowed", &granted[3..]),
        (
            "upper case",
            vec![("origin", "https://APP.example.com")],
            "origin_not_allowed",
            &granted[3..],
        ),
        (
            "suffix",
            vec![("origin", "https://app.example.com.evil.example")],
            "origin_not_allowed",
            &granted[3..],
        ),
        (
            "default port",
            vec![("origin", "https://app.example.com:443")],
            "origin_not_allowed",
            &granted[3..],
        ),
        (
            "not ASCII",
            vec![("origin", "https://äpp.example.com")],
            "origin_not_allowed",
            &granted[3..],
        ),
        ("empty", vec![("origin", "")], "origin_not_allowed", &granted[3..]),
    ] {
        let (why, headers) = answer(&policy(), "GET", &lines);
        assert_eq!((why, headers), (reason, strings(want)), "{case}");
    }
}

#[test]
fn preflights() {
    let vary =
        "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_owned();
    let many = (0..101).map(|i| format!("h{i}")).collect::<Vec<_>>().join(",");
    let long = format!("x{}", "y".repeat(4096));
    let asks = ("access-control-request-method", "PUT");
    let origin = ("origin", APP);
    let names_ = |v| ("access-control-request-headers", v);
    for (case, lines, reason, names) in [
        ("plain", vec![origin, asks], "allowed", None),
        ("one header", vec![origin, asks, names_("x-csrf-token")], "allowed", Some("x-csrf-token")),
        ("echo, in order", vec![origin, asks, names_("a,b,c")], "allowed", Some("a,b,c")),
        ("upper case", vec![origin, asks, names_("B, A")], "allowed", Some("a,b")),
        ("twice", vec![origin, asks, names_("a,a")], "allowed", Some("a")),
        ("empty elements", vec![origin, asks, names_(",, a ,")], "allowed", Some("a")),
        ("only commas", vec![origin, asks, names_(",,,")], "allowed", None),
        ("split lines", vec![origin, asks, names_("b"), names_("a")], "allowed", Some("a,b")),
        (
            "authorization",
            vec![origin, asks, names_("authorization")],
            "allowed",
            Some("authorization"),
        ),
        ("not a token", vec![origin, asks, names_("a b")], "request_headers_malformed", None),
        ("a star is not echoed", vec![origin, asks, names_("*")], "header_not_allowed", None),
        ("too many", vec![origin, asks, names_(&many)], "request_headers_too_long", None),
        ("too long", vec![origin, asks, names_(&long)], "request_headers_too_long", None),
        ("foreign", vec![("origin", "https://evil.example"), asks], "origin_not_allowed", None),
        ("null", vec![("origin", "null"), asks], "origin_not_allowed", None),
        (
            "trace",
            vec![origin, ("access-control-request-method", "TRACE")],
            "method_not_allowed",
            None,
        ),
        (
            "track",
            vec![origin, ("access-control-request-method", "track")],
            "method_not_allowed",
            None,
        ),
        (
            "method no token",
            vec![origin, ("access-control-request-method", "P UT")],
            "method_not_allowed",
            None,
        ),
        ("two methods", vec![origin, asks, asks], "method_not_allowed", None),
    ] {
        let (why, headers) = answer(&policy(), "OPTIONS", &lines);
        let mut want = vec![vary.clone()];
        if reason == "allowed" {
            want.insert(0, "access-control-allow-credentials: true".to_owned());
            if let Some(names) = names {
                want.insert(1, format!("access-control-allow-headers: {names}"));
            }
            want.insert(want.len() - 1, "access-control-allow-methods: PUT".to_owned());
            want.insert(want.len() - 1, format!("access-control-allow-origin: {APP}"));
            want.insert(want.len() - 1, "access-control-max-age: 600".to_owned());
        }
        assert_eq!((why, headers), (reason, want), "{case}");
    }
}

#[test]
fn options_that_is_no_preflight_is_an_actual_request() {
    let (reason, _) = answer(&policy(), "OPTIONS", &[("origin", APP)]);
    assert_eq!(reason, "allowed");
    let (reason, headers) =
        answer(&policy(), "OPTIONS", &[("access-control-request-method", "PUT")]);
    assert_eq!((reason, headers), ("no_origin", strings(&["vary: Origin"])));
}

#[test]
fn lists_of_methods_and_headers() {
    let policy = CorsPolicy::compile(&CorsConfig {
        allow_methods: strings(&["PUT"]),
        allow_headers: strings(&["X-Csrf-Token"]),
        ..config()
    })
    .unwrap();
    for (method, header, reason) in [
        ("PUT", "x-csrf-token", "allowed"),
        ("GET", "content-type", "allowed"),
        ("POST", "", "allowed"),
        ("put", "", "method_not_allowed"),
        ("DELETE", "", "method_not_allowed"),
        ("PUT", "x-other", "header_not_allowed"),
        ("PUT", "x-csrf-token,x-other", "header_not_allowed"),
    ] {
        let lines = [
            ("origin", APP),
            ("access-control-request-method", method),
            ("access-control-request-headers", header),
        ];
        assert_eq!(answer(&policy, "OPTIONS", &lines).0, reason, "{method} {header}");
    }
}

#[test]
fn a_policy_without_credentials() {
    let policy = CorsPolicy::compile(&CorsConfig {
        allow_origins: strings(&["*"]),
        allow_credentials: false,
        expose_headers: strings(&["*"]),
        max_age_s: None,
        ..config()
    })
    .unwrap();
    let want = strings(&["access-control-allow-origin: *", "access-control-expose-headers: *"]);
    let (anybody, other) = (("origin", "https://anybody.example"), ("origin", "null"));
    for (lines, reason) in [
        (vec![anybody], "allowed"),
        // Without `Vary` the answer must not depend on whether, or how, there is an origin.
        (vec![], "no_origin"),
        (vec![anybody, other], "allowed"),
    ] {
        assert_eq!(answer(&policy, "GET", &lines), (reason, want.clone()), "{lines:?}");
    }
}

#[test]
fn debug_says_why_and_lets_the_browser_name_the_fault() {
    let policy = CorsPolicy::compile(&CorsConfig {
        allow_methods: strings(&["PUT"]),
        allow_headers: strings(&["x-csrf-token"]),
        debug: true,
        ..config()
    })
    .unwrap();
    let long = format!("https://{}.example", "a".repeat(300));
    let cut = format!("origin_not_allowed: {}... is not listed", &long[..200]);
    let granted = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://app.example.com",
    ];
    let method = ["access-control-allow-methods: PUT"];
    for (origin, asks, names, status, says, more) in [
        (
            APP,
            "DELETE",
            "",
            204,
            "method_not_allowed: DELETE is not among allow_methods",
            &granted[..],
        ),
        (
            APP,
            "PUT",
            "x-csrf-token,x-b",
            204,
            "header_not_allowed: x-b is not among allow_headers",
            &[granted[0], method[0], granted[1]],
        ),
        (APP, "PUT", "a b", 403, "request_headers_malformed: a b is no header name", &granted[..]),
        (
            "https://evil.example",
            "PUT",
            "",
            403,
            "origin_not_allowed: https://evil.example is not listed",
            &[],
        ),
        (
            "https://evil.example/\u{e9}",
            "PUT",
            "",
            403,
            "origin_not_allowed: https://evil.example/\\xc3\\xa9 is not listed",
            &[],
        ),
        (&long, "PUT", "", 403, &cut, &[]),
    ] {
        let lines = [
            ("origin", origin),
            ("access-control-request-method", asks),
            ("access-control-request-headers", names),
        ];
        let decision = policy.decide(&Method::OPTIONS, &map(&lines));
        assert_eq!(decision.preflight_status().map(|s| s.as_u16()), Some(status), "{says}");
        let (_, headers) = answer(&policy, "OPTIONS", &lines);
        let mut want = strings(more);
        want.push(
            "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
                .to_owned(),
        );
        want.push(format!("x-cors-reason: {says}"));
        assert_eq!(headers, want);
    }
    // Nothing else changes.
    let lines = [("origin", APP), ("access-control-request-method", "PUT")];
    let quiet = CorsPolicy::compile(&config()).unwrap();
    assert_eq!(answer(&policy, "OPTIONS", &lines), answer(&quiet, "OPTIONS", &lines));
}

#[test]
fn long_header_names_can_be_listed() {
    let name = "x-".repeat(100);
    let policy =
        CorsPolicy::compile(&CorsConfig { allow_headers: vec![name.clone()], ..config() }).unwrap();
    for (asked, reason) in [
        (name.clone(), "allowed"),
        (name.to_uppercase(), "allowed"),
        (format!("{name}y"), "header_not_allowed"),
    ] {
        let lines = [
            ("origin", APP),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", &asked),
        ];
        assert_eq!(answer(&policy, "OPTIONS", &lines).0, reason, "{asked}");
    }
}

#[test]
fn what_a_handler_wrote_is_replaced_and_its_vary_kept() {
    let policy = policy();
    for (before, after) in [
        (vec![], vec!["Origin"]),
        (vec!["Accept-Encoding"], vec!["Accept-Encoding", "Origin"]),
        (vec!["accept, ORIGIN"], vec!["accept, ORIGIN"]),
        (vec!["*"], vec!["*"]),
    ] {
        let mut out = map(&[
            ("access-control-allow-origin", "*"),
            ("access-control-allow-origin", "https://other.example"),
            ("access-control-made-up", "1"),
        ]);
        for line in before {
            out.append(VARY, HeaderValue::from_static(line));
        }
        policy.apply(CorsDecision::ActualUnlisted, &mut out);
        let vary: Vec<_> = out.get_all(VARY).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(vary, after);
        assert_eq!(out.keys().count(), 1, "{out:?}");
    }
}

#[test]
fn patterns_beside_listed_origins() {
    let policy = CorsPolicy::compile(&CorsConfig {
        allow_origin_patterns: strings(&["https://*.shop.example.com", "http://localhost:*"]),
        ..config()
    })
    .unwrap();
    for (origin, reason) in [
        (APP, "allowed"),
        ("https://de.shop.example.com", "allowed"),
        ("http://localhost:9999", "allowed"),
        ("https://shop.example.com", "origin_not_allowed"),
        ("https://evil-shop.example.com", "origin_not_allowed"),
        ("null", "origin_not_allowed"),
    ] {
        let (why, headers) = answer(&policy, "GET", &[("origin", origin)]);
        assert_eq!(why, reason, "{origin}");
        let granted = format!("access-control-allow-origin: {origin}");
        assert_eq!(headers.contains(&granted), reason == "allowed", "{origin}");
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(APP.as_bytes().to_vec()),
        Just(b"null".to_vec()),
        Just(b"*".to_vec()),
        Just(b"PUT".to_vec()),
        Just(b"x-a, ,X-B".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn laws(
        credentials: bool,
        method in prop_oneof![Just("GET"), Just("OPTIONS"), Just("POST")],
        origin in proptest::option::of(any_text()),
        asks in proptest::option::of(any_text()),
        list in proptest::collection::vec(any_text(), 0..3),
    ) {
        let policy = CorsPolicy::compile(&CorsConfig { allow_credentials: credentials, ..config() }).unwrap();
        let mut request = HeaderMap::new();
        let mut put = |name: HeaderName, value: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request.append(name, value);
            }
        };
        if let Some(origin) = &origin { put(ORIGIN, origin); }
        if let Some(asks) = &asks { put(ACCESS_CONTROL_REQUEST_METHOD, asks); }
        for line in &list { put(ACCESS_CONTROL_REQUEST_HEADERS, line); }

        let decision = policy.decide(&Method::try_from(method).unwrap(), &request);
        let mut out = HeaderMap::new();
        policy.apply(decision, &mut out);

        let allowed = out.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        // Nobody but the request's own, listed origin is ever allowed.
        if let Some(value) = allowed {
            prop_assert_eq!(Some(value), request.get(ORIGIN));
            prop_assert_eq!(value, APP);
        }
        // Credentials are granted exactly with an origin, and never when switched off.
        prop_assert_eq!(
            out.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS),
            credentials && allowed.is_some()
        );
        prop_assert!(out.values().all(|v| v != "*"));
        let vary = out.get(VARY).and_then(|v| v.to_str().ok()).unwrap_or("");
        prop_assert!(vary.starts_with("Origin"));
        prop_assert!(out.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().count() <= 1);
    }
}
