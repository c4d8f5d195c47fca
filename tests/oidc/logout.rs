use std::collections::HashMap;

use http::StatusCode;
use serde_json::json;
use url::Url;

use crate::provider::Fault;
use crate::support::{Answer, Browser, FRONTEND, TestApp};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_logout_leads_to_the_provider_and_takes_the_tokens_back() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in().await;
    let good = app.provider.good_refresh_token();
    let answer = browser.log_out().await;
    assert_eq!(answer.status, StatusCode::OK);
    let url = Url::parse(answer.json()["logoutUrl"].as_str().expect("a URL")).expect("a URL");
    assert_eq!((url.path(), &*query(&url)["keep"]), ("/end", "1"));
    assert_eq!(query(&url)["post_logout_redirect_uri"], format!("{FRONTEND}/"));
    assert_eq!(query(&url)["client_id"], crate::provider::CLIENT_ID);
    assert_eq!(query(&url)["id_token_hint"].split('.').count(), 3);
    assert_eq!(app.provider.revoked(), [good]);
    assert_eq!(browser.session().await.code(), "no_session", "the cookies are gone");

    let mut browser = app.signed_in().await;
    let answer = browser.get("/api/auth/logout").await;
    assert_eq!(answer.location().path(), "/end");
    assert_eq!(app.provider.revoked().len(), 2);
    // Nobody is logged in any more: still a redirect, but nothing to end at the provider.
    assert_eq!(browser.get("/api/auth/logout").await.header("location"), format!("{FRONTEND}/"));
}

#[tokio::test]
async fn both_can_be_switched_off() {
    let more = "[logout]\nrevoke = false\nrp_initiated = false\npost_logout_url = '/bye'";
    let app = TestApp::start_with("", more).await;
    let mut browser = app.signed_in().await;
    assert_eq!(browser.log_out().await.json()["logoutUrl"], "/bye");
    assert!(app.provider.revoked().is_empty());
}

#[tokio::test]
async fn a_path_of_our_own_is_told_to_the_provider_with_its_origin() {
    let app = TestApp::start_with("", "[logout]\npost_logout_url = '/bye'").await;
    let answer = app.signed_in().await.get("/api/auth/logout").await;
    let there = &query(&answer.location())["post_logout_redirect_uri"];
    assert_eq!(there, "http://localhost:8080/bye");
}

#[tokio::test]
async fn a_provider_that_is_slow_or_broken_holds_up_no_logout() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in().await;
    app.provider.misbehave(Fault::NeverAnswers);
    let begun = tokio::time::Instant::now();
    let answer = browser.log_out().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert_eq!(browser.session().await.code(), "no_session");
}

async fn notify(app: &TestApp, token: &str) -> Answer {
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", token)
        .finish();
    app.browser().send("POST", "/api/auth/backchannel-logout", &[FORM], &body).await
}

async fn is_in(browser: &mut Browser) -> bool {
    browser.session().await.status == StatusCode::OK
}

