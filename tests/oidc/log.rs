use std::sync::Mutex;

use http::StatusCode;
use tracing_subscriber::fmt::MakeWriter;

use crate::provider::{CLIENT_SECRET, Fault};
use crate::support::TestApp;

/// Everything that this process logs, other tests included.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

#[tokio::test]
async fn no_secret_of_a_sign_in_is_ever_logged() {
    let level = tracing::Level::TRACE;
    tracing_subscriber::fmt()
        .with_writer(|| LOG.make_writer())
        .with_max_level(level)
        .with_ansi(false)
        .init();

    let app = TestApp::start_with("", "[token]\nexpose = true").await;
    app.provider.access_lifetime(30);
    let mut browser = app.browser();
    let login = browser.get("/api/auth/login?return_url=%2Fprivate-place").await;
    let authorize = login.location();
    let mut secrets: Vec<String> = vec![CLIENT_SECRET.to_owned(), "private-place".to_owned()];
    secrets.extend(browser.cookies.iter().map(|(_, value)| value.clone()));
    let back = app.provider.sign_in(&authorize);
    browser.visit(&back).await;
    secrets.extend(browser.cookies.iter().map(|(_, value)| value.clone()));
    let answer = browser.get("/api/auth/token").await;
    assert_eq!(answer.status, StatusCode::OK);
    secrets.push(answer.json()["accessToken"].as_str().expect("a token").to_owned());
    secrets.push(app.provider.good_refresh_token());
    app.provider.misbehave(Fault::ServerError);
    browser.get("/api/auth/token").await;
    app.provider.misbehave(Fault::WrongNonce);
    app.sign_in(&mut app.browser(), "/api/auth/login").await.assert_error_page(
        502,
        "provider_failed",
        "",
    );
    app.provider.misbehave(Fault::Nothing);
    app.provider.withdraw();
    assert_eq!(browser.get("/api/auth/token").await.status, StatusCode::UNAUTHORIZED);
    for name in ["state", "nonce", "code_challenge", "code"] {
        let urls = authorize.query_pairs().chain(back.query_pairs());
        secrets.extend(urls.filter(|(n, _)| n == name).map(|(_, value)| value.into_owned()));
    }
    let body = format!(
        "logout_token={}",
        app.provider.logout_token(&serde_json::json!({}), &serde_json::json!({ "aud": "x" }))
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    app.browser().send("POST", "/api/auth/backchannel-logout", &form, &body).await;
    secrets.push(body.trim_start_matches("logout_token=").to_owned());

    let log = String::from_utf8_lossy(&LOG.lock().expect("no panic")).into_owned();
    for event in [
        "login",
        "login_failed",
        "refresh_failed",
        "session_ended_by_provider",
        "backchannel_logout_refused",
    ] {
        assert!(log.contains(&format!("event=\"{event}\"")), "{event} is not in the log");
    }
    assert!(secrets.len() > 8, "{secrets:?}");
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!log.contains(secret.as_str()), "the log holds {secret}");
    }
}
