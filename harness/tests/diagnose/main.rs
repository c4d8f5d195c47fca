//! `diagnose` on recordings that real browsers made, and on lines copied from them.
//!
//! `hars/chrome*.har` were written by the exporter of DevTools in Chromium 156, `firefox.har` by that
//! of Firefox 153 (`devtools.netmonitor.har.enableAutoExportToFile`), of one page that makes ten calls:
//! eight fail, or do not get what they want. Chromium's network let nobody listen on port 81.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(args: &[&str], input: &str, folder: &Path) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_withcreds-harness"))
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that stops at a usage error reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn diagnose(args: &[&str], input: &str) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    run(&[&["diagnose"], args].concat(), input, folder.path())
}

fn har(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnose/hars").join(name)
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(har(name)).expect("a recording");
    serde_json::from_str(&text).expect("JSON")
}

/// `METHOD path: severity code, …` of each diagnosis.
fn told(document: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let one = |diagnosis: &Value| {
        let url = text(&diagnosis["call"]["url"]);
        let path = url.split("://").nth(1).and_then(|rest| rest.split_once('/'));
        let findings = diagnosis["findings"].as_array().expect("findings");
        let codes: Vec<_> = findings
            .iter()
            .map(|f| format!("{} {}", text(&f["severity"]), text(&f["code"])))
            .collect();
        let path = path.map_or("", |(_, path)| path);
        format!("{} /{path}: {}", text(&diagnosis["call"]["method"]), codes.join(", "))
    };
    document["diagnoses"].as_array().expect("diagnoses").iter().map(one).collect()
}

fn document(value: &Value) -> (Option<i32>, Value) {
    let said = diagnose(&["--format", "json"], &value.to_string());
    let document = serde_json::from_str(&said.out);
    (said.code, document.unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err)))
}

const CORS: [&str; 5] = [
    "GET /wildcard: error acao-wildcard-with-credentials, error acac-missing",
    "GET /bare: error acao-missing",
    "PUT /preflight-401: error preflight-auth-401",
    "POST /header-not-listed: error preflight-header-not-allowed",
    "GET /to-login: error idp-redirect-in-fetch",
];
const COOKIES: [&str; 2] = [
    "POST /login: warning samesite-none-without-secure",
    "GET /me: error samesite-none-without-secure",
];

#[test]
fn recordings_of_real_browsers_tell_the_cause() {
    let refused = "GET /refused: error connection-refused-wrong-port";
    let bare = |path: &str| format!("GET {path}: error error-response-without-cors-headers");
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for (name, recorder, sanitized, want) in [
        (
            "chrome.har",
            "Chrome or another Chromium",
            false,
            [owned(&CORS), owned(&COOKIES), vec![refused.to_owned(), bare("/")]].concat(),
        ),
        (
            // Without cookies the 401 stays unexplained, and is told all the same.
            "chrome-sanitized.har",
            "Chrome or another Chromium",
            true,
            [
                owned(&CORS),
                vec!["GET /me: info local-network-access-denied".to_owned()],
                vec![refused.to_owned(), bare("/")],
            ]
            .concat(),
        ),
        (
            "firefox.har",
            "Firefox 153.7.0",
            false,
            [owned(&CORS), owned(&COOKIES), vec![bare("/refused"), bare("/")]].concat(),
        ),
    ] {
        let (code, document) = document(&read(name));
        assert_eq!(told(&document), want, "{name}");
        assert_eq!(code, Some(1));
        assert_eq!(
            (&document["recorder"], &document["sanitized"]),
            (&json!(recorder), &json!(sanitized))
        );
        assert_eq!(document["cross_origin_calls"], 10, "{name}");
    }
}

#[test]
fn the_credentials_mode_is_told_by_what_happened() {
    let (_, document) = document(&read("chrome.har"));
    let mode = |path: &str| {
        let all = document["diagnoses"].as_array().expect("diagnoses");
        let ends = |d: &&Value| d["call"]["url"].as_str().is_some_and(|url| url.ends_with(path));
        all.iter().find(ends).expect(path)["call"]["credentials"].clone()
    };
    // A * fails with credentials only; the cookies of the login travel later.
    assert_eq!((mode("/wildcard"), mode("/bare")), (json!("include"), json!("same-origin")));
    assert_eq!(mode("/login"), "include");
}

