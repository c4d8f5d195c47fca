use std::net::SocketAddr;
use std::path::Path;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use withcreds::effects::{IdSource as _, SystemIds};
use withcreds::policy::key::SessionKey;
use withcreds::{Config, Server, Stopped};

use crate::support::TestApp;

#[tokio::test]
async fn a_port_in_use_is_named() {
    let app = TestApp::start().await;
    let text =
        format!("[server]\nlisten = ['{}']\nadmin_listen = []\n[dev]\nenabled = true\n", app.addr);
    let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
    let error = Server::bind(&config).await.expect_err("the port is taken").to_string();
    assert!(error.contains(&app.addr.to_string()), "{error}");
    assert!(error.contains("mend:"), "{error}");
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_accepts_nobody() {
    let mut app = TestApp::start().await;
    let body = format!(r#"{{"username":"demo","password":"{}"}}"#, app.password);
    let (first, rest) = body.split_at(5);
    let mut running = TcpStream::connect(app.addr).await.expect("connect");
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    running.write_all(head.as_bytes()).await.expect("send");
    // hyper asks for the body only when a handler reads it: from here on the request runs.
    let mut asked = [0; 25];
    running.read_exact(&mut asked).await.expect("100 Continue");
    running.write_all(first.as_bytes()).await.expect("send");

    app.stop();
    while TcpStream::connect(app.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ready = app.admin("/readyz").await;
    assert_eq!(ready.status.as_u16(), 503);
    assert_eq!(ready.json(), serde_json::json!({ "ready": false, "why": ["draining"] }));
    assert_eq!(app.metric("withcreds_ready").await, 0);
    running.write_all(rest.as_bytes()).await.expect("send");
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(app.running.await.expect("a clean end"), Stopped::Drained);
}

/// Clients that never pause, each on a connection that it keeps as long as it may, and on new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_request_that_was_accepted() {
    let mut app = TestApp::start().await;
    let clients: Vec<_> = (0..16).map(|_| tokio::spawn(load(app.addr))).collect();
    // In the middle of it: each has come back several times.
    while app.metric("withcreds_connections_accepted_total").await < 64 {}
    let metrics = app.app.clone();
    app.stop();
    let mut total = Load::default();
    for client in clients {
        let load = client.await.expect("no panic");
        total.answered += load.answered;
        total.connected += load.connected;
        total.unanswered += load.unanswered;
    }
    assert_eq!(app.running.await.expect("a clean end"), Stopped::Drained);
    // Whom the service has never seen was lost before it: the system's queue was closed around them.
    let never_seen = total.connected - metrics.accepted_connections();
    assert_eq!(total.unanswered, never_seen, "{total:?}");
    assert!(total.answered > 100 && total.connected >= 64, "{total:?}");
}

#[derive(Debug, Default)]
struct Load {
    answered: u64,
    connected: u64,
    unanswered: u64,
}

async fn load(addr: SocketAddr) -> Load {
    let mut load = Load::default();
    while let Ok(stream) = TcpStream::connect(addr).await {
        load.connected += 1;
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, String>(io).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        for request in 0..50 {
            if sender.ready().await.is_err() {
                break;
            }
            let uri = "/api/auth/session";
            let request = http::Request::get(uri).header("host", "x").body(request.to_string());
            let Ok(answer) = sender.send_request(request.expect("a request")).await else {
                load.unanswered += 1;
                break;
            };
            load.answered += 1;
            let last = answer.headers().get("connection").is_some_and(|c| c == "close");
            answer.into_body().collect().await.expect("all of it");
            if last {
                break;
            }
        }
        drop(sender);
        let _ = connection.await;
    }
    load
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_its_grace() {
    let mut app = TestApp::start_from("", "shutdown_grace = '200ms'").await;
    let mut running = TcpStream::connect(app.addr).await.expect("connect");
    let head = "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    running.write_all(head.as_bytes()).await.expect("send");
    running.read_exact(&mut [0; 25]).await.expect("100 Continue");
    app.stop();
    assert_eq!(app.running.await.expect("an end"), Stopped::GraceOver);
    assert_eq!(running.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0, "and no answer");
}

#[tokio::test]
async fn sessions_survive_a_graceful_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("session.snapshot");
    let key = SessionKey::from_random(SystemIds.session_secret()).to_text();
    let session = format!("[session]\nkeys = ['{key}']\nsnapshot = '{}'\n", file.display());
    let mut old = TestApp::start_with(&session).await;
    let (mut client, mut gone) = (old.logged_in().await, old.logged_in().await);
    gone.log_out().await;
    old.stop();
    old.running.await.expect("a clean end");
    assert!(file.exists());

    let mut new = TestApp::start_with(&session).await;
    assert!(!file.exists(), "what ends from now on stays ended, even after a crash");
    client.addr = new.addr;
    let answer = client.session().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["userId"]), (200, &"demo".into()));
    assert_eq!(client.log_out().await.status.as_u16(), 200, "its CSRF token is still good");
    assert_eq!(new.app.live_sessions(), 0);
    new.stop();
    new.running.await.expect("a clean end");

    // Another key: the service starts all the same, and empty.
    let (other, session) = (SessionKey::from_random(SystemIds.session_secret()).to_text(), session);
    let mut last = TestApp::start_with(&session.replace(&key, &other)).await;
    assert_eq!(last.app.live_sessions(), 0);
    last.stop();
    last.running.await.expect("a clean end");
}
