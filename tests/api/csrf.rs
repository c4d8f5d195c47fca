use crate::support::{EVIL, FRONTEND, TestApp};

#[tokio::test]
async fn what_may_log_a_user_out() {
    let app = TestApp::start().await;
    for (case, origin, site, token, want) in [
        ("the frontend", Some(FRONTEND), Some("same-site"), true, "ok"),
        ("an old browser on the frontend", Some(FRONTEND), None, true, "ok"),
        ("same origin", None, Some("same-origin"), true, "ok"),
        ("the frontend without a token", Some(FRONTEND), Some("same-site"), false, "csrf_failed"),
        ("same origin without a token", None, Some("same-origin"), false, "csrf_failed"),
        ("a foreign page with the token", Some(EVIL), Some("cross-site"), true, "csrf_failed"),
        ("a sandboxed frame", Some("null"), Some("cross-site"), true, "csrf_failed"),
        ("a sibling host", Some("http://evil.localhost"), Some("same-site"), true, "csrf_failed"),
        ("nobody knows", None, None, true, "csrf_failed"),
    ] {
        let mut client = app.logged_in().await;
        let mut owner = client.clone();
        client.origin = origin;
        if !token {
            client.csrf = None;
        }
        let csrf = client.csrf.clone();
        let mut headers: Vec<_> = csrf.iter().map(|t| ("x-csrf-token", t.as_str())).collect();
        headers.extend(site.map(|s| ("sec-fetch-site", s)));
        let answer = client.send("POST", "/api/auth/logout", &headers, "").await;
        let got = if answer.status.as_u16() == 200 { "ok".to_owned() } else { answer.code() };
        assert_eq!(got, want, "{case}");
        let alive = owner.session().await.status.as_u16() == 200;
        assert_eq!(alive, want != "ok", "{case}: alive {alive}");
        assert_eq!(answer.readable_by(FRONTEND), origin == Some(FRONTEND), "{case}");
    }
}

#[tokio::test]
async fn the_token_of_another_session_is_worth_nothing() {
    let app = TestApp::start().await;
    let (mut mine, other) = (app.logged_in().await, app.logged_in().await);
    mine.csrf = other.csrf;
    assert_eq!(mine.log_out().await.code(), "csrf_failed");
}

#[tokio::test]
async fn a_dead_cookie_keeps_nobody_from_logging_in() {
    let app = TestApp::start().await;
    let mut client = app.logged_in().await;
    let dead = client.cookies.clone();
    client.log_out().await;
    client.cookies = dead;
    assert_eq!(client.log_in("demo", &app.password).await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_unknown_path_is_guarded_as_well() {
    let app = TestApp::start().await;
    let mut client = app.logged_in().await;
    assert_eq!(client.send("POST", "/api/anything", &[], "").await.code(), "csrf_failed");
    client.cookies.clear();
    assert_eq!(client.send("POST", "/api/anything", &[], "").await.code(), "not_found");
}

#[tokio::test]
async fn a_form_on_another_site_clears_nobody_s_cookies() {
    // A cross-site form leaves the Lax cookie at home; the answer must not delete it either.
    let app = TestApp::start().await;
    let mut client = app.client();
    client.origin = Some(EVIL);
    let headers = [("sec-fetch-site", "cross-site"), ("content-type", "text/plain")];
    let answer = client.send("POST", "/api/auth/logout", &headers, "x").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
}
