//! A server for the tests.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::store::RedisStore;
use crate::store::conformance::{LIFETIMES, PER_USER};

/// With a capital letter on ports, with a small one on sockets.
const READY: &str = "eady to accept connections";

/// A server of our own, ended with the test.
pub(super) struct Server {
    pub(super) folder: TempDir,
    pub(super) process: Child,
    /// What it says.
    log: Receiver<String>,
    options: Vec<String>,
}

impl Server {
    /// `None`, and a word about it, where there is no redis-server; an error in CI.
    pub(super) fn start(options: &[&str]) -> Option<Self> {
        let there = Command::new("redis-server").arg("--version").output().is_ok();
        if !there {
            assert!(std::env::var_os("CI").is_none(), "no redis-server: run .ci/setup");
            eprintln!("skipped: no redis-server");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|o| (*o).to_owned()).collect();
        let (process, log) = launch(folder.path(), &options);
        let server = Self { folder, process, log, options };
        server.wait_for(READY);
        Some(server)
    }

    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }

    /// Until it says so.
    pub(super) fn wait_for(&self, what: &str) {
        loop {
            match self.log.recv_timeout(Duration::from_secs(10)) {
                Ok(line) if line.contains(what) => return,
                Ok(_) => {}
                Err(error) => panic!("redis-server does not say `{what}`: {error}"),
            }
        }
    }

    /// As a machine that loses its power.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn restart(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("socket"));
        (self.process, self.log) = launch(self.folder.path(), &self.options);
        self.wait_for(READY);
    }

    pub(super) fn store(&self) -> RedisStore {
        RedisStore::new(&self.url(), false, LIFETIMES, PER_USER).unwrap()
    }
}

fn launch(folder: &Path, options: &[String]) -> (Child, Receiver<String>) {
    let mut command = Command::new("redis-server");
    // Every write is on the disk before it is answered.
    command.args(["--port", "0", "--unixsocket"]).arg(folder.join("socket"));
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.args(options).arg("--dir").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let (say, log) = channel();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    // Reads to the end, also when nobody listens any more: a full pipe would stop the server.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = say.send(line);
        }
    });
    (process, log)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