#[test]
fn scenarios_repeat_what_was_recorded_and_hold_no_secret() {
    for name in ["chrome.har", "chrome-sanitized.har", "firefox.har"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = har(name);
        let path = path.to_str().expect("a path");
        for (out, all) in [("case.toml", "*.toml"), ("case.json", "*.json")] {
            let said = run(&["diagnose", path, "--scenario", out], "", folder.path());
            assert_eq!(said.code, Some(1), "{}", said.err);
            assert!(!said.out.contains("secret-"), "{name}: {}", said.out);
            let written = said.err.lines().filter(|line| line.starts_with("wrote ")).count();
            assert!(written >= 8, "{name} {all}: {}", said.err);
        }
        for entry in std::fs::read_dir(folder.path()).expect("a folder") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file");
            assert!(!text.contains("secret-"), "{name}: {text}");
        }
        let said = run(&["predict", "."], "", folder.path());
        assert_eq!(said.code, Some(0), "{name}: {}{}", said.out, said.err);
        let json = run(&["diagnose", path, "--format", "json"], "", folder.path());
        assert!(!json.out.contains("secret-"), "{name}");
    }
}

#[test]
fn what_works_is_no_finding() {
    for name in ["chrome.har", "firefox.har"] {
        let mut good = read(name);
        let entries = good["log"]["entries"].as_array_mut().expect("entries");
        let url = |entry: &Value| entry["request"]["url"].as_str().expect("a URL").to_owned();
        entries.retain(|e| url(e).contains("/good") || url(e).contains("app.example.com"));
        let (code, document) = document(&good);
        assert_eq!((code, told(&document)), (Some(0), Vec::new()), "{name}");
        assert_eq!(document["cross_origin_calls"], 1);
    }
}

#[test]
fn a_call_that_fails_again_and_again_is_told_once() {
    let mut twice = read("chrome.har");
    let entries = twice["log"]["entries"].as_array_mut().expect("entries");
    entries.extend(entries.clone());
    let (_, document) = document(&twice);
    let first = &document["diagnoses"][0];
    assert_eq!((&first["times"], told(&document).len()), (&json!(2), 9));
}

/// One entry, in Chrome's form where nothing else is said.
fn recording(creator: &str, browser: &Value, entries: &Value) -> Value {
    json!({ "log": { "version": "1.2", "creator": { "name": creator, "version": "1.0" },
        "browser": browser, "entries": entries } })
}

#[test]
fn other_recorders_are_understood() {
    let asked = |method: &str, headers: &Value| json!({ "method": method, "url": "https://api.example.net/x", "headers": headers });
    let from = json!([{ "name": "Origin", "value": "https://app.example.com" }]);
    let typed = json!([{ "name": "Origin", "value": "https://app.example.com" },
        { "name": "X-Csrf", "value": "1" }]);
    let origin = "Access-Control-Allow-Origin";
    for (case, creator, browser, request, response, want, gap) in [
        (
            "Safari marks no failure and records no preflight",
            "WebKit Web Inspector",
            Value::Null,
            asked("GET", &from),
            json!({ "status": 200, "headers": [], "cookies": [] }),
            "GET /x: error acao-missing",
            "credentials mode",
        ),
        (
            "Safari, preflight failed",
            "WebKit Web Inspector",
            Value::Null,
            asked("PUT", &typed),
            json!({ "status": 0, "headers": [] }),
            "PUT /x: ",
            "Safari records no preflights",
        ),
        (
            "Playwright marks failures by a status of -1",
            "Playwright",
            json!({ "name": "chromium", "version": "1" }),
            asked("GET", &from),
            json!({ "status": -1, "headers": [], "_failureText": "net::ERR_CERT_DATE_INVALID" }),
            "GET /x: error tls-untrusted-certificate",
            "credentials mode",
        ),
        (
            "an extension",
            "WebInspector",
            Value::Null,
            asked("GET", &from),
            json!({ "status": 0, "headers": [], "_error": "net::ERR_BLOCKED_BY_CLIENT" }),
            "GET /x: error blocked-by-client",
            "console",
        ),
        (
            "headers that would do, and a failure all the same",
            "WebInspector",
            Value::Null,
            asked("GET", &from),
            json!({ "status": 200, "headers": [{ "name": origin, "value": "*" }],
                "_error": "net::ERR_FAILED" }),
            "GET /x: error acao-wildcard-with-credentials, error acac-missing",
            "it is include",
        ),
        (
            "a preflight from the cache, and an answer",
            "Firefox",
            json!({ "name": "Firefox", "version": "1" }),
            asked("PUT", &typed),
            json!({ "status": 200, "headers": [{ "name": origin, "value": "https://other.example" }] }),
            "PUT /x: error acao-origin-mismatch",
            "preflight cache",
        ),
        (
            "401, no cookie",
            "WebInspector",
            Value::Null,
            asked(
                "GET",
                &json!([{ "name": "Origin", "value": "https://app.example.com" },
                { "name": "Authorization", "value": "Basic x" }]),
            ),
            json!({ "status": 401, "headers": [{ "name": origin, "value": "*" }] }),
            "GET /x: warning client-credentials-not-enabled",
            "not include",
        ),
    ] {
        let entries = json!([{ "request": request, "response": response, "time": null }]);
        let (code, document) = document(&recording(creator, &browser, &entries));
        assert_eq!(told(&document), [want], "{case}: {document:#}");
        assert_eq!(code, Some(1), "{case}");
        let gaps = document["diagnoses"][0]["not_shown"].to_string();
        assert!(gaps.contains(gap), "{case}: {gaps}");
    }
}

