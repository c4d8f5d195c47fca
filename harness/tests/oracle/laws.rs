//! Laws that hold for all scenarios.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use withcreds_harness::oracle::{Prediction, Profile, predict};
use withcreds_harness::scenario::{Engine, Outcome, ResponseType};

use crate::support::{NOW_MS, scenario};

const PAGES: [&str; 4] = [
    "https://app.example.com",
    "http://app.example.com",
    "https://api.example.com",
    "http://localhost:3000",
];
const TARGETS: [&str; 5] = [
    "https://api.example.com",
    "https://api.example.net",
    "http://api.example.com:8001",
    "http://localhost:8080",
    "http://127.0.0.1:8080",
];
const HOSTS: [&str; 5] =
    ["api.example.com", "example.com", "api.example.net", "localhost", "127.0.0.1"];

/// Mostly what could be meant, so that answers come near to being readable.
fn header() -> impl Strategy<Value = (String, String)> {
    let of = |name: &'static str, values: &[&'static str]| {
        prop::sample::select(values.to_vec())
            .prop_map(move |value| (name.to_owned(), value.to_owned()))
    };
    prop_oneof![
        4 => of("Access-Control-Allow-Origin", &["{origin}", "*", "*", "null", "https://app.example.com", "https://app.example.com/", ""]),
        4 => of("Access-Control-Allow-Credentials", &["true", "true", "true", "True", ""]),
        1 => of("Access-Control-Allow-Methods", &["*", "PUT, PATCH", "patch", "x id"]),
        1 => of("Access-Control-Allow-Headers", &["*", "x-csrf-token, content-type", "authorization", "x id"]),
        1 => of("Access-Control-Expose-Headers", &["*", "X-Id", "set-cookie", "x id"]),
        1 => of("Access-Control-Max-Age", &["60", "-1", "0", ""]),
        1 => of("X-Id", &["1"]),
        1 => of("Cache-Control", &["max-age=60"]),
    ]
}

fn answer() -> impl Strategy<Value = Value> {
    let status = prop::sample::select(vec![200_u16, 204, 301, 307, 401, 404, 500]);
    let redirect = prop::option::weighted(
        0.3,
        prop::sample::select(vec![
            "/y",
            "https://api.example.net/z",
            "https://app.example.com/w",
            "http://localhost:8080/",
            "https://u:p@api.example.com/",
            "data:,x",
        ]),
    );
    let set = prop::collection::vec(cookie_line(), 0..3);
    (status, prop::collection::vec(header(), 0..5), redirect, set).prop_map(
        |(status, headers, redirect, set_cookie)| {
            let mut answer =
                json!({ "status": status, "headers": headers, "set_cookie": set_cookie });
            if let Some(redirect) = redirect {
                answer["redirect"] = json!(redirect);
            }
            answer
        },
    )
}

fn cookie_line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["sid", "a", "__Host-s", "__Secure-s"]);
    let attributes = prop::sample::subsequence(
        vec![
            "; Path=/",
            "; Path=/x",
            "; Secure",
            "; HttpOnly",
            "; Domain=example.com",
            "; SameSite=Lax",
            "; SameSite=Strict",
            "; SameSite=None",
            "; Partitioned",
            "; Max-Age=0",
        ],
        0..5,
    );
    (name, 0..3_u8, attributes)
        .prop_map(|(name, value, attributes)| format!("{name}={value}{}", attributes.concat()))
}

