//! What was found: for people, and as one document for programs. Secrets stay out of both.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::doctor::{
    Answer, EngineSees, Exchange, Facts, Finding, Purpose, Severity, secrets, shown_address,
};
use crate::oracle::RelationReport;

/// Where lines are broken.
const WIDTH: usize = 100;

/// The document of `--format json`.
#[must_use]
pub fn document(
    facts: &Facts,
    sees: &[EngineSees],
    findings: &[Finding],
    relation: &RelationReport,
) -> Value {
    let call = &facts.call;
    json!({
        "schema": 1,
        "call": {
            "page": call.page.text(),
            "url": shown_address(call.address.text()),
            "method": call.method,
            "sent_method": call.sent_method(),
            "headers": secrets::of_request(&call.headers),
            "credentials": call.credentials,
        },
        "findings": findings,
        "predictions": sees,
        "relation": relation,
        "exchanges": facts.exchanges.iter().map(exchange).collect::<Vec<_>>(),
    })
}

fn exchange(exchange: &Exchange) -> Value {
    let question = &exchange.question;
    json!({
        "purpose": question.purpose.text(),
        "hop": question.hop,
        "request": {
            "method": question.method,
            "url": shown_address(question.address.text()),
            "headers": secrets::of_request(&question.headers),
        },
        "response": exchange.answer().map(|answer| json!({
            "status": answer.status,
            "headers": secrets::of_answer(&answer.headers),
        })),
        "trouble": exchange.result.as_ref().err().map(ToString::to_string),
        "peer": exchange.peer,
        "millis": exchange.millis,
    })
}

/// The report for people.
#[must_use]
pub fn human(
    facts: &Facts,
    sees: &[EngineSees],
    findings: &[Finding],
    relation: &RelationReport,
    colours: bool,
) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let call = &facts.call;
    let credentials = serde_json::to_value(call.credentials).unwrap_or_default();
    let _ = writeln!(
        out,
        "{} {} for {}, credentials {}",
        paint.bold(&call.method),
        paint.bold(&shown_address(call.address.text())),
        paint.bold(call.page.text()),
        credentials.as_str().unwrap_or_default()
    );
    let site = match (relation.same_origin, relation.same_site) {
        (true, _) => "one origin: CORS plays no part",
        (false, true) => "two origins of one site",
        (false, false) => "two sites",
    };
    let _ = writeln!(out, "{site}\n\nAsked");
    for exchange in &facts.exchanges {
        let _ = writeln!(out, "  {}", asked(exchange));
    }
    engines(&mut out, facts, sees, relation);
    let _ = writeln!(out);
    let verdict = if facts.unanswered().next().is_some() {
        "Nothing wrong was seen, and not everything was answered.".to_owned()
    } else {
        paint.green("Nothing is wrong.")
    };
    if findings.is_empty() {
        let _ = writeln!(out, "{verdict}");
    } else if findings.iter().all(|finding| finding.severity == Severity::Info) {
        let _ = writeln!(out, "{verdict} Worth knowing:");
    } else {
        let _ = writeln!(out, "Findings");
    }
    let all = sees.len();
    for finding in findings {
        let _ = writeln!(out);
        told(&mut out, finding, all, &paint);
    }
    out
}

/// One exchange in a line.
fn asked(exchange: &Exchange) -> String {
    let question = &exchange.question;
    let what = if question.hop == 0 {
        question.purpose.text().to_owned()
    } else {
        format!("{}, redirect {}", question.purpose.text(), question.hop)
    };
    let end = match &exchange.result {
        Ok(answer) => format!("{}{}", answer.status, grants(question.purpose, answer)),
        Err(trouble) => trouble.to_string(),
    };
    let address = shown_address(question.address.cache_key());
    let place = if question.hop == 0 {
        format!("/{}", address.splitn(4, '/').nth(3).unwrap_or_default())
    } else {
        address
    };
    format!("{what:<30} {:<7} {place}  {end}", question.method)
}

fn grants(purpose: Purpose, answer: &Answer) -> String {
    let mut out = String::new();
    for (name, short) in [
        ("location", "leads to"),
        ("access-control-allow-origin", "allows"),
        ("access-control-allow-credentials", "credentials"),
        ("vary", "vary"),
    ] {
        let hide = |line: &str| {
            if name == "location" { shown_address(line) } else { line.to_owned() }
        };
        let lines: Vec<_> = answer.lines(name).map(hide).collect();
        if !lines.is_empty() && (name != "vary" || purpose != Purpose::Preflight) {
            let _ = write!(out, ", {short} {}", lines.join(" | "));
        }
    }
    out
}

