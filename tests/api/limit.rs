//! How often one client may fail to log in.

use crate::support::{Answer, Client, FRONTEND, TestApp};

/// Three at once; the window is so long that none comes back while a test runs.
const THREE: &str = "[rate_limit]\nlogin_attempts = 3\nlogin_window = '24h'\n";

async fn log_in(client: &mut Client, password: &str, forwarded: &[&str]) -> Answer {
    let body = serde_json::json!({ "username": "demo", "password": password }).to_string();
    let forwarded = forwarded.iter().map(|line| ("x-forwarded-for", *line));
    let headers: Vec<_> = forwarded.chain([("content-type", "application/json")]).collect();
    client.send("POST", "/api/auth/login", &headers, &body).await
}

/// Statuses of so many logins with a wrong password.
async fn fail(client: &mut Client, times: usize, forwarded: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(log_in(client, "wrong", forwarded).await.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn who_fails_too_often_has_to_wait_and_can_read_it() {
    let app = TestApp::start_with(THREE).await;
    let mut client = app.client();
    assert_eq!(fail(&mut client, 3, &[]).await, [401, 401, 401]);
    // The right password is not looked at either, or guessing would go on.
    for password in ["wrong", app.password.as_str()] {
        let answer = log_in(&mut client, password, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "rate_limited"));
        assert!(answer.readable_by(FRONTEND), "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
        // A third of the window, or a little less.
        assert!((28_700..=28_800).contains(&seconds), "{seconds}");
        assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    }
    // Everything else goes on.
    assert_eq!(client.session().await.code(), "no_session");
    let asks = [("access-control-request-method", "POST")];
    let preflight = client.send("OPTIONS", "/api/auth/login", &asks, "").await;
    assert_eq!(preflight.status.as_u16(), 204);
}

#[tokio::test]
async fn who_succeeds_is_not_counted() {
    let app = TestApp::start_with(THREE).await;
    let mut client = app.client();
    for _ in 0..5 {
        assert_eq!(log_in(&mut client, &app.password, &[]).await.status.as_u16(), 200);
    }
    // Nor does a success wipe failures out: who has an account could guess at another for ever.
    assert_eq!(fail(&mut client, 2, &[]).await, [401, 401]);
    assert_eq!(log_in(&mut client, &app.password, &[]).await.status.as_u16(), 200);
    assert_eq!(fail(&mut client, 2, &[]).await, [401, 429]);
}

#[tokio::test]
async fn what_never_reached_a_password_is_not_counted() {
    let app = TestApp::start_with(THREE).await;
    let mut client = app.client();
    for _ in 0..5 {
        let json = [("content-type", "application/json")];
        let answer = client.send("POST", "/api/auth/login", &json, "{").await;
        assert_eq!(answer.code(), "malformed_json");
    }
    assert_eq!(fail(&mut client, 4, &[]).await, [401, 401, 401, 429]);
}

#[tokio::test]
async fn many_at_the_same_moment_are_counted_all() {
    let app = TestApp::start_with(THREE).await;
    let attempts = (0..24).map(|_| {
        let mut client = app.client();
        async move { log_in(&mut client, "wrong", &[]).await.code() }
    });
    let codes = futures_util::future::join_all(attempts).await;
    let count = |code: &str| codes.iter().filter(|c| *c == code).count();
    assert!(count("invalid_credentials") <= 3, "{codes:?}");
    assert!(count("rate_limited") > 0, "{codes:?}");
    assert_eq!(
        count("invalid_credentials") + count("rate_limited") + count("busy"),
        24,
        "{codes:?}"
    );
}

#[tokio::test]
async fn clients_are_told_apart_behind_a_trusted_proxy_only() {
    for (case, proxies, first, second, want) in [
        ("two clients", "'127.0.0.0/8'", &["198.51.100.1"][..], &["198.51.100.2"][..], 401),
        ("one client", "'127.0.0.1'", &["198.51.100.1"], &["198.51.100.1"], 429),
        (
            "one with inventions",
            "'127.0.0.1'",
            &["1.1.1.1, 198.51.100.1"],
            &["2.2.2.2", "198.51.100.1"],
            429,
        ),
        ("nobody is trusted", "", &["198.51.100.1"], &["198.51.100.2"], 429),
        ("somebody else is trusted", "'10.0.0.1'", &["198.51.100.1"], &["198.51.100.2"], 429),
        ("one IPv6 network", "'127.0.0.1'", &["2001:db8::1"], &["2001:db8::2"], 429),
        ("two IPv6 networks", "'127.0.0.1'", &["2001:db8::1"], &["2001:db8:0:1::1"], 401),
    ] {
        let cors = format!("[cors]\nallow_origins = ['{FRONTEND}']\n{THREE}");
        let app = TestApp::start_from(&cors, &format!("trusted_proxies = [{proxies}]")).await;
        let mut client = app.client();
        assert_eq!(fail(&mut client, 3, first).await, [401, 401, 401], "{case}");
        assert_eq!(fail(&mut client, 1, second).await, [want], "{case}");
    }
}

#[tokio::test]
async fn the_limit_can_be_switched_off() {
    let app = TestApp::start_with(&format!("{THREE}enabled = false\n")).await;
    assert_eq!(fail(&mut app.client(), 5, &[]).await, [401; 5]);
}