fn step() -> impl Strategy<Value = Value> {
    let client = prop::sample::select(vec![
        "fetch", "fetch", "fetch", "xhr", "axios", "navigate", "form", "image",
    ]);
    let credentials =
        prop::option::of(prop::sample::select(vec!["omit", "same-origin", "include"]));
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "patch", "HEAD"]);
    let headers = prop::sample::subsequence(
        vec![
            ("X-CSRF-Token", "1"),
            ("Content-Type", "application/json"),
            ("Authorization", "b"),
            ("Accept", "x"),
        ],
        0..4,
    );
    let frame = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            "sandbox",
            "https://evil.example.com",
            "https://evil.example.org",
        ]),
    );
    let mode =
        prop::option::weighted(0.2, prop::sample::select(vec!["no-cors", "same-origin", "cors"]));
    (prop::sample::select(TARGETS.to_vec()), client, credentials, method, headers, frame, mode).prop_map(
        |(target, client, credentials, method, headers, frame, mode)| {
            let mut step = json!({ "client": client, "url": format!("{target}/x"), "credentials": credentials, "frame": frame });
            let scripted = matches!(client, "fetch" | "xhr" | "axios");
            if scripted {
                step["method"] = json!(method);
                step["headers"] = json!(headers);
            }
            if client == "fetch" {
                step["mode"] = json!(mode);
            }
            step
        },
    )
}

fn world() -> impl Strategy<Value = Value> {
    let backends: Vec<_> = TARGETS
        .into_iter()
        .map(|origin| {
            (prop::option::of(answer()), answer()).prop_map(move |(preflight, actual)| {
                json!({ "origin": origin, "preflight": preflight, "actual": actual })
            })
        })
        .collect();
    let cookies =
        prop::collection::vec((prop::sample::select(HOSTS.to_vec()), cookie_line()), 0..4);
    let third_party = prop::sample::select(vec!["default", "allow", "block"]);
    (
        prop::sample::select(PAGES.to_vec()),
        backends,
        cookies,
        third_party,
        prop::collection::vec(step(), 1..4),
    )
        .prop_map(|(page, backends, cookies, third_party, steps)| {
            let cookies: Vec<_> = cookies
                .into_iter()
                .map(|(host, set)| json!({ "host": host, "set": set }))
                .collect();
            json!({
                "page": page, "backend": backends, "cookie": cookies,
                "third_party_cookies": third_party, "step": steps,
            })
        })
}

fn all(value: &Value) -> Vec<(Engine, Vec<Prediction>)> {
    let loaded = scenario(value.clone());
    Engine::ALL
        .into_iter()
        .map(|e| (e, predict(&loaded.case, Profile::of(e).expect("a profile"), NOW_MS)))
        .collect()
}

/// The CORS check once more, in the fewest words: what the answer must say to be readable.
fn may_read(value: &Value, step: usize, outcome: &Outcome) -> bool {
    let origin =
        outcome.origin_header.clone().expect("known").0.expect("a CORS request has an origin");
    let step = &value["step"][step];
    let include = step["credentials"] == "include";
    let last =
        outcome.hops.as_ref().and_then(|hops| hops.last()).and_then(|hop| hop.origin.clone());
    let backends = value["backend"].as_array().expect("backends");
    let backend = backends.iter().find(|b| b["origin"] == json!(last)).expect("it answered");
    let lines = |name: &str| -> Vec<String> {
        let headers = backend["actual"]["headers"].as_array().expect("headers");
        headers
            .iter()
            .filter(|h| h[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))
            .map(|h| h[1].as_str().unwrap_or_default().replace("{origin}", &origin))
            .collect()
    };
    let allowed = lines("access-control-allow-origin").join(", ");
    let credentials = lines("access-control-allow-credentials").join(", ");
    if include {
        allowed == origin && credentials == "true"
    } else {
        allowed == "*" || allowed == origin
    }
}

