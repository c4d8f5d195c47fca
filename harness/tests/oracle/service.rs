//! The service's contract, as the oracle understands it.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::support::{assert_meets, predictions};

fn steps(page: &str, backend: &str, steps: &[Value]) -> Value {
    let steps: Vec<_> = steps
        .iter()
        .cloned()
        .map(|mut step| {
            if let Some(path) = step["url"].as_str() {
                step["url"] = json!(format!("{backend}{path}"));
            }
            step
        })
        .collect();
    json!({
        "page": page, "third_party_cookies": "allow",
        "backend": [{ "origin": backend, "service": true }], "step": steps,
    })
}

const APP: &str = "https://app.example.com";
const API: &str = "https://api.example.com";

#[test]
fn a_session_lives_from_login_to_logout() {
    for (page, backend, cookie) in [
        (APP, API, "__Host-session"),
        (APP, APP, "__Host-session"),
        (APP, "https://api.example.net", "__Host-session"),
        ("http://localhost:3000", "http://localhost:8080", "session"),
    ] {
        let session = json!({ "url": "/api/auth/session", "credentials": "include" });
        let value = steps(
            page,
            backend,
            &[
                session.clone(),
                json!({ "login": backend }),
                session.clone(),
                json!({ "url": "/api/auth/logout", "method": "POST", "credentials": "include" }),
                json!({ "url": "/api/auth/logout", "client": "navigate" }),
                session,
            ],
        );
        let cross_origin = page != backend;
        for engine in Engine::ALL {
            let outcomes: Vec<_> =
                predictions(engine, value.clone()).into_iter().map(|p| p.outcome).collect();
            let statuses: Vec<_> = outcomes.iter().filter_map(|o| o.status).collect();
            let other_site = backend.contains("example.net");
            // A navigation that another site began does not log anybody out.
            let (logout, after) = if other_site { (403, 200) } else { (404, 401) };
            assert_eq!(
                statuses,
                [401, 200, 200, 403, logout, after],
                "{page} {backend} {engine:?}"
            );
            assert_eq!(outcomes[1].preflight_sent, Some(cross_origin));
            let stored = outcomes[1].cookies_stored.clone().expect("cookies");
            assert_eq!(stored, [format!("{cookie}=*"), "CSRF-TOKEN=*".to_owned()]);
            assert!(outcomes.iter().take(4).all(|o| o.readable == Some(true)));
        }
    }
}

#[test]
fn a_foreign_page_reads_nothing() {
    let mut value = steps(
        APP,
        API,
        &[
            json!({ "login": API }),
            json!({ "url": "/api/auth/session", "credentials": "include", "frame": "https://evil.example.com" }),
        ],
    );
    let want = json!({ "request_sent": true, "cookies_sent": ["CSRF-TOKEN", "__Host-session"], "readable": false, "error": "acao-missing" });
    assert_meets("same site, foreign origin", Engine::Chromium, &value, &want);
    value["step"][1]["method"] = json!("PUT");
    let want =
        json!({ "preflight_sent": true, "request_sent": false, "error": "preflight-auth-401" });
    assert_meets("its preflight", Engine::Chromium, &value, &want);
}

#[test]
fn errors_are_readable() {
    for (step, status) in [
        (json!({ "url": "/nowhere" }), 404),
        (json!({ "url": "/api/auth/session", "method": "PUT" }), 405),
        (json!({ "url": "/api/auth/login", "method": "POST", "body": "{}" }), 415),
        (
            json!({ "url": "/api/auth/login", "method": "POST", "body": "{}", "headers": [["content-type", "application/json"]] }),
            401,
        ),
    ] {
        for engine in Engine::ALL {
            let want =
                json!({ "readable": true, "status": status, "exposed_headers": ["content-type"] });
            assert_meets(
                &status.to_string(),
                engine,
                &steps(APP, API, std::slice::from_ref(&step)),
                &want,
            );
        }
    }
}

#[test]
fn a_login_without_credentials_stores_nothing() {
    let value = json!({
        "page": APP,
        "backend": [{ "origin": API, "actual": {
            "headers": [["Access-Control-Allow-Origin", "{origin}"]],
            "set_cookie": ["__Host-session=1; Secure; Path=/; HttpOnly; SameSite=Lax"],
        } }],
        "step": [{ "url": format!("{API}/api/auth/login"), "method": "POST", "body": "a" }],
    });
    let want = json!({ "readable": true, "cookies_stored": [], "cookies_refused": [{ "name": "__Host-session", "reason": "client-credentials-not-enabled" }] });
    for engine in Engine::ALL {
        assert_meets("omitted", engine, &value, &want);
    }
}
