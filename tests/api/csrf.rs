use crate::support::{Answer, Client, EVIL, FRONTEND, TestApp};

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

/// One request that ends all sessions, as the listed frontend sends it.
async fn end_all(client: &mut Client, header: Option<(&str, &str)>) -> Answer {
    let headers: Vec<_> = header.into_iter().chain([("sec-fetch-site", "same-site")]).collect();
    client.send("DELETE", "/api/auth/sessions?except=current", &headers, "").await
}

#[tokio::test]
async fn what_each_mode_asks_for() {
    const MINE: &str = "(its own)";
    for (mode, origin, header, want) in [
        ("token", FRONTEND, Some(("x-my-token", MINE)), "ok"),
        ("token", FRONTEND, Some(("x-my-token", "1")), "csrf_failed"),
        ("token", FRONTEND, Some(("x-csrf-token", MINE)), "csrf_failed"),
        ("token", FRONTEND, None, "csrf_failed"),
        ("token", EVIL, Some(("x-my-token", MINE)), "csrf_failed"),
        ("header", FRONTEND, Some(("x-my-token", "1")), "ok"),
        ("header", FRONTEND, Some(("x-my-token", MINE)), "ok"),
        ("header", FRONTEND, Some(("x-my-token", "")), "csrf_failed"),
        ("header", FRONTEND, Some(("x-csrf-token", "1")), "csrf_failed"),
        ("header", FRONTEND, None, "csrf_failed"),
        ("header", EVIL, Some(("x-my-token", "1")), "csrf_failed"),
        ("origin", FRONTEND, None, "ok"),
        ("origin", FRONTEND, Some(("x-my-token", "1")), "ok"),
        ("origin", EVIL, None, "csrf_failed"),
        ("origin", EVIL, Some(("x-my-token", MINE)), "csrf_failed"),
    ] {
        let app =
            TestApp::start_with(&format!("[csrf]\nmode = '{mode}'\nheader_name = 'X-My-Token'"))
                .await;
        let mut client = app.logged_in().await;
        client.origin = Some(origin);
        let token = client.csrf.clone().expect("a token in every mode");
        let header = header.map(|(name, v)| (name, if v == MINE { token.as_str() } else { v }));
        let answer = end_all(&mut client, header).await;
        let got = if answer.status.as_u16() == 200 { "ok".to_owned() } else { answer.code() };
        assert_eq!(got, want, "{mode} {origin} {header:?}");
        assert_eq!(answer.readable_by(FRONTEND), origin == FRONTEND, "{mode} {header:?}");
        if got != "ok" && origin == FRONTEND {
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("X-My-Token"), "{mode}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_page_that_sees_no_cookie_of_ours_learns_the_token() {
    // A frontend on a sibling host: it sees neither cookie, so body and header tell it.
    let more = "[csrf]\nheader_name = 'X-My-Token'\n";
    let app = TestApp::start_on("https://api.example.com", "https://app.example.com", more).await;
    let mut client = app.client();
    client.origin = Some("https://app.example.com");
    client.log_in("demo", &app.password).await;
    let answer = client.session().await;
    assert!(answer.readable_by("https://app.example.com"), "{answer:?}");
    let exposed = answer.header("access-control-expose-headers");
    assert!(exposed.split(',').any(|name| name.trim() == "x-my-token"), "{exposed}");
    assert!(!exposed.contains("csrf"), "{exposed}");
    let token = answer.header("x-my-token").to_owned();
    assert_eq!(answer.json()["csrfToken"], token);
    let answer = end_all(&mut client, Some(("x-my-token", &token))).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
}

#[tokio::test]
async fn the_token_s_cookie_goes_where_it_was_told() {
    let more = "[csrf]\ncookie_name = 'XSRF-TOKEN'\ncookie_domain = 'example.com'\n";
    let app = TestApp::start_on("https://api.example.com", "https://app.example.com", more).await;
    let mut client = app.client();
    client.origin = Some("https://app.example.com");
    let lines = |answer: &Answer| -> Vec<String> {
        let lines = answer.headers.get_all("set-cookie").iter();
        lines.map(|line| line.to_str().expect("ASCII").to_owned()).collect()
    };
    let login = client.log_in("demo", &app.password).await;
    let set = lines(&login);
    let token = set.iter().find(|l| l.starts_with("XSRF-TOKEN=")).expect("the token's cookie");
    assert!(token.ends_with("; SameSite=Lax; Secure; Path=/; Domain=example.com"), "{token}");
    assert!(!token.contains('%') && !token.contains("HttpOnly"), "{token}");
    let session = set.iter().find(|l| l.starts_with("__Host-session=")).expect("the session's");
    assert!(!session.contains("Domain"), "{session}");
    // What scripts read there is the token.
    client.csrf = client.cookie("XSRF-TOKEN").map(str::to_owned);
    let cleared = lines(&client.log_out().await);
    assert!(
        cleared.contains(
            &"XSRF-TOKEN=; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=0".to_owned()
        ),
        "{cleared:?}"
    );
    assert!(client.cookies.is_empty(), "{:?}", client.cookies);
}

#[tokio::test]
async fn requests_that_change_nothing_are_checked_if_asked_for() {
    for (more, want) in [("", 200), ("[csrf]\nsafe_methods = true\n", 403)] {
        let app = TestApp::start_with(more).await;
        let mut client = app.logged_in().await;
        let token = client.csrf.clone().expect("a token");
        for path in ["/api/auth/sessions", "/api/example"] {
            let answer = client.send("GET", path, &[], "").await;
            assert_eq!(answer.status.as_u16(), want, "{path} without a token");
            assert!(answer.readable_by(FRONTEND), "{path}");
            let answer = client.send("GET", path, &[("x-csrf-token", &token)], "").await;
            assert_eq!(answer.status.as_u16(), 200, "{path}");
        }
        // Where a page learns its token, and where browsers go themselves.
        assert_eq!(client.session().await.status.as_u16(), 200);
        client.origin = None;
        let navigation = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        for (path, status) in [("/api/auth/login", 200), ("/api/auth/logout", 302)] {
            let answer = client.send("GET", path, &navigation, "").await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
        }
        // Strangers have nothing to lose.
        let answer = client.send("GET", "/api/example", &[], "").await;
        assert_eq!(answer.code(), "no_session");
    }
}
