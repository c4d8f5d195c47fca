use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use withcreds::effects::{IdSource as _, SystemIds};
use withcreds::policy::key::SessionKey;
use withcreds::{App, Config, LocalAccounts, User};

use crate::support::{FRONTEND, TestApp};

fn key() -> String {
    SessionKey::from_random(SystemIds.session_secret()).to_text()
}

#[tokio::test]
async fn a_session_in_its_cookie() {
    let session = format!("[session]\nstore = 'cookie'\nkeys = ['{}']\n", key());
    let app = TestApp::start_with(&session).await;
    let mut client = app.logged_in().await;
    let first = client.cookie("session").expect("a cookie").to_owned();
    let answer = client.session().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["userId"]), (200, &"demo".into()));
    // Use moves the idle timeout, which is in the cookie.
    assert_ne!(client.cookie("session"), Some(first.as_str()));
    let before = client.cookie("session").expect("a cookie").to_owned();
    client.send("GET", "/api/auth/session?slide=false", &[], "").await;
    assert_eq!(client.cookie("session"), Some(before.as_str()), "a look changes nothing");

    // What this store cannot do, it says.
    let answer = client.send("GET", "/api/auth/sessions", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (501, "not_with_cookies"));
    assert!(answer.readable_by(FRONTEND));
    assert_eq!(client.delete("/api/auth/sessions").await.code(), "not_with_cookies");

    // A slow request after the logout, with any of the cookies that there were.
    let (mut old, mut older) = (client.clone(), client.clone());
    older.cookies.retain(|(name, _)| name != "session");
    older.cookies.push(("session".to_owned(), first));
    assert_eq!(client.log_out().await.status.as_u16(), 200);
    assert_eq!(client.cookies, []);
    for copied in [&mut old, &mut older] {
        let answer = copied.session().await;
        assert_eq!(answer.code(), "revoked");
        assert!(!answer.headers.contains_key("set-cookie"));
    }

    // Another instance with the same key serves the living.
    let other = TestApp::start_with(&session).await;
    let client = app.logged_in().await;
    assert_eq!(other.at(&client).session().await.status.as_u16(), 200);
    assert_eq!(
        other.at(&client).log_out().await.status.as_u16(),
        200,
        "its CSRF token is good there"
    );
}

#[tokio::test]
async fn a_session_that_no_cookie_holds_is_refused() {
    let text =
        format!("[dev]\nenabled = true\n[session]\nstore = 'cookie'\nkeys = ['{}']\n", key());
    let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
    let metadata = serde_json::value::to_raw_value(&"x".repeat(4000)).expect("JSON");
    let user = User::new("ada", "", &metadata);
    let accounts = LocalAccounts::single("ada", "pw", user).expect("accounts");
    let service = withcreds::service(Arc::new(App::new(&config, Arc::new(accounts))));
    let reply = warp::test::request()
        .method("POST")
        .path("/api/auth/login")
        .json(&serde_json::json!({ "username": "ada", "password": "pw" }))
        .reply(&service)
        .await;
    assert_eq!(reply.status().as_u16(), 500);
    let body: serde_json::Value = serde_json::from_slice(reply.body()).expect("JSON");
    assert_eq!(body["code"], "session_too_large");
    assert!(body["detail"].as_str().is_some_and(|d| d.contains("4096")), "{body}");
    assert!(!reply.headers().contains_key("set-cookie"));
}

/// A Redis server of our own, ended with the test.
struct Redis {
    folder: TempDir,
    process: Child,
}

impl Redis {
    /// `None`, and a word about it, where there is no redis-server; an error in CI.
    fn start() -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "no redis-server: run .ci/setup");
            eprintln!("skipped: no redis-server");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let process = launch(folder.path());
        Some(Self { folder, process })
    }

    fn config(&self) -> String {
        let socket = self.folder.path().join("socket");
        format!("[session]\nstore = 'redis'\n[redis]\nurl = 'redis+unix://{}'\n", socket.display())
    }

    fn kill(&mut self) {
        self.process.kill().expect("a process");
        self.process.wait().expect("an end");
    }

    fn restart(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("socket"));
        self.process = launch(self.folder.path());
    }
}

fn launch(folder: &Path) -> Child {
    let mut command = Command::new("redis-server");
    // Every write is on the disk before it is answered.
    command.args(["--port", "0", "--unixsocket"]).arg(folder.join("socket"));
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.arg("--dir").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn two_instances_on_one_redis_which_dies_and_comes_back() {
    let Some(mut redis) = Redis::start() else { return };
    let (here, there) =
        (TestApp::start_with(&redis.config()).await, TestApp::start_with(&redis.config()).await);
    // Both draw their own demo password; the session is what they share.
    let (mut client, gone) = (here.logged_in().await, here.logged_in().await);
    let answer = there.at(&client).session().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["userId"]), (200, &"demo".into()));
    assert_eq!(there.at(&client).handles().await.0.len(), 2);
    assert_eq!(there.at(&gone).log_out().await.status.as_u16(), 200);
    assert_eq!(here.at(&gone).session().await.code(), "revoked");

    redis.kill();
    for (method, path) in [("GET", "/api/auth/session"), ("POST", "/api/auth/logout")] {
        let token = client.csrf.clone().expect("a token");
        let answer = client.send(method, path, &[("x-csrf-token", &token)], "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "store_unavailable"));
        assert!(!answer.header("retry-after").is_empty());
        assert!(answer.readable_by(FRONTEND), "{method}");
        assert!(!answer.headers.contains_key("set-cookie"), "the browser keeps its session");
        // Of what went wrong only the log hears.
        assert!(!String::from_utf8_lossy(&answer.body).contains("socket"), "{answer:?}");
    }
    // Who has no cookie needs no store.
    assert_eq!(here.client().session().await.code(), "no_session");

    redis.restart();
    let mut answer = client.session().await;
    // Each request waits for the store as long as requests do; the server comes up meanwhile.
    for _ in 0..60 {
        if answer.status.as_u16() != 503 {
            break;
        }
        answer = client.session().await;
    }
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(there.at(&gone).session().await.code(), "revoked");
    assert_eq!(client.log_out().await.status.as_u16(), 200);
    assert_eq!(client.session().await.code(), "no_session");
}
