//! A certified OpenID provider, npm's `oidc-provider`, as a process of the test's own.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The process. It ends when this is dropped.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    input: ChildStdin,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Provider {
    /// `None` where node or the package is missing.
    pub(crate) async fn start() -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/oidc-provider");
        if !folder.join("node_modules/oidc-provider").is_dir() {
            return None;
        }
        let mut process = Command::new("node")
            .arg("server.js")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let input = process.stdin.take()?;
        let mut lines = BufReader::new(process.stdout.take()?).lines();
        let line = lines.next_line().await.ok()?.expect("the provider says its port");
        let port = serde_json::from_str::<Value>(&line).expect("JSON")["port"].clone();
        let issuer = format!("http://127.0.0.1:{port}");
        Some(Self { issuer, input, lines, process })
    }

    /// Tells it its one client; from here on it serves.
    pub(crate) async fn register(&mut self, client: Value, access_token_ttl: u64) {
        let line = json!({ "clients": [client], "accessTokenTtl": access_token_ttl });
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
        self.lines.next_line().await.expect("it runs").expect("it is ready");
    }

    /// Ends it, and waits until it is gone.
    #[allow(
        dead_code,
        reason = "each test binary compiles this file, and one of them never ends it"
    )]
    pub(crate) async fn end(mut self) {
        self.process.kill().await.expect("it was alive");
    }
}