#[test]
fn odd_fields_are_tolerated_and_odd_files_are_not() {
    let odd = json!({ "log": { "creator": 5, "pages": {}, "entries": [
        {}, { "request": null, "response": null },
        { "request": { "method": 1, "url": "data:,x", "headers": "none" } },
        { "request": { "method": "GET", "url": "https://a.test/", "headers": [{ "name": null }] },
          "response": { "status": "200", "headers": null }, "serverIPAddress": "x" },
    ], "_extra": true } });
    let (code, document) = document(&odd);
    assert_eq!((code, told(&document)), (Some(0), Vec::new()));
    for (input, says) in [
        ("{\"log\": {\"entries\": [", "line 1, column 21: EOF"),
        ("{\"log\": {}}", "no `log.entries`"),
        ("{}", "no `log.entries`"),
        ("wget https://a.test", "copied as cURL"),
    ] {
        let said = diagnose(&[], input);
        assert_eq!(said.code, Some(2), "{input}");
        assert!(said.err.contains(says), "{input}: {}", said.err);
    }
    assert_eq!(diagnose(&["nowhere.har"], "").code, Some(2));
    assert_eq!(diagnose(&["--origin", "app"], "").code, Some(2));
}

#[test]
fn copied_lines_tell_what_the_browser_will_do() {
    let page = ["--origin", "https://app.example.com"];
    for (line, more, code, says) in [
        (
            "curl 'https://api.example.com/items?token=s3cret' \\\n  -X PUT -H 'content-type: application/json' \\\n  -H 'Origin: https://app.example.com' -H 'Authorization: Bearer s3cret' \\\n  -b 'sid=s3cret' --data-raw '{\"a\":1}' --compressed",
            &[][..],
            0,
            &[
                "needs a preflight, for PUT with authorization, content-type",
                "credentials include",
                "cookies in the line: sid",
            ][..],
        ),
        (
            "curl -sS https://api.example.com/ -d a=1",
            &page,
            0,
            &["POST https://api.example.com/", "needs no preflight"],
        ),
        (
            "curl -I https://app.example.com/x",
            &page,
            0,
            &["HEAD", "one origin: CORS plays no part"],
        ),
        (
            "fetch(\"http://api.example.com/x\", {\"headers\":{},\"referrer\":\"https://app.example.com/\",\"method\":\"GET\",\"mode\":\"cors\",\"credentials\":\"include\"}).then(r => r.json());",
            &[],
            1,
            &["error  mixed-content", "mend: "],
        ),
        (
            "await fetch('https://api.example.com', {mode: 'no-cors',})",
            &page,
            1,
            &["no-cors-opaque"],
        ),
        (
            "fetch('https://api.example.com', {mode: 'same-origin'})",
            &page,
            1,
            &["request-mode-same-origin"],
        ),
        ("fetch('https://api.example.com:6000/')", &page, 1, &["dns-failure-or-bad-port"]),
    ] {
        let said = diagnose(more, line);
        assert_eq!(said.code, Some(code), "{line}: {}{}", said.out, said.err);
        for part in says {
            assert!(said.out.contains(part), "{line}: {}", said.out);
        }
        assert!(said.out.contains("withcreds-harness doctor "), "{line}: {}", said.out);
        assert!(!said.out.contains("s3cret"), "{}", said.out);
    }
    for (line, says) in [
        ("curl https://api.example.com", "--origin https://app.example.com"),
        ("curl 'https://api.example.com", "a quote is never closed"),
        ("curl -X POST", "no address"),
        ("fetch(url, {})", "without variables"),
        ("fetch(`https://a.test`, { body: JSON.stringify(x) })", "without variables"),
        ("fetch('/items')", "expected an address"),
    ] {
        let with: &[&str] = if line.starts_with("fetch('/") { &page } else { &[] };
        let said = diagnose(with, line);
        assert_eq!(said.code, Some(2), "{line}: {}", said.out);
        assert!(said.err.contains(says), "{line}: {}", said.err);
    }
}

