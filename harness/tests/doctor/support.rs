//! Runs the command, and what it says.

use std::process::Command;

use serde_json::Value;

/// The page of all tests; its backend is a sibling host under a name that only `--resolve` knows.
pub(crate) const PAGE: &str = "http://app.example.com";

/// How a run ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// `severity code` of all findings that are graver than info.
    #[track_caller]
    pub(crate) fn faults(&self) -> Vec<String> {
        let document = self.json();
        let findings = document["findings"].as_array().expect("findings");
        let word = |finding: &Value, key: &str| finding[key].as_str().expect(key).to_owned();
        findings
            .iter()
            .map(|finding| (word(finding, "severity"), word(finding, "code")))
            .filter(|(severity, _)| severity != "info")
            .map(|(severity, code)| format!("{severity} {code}"))
            .collect()
    }
}

/// `doctor` with these arguments.
pub(crate) fn doctor(args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_withcreds-harness"))
        .arg("doctor")
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// `doctor` about `http://api.example.com:PORT/items` and [`PAGE`].
pub(crate) fn examine(port: u16, more: &[&str]) -> Said {
    let url = format!("http://api.example.com:{port}/items");
    let resolve = format!("api.example.com:{port}:127.0.0.1");
    let mut args = vec![url.as_str(), "--origin", PAGE, "--resolve", &resolve, "--format", "json"];
    args.extend(more);
    doctor(&args)
}
