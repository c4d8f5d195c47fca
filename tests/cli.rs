//! The binary as its users meet it: output and exit codes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(args: &[&str], stdin: &str, folder: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_withcreds"))
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    child.stdin.take().expect("stdin").write_all(stdin.as_bytes()).expect("write");
    child.wait_with_output().expect("an end")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_has_examples() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        &["--help"][..],
        &["check", "--help"],
        &["hash-password", "--help"],
        &["keygen", "--help"],
        &["cors", "--help"],
        &["serve", "--help"],
    ] {
        let output = run(args, "", folder.path());
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Example"), "{args:?}");
    }
}

#[test]
fn completions_and_manual_know_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        let output = run(args, "", folder.path());
        let text = text(&output.stdout);
        assert!(output.status.success(), "{args:?}");
        for command in ["check", "keygen"] {
            assert!(text.contains(command), "{args:?}: {text}");
        }
    }
}

/// The same with a variable of the environment.
fn run_with(name: &str, value: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_withcreds"));
    command.args(args).env(name, value).output().expect("the binary")
}

#[test]
fn the_environment_overrides_and_print_config_shows_it() {
    let args = ["--print-config"];
    let output = run_with("WITHCREDS_SESSION__IDLE_TIMEOUT", "7m", &args);
    let shown = text(&output.stdout);
    assert!(output.status.success() && shown.contains("idle_timeout = \"7m\""), "{shown}");
    let key = "6lq0cOaN8Ck9u8ZGNkWlkcWzcCzVJXEGvGSzJk4K3VY";
    let shown = text(&run_with("WITHCREDS_SESSION__KEYS", key, &args).stdout);
    assert!(shown.contains("keys = \"***\"") && !shown.contains(key), "{shown}");
    let output = run_with("WITHCREDS_SESSION__IDLE_TIMEOUT", "soon", &["check"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("environment variable WITHCREDS_SESSION__IDLE_TIMEOUT"), "{said}");
}

#[test]
fn a_bad_configuration_exits_2_and_names_every_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("withcreds.toml");
    std::fs::write(
        &file,
        "[server]\npublic_origin = 'https://api.example.com'\n[cors]\nallow_origins = ['https://app.example.com/', '*.example.com']\nallow_methds = ['*']\n",
    )
    .expect("write");
    for args in [&["--config", "withcreds.toml"][..], &["check", "--config", "withcreds.toml"]] {
        let output = run(args, "", folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        insta::assert_snapshot!("bad_configuration", text(&output.stderr));
    }
    let output =
        run(&["check", "--config", "withcreds.toml", "--format", "json"], "", folder.path());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let codes: Vec<_> = json["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["code"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(codes, ["users_file_missing", "origin_not_canonical", "origin_star", "unknown_key"]);
}

#[test]
fn cors_explains_one_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = ["--origin", "http://localhost:3000"];
    for (args, want) in [
        (
            &["--preflight", "--method", "PUT", "--header", "X-B: 1", "--header", "X-A: 2"][..],
            r#"{"allowed":true,"headers":[["access-control-allow-origin","http://localhost:3000"],["access-control-allow-credentials","true"],["access-control-allow-methods","PUT"],["access-control-allow-headers","x-a,x-b"],["vary","Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]],"kind":"preflight","reason":"allowed","status":204}"#,
        ),
        (
            &["--method", "POST", "--header", "X-A: 2"],
            r#"{"allowed":true,"headers":[["access-control-allow-origin","http://localhost:3000"],["access-control-allow-credentials","true"],["access-control-expose-headers","x-csrf-token"],["vary","Origin"]],"kind":"actual","reason":"allowed","status":null}"#,
        ),
    ] {
        let all: Vec<_> = ["cors", "--format", "json"]
            .into_iter()
            .chain(origin)
            .chain(args.iter().copied())
            .collect();
        let output = run(&all, "", folder.path());
        assert_eq!((output.status.code(), text(&output.stdout).trim()), (Some(0), want));
    }
    let output = run(&["cors", "--origin", "https://evil.example"], "", folder.path());
    assert_eq!(text(&output.stdout), "actual: not allowed (origin_not_allowed)\nvary: Origin\n");
    // What no script can set, no preflight asks for: the answer says so instead of refusing it.
    let args = ["cors", "--preflight", "--header", "Cookie: a=b", "--header", "X-A: 1"];
    let args = [&args[..], &origin, &["--format", "json"]].concat();
    let output = run(&args, "", folder.path());
    assert_eq!(
        text(&output.stderr),
        "note: no script can set cookie, so no preflight asks for it\n"
    );
    assert!(text(&output.stdout).contains(r#"["access-control-allow-headers","x-a"]"#));
    for bad in [
        &["cors", "--header", "no colon"][..],
        &["cors", "--method", "a b"],
        &["cors", "--origin", "a\nb"],
    ] {
        assert_eq!(run(bad, "", folder.path()).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn check_without_mistakes() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&["check"], "", folder.path());
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (
            Some(0),
            "the configuration is good: http://localhost:8080 for 1 origin, with credentials\n"
        )
    );
}

#[test]
fn a_missing_file_and_a_bad_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    for (args, says) in [
        (&["--config", "nowhere.toml"][..], "nowhere.toml: cannot read the file"),
        (&["--confg", "x"], "unexpected argument"),
        (&["check", "--format", "xml"], "possible values: text, json"),
    ] {
        let output = run(args, "", folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_port_in_use_exits_1_with_the_mend() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let address = taken.local_addr().expect("an address");
    let config =
        format!("[server]\nlisten = ['{address}']\nadmin_listen = []\n[dev]\nenabled = true\n");
    std::fs::write(folder.path().join("c.toml"), config).expect("write");
    let output = run(&["--config", "c.toml"], "", folder.path());
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains(&address.to_string()) && stderr.contains("mend:"), "{stderr}");
}

#[test]
fn a_hash_that_the_users_file_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&["hash-password"], "correct horse\n", folder.path());
    let hash = text(&output.stdout);
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let users = format!("[[user]]\nusername = 'ada'\npassword = '{}'\n", hash.trim());
    let file = folder.path().join("users.toml");
    std::fs::write(&file, users).expect("write");
    assert_eq!(withcreds::LocalAccounts::read(&file).expect("accounts").len(), 1);
    assert_eq!(run(&["hash-password"], "\n", folder.path()).status.code(), Some(2));
}

#[test]
fn a_key_that_the_configuration_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys =
        [(); 2].map(|()| text(&run(&["keygen"], "", folder.path()).stdout).trim().to_owned());
    assert_ne!(keys[0], keys[1]);
    let config = format!("[session]\nkeys = {keys:?}\n[dev]\nenabled = true\n");
    std::fs::write(folder.path().join("c.toml"), config).expect("write");
    let output = run(&["check", "--config", "c.toml"], "", folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