#[test]
fn a_copied_line_becomes_a_scenario() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "fetch('https://api.example.com/x', {method: 'PUT', headers: {'x-csrf-token': 's3cret'}, credentials: 'include'})";
    let args = ["diagnose", "--origin", "https://app.example.com", "--scenario", "case.toml"];
    assert_eq!(run(&args, line, folder.path()).code, Some(0));
    let text = std::fs::read_to_string(folder.path().join("case.toml")).expect("a file");
    assert!(!text.contains("s3cret") && text.contains("x-csrf-token"), "{text}");
    let said = run(&["predict", "case.toml", "--format", "json"], "", folder.path());
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(document["results"][0]["predicted"]["readable"], true, "{}", said.out);
    assert_eq!(document["results"][0]["predicted"]["acrh"], "x-csrf-token");
}

#[test]
fn the_examples_of_the_help_work() {
    let help = diagnose(&["--help"], "").out;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(har("chrome.har"), folder.path().join("app.example.com.har")).expect("a copy");
    let mut ran = 0;
    for line in help.lines().filter_map(|line| line.trim().strip_prefix("withcreds-harness ")) {
        let line = line.split(" < ").next().unwrap_or_default();
        let args: Vec<_> = line.split_whitespace().collect();
        let said = run(&args, "curl https://api.example.com/", folder.path());
        let want = i32::from(line.contains(".har"));
        assert_eq!(said.code, Some(want), "{line}: {}", said.err);
        ran += 1;
    }
    assert_eq!(ran, 4);
}

/// A recording comes from somebody else: what it says must not act, on the terminal or in the line
/// that is to be pasted.
#[test]
fn a_hostile_recording_stays_text() {
    let mut file = read("chrome.har");
    file["log"]["creator"]["name"] = json!("\u{1b}]0;title\u{7}");
    for entry in file["log"]["entries"].as_array_mut().expect("entries") {
        let url = entry["request"]["url"].as_str().expect("an address").to_owned();
        if url.ends_with("/bare") {
            entry["response"]["_error"] = json!("net::ERR_FAILED\u{1b}[2J");
            for header in entry["request"]["headers"].as_array_mut().expect("headers") {
                if header["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case("origin")) {
                    header["value"] = json!("https://a;b.example.com");
                }
            }
        }
        if url.ends_with("/wildcard") {
            entry["request"]["method"] = json!("GET; touch hacked");
        }
    }
    let said = diagnose(&[], &file.to_string());
    assert_eq!(said.code, Some(1), "{}", said.err);
    let all = said.out + &said.err;
    assert!(!all.contains(['\u{1b}', '\u{7}']) && !all.contains("hacked"), "{all}");
    assert!(all.contains("--origin 'https://a;b.example.com'"), "{all}");
}

#[test]
fn an_address_that_is_none_is_shown_without_its_secrets() {
    let line = "curl 'ftp://user:hunter2@h.example/?token=hunter2' -H 'Origin: https://a.example'";
    let said = diagnose(&[], line);
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    assert!(said.err.contains("h.example") && !said.err.contains("hunter2"), "{}", said.err);
}
