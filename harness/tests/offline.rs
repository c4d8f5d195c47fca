//! The commands that need no browser, as their users meet them: output and exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_withcreds-harness"))
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const CASE: &str = r#"
schema = 1
id = "mine"
title = "a page that reads what it may not"
page = "https://app.example.com"

[[backend]]
origin = "https://api.example.com"
[backend.actual]
headers = [["Access-Control-Allow-Origin", "*"]]

[[step]]
url = "https://api.example.com/"
credentials = "include"
expect = { readable = false, error = "acao-wildcard-with-credentials" }
"#;

#[test]
fn help_has_examples() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["predict", "list", "schema", "relation"] {
        let output = run(&[command, "--help"], folder.path());
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Examples:"), "{command}");
    }
}

#[test]
fn examples_of_the_help_work() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["predict", "list", "schema", "relation"] {
        let help = text(&run(&[command, "--help"], folder.path()).stdout);
        let lines = help.lines().filter_map(|line| line.trim().strip_prefix("withcreds-harness "));
        for line in lines {
            let line = line.split(" > ").next().unwrap_or_default();
            // What the examples name that only the reader has.
            if line.contains("case.toml")
                || line.contains("my-scenarios")
                || line.contains("harness/")
            {
                continue;
            }
            let args: Vec<_> = line.split_whitespace().collect();
            let output = run(&args, folder.path());
            assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
            assert!(!output.stdout.is_empty(), "{line}");
        }
    }
}

