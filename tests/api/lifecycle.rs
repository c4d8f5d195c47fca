use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use withcreds::effects::{IdSource as _, SystemIds};
use withcreds::policy::key::SessionKey;
use withcreds::{Config, Server};

use crate::support::TestApp;

#[tokio::test]
async fn a_port_in_use_is_named() {
    let app = TestApp::start().await;
    let text = format!("[server]\nlisten = ['{}']\n[dev]\nenabled = true\n", app.addr);
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
    running.write_all(rest.as_bytes()).await.expect("send");
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    app.running.await.expect("a clean end");
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