/// What each engine makes of the call; engines that agree share a line.
fn engines(out: &mut String, facts: &Facts, sees: &[EngineSees], relation: &RelationReport) {
    if sees.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nWhat the page sees");
    if facts.call.has_stand_in() {
        let method = &facts.call.method;
        let _ = writeln!(
            out,
            "  ({method} was not sent: the answer to GET stands in for its own; --unsafe sends it)"
        );
    }
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for sees in sees {
        let first = sees.first.sentence();
        // What the first answer set travels the second time, or does not.
        let again = if sees.second.cookies_sent == sees.first.cookies_sent {
            String::new()
        } else {
            format!("; then {}", sees.second.sentence())
        };
        let line = first + &again;
        match groups.iter_mut().find(|(known, _)| *known == line) {
            Some((_, engines)) => engines.push(sees.engine.id()),
            None => groups.push((line, vec![sees.engine.id()])),
        }
    }
    for (line, engines) in groups {
        let _ = writeln!(out, "  {}: {line}", engines.join(", "));
    }
    let unknown = facts.unknown_cookies();
    if unknown.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nNo answer set {}, so its attributes are not known. Between these two a cookie travels that is set with",
        unknown.join(", ")
    );
    for cookie in &relation.cookies {
        let of = |works| {
            let engines = cookie.engines.iter().filter(move |e| e.works == works);
            engines.map(|e| e.engine.id()).collect::<Vec<_>>().join(", ")
        };
        let (yes, no) = (of(true), of(false));
        let whom = match (yes.is_empty(), no.is_empty()) {
            (_, true) => "in all engines".to_owned(),
            (true, _) => "in none".to_owned(),
            _ => format!("in {yes}; not in {no}"),
        };
        let _ = writeln!(out, "  {:<36} {whom}", cookie.attributes);
    }
    let _ = writeln!(
        out,
        "  (give the whole line to know more: --cookie '{}=x; Path=/; …')",
        unknown.first().copied().unwrap_or_default()
    );
}

/// One finding, with its mend.
pub(crate) fn told(out: &mut String, finding: &Finding, all: usize, paint: &Paint) {
    let severity = paint.severity(finding.severity);
    let whom = if finding.engines.len() == all || all == 0 {
        String::new()
    } else {
        let names: Vec<_> = finding.engines.iter().map(|engine| engine.id()).collect();
        format!("  in {}", names.join(", "))
    };
    let not_cors = if finding.not_cors { "  not CORS" } else { "" };
    let _ = writeln!(out, "{severity}  {}{not_cors}{whom}", paint.bold(&finding.code));
    wrapped(out, "", &finding.text);
    wrapped(out, "mend: ", &finding.mend);
    let _ = writeln!(out, "  more: withcreds-harness explain {}", finding.code);
}

/// Words, broken into lines.
pub(crate) fn wrapped(out: &mut String, heading: &str, text: &str) {
    let mut line = format!("  {heading}");
    let mut fresh = true;
    for word in text.split_whitespace() {
        if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            "    ".clone_into(&mut line);
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    let _ = writeln!(out, "{line}");
}

/// Colours, if anybody sees them.
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn in_colour(&self, colour: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.in_colour("1", text)
    }

    fn green(&self, text: &str) -> String {
        self.in_colour("32", text)
    }

    fn severity(&self, severity: Severity) -> String {
        let colour = match severity {
            Severity::Critical => "1;37;41",
            Severity::Error => "1;31",
            Severity::Warning => "33",
            Severity::Info => "2",
        };
        self.in_colour(colour, severity.text())
    }
}

impl Facts {
    /// Cookies that the caller named and no answer set.
    #[must_use]
    pub fn unknown_cookies(&self) -> Vec<&str> {
        let set = |name: &str| {
            let answers = self.exchanges.iter().filter_map(Exchange::answer);
            let mut lines = answers.flat_map(|answer| answer.lines("set-cookie"));
            lines.any(|line| line.split('=').next().is_some_and(|n| n.trim() == name))
        };
        let named = self.call.cookies.iter().filter_map(|cookie| match cookie {
            crate::doctor::SeenCookie::Named(name) => Some(name.as_str()),
            crate::doctor::SeenCookie::Line(_) => None,
        });
        named.filter(|name| !set(name)).collect()
    }
}