#[test]
fn a_prediction_says_what_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("case.toml"), CASE).expect("write");
    let output = run(&["predict", "case.toml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let human = text(&output.stdout);
    for part in [
        "mine  a page that reads what it may not",
        "✓ chromium, firefox, webkit, safari: sent without cookies, fails: acao-wildcard-with-credentials",
        "acac-missing: api.example.com does not say Access-Control-Allow-Credentials: true",
        "rule: Fetch, CORS check: https://fetch.spec.whatwg.org/#concept-cors-check",
    ] {
        assert!(human.contains(part), "{part}\n{human}");
    }

    let output = run(
        &["predict", "case.toml", "--engine", "firefox,chromium", "--format", "json"],
        folder.path(),
    );
    let document = json(&output);
    assert_eq!(document["schema"], 1);
    assert_eq!(document["summary"]["pass"], 2);
    let results = document["results"].as_array().expect("results");
    let engines: Vec<_> = results.iter().map(|r| r["engine"].as_str().unwrap_or("")).collect();
    assert_eq!(engines, ["chromium", "firefox"]);
    let first = &results[0];
    assert_eq!(first["scenario"], "mine");
    assert_eq!(first["step"], 0);
    assert_eq!(first["verdict"], "pass");
    assert_eq!(first["expected"]["readable"], false);
    assert_eq!(first["predicted"]["cors_error"], "WildcardOriginNotAllowed");
    assert_eq!(first["predicted"].as_object().map(serde_json::Map::len), Some(18));
    assert!(first["observed"].is_null());
    let why = &first["why"][0];
    assert_eq!(why["code"], "acao-wildcard-with-credentials");
    for key in ["text", "spec", "mend"] {
        assert!(why[key].as_str().is_some_and(|text| text.len() > 10), "{key}");
    }
}

#[test]
fn what_is_not_as_expected_exits_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = CASE.replace("readable = false", "readable = true");
    fs::write(folder.path().join("case.toml"), wrong).expect("write");
    let output = run(&["predict", "case.toml"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let human = text(&output.stdout);
    assert!(human.contains("readable: expected true, predicted false"), "{human}");
    assert!(human.ends_with("0 as expected, 4 not as expected\n"), "{human}");
}

#[test]
fn a_known_difference_of_an_engine_is_named_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    // By the standards a cookie without SameSite is Lax, and is refused across sites.
    let case = CASE
        .replace("https://api.example.com", "https://api.example.net")
        .replace("[backend.actual]", "[backend.actual]\nset_cookie = [\"a=1; Secure\"]")
        .replace("page =", "third_party_cookies = \"allow\"\npage =")
        .replace(
            "readable = false, error = \"acao-wildcard-with-credentials\"",
            "cookies_stored = []",
        );
    fs::write(folder.path().join("case.toml"), case).expect("write");
    let output = run(
        &["predict", "case.toml", "--engine", "chromium,firefox", "--format", "json"],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    let document = json(&output);
    assert_eq!(document["results"][0]["verdict"], "pass");
    assert_eq!(document["results"][1]["verdict"], "divergence");
    assert_eq!(document["summary"]["divergence"], 1);
}

#[test]
fn bad_files_exit_2_with_every_mistake_and_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong =
        CASE.replace("credentials = ", "credentails = ").replace("schema = 1", "schema = 2");
    fs::write(folder.path().join("case.toml"), wrong).expect("write");
    fs::write(folder.path().join("other.json"), "{").expect("write");
    let output = run(&["predict", "."], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    for part in [
        "case.toml:2:10: schema: expected a number from 1 to 1, found 2",
        "case.toml:14:1: step[0].credentails: unknown key: did you mean `credentials`?",
        "other.json:1:2: this is not valid JSON: expected a key in double quotes, found the end of the file",
        "3 mistakes",
    ] {
        assert!(errors.contains(part), "{part}\n{errors}");
    }
    let output = run(&["predict", "case.toml", "--format", "json"], folder.path());
    assert_eq!(json(&output)["problems"][0]["line"], 2);

    for args in [
        &["predict"][..],
        &["predict", "nowhere.toml"],
        &["predict", "case.toml", "--engine", "netscape"],
        &["relation", "https://app.example.com"],
        &["relation", "app.example.com", "https://api.example.com"],
    ] {
        let output = run(args, folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_backend_may_have_a_configuration_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let case = CASE
        .replace("[backend.actual]\n", "config = \"service.toml\"\n")
        .replace("headers = [[\"Access-Control-Allow-Origin\", \"*\"]]\n", "")
        .replace("https://api.example.com/\"", "https://api.example.com/api/auth/session\"")
        .replace(", error = \"acao-wildcard-with-credentials\"", "");
    fs::write(folder.path().join("case.toml"), case).expect("write");
    let output = run(&["predict", "case.toml"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("service.toml"), "{}", text(&output.stderr));
    for (origin, code) in [("https://other.example.com", 0), ("https://app.example.com", 1)] {
        let config = format!("[cors]\nallow_origins = ['{origin}']\n");
        fs::write(folder.path().join("service.toml"), config).expect("write");
        let output = run(&["predict", "case.toml"], folder.path());
        assert_eq!(output.status.code(), Some(code), "{origin}: {}", text(&output.stdout));
    }
}

#[test]
fn the_schema_is_valid_and_editors_may_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = json(&run(&["schema"], folder.path()));
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_collection_is_inside_the_binary() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = json(&run(&["list", "--format", "json"], folder.path()));
    let all = all["scenarios"].as_array().expect("scenarios");
    assert!(all.len() > 50);
    let tagged = json(&run(&["list", "--tag", "cross-site", "--format", "json"], folder.path()));
    let tagged = tagged["scenarios"].as_array().expect("scenarios");
    assert!(!tagged.is_empty() && tagged.len() < all.len());
    let human = text(&run(&["list"], folder.path()).stdout);
    assert!(human.contains("omit-sends-nothing"), "{human}");
}

#[test]
fn a_relation_answers_the_first_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let relation = |page: &str, backend: &str| {
        json(&run(&["relation", page, backend, "--format", "json"], folder.path()))
    };
    for (page, backend, same_origin, same_site, but_for_scheme) in [
        ("https://app.example.com/x", "https://app.example.com:443", true, true, false),
        ("http://localhost:3000", "http://localhost:8080", false, true, false),
        ("https://app.example.com", "https://api.example.com", false, true, false),
        ("http://shop.test", "https://shop.test", false, false, true),
        ("https://a.github.io", "https://b.github.io", false, false, false),
        ("http://localhost:3000", "http://127.0.0.1:8080", false, false, false),
    ] {
        let report = relation(page, backend);
        assert_eq!(report["same_origin"], same_origin, "{page} {backend}");
        assert_eq!(report["same_site"], same_site, "{page} {backend}");
        assert_eq!(report["same_site_but_for_scheme"], but_for_scheme, "{page} {backend}");
        assert_eq!(report["needs_cors"], !same_origin, "{page} {backend}");
    }
    let report = relation("https://app.example.com", "https://api.example.net");
    assert_eq!(report["third_parties"].as_array().map(Vec::len), Some(4));
    let cookie = |attributes: &str| {
        let cookies = report["cookies"].as_array().expect("cookies");
        let found = cookies.iter().find(|c| c["attributes"] == attributes).expect("it is there");
        let engines = found["engines"].as_array().expect("engines");
        engines.iter().map(|e| e["works"].as_bool().unwrap_or(false)).collect::<Vec<_>>()
    };
    assert_eq!(cookie("SameSite=Lax; Secure"), [false; 4]);
    assert_eq!(cookie("SameSite=None; Secure; Partitioned"), [true, true, false, true]);
    let human =
        text(&run(&["relation", "http://shop.test", "https://shop.test"], folder.path()).stdout);
    assert!(human.contains("but for the scheme"), "{human}");
}
