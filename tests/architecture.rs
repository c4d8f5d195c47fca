//! The arrows of `docs/architecture.md`, as tests: what may import what, and what the service is
//! built from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") {
            files.push(entry);
        }
    }
    files
}

/// First segments of `use` paths, and `crate::x` for our own.
fn imports(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).expect("a file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(|line| line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub "))
        .filter_map(|line| line.strip_prefix("use "))
        .map(|path| {
            let mut segments = path.split("::").map(|s| s.trim_end_matches(';'));
            match (segments.next().unwrap_or(""), segments.next()) {
                ("crate", Some(many)) if many.starts_with('{') => {
                    panic!("one `use` a module: {path}")
                }
                ("crate", Some(second)) => format!("crate::{second}"),
                (first, _) => first.to_owned(),
            }
        })
        .collect()
}

fn source(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)
}

#[test]
fn policy_decides_and_knows_nothing_else() {
    let allowed = [
        "std",
        "base64",
        "cookie",
        "crate::policy",
        "foldhash",
        "hmac",
        "ipnet",
        "psl",
        "self",
        "http",
        "serde",
        "sha2",
        "super",
        "thiserror",
        "url",
    ];
    let files = rust_files(&source("policy"));
    assert!(files.len() >= 6, "the folder moved: {files:?}");
    for file in files.iter().filter(|f| !f.ends_with("tests.rs")) {
        let strangers: Vec<_> =
            imports(file).into_iter().filter(|i| !allowed.contains(&i.as_str())).collect();
        assert!(strangers.is_empty(), "{}: {strangers:?}", file.display());
        let text = fs::read_to_string(file).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in
            ["async ", "SystemTime", "Instant", "rand::", "std::io", "std::net::Tcp", "println!"]
        {
            assert!(!code.contains(word), "{}: {word}", file.display());
        }
    }
}

/// The door takes the headers out of the request: warp's own header filters would find none.
#[test]
fn headers_are_read_at_the_door_only() {
    for file in rust_files(&source(".")).iter().filter(|f| !f.ends_with("filters/door.rs")) {
        let text = fs::read_to_string(file).expect("a file");
        let blind =
            ["warp::header", "warp::cookie", "body::json", "body::form", "content_length_limit"];
        for word in blind {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn arrows_do_not_turn_back() {
    for (folder, forbidden) in [
        (
            "store",
            &["crate::filters", "crate::handlers", "crate::server", "crate::config", "warp"][..],
        ),
        (
            "identity",
            &["crate::filters", "crate::handlers", "crate::server", "crate::config", "warp"],
        ),
        ("handlers", &["crate::server", "crate::config", "crate::cli", "crate::filters"]),
        (
            "call",
            &["crate::server", "crate::config", "crate::cli", "crate::filters", "crate::handlers"],
        ),
        ("filters", &["crate::server", "crate::config", "crate::cli"]),
        ("config", &["crate::server", "crate::filters", "crate::handlers", "warp"]),
    ] {
        for file in rust_files(&source(folder)).iter().filter(|f| !f.ends_with("tests.rs")) {
            let wrong: Vec<_> =
                imports(file).into_iter().filter(|i| forbidden.contains(&i.as_str())).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", file.display());
        }
    }
}

#[test]
fn the_service_is_built_without_anything_of_the_harness() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--prefix",
            "none",
            "--edges",
            "normal,build",
            "-p",
            "withcreds",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    for needed in ["warp", "tokio", "serde", "cookie", "uuid"] {
        assert!(crates.contains(needed), "{needed} is not in use: {crates:?}");
    }
    for stranger in
        ["headless_chrome", "tungstenite", "tokio-tungstenite", "rcgen", "withcreds-harness"]
    {
        assert!(!crates.contains(stranger), "{stranger} reached the service");
    }
}
