//! Signals, as the binary takes them: SIGHUP puts another CORS policy in force, SIGTERM ends.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

const OLD: &str = "https://old.example.com";
const NEW: &str = "https://new.example.com";

/// The binary with a configuration file of its own.
struct Service {
    process: Child,
    /// `None`: closed, as when a terminal goes.
    log: Option<BufReader<ChildStderr>>,
    address: String,
    file: PathBuf,
    /// Kept open: the service goes on printing after its address.
    _said: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(cors: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("withcreds.toml");
        write(&file, cors);
        let mut process = Command::new(env!("CARGO_BIN_EXE_withcreds"))
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let log = process.stderr.take().map(BufReader::new);
        let mut said = BufReader::new(process.stdout.take().expect("stdout")).lines();
        let address = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.trim().strip_prefix("listening ").map(str::to_owned))
            .expect("the port is announced");
        Self { process, log, address, file, _said: said, _folder: folder }
    }

    /// Reads the log up to a line that holds this text.
    fn log_until(&mut self, text: &str) -> String {
        let log = self.log.as_mut().expect("an open log");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = log.read_line(&mut line).expect("the log");
            assert!(read > 0, "the log ended before {text:?}: {seen}");
            if line.contains(text) {
                return line.trim_end().to_owned();
            }
            seen.push_str(&line);
        }
    }

    fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, which: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([which, &pid]).status().expect("kill").success());
    }

    fn grants(&self, origin: &str) -> bool {
        let answer = self.ask("GET", &format!("Origin: {origin}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        answer.contains(&format!("access-control-allow-origin: {origin}\r\n"))
    }

    fn preflight(&self, origin: &str) -> String {
        self.ask("OPTIONS", &format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n"))
    }

    fn ask(&self, method: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        let request = format!(
            "{method} /api/auth/session HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write(file: &PathBuf, cors: &str) {
    let text = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\n[cors]\n{cors}\n[session]\ndangerous_allow_cross_site = true\n[dev]\nenabled = true\n"
    );
    std::fs::write(file, text).expect("write");
}

#[test]
fn a_good_policy_replaces_the_old_one_and_a_bad_one_does_not() {
    let mut service = Service::start(&format!("allow_origins = ['{OLD}']"));
    assert_eq!((service.grants(OLD), service.grants(NEW)), (true, false));

    write(&service.file, &format!("allow_origins = ['{NEW}']"));
    service.hang_up();
    let line = service.log_until("was reloaded");
    assert!(line.contains("1 origin, with credentials"), "{line}");
    assert!(line.contains("withcreds::audit") && line.contains("policy_reloaded"), "{line}");
    assert_eq!((service.grants(OLD), service.grants(NEW)), (false, true));

    write(
        &service.file,
        "allow_origins = ['*', 'https://x.example.com/']\nallow_credentials = true",
    );
    service.hang_up();
    for part in ["browsers refuse `*`", "it ends in a slash", "the old one stays in force"] {
        service.log_until(part);
    }
    assert_eq!((service.grants(OLD), service.grants(NEW)), (false, true));

    write(&service.file, &format!("allow_origins = ['{OLD}']\ndebug = true"));
    service.hang_up();
    service.log_until("was reloaded");
    let origin = format!("https://\u{e9}{}", "a".repeat(300));
    let answer = service.preflight(&origin);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let line = service.log_until("preflight refused");
    let shown = format!(r"https://\\xc3\\xa9{}...", "a".repeat(190));
    assert!(line.contains(&shown), "{line}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut service = Service::start(&format!("allow_origins = ['{OLD}']\ndebug = true"));
    service.log = None;
    for cors in
        ["allow_origins = ['nonsense']", &format!("allow_origins = ['{NEW}']\ndebug = true")]
    {
        write(&service.file, cors);
        service.hang_up();
    }
    // Nothing tells when: the answer does.
    assert!((0..100_000).any(|_| service.grants(NEW)), "the policy is never reloaded");
    let answer = service.preflight("https://evil.example");
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("x-cors-reason"), "{answer}");
}

#[test]
fn the_first_signal_waits_for_what_runs_and_the_second_does_not() {
    let mut service = Service::start(&format!("allow_origins = ['{OLD}']"));
    service.signal("-TERM");
    assert_eq!(service.process.wait().expect("an end").code(), Some(0));

    let mut service = Service::start(&format!("allow_origins = ['{OLD}']"));
    let mut running = TcpStream::connect(&service.address).expect("connect");
    let head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    running.write_all(head.as_bytes()).expect("send");
    running.read_exact(&mut [0; 25]).expect("100 Continue: the request runs");
    service.signal("-TERM");
    while TcpStream::connect(&service.address).is_ok() {}
    assert!(service.process.try_wait().expect("a state").is_none(), "it waits");
    service.signal("-TERM");
    assert_eq!(service.process.wait().expect("an end").code(), Some(1));
}

/// As systemd hears it (sd_notify(3)).
#[test]
#[cfg(target_os = "linux")]
fn the_supervisor_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let supervisor = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    let mut process = Command::new(env!("CARGO_BIN_EXE_withcreds"))
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "100000")
        .env("WITHCREDS_SERVER__LISTEN", "127.0.0.1:0")
        .env("WITHCREDS_SERVER__ADMIN_LISTEN", "[]")
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let heard = || {
        let mut message = [0; 256];
        let read = supervisor.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..read]).trim_end().to_owned()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!([heard(), heard()], ["WATCHDOG=1", "WATCHDOG=1"]);
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    while heard() != "STOPPING=1" {}
    assert!(process.wait().expect("an end").success());
}
