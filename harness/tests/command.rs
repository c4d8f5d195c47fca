//! The binary as its users meet it: exit codes, messages, and what it leaves behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use withcreds_harness::browser::Engine;
use withcreds_harness::lab::Topology;
use withcreds_harness::prove::{Client, claims_for};

const DEADLINE: Duration = Duration::from_secs(30);

fn harness(args: &[&str], tmp: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_withcreds-harness"));
    command
        .args(args)
        .current_dir(root)
        .env("TMPDIR", tmp)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let tmp = tempfile::tempdir().expect("a folder");
    let Output { status, stdout, stderr } = harness(args, tmp.path()).output().expect("the binary");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code(), text)
}

/// The engines to test with; those that are not here are skipped, unless demanded.
fn engines() -> Vec<Engine> {
    let is_here = |engine: &Engine| {
        let found = engine.check(None);
        if let Err(error) = &found {
            assert!(!engine.is_demanded(), "{error}");
            eprintln!("skipped: {error}");
        }
        found.is_ok()
    };
    Engine::ALL.into_iter().filter(is_here).collect()
}

fn has_chromium() -> bool {
    engines().contains(&Engine::Chromium)
}

#[test]
fn help_has_examples_and_the_exit_codes() {
    let (code, text) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Examples:") && text.contains("Exit:"), "{text}");
    let (code, text) = run(&["prove", "--help"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("--controls") && text.contains("Examples:"), "{text}");
}

#[test]
fn usage_errors_exit_2() {
    for args in [&["prove", "--client", "curl"][..], &["prove", "--timeout", "0"], &["prof"], &[]] {
        assert_eq!(run(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn no_browser_exits_3_and_says_how_to_get_one() {
    let (code, text) = run(&["prove", "--chromium", "/nowhere/chromium", "--client", "fetch"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("/nowhere/chromium"), "{text}");
    let (code, text) = run(&["prove", "--chromium", "/bin/false", "--client", "fetch"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("did not start"), "{text}");
}

#[test]
fn without_the_page_it_exits_3() {
    let tmp = tempfile::tempdir().expect("a folder");
    let output = harness(&["prove", "--client", "fetch"], tmp.path())
        .current_dir(tmp.path())
        .output()
        .expect("the binary");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("frontend-fixture"), "{text}");
}

/// Processes that mention a folder in their command line or environment: browsers, their children
/// and their displays. Of each also the command line.
fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let needle = folder.to_string_lossy().into_owned();
    let read = |pid: u32, file: &str| {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_string_lossy().parse().ok())
        .map(|pid: u32| (pid, read(pid, "cmdline")))
        .filter(|(pid, line)| line.contains(&needle) || read(*pid, "environ").contains(&needle))
        .collect()
}

/// When a process began, in ticks since the machine did. Its number tells nothing: they begin anew
/// once all have been given out.
fn started(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in brackets, which may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a deadline of the test")]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill").success());
}

/// A long proof whose first requests are under way.
struct Proving {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Proving {
    fn start(tmp: &Path, engine: Engine) -> Self {
        let args = ["prove", "--controls", "--client", "fetch", "--engine", engine.id()];
        let mut child = harness(&args, tmp).spawn().expect("the binary");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr"));
        // Without a terminal this line comes when the browser is up and the proof begins.
        let mut line = String::new();
        while !line.contains("verdicts to come") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).expect("a line"), 0, "ended at once");
        }
        Self { child, stderr }
    }

    /// Exit code and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).expect("text");
        (self.child.wait().expect("an end").code(), text)
    }
}

fn assert_nothing_is_left(tmp: &Path) {
    wait_until("no process is left", || processes_of(tmp).is_empty());
    let left: Vec<_> = fs::read_dir(tmp).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    for engine in engines() {
        for name in ["INT", "TERM", "HUP"] {
            let tmp = tempfile::tempdir().expect("a folder");
            let run = Proving::start(tmp.path(), engine);
            // Ours, the browser, its children; in WebKitGTK also its driver and its display.
            assert!(processes_of(tmp.path()).len() > 3, "{engine:?}");
            signal(name, run.child.id());
            let (code, text) = run.end();
            assert_eq!(code, Some(130), "{engine:?} {name}: {text}");
            assert!(text.contains("are gone"), "{text}");
            assert_nothing_is_left(tmp.path());
        }
    }
}

