//! `curl` lines: what the servers answer, for whoever has a shell.

use std::fmt::Write as _;

use crate::oracle::{Profile, predict};
use crate::quote::quoted;
use crate::scenario::{Client, Credentials, DEMO_USER, Loaded};

/// The steps as a shell script. Cookies travel as curl sends them: it knows no `SameSite`, and no
/// third party.
#[must_use]
pub fn curl(loaded: &Loaded, profile: &Profile, now_ms: i64) -> String {
    let scenario = &loaded.scenario;
    let page = loaded.case.page.origin();
    let mut out = format!(
        "#!/bin/sh\n# {}: {}\n# curl is no browser: it sends cookies whatever their SameSite, and reads every answer.\n# Compare the Access-Control-* headers with what is expected.\njar=$(mktemp) && trap 'rm -f \"$jar\"' EXIT\n",
        scenario.id,
        one_line(&scenario.title)
    );
    let predictions = predict(&loaded.case, profile, now_ms);
    for (index, (action, prediction)) in loaded.case.steps.iter().zip(&predictions).enumerate() {
        let outcome = &prediction.outcome;
        let _ = writeln!(out, "\n# {}. {}: {}", index + 1, profile.engine.id(), outcome.sentence());
        for finding in prediction.why.iter().filter(|finding| finding.is_violation()) {
            let _ = writeln!(out, "#    {}: {}", finding.code().id(), one_line(&finding.text()));
        }
        let acrm = outcome.acrm.as_ref().and_then(|value| value.0.as_deref());
        if let Some(method) = acrm {
            let mut headers =
                vec![format!("Origin: {page}"), format!("Access-Control-Request-Method: {method}")];
            if let Some(names) = outcome.acrh.as_ref().and_then(|value| value.0.as_deref()) {
                headers.push(format!("Access-Control-Request-Headers: {names}"));
            }
            line(&mut out, "OPTIONS", action.address.cache_key(), &headers, None, "");
        }
        let origin = outcome.origin_header.as_ref().and_then(|value| value.0.clone());
        let is_navigation = matches!(action.client, Client::Form | Client::Navigate);
        // Where nothing goes out, the server is asked all the same: its answer may be the cause.
        let origin = origin.or_else(|| (!is_navigation).then(|| page.text().to_owned()));
        let mut headers: Vec<_> =
            origin.map(|origin| format!("Origin: {origin}")).into_iter().collect();
        headers.extend(action.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let with = matches!(action.credentials, Some(Credentials::Include)) || is_navigation;
        let jar = if with { " -b \"$jar\" -c \"$jar\"" } else { "" };
        // The shell puts the password in: nobody knows it here.
        let login = format!(
            r#""{{\"username\":\"{DEMO_USER}\",\"password\":\"${{PASSWORD:?set it to the account's}}\"}}""#
        );
        let body = if action.is_login { Some(login) } else { action.body.as_deref().map(quoted) };
        line(&mut out, &action.method, action.address.cache_key(), &headers, body.as_deref(), jar);
    }
    out
}

/// One command; the body is a word of the shell already.
fn line(
    out: &mut String,
    method: &str,
    url: &str,
    headers: &[String],
    body: Option<&str>,
    jar: &str,
) {
    let _ = write!(out, "curl -isS");
    match (method, body) {
        ("HEAD", _) => out.push_str(" -I"),
        ("GET", None) | ("POST", Some(_)) => {}
        _ => {
            let _ = write!(out, " -X {}", quoted(method));
        }
    }
    let _ = write!(out, " {}{jar}", quoted(url));
    for header in headers {
        let _ = write!(out, " \\\n  -H {}", quoted(header));
    }
    if let Some(body) = body {
        let _ = write!(out, " \\\n  --data-raw {body}");
    }
    out.push('\n');
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
