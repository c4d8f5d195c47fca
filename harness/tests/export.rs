//! `export` and `shrink` over the whole collection, and as their users meet them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;

use withcreds_harness::export::{curl, html, playwright, shrink};
use withcreds_harness::oracle::{Profile, predict};
use withcreds_harness::scenario::{Engine, Loaded, parse, understand};

/// Any time will do.
const NOW_MS: i64 = 1_800_000_000_000;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn collection() -> Vec<Loaded> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"), &mut found);
    let scenarios = found.iter().filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a file");
        parse(&path.display().to_string(), &text).expect("a scenario")
    };
    // A configuration file that a scenario names is the commands' to read.
    scenarios.map(read).filter(|l| l.scenario.backends.iter().all(|b| b.config.is_none())).collect()
}

fn profiles() -> Vec<&'static Profile> {
    Engine::ALL.into_iter().map(|engine| Profile::of(engine).expect("a profile")).collect()
}

fn run(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_withcreds-harness"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_scenario_can_be_handed_on() {
    let chromium = profiles()[0];
    let all = collection();
    assert!(all.len() > 150, "{}", all.len());
    let mut tests = 0;
    let mut scripts = String::new();
    for loaded in &all {
        let id = &loaded.scenario.id;
        scripts += &curl(loaded, chromium, NOW_MS);
        let page = html(loaded, chromium, NOW_MS);
        let steps = page.split("const steps = ").nth(1).and_then(|rest| rest.split(";\n").next());
        let steps: serde_json::Value = serde_json::from_str(steps.expect(id)).expect(id);
        assert_eq!(steps.as_array().map(Vec::len), Some(loaded.scenario.steps.len()), "{id}");
        for whole in ["{title}", "{page}", "{engine}", "{steps}", "{calls}"] {
            assert!(!page.contains(whole), "{id}: {whole}");
        }
        match playwright(loaded, chromium, NOW_MS) {
            Ok(test) => {
                tests += 1;
                for whole in [
                    "'{title}'",
                    "'{page}'",
                    "'{cookies}'",
                    "'{backends}'",
                    "'{steps}'",
                    "'{calls}'",
                ] {
                    assert!(!test.contains(whole), "{id}: {whole}");
                }
            }
            Err(why) => assert!(why.to_string().contains("try --as html"), "{id}: {why}"),
        }
    }
    assert!(tests > 60, "{tests}");
    // A shell understands all of it.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("all.sh"), scripts).expect("a file");
    let checked = Command::new("sh").args(["-n", "all.sh"]).current_dir(folder.path()).output();
    let checked = checked.expect("a shell");
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn curl_lines_ask_what_a_browser_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            let _ = tell.send(String::from_utf8_lossy(&head).to_ascii_lowercase());
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let case = format!(
        "schema = 1\nid = 'it-s'\ntitle = \"it's a title\"\npage = 'http://app.example.com'\n\
         [[backend]]\norigin = '{origin}'\n[[step]]\nurl = '{origin}/x?a=1&b=2'\nmethod = 'PUT'\n\
         headers = [['x-note', \"it's $HOME\"]]\nbody = \"it's\"\ncredentials = 'include'\n"
    );
    std::fs::write(folder.path().join("case.toml"), case).expect("a file");
    let output = run(&["export", "case.toml", "--as", "curl"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::write(folder.path().join("case.sh"), &output.stdout).expect("a file");
    let ran =
        Command::new("sh").arg("case.sh").current_dir(folder.path()).output().expect("a shell");
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let (preflight, actual) = (told.recv().expect("a preflight"), told.recv().expect("a request"));
    for (head, lines) in [
        (
            preflight,
            &[
                "options /x?a=1&b=2 ",
                "access-control-request-method: put\r",
                "access-control-request-headers: x-note\r",
                "origin: http://app.example.com\r",
            ][..],
        ),
        (
            actual,
            &[
                "put /x?a=1&b=2 ",
                "x-note: it's $home\r",
                "origin: http://app.example.com\r",
                "content-length: 4\r",
            ],
        ),
    ] {
        for line in lines {
            assert!(head.contains(line), "{line}: {head}");
        }
    }
}

#[test]
fn what_is_shrunk_ends_as_before() {
    let profiles = profiles();
    let size = |scenario: &_| toml::to_string(scenario).expect("TOML").len();
    for loaded in collection() {
        let id = loaded.scenario.id.clone();
        let small = shrink(&loaded, &profiles, NOW_MS);
        assert!(size(&small) <= size(&loaded.scenario), "{id}");
        let again = understand(small.clone()).unwrap_or_else(|wrong| panic!("{id}: {wrong:?}"));
        for profile in &profiles {
            let end = |loaded: &Loaded| {
                let outcome = predict(&loaded.case, profile, NOW_MS).pop().expect("a step").outcome;
                (
                    outcome.error,
                    outcome.readable,
                    outcome.status,
                    outcome.cookies_sent,
                    outcome.hops,
                )
            };
            assert_eq!(end(&loaded), end(&again), "{id} {:?}", profile.engine);
        }
        assert_eq!(shrink(&again, &profiles, NOW_MS), small, "{id}: once is enough");
    }
}

#[test]
fn nothing_is_left_that_does_not_matter() {
    let case = r#"
schema = 1
id = "big"
title = "somebody's whole evening"
page = "https://app.example.com"
tags = ["a"]
source = "a report"
[[cookie]]
host = "api.example.com"
set = "theme=dark; Path=/other"
[[backend]]
origin = "https://api.example.com"
[backend.preflight]
status = 204
headers = [["Access-Control-Allow-Origin", "{origin}"], ["Access-Control-Allow-Methods", "PUT"], ["Server", "x"], ["Access-Control-Allow-Headers", "x-a"]]
[backend.actual]
headers = [["X-Powered-By", "x"]]
body = "long"
[[backend]]
origin = "https://cdn.example.org"
[backend.actual]
body = "x"
[[step]]
url = "https://cdn.example.org/"
[[step]]
url = "https://api.example.com/items"
method = "PUT"
headers = [["x-a", "1"], ["x-b", "2"]]
body = "{}"
"#;
    let want = r#"schema = 1
id = "big"
title = "somebody's whole evening"
page = "https://app.example.com"
third_party_cookies = "default"

[[backend]]
origin = "https://api.example.com"

[backend.preflight]
headers = [["Access-Control-Allow-Origin", "{origin}"]]

[[step]]
url = "https://api.example.com/items"
headers = [["x-b", "2"]]
"#;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("big.toml"), case).expect("a file");
    let output = run(&["shrink", "big.toml"], folder.path());
    assert_eq!(text(&output.stdout), want, "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    for (args, says) in [
        (&["export", "nowhere", "--as", "curl"][..], "no such file"),
        (&["export", "omit-sends-nothing", "--as", "playwright"], "is a real server"),
        (
            &["export", "omit-sends-nothing", "--as", "word"],
            "possible values: curl, html, playwright",
        ),
        (&["shrink", "nowhere"], "no such file"),
    ] {
        let output = run(args, folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn examples_of_the_help_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = run(&["shrink", "acac-missing"], folder.path());
    std::fs::write(folder.path().join("case.toml"), first.stdout).expect("a file");
    for (command, count) in [("export", 3), ("shrink", 2)] {
        let help = text(&run(&[command, "--help"], folder.path()).stdout);
        let lines = help.lines().filter_map(|line| line.trim().strip_prefix("withcreds-harness "));
        let mut ran = 0;
        for line in lines {
            let line = line.split(" > ").next().unwrap_or_default();
            let args: Vec<_> = line.split_whitespace().collect();
            let output = run(&args, folder.path());
            assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
            assert!(!output.stdout.is_empty(), "{line}");
            ran += 1;
        }
        assert_eq!(ran, count, "{help}");
    }
}