/// A page and two backends whose answers are often just right and often just wrong.
fn nearly_readable() -> impl Strategy<Value = Value> {
    let of = |name: &'static str, values: &[&'static str]| {
        prop::sample::select(values.to_vec())
            .prop_map(move |value| (name.to_owned(), value.to_owned()))
    };
    let origins = [
        "{origin}",
        "{origin}",
        "*",
        "null",
        "https://app.example.com",
        "https://app.example.com/",
    ];
    let answer = move || {
        (
            prop::collection::vec(of("Access-Control-Allow-Origin", &origins), 1..=2),
            prop::option::weighted(
                0.8,
                of("access-control-allow-credentials", &["true", "true", "True"]),
            ),
            prop::option::weighted(0.3, Just("https://api.example.net/x")),
            any::<bool>(),
        )
            .prop_map(|(mut headers, credentials, redirect, twice)| {
                if !twice {
                    headers.truncate(1);
                }
                headers.extend(credentials);
                json!({ "headers": headers, "redirect": redirect })
            })
    };
    let client = prop::sample::select(vec!["fetch", "xhr", "axios"]);
    let credentials = prop::sample::select(vec!["include", "include", "omit", "same-origin"]);
    let frame = prop::option::weighted(0.2, Just("sandbox"));
    (answer(), answer(), client, credentials, frame).prop_map(
        |(api, mut net, client, credentials, frame)| {
            net["redirect"] = Value::Null;
            json!({
                "page": "https://app.example.com",
                "backend": [
                    { "origin": "https://api.example.com", "actual": api },
                    { "origin": "https://api.example.net", "actual": net },
                ],
                "step": [{ "client": client, "url": "https://api.example.com/x", "credentials": credentials, "frame": frame }],
            })
        },
    )
}

