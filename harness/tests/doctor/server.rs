//! Servers as processes of a test's own: started on a port of theirs, ended with the test.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a server to start on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_mins(1);

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    process: Child,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends its workers on TERM; killed, it would leave them.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        }
        let _ = self.process.wait();
    }
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/servers")
}

/// Without the server the test is skipped, except in CI.
fn lacking(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: run .ci/setup");
    eprintln!("skipped: {what} is missing");
}

pub(crate) fn express(variant: &str) -> Option<Server> {
    let folder = servers().join("express");
    if !folder.join("node_modules/express").is_dir() {
        lacking("Express");
        return None;
    }
    Some(telling(Command::new("node").args(["server.js", variant]).current_dir(folder)))
}

pub(crate) fn fastapi(variant: &str) -> Option<Server> {
    let folder = servers().join("fastapi");
    let python = folder.join(".venv/bin/python");
    if !python.is_file() {
        lacking("FastAPI");
        return None;
    }
    Some(telling(Command::new(python).args(["server.py", variant]).current_dir(folder)))
}

/// A server that takes a free port and says which.
fn telling(command: &mut Command) -> Server {
    // Its standard input ends with us, however we end, and it with that.
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let port = line.trim().parse().unwrap_or_else(|_| panic!("it says no port: {line:?}"));
    Server { port, process, _folder: None }
}

/// nginx with this inside its `http` block; `{port}` is its port, `{folder}` its folder.
pub(crate) fn nginx(inside: &str) -> Option<Server> {
    let inside = inside.to_owned();
    configured("nginx", &["-v"], move |port, folder| {
        let path = folder.display();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|name| format!("{name}_temp_path {path}/{name};")).join(" ");
        let http =
            inside.replace("{port}", &port.to_string()).replace("{folder}", &path.to_string());
        let text = format!(
            "daemon off; error_log {path}/error.log; pid {path}/pid; worker_processes 1;\n\
             events {{}}\nhttp {{ access_log off; {temporary}\n{http}\n}}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-c", "nginx.conf"]);
        command
    })
}

/// Caddy with this Caddyfile; `{port}` is its port.
pub(crate) fn caddy(file: &str) -> Option<Server> {
    let file = file.to_owned();
    configured("caddy", &["version"], move |port, folder| {
        let global = "{\n admin off\n auto_https off\n}\n";
        let text = format!("{global}{}", file.replace("{port}", &port.to_string()));
        std::fs::write(folder.join("Caddyfile"), text).expect("a file");
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
        command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        command
    })
}

/// A server that must be told its port: a free one, which somebody else may take in between.
fn configured(
    program: &str,
    version: &[&str],
    command: impl Fn(u16, &Path) -> Command,
) -> Option<Server> {
    if Command::new(program).args(version).output().is_err() {
        lacking(program);
        return None;
    }
    let mut said = String::new();
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let log_file = folder.path().join("log");
        let log = std::fs::File::create(&log_file).expect("a log");
        let mut command = command(port, folder.path());
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut server = Server { port, process, _folder: Some(folder) };
        if server.listens() {
            return Some(server);
        }
        said = std::fs::read_to_string(&log_file).unwrap_or_default();
    }
    panic!("{program} did not start five times: {said}");
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a deadline of the test")]
    fn listens(&mut self) -> bool {
        let started = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while started.elapsed() < DEADLINE {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return false;
            }
            if TcpStream::connect(address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

/// As [`raw`], and it never hangs up: a body without a length goes on for ever.
pub(crate) fn endless(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    serving(answer, true)
}

/// A server of our own that speaks without any framework: what it says is up to the test.
pub(crate) fn raw(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    serving(answer, false)
}

fn serving(answer: impl Fn(&str) -> String + Send + Sync + 'static, stays: bool) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // Ends with the test's process; each connection is one question.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes());
            if stays {
                open.push(stream);
            }
        }
    });
    port
}
