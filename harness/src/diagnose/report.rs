//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diagnose::replay::question;
use crate::diagnose::{Diagnosis, Line, Recording, Script};
use crate::doctor::{Paint, of_request, told, wrapped};
use crate::oracle::{Finding, Prediction, Profile};

/// What no recording of this kind shows.
const NEVER_SHOWN: [&str; 3] = [
    "which cookies the browser kept back or refused, and why: that is predicted from the answers",
    "what the console said: paste its line into `withcreds-harness explain`",
    "the page's Content-Security-Policy at work, extensions, settings of the user",
];

/// The document of `--format json`.
#[must_use]
pub fn document(recording: &Recording, found: &[Diagnosis], calls: usize) -> Value {
    let one = |diagnosis: &Diagnosis| {
        let call = &diagnosis.facts.call;
        json!({
            "call": {
                "page": call.page.text(),
                "url": call.address.text(),
                "method": call.method,
                "headers": of_request(&call.headers),
                "credentials": call.credentials,
            },
            "times": diagnosis.times,
            "happened": diagnosis.happened,
            "failed": diagnosis.failed,
            "findings": diagnosis.findings,
            "predictions": diagnosis.sees,
            "not_shown": diagnosis.not_shown,
            "ask": question(call),
            "scenario": diagnosis.scenario,
        })
    };
    json!({
        "schema": 1,
        "recorder": recording.recorder.name,
        "engine": recording.recorder.engine,
        "sanitized": recording.is_sanitized(),
        "requests": recording.total,
        "cross_origin_calls": calls,
        "diagnoses": found.iter().map(one).collect::<Vec<_>>(),
        "not_shown": NEVER_SHOWN,
    })
}

/// The report for people.
#[must_use]
pub fn human(
    file: &str,
    recording: &Recording,
    found: &[Diagnosis],
    calls: usize,
    all: usize,
    colours: bool,
) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let sanitized = if recording.is_sanitized() {
        "; without cookies and authorization (sanitized, or there were none)"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "{file}: {}, {} requests, {calls} of them calls to another origin{sanitized}",
        recording.recorder.name, recording.total
    );
    for (index, diagnosis) in found.iter().enumerate() {
        let call = &diagnosis.facts.call;
        let times = match diagnosis.times {
            1 => String::new(),
            n => format!("  ({n} times)"),
        };
        let _ = writeln!(
            out,
            "\n{}  {} {}  for {}{times}",
            index + 1,
            paint.bold(&call.method),
            paint.bold(call.address.text()),
            call.page
        );
        let _ = writeln!(out, "   {}\n", diagnosis.happened);
        for finding in &diagnosis.findings {
            told(&mut out, finding, all, &paint);
        }
        for gap in &diagnosis.not_shown {
            wrapped(&mut out, "not recorded: ", gap);
        }
        let _ = writeln!(out, "  ask the server: {}", question(call));
    }
    if found.is_empty() {
        let _ = writeln!(out, "\nNo call to another origin failed.");
    }
    let _ = writeln!(out, "\nWhat a HAR does not show");
    for line in NEVER_SHOWN {
        wrapped(&mut out, "- ", line);
    }
    out
}

/// The document of `--format json` about a copied line.
#[must_use]
pub fn line_document(
    line: &Line,
    predictions: &[(&Profile, Prediction)],
    faults: &[Finding],
) -> Value {
    let call = &line.call;
    let one = |(profile, prediction): &(&Profile, Prediction)| json!({ "engine": profile.engine, "version": profile.version, "outcome": prediction.outcome });
    json!({
        "schema": 1,
        "call": {
            "page": call.page.text(),
            "url": call.address.text(),
            "method": call.method,
            "headers": of_request(&call.headers),
            "credentials": call.credentials,
        },
        "preflight": call.is_cross_origin().then(|| call.preflight()).flatten(),
        "findings": faults,
        "predictions": predictions.iter().map(one).collect::<Vec<_>>(),
        "left_out": line.left_out,
        "ask": line.question(),
        "scenario": line.scenario(),
    })
}

/// The report for people about a copied line.
#[must_use]
pub fn human_line(line: &Line, faults: &[Finding], colours: bool) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let call = &line.call;
    let mode = serde_json::to_value(call.credentials).unwrap_or_default();
    let _ = writeln!(
        out,
        "{} {} for {}, credentials {}",
        paint.bold(&call.method),
        paint.bold(call.address.text()),
        paint.bold(call.page.text()),
        mode.as_str().unwrap_or_default()
    );
    match (call.is_cross_origin(), call.preflight()) {
        (false, _) => wrapped(&mut out, "", "page and backend are one origin: CORS plays no part"),
        (true, None) => wrapped(&mut out, "", "needs no preflight; the answer must allow the page"),
        (true, Some(names)) if names.is_empty() => {
            let text = format!("needs a preflight, for the method {}", call.method);
            wrapped(&mut out, "", &text);
        }
        (true, Some(names)) => {
            let text = format!("needs a preflight, for {} with {}", call.method, names.join(", "));
            wrapped(&mut out, "", &text);
        }
    }
    if !line.left_out.is_empty() {
        let text = format!("browsers let no script set {}", line.left_out.join(", "));
        wrapped(&mut out, "", &text);
    }
    if !line.cookies.is_empty() {
        let text = format!(
            "cookies in the line: {}; whether they travel depends on how they were set",
            line.cookies.join(", ")
        );
        wrapped(&mut out, "", &text);
    }
    for fault in faults {
        let _ = writeln!(out, "\nerror  {}", paint.bold(fault.code().id()));
        wrapped(&mut out, "", &fault.text());
        wrapped(&mut out, "mend: ", fault.code().mend());
        let _ = writeln!(out, "  more: withcreds-harness explain {}", fault.code().id());
    }
    if faults.is_empty() {
        let _ = writeln!(out, "\nNothing is wrong with the call itself.");
    }
    let what = match line.script {
        Script::Curl => "A curl line shows no answer, and not the credentials mode",
        Script::Fetch => "A fetch line shows no answer",
    };
    let _ = writeln!(out, "{what}. Ask the server:\n  {}", line.question());
    out
}