#[test]
fn a_script_never_reads_what_the_cors_check_refuses() {
    let mut runner = TestRunner::deterministic();
    let (mut readable, mut refused) = (0, 0);
    for _ in 0..1500 {
        let value = nearly_readable().new_tree(&mut runner).expect("a value").current();
        for (engine, predictions) in all(&value) {
            let outcome = &predictions[0].outcome;
            if outcome.readable == Some(true) {
                readable += 1;
                assert_eq!(outcome.response_type, Some(ResponseType::Cors));
                assert!(may_read(&value, 0, outcome), "{engine:?} {outcome:?}\n{value:#}");
            } else {
                refused += 1;
                // The last hop that anything went to is the one that refused.
                assert!(!may_read(&value, 0, outcome), "{engine:?} {outcome:?}\n{value:#}");
            }
        }
    }
    assert!(
        readable > 500 && refused > 500,
        "{readable} read, {refused} refused: nothing is shown"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_outcome_does_not_contradict_itself(value in world()) {
        for (engine, predictions) in all(&value) {
            for prediction in &predictions {
                let o = &prediction.outcome;
                let empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
                prop_assert!(empty(&o.preflight_cookies));
                let sent = o.request_sent == Some(true);
                prop_assert!(sent || (empty(&o.cookies_sent) && empty(&o.cookies_stored) && o.readable == Some(false)));
                prop_assert_eq!(o.preflight_sent == Some(true), o.acrm.as_ref().is_some_and(|a| a.0.is_some()));
                let hops = o.hops.as_deref().unwrap_or_default();
                prop_assert_eq!(hops.is_empty(), !sent && o.preflight_sent == Some(false));
                let failed = o.error.as_ref().is_some_and(|e| e.0.is_some());
                prop_assert!(!failed || (o.readable == Some(false) && o.status == Some(0)), "{engine:?} {o:?}");
                // Whoever fails is told why, first of all.
                let first = prediction.why.first().map(|f| f.code().id().to_owned());
                prop_assert!(!failed || first == o.error.clone().and_then(|e| e.0), "{engine:?} {first:?} {o:?}");
                for name in o.exposed_headers.iter().flatten() {
                    prop_assert!(!o.hidden_headers.iter().flatten().any(|h| h == name));
                    prop_assert!(name != "set-cookie");
                }
            }
        }
    }

    /// Sent and withheld together are exactly the cookies of the host that are in the jar.
    #[test]
    fn no_cookie_gets_lost(
        lines in prop::collection::vec((prop::sample::select(HOSTS.to_vec()), 0..6_u8), 0..6),
        credentials in prop::sample::select(vec!["omit", "same-origin", "include"]),
        page in prop::sample::select(PAGES.to_vec()),
        target in prop::sample::select(TARGETS.to_vec()),
        third_party in prop::sample::select(vec!["default", "allow", "block"]),
    ) {
        // Each has a name of its own and is set by its host alone, so each is in the jar.
        let kinds = ["Path=/", "Path=/x; SameSite=Lax", "Path=/y", "SameSite=Strict; Path=/", "Secure; SameSite=None; Path=/", "Secure; Path=/"];
        let cookies: Vec<_> = lines.iter().enumerate()
            .map(|(i, (host, kind))| json!({ "host": host, "set": format!("c{i}=1; {}", kinds[usize::from(*kind)]) }))
            .collect();
        let value = json!({
            "page": page, "cookie": cookies, "third_party_cookies": third_party,
            "backend": [{ "origin": target, "actual": {} }],
            "step": [{ "url": format!("{target}/x"), "credentials": credentials }],
        });
        let host = url::Url::parse(target).expect("an address").host_str().expect("a host").to_owned();
        let mut want: Vec<_> = lines.iter().enumerate()
            .filter(|(_, (of, _))| *of == host).map(|(i, _)| format!("c{i}")).collect();
        want.sort();
        for (engine, predictions) in all(&value) {
            let o = &predictions[0].outcome;
            if o.request_sent != Some(true) {
                continue;
            }
            let sent = o.cookies_sent.iter().flatten().map(|c| c.split('=').next().unwrap_or_default().to_owned());
            let sent: Vec<_> = sent.collect();
            let mut found: Vec<_> = o.cookies_withheld.iter().flatten().map(|f| f.name.clone()).collect();
            found.sort();
            found.dedup();
            prop_assert!(sent.iter().all(|name| !found.contains(name)), "{engine:?}: both sent and withheld");
            found.extend(sent);
            found.sort();
            prop_assert_eq!(&found, &want, "{:?}", engine);
        }
    }

    /// Headers that CORS does not read may stand in any order, and anywhere.
    #[test]
    fn the_order_of_other_headers_does_not_matter(
        mut headers in Just(vec![("X-A", "1"), ("X-B", "2"), ("Content-Type", "application/json"), ("Accept", "x")]).prop_shuffle(),
        mut response in Just(vec![("Access-Control-Allow-Origin", "{origin}"), ("Access-Control-Allow-Headers", "x-a, x-b, content-type"), ("X-Id", "1"), ("Vary", "Origin"), ("Content-Type", "text/plain")]).prop_shuffle(),
        page in prop::sample::select(PAGES.to_vec()),
        target in prop::sample::select(TARGETS.to_vec()),
    ) {
        let value = |headers: &[(&str, &str)], response: &[(&str, &str)]| json!({
            "page": page,
            "backend": [{ "origin": target, "preflight": { "status": 204, "headers": response }, "actual": { "headers": response } }],
            "step": [{ "url": format!("{target}/x"), "headers": headers }],
        });
        let shuffled = all(&value(&headers, &response));
        headers.sort_unstable();
        response.sort_unstable();
        prop_assert_eq!(shuffled, all(&value(&headers, &response)));
    }

    #[test]
    fn predictions_do_not_depend_on_anything_else(value in world()) {
        prop_assert_eq!(all(&value), all(&value));
    }

    #[test]
    fn no_text_of_a_header_makes_it_panic(text in "[ -~\u{e9}\u{4e2d}]{0,40}", cookie in "[ -~\u{e9}]{0,40}") {
        let value = json!({
            "backend": [{ "origin": "https://api.example.com", "preflight": { "headers": [["Access-Control-Allow-Origin", text], ["Access-Control-Allow-Methods", text]] }, "actual": {
                "headers": [["Access-Control-Allow-Origin", text], ["Access-Control-Expose-Headers", text]],
                "set_cookie": [cookie], "redirect": text,
            } }],
            "step": [{ "url": "https://api.example.com/", "method": text, "headers": [[text, text]] }, { "url": "https://api.example.com/" }],
        });
        all(&value);
    }
}