#[test]
fn a_run_that_is_interrupted_at_its_start_leaves_nothing_behind() {
    for engine in engines() {
        for moment in ["its profile is there", "a process of its is there", "two are"] {
            let tmp = tempfile::tempdir().expect("a folder");
            let args = ["prove", "--client", "fetch", "--engine", engine.id()];
            let mut child = harness(&args, tmp.path()).spawn().expect("the binary");
            wait_until(moment, || match moment {
                "its profile is there" => fs::read_dir(tmp.path()).is_ok_and(|d| d.count() > 0),
                // Ours is the first of them.
                "a process of its is there" => processes_of(tmp.path()).len() > 1,
                _ => processes_of(tmp.path()).len() > 2,
            });
            signal("TERM", child.id());
            let code = child.wait().expect("an end").code();
            assert_eq!(code, Some(130), "{engine:?}, when {moment}");
            assert_nothing_is_left(tmp.path());
        }
    }
}

#[test]
fn a_browser_that_dies_half_way_exits_3() {
    for engine in engines() {
        let tmp = tempfile::tempdir().expect("a folder");
        let run = Proving::start(tmp.path(), engine);
        let browser = match engine {
            Engine::Chromium => "chrom",
            Engine::Firefox => "firefox",
            Engine::WebKit => "MiniBrowser",
        };
        // The oldest of them is the browser itself.
        let oldest = processes_of(tmp.path())
            .into_iter()
            .filter(|(pid, line)| *pid != run.child.id() && line.contains(browser))
            .map(|(pid, _)| pid)
            .min_by_key(|pid| started(*pid));
        signal("KILL", oldest.expect("a browser"));
        let (code, text) = run.end();
        assert_eq!(code, Some(3), "{engine:?}: {text}");
        assert!(text.contains("the browser died"), "{engine:?}: {text}");
        assert_nothing_is_left(tmp.path());
    }
}

#[test]
fn a_missing_engine_is_skipped_and_said_and_an_error_where_it_is_required() {
    if !has_chromium() {
        return;
    }
    let tmp = tempfile::tempdir().expect("a folder");
    let with = |args: &[&str]| {
        let args = [&["prove", "--client", "fetch", "--topology", "same-origin"], args].concat();
        let output = harness(&args, tmp.path())
            .env("FIREFOX", "/nowhere/firefox")
            .output()
            .expect("the binary");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, text) = with(&["--engine", "chromium,firefox"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Firefox skipped") && text.contains("/nowhere/firefox"), "{text}");
    for args in [&["--engine", "chromium,firefox", "--require"][..], &["--engine", "firefox"]] {
        let (code, text) = with(args);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("no Firefox found"), "{text}");
    }
}

#[test]
fn engines_says_which_are_here_and_how_to_get_the_rest() {
    let tmp = tempfile::tempdir().expect("a folder");
    let output = harness(&["engines"], tmp.path())
        .env("FIREFOX", "/nowhere/firefox")
        .output()
        .expect("the binary");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 3, "{text}");
    let firefox = text.lines().find(|line| line.starts_with("firefox")).expect("a line");
    assert!(firefox.contains("missing") && firefox.contains("apt-get install"), "{firefox}");
}

#[test]
fn json_is_one_document_without_secrets() {
    if !has_chromium() {
        return;
    }
    let tmp = tempfile::tempdir().expect("a folder");
    let args = [
        "prove",
        "--format",
        "json",
        "--client",
        "fetch",
        "--topology",
        "same-site",
        "--engine",
        "chromium",
    ];
    let output = harness(&args, tmp.path()).output().expect("the binary");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["summary"]["fail"], 0);
    let results = document["results"].as_array().expect("results");
    let asked = claims_for(Topology::SameSite, Client::Fetch).count();
    assert_eq!(results.len(), asked);
    assert!(results.iter().all(|r| r["verdict"] == "pass" && r["evidence"][0]["wire"].is_object()));
    let text = String::from_utf8_lossy(&output.stdout);
    let tokens = text.to_lowercase().matches("[\"x-csrf-token\",\"").count();
    assert!(tokens > 10, "the token's header is not in the evidence");
    assert_eq!(tokens, text.to_lowercase().matches("[\"x-csrf-token\",\"***\"]").count());
    let on_wire = text.matches("session=").count();
    assert!(on_wire > 10, "the cookie is not in the evidence");
    assert_eq!(
        on_wire,
        text.matches("session=***").count() + text.matches("session=;").count(),
        "{text}"
    );
}
