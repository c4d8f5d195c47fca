use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use withcreds::effects::{Clock as _, ManualClock, SystemClock};

use crate::provider::{Fault, Provider};
use crate::support::{Answer, Browser, TestApp};

const EXPOSED: &str = "[token]\nexpose = true";
const TOKEN: &str = "/api/auth/token";

fn access(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["accessToken"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn tokens_are_handed_out_only_where_that_is_wanted() {
    let app = TestApp::start().await;
    assert_eq!(app.signed_in().await.get(TOKEN).await.code(), "not_found");

    let app = TestApp::start_with("", EXPOSED).await;
    assert_eq!(app.browser().get(TOKEN).await.code(), "no_session");
    let mut browser = app.signed_in().await;
    let answer = browser.get(TOKEN).await;
    let token = access(&answer);
    assert!(answer.json()["expiresAt"].as_u64().is_some_and(|at| at > 1_600_000_000_000));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(access(&browser.get(TOKEN).await), token, "not due yet");
    assert_eq!(app.provider.hits("/token"), 1);
}

#[tokio::test]
async fn a_token_that_is_due_is_refreshed_first() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    let first = access(&browser.get(TOKEN).await);
    let second = access(&browser.get(TOKEN).await);
    assert_ne!(first, second, "both within the buffer of a minute");
    app.provider.access_lifetime(3600);
    let third = access(&browser.get(TOKEN).await);
    assert_eq!(access(&browser.get(TOKEN).await), third);
    assert_eq!(app.provider.hits("/token"), 1 + 3);
}

#[tokio::test]
async fn one_refresh_at_a_time_and_everybody_gets_its_outcome() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let browser = app.signed_in().await;
    app.provider.somebody_waits().await;
    let closed = app.provider.hold().await;
    app.provider.access_lifetime(3600);
    let wait = async |mut browser: Browser| access(&browser.get(TOKEN).await);
    let all = futures_util::future::join_all((0..20).map(|_| wait(browser.clone())));
    let opens = async {
        app.provider.somebody_waits().await;
        drop(closed);
    };
    let (tokens, ()) = tokio::join!(all, opens);
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(app.provider.hits("/token"), 1 + 1);
}

#[tokio::test]
async fn a_refresh_is_brought_home_though_its_client_hangs_up() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let browser = app.signed_in().await;
    app.provider.somebody_waits().await;
    let closed = app.provider.hold().await;
    app.provider.access_lifetime(3600);
    let mut impatient = browser.clone();
    let asking = tokio::spawn(async move { impatient.get(TOKEN).await });
    app.provider.somebody_waits().await;
    asking.abort();
    assert!(asking.await.is_err_and(|e| e.is_cancelled()));
    drop(closed);
    // The one refresh token was used up by then: a second use would be refused.
    let mut browser = browser;
    access(&browser.get(TOKEN).await);
    assert_eq!(app.provider.hits("/token"), 1 + 1);
}

#[tokio::test]
async fn a_provider_that_is_down_costs_no_session() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    for fault in [
        Fault::ServerError,
        Fault::TooManyRequests,
        Fault::HangsUp,
        Fault::InvalidClient,
        Fault::Html,
        Fault::Redirects,
    ] {
        app.provider.misbehave(fault);
        let answer = browser.get(TOKEN).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (503, "provider_unreachable"),
            "{fault:?}"
        );
        assert!(!answer.header("retry-after").is_empty(), "{fault:?}");
        assert_eq!(browser.session().await.status, StatusCode::OK, "{fault:?}");
    }
    app.provider.misbehave(Fault::Nothing);
    access(&browser.get(TOKEN).await);
}

#[tokio::test]
async fn a_refresh_that_is_refused_for_good_ends_the_session() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    app.provider.withdraw();
    let answer = browser.get(TOKEN).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "revoked"));
    assert_eq!(browser.session().await.code(), "revoked");
}

#[tokio::test]
async fn a_refresh_that_turns_somebody_into_somebody_else_ends_the_session() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    for (name, value) in
        [("sub", json!("user-2")), ("aud", json!("other")), ("iss", json!("https://evil.example"))]
    {
        let mut browser = app.signed_in().await;
        app.provider.claim(name, value);
        assert_eq!(browser.get(TOKEN).await.status.as_u16(), 401, "{name}");
        assert_eq!(browser.session().await.code(), "revoked", "{name}");
        app.provider.unclaim(name);
    }
}

