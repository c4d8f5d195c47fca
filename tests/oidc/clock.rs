use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use withcreds::effects::{Clock as _, ManualClock, SystemClock};
use withcreds::policy::session::UnixMillis;

use crate::provider::Provider;
use crate::support::TestApp;

const HOUR: Duration = Duration::from_hours(1);
const TOKEN: &str = "/api/auth/token";

/// What the provider takes for the time.
fn true_time() -> UnixMillis {
    SystemClock::new().wall()
}

/// A service that has begun with a wrong wall clock, which somebody has set right since.
async fn corrected(began: UnixMillis) -> (&'static ManualClock, TestApp) {
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::at(began)));
    clock.set_wall(true_time());
    let provider = Provider::start().await;
    (clock, TestApp::start_by(clock, provider, "", "[token]\nexpose = true").await)
}

#[tokio::test]
async fn a_clock_set_right_is_right_for_what_the_provider_says() {
    for began in [true_time().after(HOUR * 3), true_time().before(HOUR * 3)] {
        let (_, app) = corrected(began).await;
        let mut browser = app.signed_in().await;
        let ends = browser.get(TOKEN).await.json()["expiresAt"].as_u64().expect("a number");
        let (soonest, latest) = (true_time().after(HOUR / 2).0, true_time().after(HOUR).0);
        assert!((soonest..=latest).contains(&ends), "{ends} {began:?}");

        let token = app.provider.logout_token(&json!({}), &json!({}));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let form = format!("logout_token={token}");
        let path = "/api/auth/backchannel-logout";
        let answer = app.browser().send("POST", path, &headers, &form).await;
        assert_eq!(answer.status, StatusCode::OK, "{began:?} {answer:?}");
        assert_eq!(browser.session().await.code(), "revoked", "{began:?}");
    }
}

#[tokio::test]
async fn a_clock_set_forward_makes_tokens_due_and_ends_no_session() {
    let (clock, app) = corrected(true_time()).await;
    let mut browser = app.signed_in().await;
    assert_eq!(browser.get(TOKEN).await.status, StatusCode::OK);
    assert_eq!(app.provider.hits("/token"), 1, "not due");
    // By more than the token lives, and than a session does.
    clock.set_wall(true_time().after(HOUR * 1000));
    app.provider.misbehave(crate::provider::Fault::ServerError);
    assert_eq!(browser.get(TOKEN).await.code(), "provider_unreachable", "due");
    assert_eq!(app.provider.hits("/token"), 2);
    assert_eq!(browser.session().await.status, StatusCode::OK, "sessions do not see it");
    // And back: what was known of the provider is neither older nor younger for it.
    clock.set_wall(true_time());
    assert_eq!(browser.get(TOKEN).await.status, StatusCode::OK);
    assert_eq!(app.provider.hits("/token"), 2, "not due");
    assert_eq!(app.provider.hits("/.well-known/openid-configuration"), 1);
}
