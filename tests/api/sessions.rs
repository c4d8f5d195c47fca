use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use warp::Filter as _;
use withcreds::effects::ManualClock;
use withcreds::policy::session::UnixMillis;
use withcreds::{App, Config, LocalAccounts, User};

use crate::support::TestApp;

#[tokio::test]
async fn log_in_read_log_out() {
    let app = TestApp::start().await;
    let mut client = app.client();
    assert_eq!(client.session().await.code(), "no_session");

    let answer = client.log_in("demo", &app.password).await;
    let session = answer.json();
    assert_eq!(session["userId"], "demo");
    assert_eq!(session["tenantId"], "default");
    assert_eq!(session["metadata"]["email"], "demo@example.com");
    assert!(session["idleExpiresAt"].as_u64() < session["expiresAt"].as_u64());

    let answer = client.session().await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.json()["csrfToken"], answer.header("x-csrf-token"));
    assert_eq!(answer.header("access-control-expose-headers"), "x-csrf-token");
    let example = client.send("GET", "/api/example", &[], "").await;
    assert_eq!(example.json()["userId"], "demo");

    let stolen = client.clone();
    let answer = client.log_out().await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.json()["logoutUrl"].is_string());
    assert_eq!(client.cookies, []);
    // The browser forgot the cookie; whoever copied it before must find it worthless, too.
    for (mut client, code) in [(client, "no_session"), (stolen, "revoked")] {
        assert_eq!(client.session().await.code(), code);
    }
    assert_eq!(app.app.live_sessions(), 0);
}

#[tokio::test]
async fn a_planted_session_id_is_worth_nothing_after_login() {
    let app = TestApp::start().await;
    let mut client = app.client();
    let planted = "A".repeat(43);
    client.cookies.push(("session".to_owned(), planted.clone()));
    client.log_in("demo", &app.password).await;
    let first = client.cookie("session").expect("a cookie").to_owned();
    assert_ne!(first, planted);

    // A second login of the same browser: a new id again, and the old one dies.
    let mut old = client.clone();
    client.log_in("demo", &app.password).await;
    assert_ne!(client.cookie("session"), Some(first.as_str()));
    assert_eq!(client.session().await.status.as_u16(), 200);
    assert_eq!(old.session().await.code(), "revoked");
    assert_eq!(app.app.live_sessions(), 1);
}