#[tokio::test]
async fn the_provider_ends_one_session_or_all_of_a_user() {
    let app = TestApp::start().await;
    let mut browsers = Vec::new();
    for sid in [Some("sid-1"), Some("sid-2"), None] {
        app.provider.session_id(sid);
        browsers.push(app.signed_in().await);
    }
    let token = app.provider.logout_token(&json!({}), &json!({}));
    let answer = notify(&app, &token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"));
    assert!(answer.body.is_empty());
    assert!(!is_in(&mut browsers[0]).await && is_in(&mut browsers[1]).await);
    assert_eq!(browsers[0].session().await.code(), "revoked");
    assert_eq!(notify(&app, &token).await.code(), "invalid_logout_token", "the same once more");

    // Another session of the user, that nobody here knows: nothing to do, and no fault.
    let unknown = app.provider.logout_token(&json!({}), &json!({ "sid": "sid-9", "sub": null }));
    assert_eq!(notify(&app, &unknown).await.status, StatusCode::OK);
    assert!(is_in(&mut browsers[1]).await && is_in(&mut browsers[2]).await);

    let all = app.provider.logout_token(&json!({ "typ": null }), &json!({ "sid": null }));
    assert_eq!(notify(&app, &all).await.status, StatusCode::OK);
    assert!(!is_in(&mut browsers[1]).await && !is_in(&mut browsers[2]).await);
}

#[tokio::test]
async fn what_is_no_logout_token_logs_nobody_out() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in().await;
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (case, header, claims) in [
        ("unsigned", json!({ "alg": "none" }), json!({})),
        ("signed with the client secret", json!({ "alg": "HS256" }), json!({})),
        ("another algorithm", json!({ "alg": "ES384" }), json!({})),
        ("an unknown key", json!({ "kid": "other" }), json!({})),
        ("another type", json!({ "typ": "at+jwt" }), json!({})),
        ("critical", json!({ "crit": ["x"] }), json!({})),
        ("another issuer", json!({}), json!({ "iss": "https://evil.example" })),
        ("another audience", json!({}), json!({ "aud": "other" })),
        ("other audiences", json!({}), json!({ "aud": ["other", "another"] })),
        ("too old", json!({}), json!({ "iat": 1_600_000_000, "exp": null })),
        ("expired", json!({}), json!({ "exp": 1_600_000_000 })),
        ("from the future", json!({}), json!({ "iat": 32_000_000_000_u64 })),
        ("no time", json!({}), json!({ "iat": null })),
        ("a time that is none", json!({}), json!({ "iat": -1 })),
        ("no event", json!({}), json!({ "events": null })),
        ("another event", json!({}), json!({ "events": { "x": {} } })),
        ("an event that is no object", json!({}), json!({ "events": { event: true } })),
        ("an ID token", json!({}), json!({ "nonce": "n" })),
        ("nobody", json!({}), json!({ "sub": null, "sid": null })),
        ("an empty session", json!({}), json!({ "sid": "" })),
        ("no id", json!({}), json!({ "jti": null })),
        ("an empty id", json!({}), json!({ "jti": "" })),
    ] {
        let answer = notify(&app, &app.provider.logout_token(&header, &claims)).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid_logout_token"),
            "{case}"
        );
    }
    let good = app.provider.logout_token(&json!({}), &json!({}));
    let (head, rest) = good.split_once('.').expect("parts");
    for (case, token) in [
        ("empty", String::new()),
        ("two parts", format!("{head}.x")),
        ("four parts", format!("{good}.x")),
        ("not base64", format!("{head}.%.x")),
        ("no signature", format!("{head}.{}.", rest.split('.').next().expect("a part"))),
        ("huge", "x".repeat(17_000)),
    ] {
        assert_eq!(notify(&app, &token).await.code(), "invalid_logout_token", "{case}");
    }
    let mut anybody = app.browser();
    let path = "/api/auth/backchannel-logout";
    for (case, headers, body) in [
        ("JSON", vec![("content-type", "application/json")], "{}".to_owned()),
        ("no type", vec![], format!("logout_token={good}")),
        ("nothing", vec![FORM], String::new()),
        ("twice", vec![FORM], format!("logout_token={good}&logout_token={good}")),
        ("too much", vec![FORM], "x".repeat(30_000)),
    ] {
        let answer = anybody.send("POST", path, &headers, &body).await;
        assert_eq!(answer.status.as_u16(), 400, "{case}: {answer:?}");
    }
    assert_eq!(anybody.get(path).await.header("allow"), "POST");
    assert!(is_in(&mut browser).await, "after all that");
    assert_eq!(notify(&app, &good).await.status, StatusCode::OK, "it was good");
    assert!(!is_in(&mut browser).await);
}

#[tokio::test]
async fn new_keys_count_for_logout_tokens_too() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in().await;
    app.provider.roll_over("second");
    let token = app.provider.logout_token(&json!({}), &json!({}));
    assert_eq!(notify(&app, &token).await.status, StatusCode::OK);
    assert!(!is_in(&mut browser).await);
    for _ in 0..5 {
        let token = app.provider.logout_token(&json!({ "kid": "made-up" }), &json!({}));
        assert_eq!(notify(&app, &token).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(app.provider.hits("/jwks"), 2, "anybody can send these");
}
