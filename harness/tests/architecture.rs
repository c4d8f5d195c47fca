//! The arrows inside the harness, as tests: what may import what.

use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") && !entry.ends_with("tests.rs") {
            files.push(entry);
        }
    }
    files
}

/// The code without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a file");
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

fn imports(code: &str) -> Vec<String> {
    code.lines()
        .map(|line| line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub "))
        .filter_map(|line| line.strip_prefix("use "))
        .map(|path| {
            let mut segments = path.split("::").map(|s| s.trim_end_matches(';'));
            match (segments.next().unwrap_or_default(), segments.next()) {
                ("crate", Some(second)) => format!("crate::{second}"),
                (first, _) => first.to_owned(),
            }
        })
        .collect()
}

/// Modules that decide, and all that they may know.
const PURE: [(&str, &[&str], usize); 2] = [
    ("scenario", &["std", "crate::scenario", "schemars", "serde", "serde_json", "toml", "url"], 9),
    ("oracle", &["std", "crate::oracle", "crate::scenario", "serde"], 12),
];

#[test]
fn the_oracle_knows_nothing_of_the_service_and_of_the_world() {
    for (folder, allowed, least) in PURE {
        let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder));
        assert!(files.len() >= least, "the folder moved: {files:?}");
        for file in &files {
            let code = code(file);
            // Modules of the same folder are named without `crate::` where they are declared.
            let own: Vec<_> = files.iter().filter_map(|f| f.file_stem()?.to_str()).collect();
            for import in imports(&code) {
                let known = allowed.contains(&import.as_str()) || own.contains(&import.as_str());
                assert!(known, "{}: {import}", file.display());
            }
            for word in [
                "withcreds::",
                "async ",
                "SystemTime",
                "Instant",
                "rand::",
                "std::io",
                "std::fs",
                "std::net::Tcp",
                "std::env",
                "println!",
            ] {
                assert!(!code.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn the_scenario_format_does_not_know_the_oracle() {
    for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario")) {
        assert!(!code(&file).contains("crate::oracle"), "{}", file.display());
    }
}

/// `doctor` decides by facts alone: the network is behind three files.
#[test]
fn the_doctor_judges_without_looking() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let files = rust_files(&folder);
    assert!(files.len() >= 15, "the folder moved: {files:?}");
    for file in &files {
        let edge = ["client.rs", "trust.rs", "examine.rs"].iter().any(|name| file.ends_with(name));
        let code = code(file);
        for word in
            ["async ", "tokio", "SystemTime", "Instant", "std::fs", "println!", "withcreds::"]
        {
            let allowed = edge && !matches!(word, "println!" | "withcreds::" | "std::fs");
            assert!(allowed || !code.contains(word), "{}: {word}", file.display());
        }
    }
}

/// The files of each engine's driver, and words that only another one's code has.
const DRIVERS: [(&str, &[&str], &[&str]); 3] = [
    ("chromium", &["chromium", "page.rs"], &["Firefox", "WebKit", "bidi", "webdriver", "relay"]),
    ("firefox", &["firefox", "bidi"], &["Chromium", "WebKit", "webdriver", "headless_chrome"]),
    ("webkit", &["webkit", "webdriver", "display"], &["Chromium", "Firefox", "bidi", "Tap"]),
];

#[test]
fn engines_never_use_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/browser");
    for (engine, names, foreign) in DRIVERS {
        let own = |file: &PathBuf| {
            let inside = file.strip_prefix(&folder).expect("below the folder");
            let first = inside.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
            names.iter().any(|name| first.trim_end_matches(".rs") == name.trim_end_matches(".rs"))
        };
        let files: Vec<_> = rust_files(&folder).into_iter().filter(own).collect();
        assert!(files.len() >= 3, "the drivers moved: {files:?}");
        for file in files {
            let code = code(&file);
            let uses = code.lines().filter(|line| line.trim_start().starts_with("use "));
            for line in uses {
                let strange = foreign.iter().find(|word| line.contains(**word));
                assert_eq!(strange, None, "{engine}, {}: {line}", file.display());
            }
        }
    }
}

/// Text in, diagnoses out.
#[test]
fn diagnose_and_export_look_at_nothing_but_their_text() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = rust_files(&source.join("diagnose"));
    files.extend(rust_files(&source.join("export")));
    assert!(files.len() >= 15, "a folder moved: {files:?}");
    for file in &files {
        let code = code(file);
        for word in [
            "async ",
            "tokio",
            "SystemTime",
            "Instant",
            "std::fs",
            "std::io",
            "println!",
            "withcreds::",
            "Client::new",
        ] {
            assert!(!code.contains(word), "{}: {word}", file.display());
        }
    }
}