#[tokio::test]
async fn logging_out_by_navigation() {
    let app = TestApp::start().await;
    let path = "/api/auth/logout";
    for (case, headers, status) in [
        (
            "typed by the user",
            vec![("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
            302,
        ),
        (
            "a link on a sibling",
            vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
            302,
        ),
        ("an old browser", vec![], 302),
        (
            "another site",
            vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            403,
        ),
        (
            "a frame on a sibling",
            vec![
                ("sec-fetch-site", "same-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
            403,
        ),
        (
            "an image on a sibling",
            vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")],
            403,
        ),
    ] {
        let mut client = app.logged_in().await;
        let before = client.clone();
        client.origin = None;
        let answer = client.send("GET", path, &headers, "").await;
        assert_eq!(answer.status.as_u16(), status, "{case}");
        let gone = before.clone().session().await.status.as_u16() == 401;
        assert_eq!(gone, status == 302, "{case}");
        if status == 302 {
            assert_eq!(answer.header("location"), "http://localhost:3000/", "{case}");
        } else {
            assert_eq!(answer.code(), "cross_site_logout", "{case}");
        }
    }
    // Nobody is logged in: still the way out, with cookies cleared.
    let answer = app.client().send("GET", path, &[], "").await;
    assert_eq!(answer.status.as_u16(), 302);
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn both_timeouts_are_kept_by_the_server() {
    let config = Config::parse(
        "[dev]\nenabled = true\n[session]\nidle_timeout = '10m'\nabsolute_timeout = '25m'\n",
        Path::new("test.toml"),
    )
    .expect("a good configuration");
    let accounts =
        Arc::new(LocalAccounts::single("ada", "pw", User::named("ada")).expect("accounts"));
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::at(UnixMillis(1 << 40))));
    let app = Arc::new(App::new(&config, accounts).with_clock(clock));
    let service = withcreds::service(Arc::clone(&app)).boxed();
    let login = warp::test::request()
        .method("POST")
        .path("/api/auth/login")
        .json(&serde_json::json!({ "username": "ada", "password": "pw" }))
        .reply(&service)
        .await;
    let cookie = login.headers()["set-cookie"]
        .to_str()
        .expect("ASCII")
        .split(';')
        .next()
        .expect("a pair")
        .to_owned();
    let read = async |query: &str| {
        let path = format!("/api/auth/session{query}");
        let reply =
            warp::test::request().path(&path).header("cookie", &cookie).reply(&service).await;
        let body: serde_json::Value = serde_json::from_slice(reply.body()).expect("JSON");
        body["code"].as_str().unwrap_or("alive").to_owned()
    };
    let minutes = |n: u64| Duration::from_secs(n * 60);
    for (case, advance, query, want) in [
        ("used in time", 9, "", "alive"),
        ("use has extended it", 9, "?slide=true", "alive"),
        ("a look does not extend", 6, "?slide=false&other=1", "alive"),
        ("absolute end, busy or not", 2, "", "expired"),
        ("and it stays so", 1, "", "expired"),
    ] {
        clock.advance(minutes(advance));
        assert_eq!(read(query).await, want, "{case}");
    }
}

#[tokio::test]
async fn a_full_store_refuses_the_login() {
    let app = TestApp::start_with("[session]\nmax_sessions = 1\nmax_sessions_per_user = 5\n").await;
    let mut first = app.logged_in().await;
    let answer = app.client().log_in("demo", &app.password).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "store_full"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(first.session().await.status.as_u16(), 200);
    // Logging in again takes the place of one's own session, so it needs no more room.
    assert_eq!(first.log_in("demo", &app.password).await.status.as_u16(), 200);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let app = TestApp::start().await;
    let answer = app.logged_in().await.send("HEAD", "/api/auth/session", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[tokio::test]
async fn a_user_sees_and_ends_their_sessions() {
    let app = TestApp::start().await;
    let (mut laptop, mut phone, mut other) =
        (app.logged_in().await, app.client(), app.logged_in().await);
    let login = serde_json::json!({ "username": "demo", "password": app.password }).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "Mozilla/5.0 (Linux; Android 10; K) Chrome/140.0.0.0 Mobile Safari/537.36"),
    ];
    let answer = phone.send("POST", "/api/auth/login", &headers, &login).await;
    assert_eq!(answer.status.as_u16(), 200);

    let answer = laptop.send("GET", "/api/auth/sessions", &[], "").await;
    let json = answer.json();
    let lines = json["sessions"].as_array().expect("a list");
    let browsers: Vec<_> =
        lines.iter().map(|line| line["browser"].as_str().unwrap_or("")).collect();
    assert_eq!(browsers, ["Chrome on Android", "unknown", "unknown"], "newest first");
    let current: Vec<_> = lines.iter().map(|line| line["current"] == true).collect();
    assert_eq!(current, [false, false, true]);
    assert!(lines[0]["createdAt"].as_u64() >= lines[2]["createdAt"].as_u64());
    assert!(lines[2]["lastSeenAt"].as_u64() >= lines[2]["createdAt"].as_u64());
    // What is listed opens nothing.
    let text = String::from_utf8(answer.body.to_vec()).expect("text");
    for client in [&laptop, &phone, &other] {
        assert!(!text.contains(client.cookie("session").expect("a cookie")));
    }

    let (handles, _) = laptop.handles().await;
    let path = |n: usize| format!("/api/auth/sessions/{}", handles[n]);
    let answer = laptop.delete(&path(0)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["ended"]), (200, &1.into()));
    assert_eq!(phone.session().await.code(), "revoked");
    assert_eq!(laptop.delete(&path(0)).await.code(), "no_such_session");

    let answer = laptop.delete("/api/auth/sessions?except=current").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["ended"]), (200, &1.into()));
    assert_eq!(other.session().await.code(), "revoked");
    assert_eq!(laptop.session().await.status.as_u16(), 200);

    let last = laptop.clone();
    let answer = laptop.delete("/api/auth/sessions").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["ended"]), (200, &1.into()));
    assert_eq!(laptop.cookies, [], "the browser forgets it, too");
    assert_eq!(last.clone().session().await.code(), "revoked");
    assert_eq!(app.app.live_sessions(), 0);
}

#[tokio::test]
async fn ending_one_s_own_session_by_its_handle_is_a_logout() {
    let app = TestApp::start().await;
    let mut client = app.logged_in().await;
    let (handles, current) = client.handles().await;
    let answer = client.delete(&format!("/api/auth/sessions/{}", handles[current])).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!((client.cookies.len(), app.app.live_sessions()), (0, 0));
}

#[tokio::test]
async fn sessions_are_guarded_like_everything_that_changes_something() {
    let app = TestApp::start().await;
    let mut client = app.logged_in().await;
    let (handles, _) = client.handles().await;
    let one = format!("/api/auth/sessions/{}", handles[0]);
    let token = client.csrf.take();
    for path in ["/api/auth/sessions", &one] {
        assert_eq!(client.delete(path).await.code(), "csrf_failed", "{path}");
        assert_eq!(app.client().delete(path).await.code(), "no_session", "{path}");
    }
    client.csrf = token;
    for (path, code) in [
        ("/api/auth/sessions?except=others", "invalid_query"),
        ("/api/auth/sessions/nothing", "no_such_session"),
        ("/api/auth/sessions/..%2f", "no_such_session"),
        ("/api/auth/sessions/AAAAAAAAAAAAAAAA", "no_such_session"),
        ("/api/auth/sessions/a/b", "not_found"),
    ] {
        assert_eq!(client.delete(path).await.code(), code, "{path}");
    }
    assert_eq!(client.session().await.status.as_u16(), 200);
}