/// The classic bug: whoever logs out while a refresh is under way stays logged out, and the new
/// tokens do not outlive it.
#[tokio::test]
async fn a_refresh_does_not_undo_a_logout() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    app.provider.somebody_waits().await;
    let closed = app.provider.hold().await;
    let mut other_tab = browser.clone();
    let asking = tokio::spawn(async move { other_tab.get(TOKEN).await });
    app.provider.somebody_waits().await;
    assert_eq!(browser.log_out().await.status, StatusCode::OK);
    drop(closed);
    let answer = asking.await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "revoked"));
    assert_eq!(app.provider.revoked(), ["refresh-1", "refresh-2"]);
}

#[tokio::test]
async fn without_a_refresh_token_the_access_token_lasts_as_long_as_it_lasts() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.misbehave(Fault::NoRefreshToken);
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    let first = access(&browser.get(TOKEN).await);
    assert_eq!(access(&browser.get(TOKEN).await), first, "within the buffer, but still good");
    app.provider.access_lifetime(0);
    let mut browser = app.signed_in().await;
    let answer = browser.get(TOKEN).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "expired"));
    assert_eq!(browser.session().await.status, StatusCode::OK, "the session goes on");
    assert_eq!(app.provider.hits("/token"), 2, "nothing to refresh with");
}

/// The cookie is the store: whoever refreshes gets a new one.
#[tokio::test]
async fn tokens_in_a_sealed_cookie_are_refreshed_too() {
    let keys =
        "[session]\nstore = 'cookie'\nkeys = ['q2Jx7mJ0c1vWb8yTn5rPz4KdH6sLg3FaUeQoXiYkMwE']";
    let app = TestApp::start_with("", &format!("{EXPOSED}\n{keys}")).await;
    app.provider.access_lifetime(30);
    let mut browser = app.signed_in().await;
    let first = access(&browser.get(TOKEN).await);
    let second = access(&browser.get(TOKEN).await);
    assert_ne!(first, second);
    assert_eq!(browser.session().await.status, StatusCode::OK);
    assert_eq!(browser.log_out().await.status, StatusCode::OK);
    assert_eq!(app.provider.revoked(), ["refresh-3"]);
}

/// Wristband's client calls an answer without a number broken, and keeps no token that ends now.
#[tokio::test]
async fn a_token_whose_end_nobody_knows_is_good_now_and_asked_for_again() {
    let app = TestApp::start_with("", EXPOSED).await;
    app.provider.misbehave(Fault::NoLifetimeNoRefreshToken);
    let mut browser = app.signed_in().await;
    let now = browser.session().await.json()["idleExpiresAt"].as_u64().expect("a time") - 3_600_000;
    let answer = browser.get(TOKEN).await;
    let ends = answer.json()["expiresAt"].as_u64().expect("a number");
    assert!((now..now + 30_000).contains(&ends), "{answer:?}");
    assert_eq!(access(&browser.get(TOKEN).await), access(&answer), "nothing to refresh it with");
    assert_eq!(app.provider.hits("/token"), 1);
}

#[tokio::test]
async fn a_token_whose_end_nobody_knows_is_refreshed_after_some_minutes() {
    let start = SystemClock::new().wall();
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::at(start)));
    let app = TestApp::start_by(clock, Provider::start().await, "", EXPOSED).await;
    app.provider.misbehave(Fault::NoLifetime);
    let mut browser = app.signed_in().await;
    let answer = browser.get(TOKEN).await;
    let first = access(&answer);
    assert_eq!(answer.json()["expiresAt"], start.after(Duration::from_mins(5)).0);
    // Due a minute before its end.
    clock.advance(Duration::from_secs(239));
    assert_eq!(access(&browser.get(TOKEN).await), first);
    clock.advance(Duration::from_secs(1));
    let second = access(&browser.get(TOKEN).await);
    assert_ne!(second, first);
    assert_eq!(access(&browser.get(TOKEN).await), second, "good for a while again");
    assert_eq!(app.provider.hits("/token"), 2);
}
