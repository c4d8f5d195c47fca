use crate::support::{EVIL, FRONTEND, TestApp};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn every_error_is_json_and_readable_by_the_listed_origin_only() {
    let app = TestApp::start().await;
    let big = format!("{{\"username\":\"{}\"}}", "x".repeat(20_000));
    let login = "/api/auth/login";
    for (case, method, path, headers, body, status, code) in [
        ("anonymous", "GET", "/api/auth/session", vec![], "", 401, "no_session"),
        ("anonymous example", "GET", "/api/example", vec![], "", 401, "no_session"),
        ("anonymous list", "GET", "/api/auth/sessions", vec![], "", 401, "no_session"),
        ("unknown path", "GET", "/api/auth/nope", vec![], "", 404, "not_found"),
        ("beyond a path", "GET", "/api/auth/session/x", vec![], "", 404, "not_found"),
        ("root", "GET", "/", vec![], "", 404, "not_found"),
        ("wrong method", "DELETE", "/api/auth/session", vec![], "", 405, "method_not_allowed"),
        (
            "options that is no preflight",
            "OPTIONS",
            "/api/auth/session",
            vec![],
            "",
            405,
            "method_not_allowed",
        ),
        (
            "wrong password",
            "POST",
            login,
            vec![JSON],
            r#"{"username":"demo","password":"x"}"#,
            401,
            "invalid_credentials",
        ),
        (
            "unknown user",
            "POST",
            login,
            vec![JSON],
            r#"{"username":"nobody","password":"x"}"#,
            401,
            "invalid_credentials",
        ),
        ("malformed JSON", "POST", login, vec![JSON], "{", 400, "malformed_json"),
        ("empty body", "POST", login, vec![JSON], "", 400, "malformed_json"),
        ("not an object", "POST", login, vec![JSON], "[]", 400, "invalid_body"),
        (
            "unknown field",
            "POST",
            login,
            vec![JSON],
            r#"{"username":"a","password":"b","admin":true}"#,
            400,
            "invalid_body",
        ),
        (
            "wrong type",
            "POST",
            login,
            vec![JSON],
            r#"{"username":"a","password":5}"#,
            400,
            "invalid_body",
        ),
        ("missing field", "POST", login, vec![JSON], r#"{"username":"a"}"#, 400, "invalid_body"),
        (
            "not UTF-8 escaped",
            "POST",
            login,
            vec![JSON],
            r#"{"username":"\ud800"}"#,
            400,
            "malformed_json",
        ),
        (
            "wrong content type",
            "POST",
            login,
            vec![("content-type", "text/plain")],
            "{}",
            415,
            "unsupported_media_type",
        ),
        ("no content type", "POST", login, vec![], "{}", 415, "unsupported_media_type"),
        ("too large", "POST", login, vec![JSON], &big, 413, "body_too_large"),
        ("bad query", "GET", "/api/auth/session?slide=maybe", vec![], "", 400, "invalid_query"),
    ] {
        for origin in [Some(FRONTEND), Some(EVIL), None] {
            let mut client = app.client();
            client.origin = origin;
            let answer = client.send(method, path, &headers, body).await;
            assert_eq!(answer.status.as_u16(), status, "{case}: {answer:?}");
            assert_eq!(answer.readable_by(FRONTEND), origin == Some(FRONTEND), "{case}");
            assert!(!answer.readable_by(EVIL), "{case}");
            assert!(answer.header("vary").contains("Origin"), "{case}");
            assert_eq!(answer.header("cache-control"), "no-store", "{case}");
            let json = answer.json();
            assert_eq!(json["code"], code, "{case}");
            assert_eq!(json["cid"].as_str().map(str::len), Some(36), "{case}");
            assert!(json["detail"].as_str().is_some_and(|d| d.len() > 10), "{case}");
            assert_eq!(client.cookies, [], "{case}");
        }
    }
    assert_eq!(app.app.live_sessions(), 0);
}

#[tokio::test]
async fn a_wrong_method_is_told_which_there_are() {
    let app = TestApp::start().await;
    for (path, allow) in [
        ("/api/auth/session", "GET, HEAD"),
        ("/api/auth/login", "GET, HEAD, POST"),
        ("/api/auth/callback", "GET"),
        ("/api/auth/token", "GET, HEAD"),
        ("/api/auth/backchannel-logout", "POST"),
        ("/api/auth/logout", "GET, POST"),
        ("/api/auth/sessions", "GET, HEAD, DELETE"),
        ("/api/auth/sessions/x", "DELETE"),
        ("/api/example", "GET, HEAD"),
    ] {
        let answer = app.client().send("PATCH", path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{path}");
    }
}

#[tokio::test]
async fn preflights_are_answered_for_any_path_and_touch_nothing() {
    let app = TestApp::start().await;
    let mut client = app.logged_in().await;
    for path in ["/api/auth/session", "/api/auth/logout", "/nowhere"] {
        let asks = [
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-csrf-token"),
        ];
        let answer = client.send("OPTIONS", path, &asks, "").await;
        assert_eq!(answer.status.as_u16(), 204, "{path}");
        assert!(answer.readable_by(FRONTEND));
        assert_eq!(answer.header("access-control-allow-methods"), "POST");
        assert_eq!(answer.header("access-control-allow-headers"), "x-csrf-token");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    client.origin = Some(EVIL);
    let answer = client.send("OPTIONS", "/", &[("access-control-request-method", "GET")], "").await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    assert_eq!(app.app.live_sessions(), 1);
}
