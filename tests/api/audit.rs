use std::sync::Mutex;

use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Client, EVIL, TestApp};

/// Everything that this process logs, other tests included.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Sent by the clients of this test alone.
const CLIENT: &str = "198.51.100.77";

#[tokio::test]
async fn each_security_event_is_one_line_and_no_line_holds_a_secret() {
    tracing_subscriber::fmt()
        .json()
        .with_writer(|| LOG.make_writer())
        .with_max_level(tracing::Level::TRACE)
        .init();

    let server = "trusted_proxies = ['127.0.0.1']";
    let more = "[cors]\nallow_origins = ['http://localhost:3000']\n[rate_limit]\nlogin_attempts = 1\nlogin_window = '24h'\n";
    let app = TestApp::start_from(more, server).await;
    let (mut client, mut other) = (from_here(&app, &app.password).await, app.client());
    let mut third = from_here(&app, &app.password).await;
    let wrong = "hunter2-hunter2";
    let failed = log_in(&mut other, wrong).await;
    assert_eq!(failed.1, 401);
    let limited = log_in(&mut other, wrong).await;
    assert_eq!(limited.1, 429);
    let mut secrets = vec![app.password.clone(), wrong.to_owned()];
    for client in [&client, &third] {
        secrets.extend(client.cookies.iter().map(|(_, value)| value.clone()));
        secrets.extend(client.csrf.clone());
    }
    let forwarded = [("x-forwarded-for", CLIENT), ("x-csrf-token", "forged-forged-forged")];
    let refused = client.send("POST", "/api/auth/logout", &forwarded, "").await;
    secrets.push("forged-forged-forged".to_owned());
    let foreign = Client { origin: Some(EVIL), ..client.clone() }
        .send("DELETE", "/api/auth/sessions", &forwarded[..1], "")
        .await;
    assert_eq!((refused.code(), foreign.code()), ("csrf_failed".into(), "csrf_failed".into()));
    let token = third.csrf.clone().expect("a token");
    let mine = [("x-forwarded-for", CLIENT), ("x-csrf-token", token.as_str())];
    third.send("DELETE", "/api/auth/sessions?except=current", &mine, "").await;
    third.send("POST", "/api/auth/logout", &mine, "").await;

    let log = String::from_utf8_lossy(&LOG.lock().expect("no panic")).into_owned();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .filter(|line: &Value| line["target"] == "withcreds::audit")
        .filter(|line| line["fields"]["client"] == CLIENT)
        .collect();
    let events: Vec<_> = lines.iter().map(|line| line["fields"]["event"].as_str()).collect();
    let want = [
        "login",
        "login",
        "login_failed",
        "login_limited",
        "csrf_refused",
        "csrf_refused",
        "sessions_revoked",
        "logout",
    ];
    assert_eq!(events, want.map(Some));
    for line in &lines {
        let fields = &line["fields"];
        assert_eq!(fields["cid"].as_str().map(str::len), Some(36), "{line}");
        let known = !fields["event"].as_str().is_some_and(|e| e.starts_with("login_"));
        assert_eq!(fields["user"] == "demo", known, "{line}");
    }
    // What the user reports leads to the line.
    for (answer, line) in
        [(&failed.0, &lines[2]), (&limited.0, &lines[3]), (&refused.json(), &lines[4])]
    {
        assert_eq!(answer["cid"], line["fields"]["cid"], "{line}");
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}

async fn log_in(client: &mut Client, password: &str) -> (Value, u16) {
    let body = serde_json::json!({ "username": "demo", "password": password }).to_string();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", CLIENT)];
    let answer = client.send("POST", "/api/auth/login", &headers, &body).await;
    (answer.json(), answer.status.as_u16())
}

async fn from_here(app: &TestApp, password: &str) -> Client {
    let mut client = app.client();
    let (answer, status) = log_in(&mut client, password).await;
    assert_eq!(status, 200, "{answer}");
    client.csrf = answer["csrfToken"].as_str().map(str::to_owned);
    client
}
