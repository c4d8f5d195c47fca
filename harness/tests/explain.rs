//! `explain` as its users meet it: exit codes, formats, and the examples of its help.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run_with(args: &[&str], input: Option<&[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_withcreds-harness"))
        .args(args)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    if let Some(input) = input {
        // It may have read enough before the end.
        let _ = child.stdin.take().expect("stdin").write_all(input);
    }
    child.wait_with_output().expect("an end")
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run_with(args, None);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn codes(stdout: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(stdout).expect("one document");
    let matches = document["matches"].as_array().expect("matches");
    matches.iter().map(|m| m["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn a_code_is_explained_in_full() {
    let (code, out, err) = run(&["explain", "acao-missing"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in [
        "acao-missing",
        "You see",
        "Because",
        "In the page",
        "On the server",
        "withcreds",
        "nginx",
        "Express",
        "FastAPI",
        "Spring",
        "ASP.NET",
        "Or is it",
        "https://fetch.spec.whatwg.org/#concept-cors-check",
        "harness/scenarios/bugs/acao-missing.toml",
        "harness/scenarios/bugs/acao-missing-mended.toml",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert!(!out.contains('\x1b'), "no colour without a terminal");
    let long = out.lines().filter(|line| line.chars().count() > 100 && !line.contains("https://"));
    assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_pasted_line_is_answered_with_its_values() {
    let line = "app.js:12 Access to fetch at 'https://api.example.com/items' from origin \
                'https://app.example.com' has been blocked by CORS policy: The \
                'Access-Control-Allow-Origin' header has a value 'https://www.example.com' that is \
                not equal to the supplied origin. Have the server send the header with a valid value.";
    let (code, out, _) = run(&["explain", line]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("acao-origin-mismatch"), "{out}");
    let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains("Your page https://app.example.com is not https://www.example.com"),
        "{out}"
    );
}

#[test]
fn what_is_not_cors_is_said_first() {
    let (_, out, _) = run(&["explain", "CORS request did not succeed"]);
    assert!(out.contains("Not CORS"), "{out}");
    for other in ["tls-untrusted-certificate", "dns-failure-or-bad-port", "blocked-by-client"] {
        assert!(out.split("It could also be").nth(1).expect("others").contains(other), "{out}");
    }
    let (_, out, _) = run(&["explain", "acac-missing"]);
    assert!(!out.contains("Not CORS"), "{out}");
}

#[test]
fn several_lines_are_told_from_candidates() {
    let lines = "Method PUT is not allowed by Access-Control-Allow-Methods in preflight response.\n\
                 Cookie “sid” has been rejected for invalid prefix.";
    let (_, out, _) = run(&["explain", lines]);
    let (also, instead) = out.split_once("It could also be").expect("candidates");
    let also = also.split_once("Also in this text").expect("another line").1;
    assert!(out.starts_with("preflight-method-not-allowed"), "{out}");
    assert!(also.contains("cookie-prefix-violation"), "{out}");
    assert!(instead.contains("wildcard-headers-methods-with-credentials"), "{out}");
}

#[test]
fn json_is_one_document_best_first() {
    let (code, out, _) = run(&[
        "explain",
        "--format",
        "json",
        "CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 500.",
    ]);
    assert_eq!(code, Some(0));
    let document: Value = serde_json::from_str(&out).expect("one document");
    let best = &document["matches"][0];
    assert_eq!(best["code"], "error-response-without-cors-headers");
    assert_eq!(best["score"], 100);
    assert_eq!(best["not_cors"], false);
    assert_eq!(best["values"]["status"], "500");
    assert!(best["title"].is_string() && best["mend"]["server"]["nginx"].is_string());
    assert_eq!(best["scenarios"]["broken"], "bugs/error-response-without-cors-headers.toml");
    let scores: Vec<_> = document["matches"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| m["score"].as_u64())
        .collect();
    assert!(scores.len() > 1 && scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
}

#[test]
fn nothing_found_exits_1_and_says_what_to_try() {
    let (code, out, err) = run(&["explain", "the quick brown fox"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("nothing in the catalogue fits") && err.contains("console"), "{err}");
    let (code, out, _) = run(&["explain", "--format", "json", "the quick brown fox"]);
    assert_eq!((code, out.trim()), (Some(1), "{\"matches\":[]}"));
}

#[test]
fn usage_errors_exit_2() {
    for args in [&["explain", "--format", "xml", "x"][..], &["explain", "--nonsense"]] {
        assert_eq!(run(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn alone_it_lists_all() {
    let (code, out, _) = run(&["explain"]);
    assert_eq!(code, Some(0));
    let (_, json, _) = run(&["explain", "--format", "json"]);
    let codes = codes(&json);
    assert!(codes.len() >= 68);
    for id in codes {
        assert!(out.contains(&format!("  {id} ")), "{id}");
    }
    assert!(out.contains("explain ID"), "how to go on");
}

#[test]
fn words_need_no_quotes_and_standard_input_is_read() {
    let (code, out, _) = run(&["explain", "works", "in", "postman"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("non-browser-client-ignores-cors"), "{out}");
    let log = b"12:00:01 GET /x 200\n12:00:02 Cookie \xe2\x80\x9csid\xe2\x80\x9d has been rejected for invalid domain.\n\xff\xfe";
    let output = run_with(&["explain", "-"], Some(log));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"cookie-domain-invalid"));
}

#[test]
fn huge_input_is_cut_and_said() {
    let mut log = b"Failed to load resource: net::ERR_CERT_DATE_INVALID\n".to_vec();
    log.resize(3 << 20, b'x');
    let output = run_with(&["explain", "-"], Some(&log));
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"tls-untrusted-certificate"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("only the first 1024 KiB"));
}

/// The command lines of the help, as a shell would split them.
fn examples() -> Vec<Vec<String>> {
    let (_, help, _) = run(&["explain", "--help"]);
    let lines = help.lines().map(str::trim).filter(|l| l.starts_with("withcreds-harness explain"));
    lines
        .filter(|line| !line.contains(" < "))
        .map(|line| {
            let mut words = vec![String::new()];
            let mut quoted = false;
            for c in line.chars() {
                match c {
                    '"' => quoted = !quoted,
                    ' ' if !quoted => words.push(String::new()),
                    c => words.last_mut().expect("a word").push(c),
                }
            }
            words
        })
        .collect()
}

#[test]
fn the_examples_of_the_help_work() {
    let examples = examples();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let args: Vec<_> = example[1..].iter().map(String::as_str).collect();
        let (code, out, err) = run(&args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        assert!(!out.is_empty(), "{args:?}");
    }
}
