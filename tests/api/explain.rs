use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use withcreds::{Config, CorsPolicy};

use crate::support::{FRONTEND, TestApp};

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(FRONTEND.to_owned()),
        Just("null".to_owned()),
        Just("https://evil.example".to_owned()),
        Just("GET".to_owned()),
        Just("PUT".to_owned()),
        Just("x-a".to_owned()),
        Just("x-a,x-b".to_owned()),
        Just("X-B, ,x-a".to_owned()),
        Just("*".to_owned()),
        "[!-~]{0,20}",
    ]
}

/// Each as `[cors]` of a configuration; the service exposes `x-csrf-token` besides.
const POLICIES: [&str; 4] = [
    "allow_origins = ['http://localhost:3000']\nallow_methods = ['*']\nallow_headers = ['*']",
    "allow_origins = ['http://localhost:3000']\nallow_methods = ['PUT']\nallow_headers = ['x-a']\nexpose_headers = ['x-id']\nmax_age_s = 600",
    "allow_origin_patterns = ['http://localhost:*']\nallow_methods = ['PUT']\nallow_headers = ['x-a']\ndebug = true",
    "allow_origins = ['*']\nallow_credentials = false\nallow_methods = ['*']\nallow_headers = ['*']\nmax_age_s = 0",
];

fn policy(cors: &str) -> CorsPolicy {
    let text = format!("[cors]\n{cors}\n[dev]\nenabled = true\n");
    Config::parse(&text, Path::new("test.toml")).expect("a good configuration").cors
}

#[test]
fn the_explanation_is_what_the_service_adds() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for cors in POLICIES {
        let app = runtime.block_on(TestApp::start_under(cors, ""));
        compare(&runtime, &app, &policy(cors));
    }
}

fn compare(runtime: &tokio::runtime::Runtime, app: &TestApp, policy: &CorsPolicy) {
    let line = (
        prop_oneof![
            Just("origin"),
            Just("access-control-request-method"),
            Just("access-control-request-headers"),
            Just("x-other"),
        ],
        value(),
    );
    let requests = (
        prop_oneof![Just("GET"), Just("POST"), Just("OPTIONS"), Just("DELETE")],
        prop_oneof![Just("/api/auth/session"), Just("/nowhere")],
        proptest::collection::vec(line, 0..5),
    );
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&requests, |(method, path, lines)| {
            let mut client = app.client();
            client.origin = None;
            let sent: Vec<_> = lines.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = runtime.block_on(client.send(method, path, &sent, ""));

            let mut headers = http::HeaderMap::new();
            for (name, value) in &sent {
                headers.append(*name, value.parse().expect("a value"));
            }
            let said = policy.explain(&method.parse().expect("a method"), &headers);
            let about_cors = |name: &str| {
                name.starts_with("access-control-") || ["vary", "x-cors-reason"].contains(&name)
            };
            let mut seen: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| about_cors(name.as_str()))
                .map(|(n, v)| (n.to_string(), v.to_str().expect("ASCII").to_owned()))
                .collect();
            let mut expected = said.headers.clone();
            seen.sort();
            expected.sort();
            prop_assert_eq!(seen, expected);
            if let Some(status) = said.status {
                prop_assert_eq!(answer.status.as_u16(), status);
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}
