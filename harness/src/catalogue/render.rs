//! The answer of `explain`: for people, and as one document for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::catalogue::bug::{Bug, Frequency};
use crate::catalogue::explain::Match;

/// Where lines are broken.
const WIDTH: usize = 100;
/// Where texts begin, after their heading.
const INDENT: usize = 16;
/// From this on a sentence of the text means its bug.
const SURE: u8 = 90;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        if self.0 { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn faint(self, text: &str) -> String {
        if self.0 { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The best match in full, the others in short with what tells them apart.
#[must_use]
pub fn answer(matches: &[Match<'_>], paint: Paint) -> String {
    let mut out = String::new();
    let Some((best, others)) = matches.split_first() else { return out };
    let bug = best.bug;
    let _ = writeln!(out, "{}  {}", paint.bold(&bug.id), paint.bold(&bug.title));
    let engines: Vec<_> = bug.engines.iter().map(ToString::to_string).collect();
    let facts = format!("{}, in {}; fits to {} %", bug.frequency, engines.join(", "), best.score);
    let _ = writeln!(out, "{}\n", paint.faint(&facts));
    if bug.not_cors {
        section(&mut out, "Not CORS", "No Access-Control header mends this.");
    }
    for (heading, sentence) in headed("In your case", best.said()) {
        section(&mut out, heading, &sentence);
    }
    section(&mut out, "You see", &bug.symptom);
    section(&mut out, "Because", &bug.cause);
    section(&mut out, "In the page", &bug.client);
    out.push_str("On the server\n");
    for (name, mend) in bug.server.mends() {
        section(&mut out, &format!("  {name}"), mend);
    }
    let apart = bug.unlike.iter().map(|other| format!("{}: {}", other.id, other.how));
    for (heading, sentence) in headed("Or is it", apart) {
        section(&mut out, heading, &sentence);
    }
    for (heading, link) in headed("Standard", bug.spec.iter().cloned()) {
        section(&mut out, heading, &link);
    }
    match (bug.scenarios(), &bug.no_scenario) {
        (Some([broken, mended]), _) => {
            section(&mut out, "See it", &format!("harness/scenarios/{broken}"));
            section(&mut out, "See it mended", &format!("harness/scenarios/{mended}"));
        }
        (None, Some(reason)) => section(&mut out, "No scenario", reason),
        (None, None) => {}
    }
    let (elsewhere, instead): (Vec<_>, Vec<_>) =
        others.iter().partition(|other| other.score >= SURE && other.is_elsewhere(best));
    for (heading, matches) in [("Also in this text", elsewhere), ("It could also be", instead)] {
        if !matches.is_empty() {
            let _ = writeln!(out, "\n{heading}");
        }
        for other in matches {
            let _ = writeln!(out, "  {:>3} %  {}  {}", other.score, other.bug.id, other.bug.title);
        }
    }
    out
}

/// The first with its heading, the rest without.
fn headed(
    heading: &'static str,
    texts: impl IntoIterator<Item = String>,
) -> impl Iterator<Item = (&'static str, String)> {
    texts.into_iter().enumerate().map(move |(at, text)| (if at == 0 { heading } else { "" }, text))
}

/// A heading, and a text beside it, wrapped.
fn section(out: &mut String, heading: &str, text: &str) {
    let mut line = format!("{heading:<INDENT$}");
    let mut length = INDENT;
    let mut first = true;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if !first && length + 1 + word_length > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(INDENT);
            length = INDENT;
            first = true;
        }
        if !first {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
        first = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

/// All bugs in one line each, most frequent first.
#[must_use]
pub fn list(bugs: &[Bug], paint: Paint) -> String {
    let mut out = String::new();
    let longest = bugs.iter().map(|bug| bug.id.len()).max().unwrap_or(0);
    for frequency in [Frequency::Weekly, Frequency::Common, Frequency::Rare] {
        let _ = writeln!(out, "{}", paint.bold(&frequency.to_string()));
        for bug in bugs.iter().filter(|bug| bug.frequency == frequency) {
            let _ = writeln!(out, "  {:<longest$}  {}", bug.id, bug.title);
        }
    }
    out
}

/// A bug as a page of the documentation.
#[must_use]
pub fn page(bug: &Bug) -> String {
    let mut out = format!("# {}\n\n`{}`, {}", bug.title, bug.id, bug.frequency);
    let engines: Vec<_> = bug.engines.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, ", in {}.\n", engines.join(", "));
    if bug.not_cors {
        out.push_str("**This is not CORS**: no Access-Control header mends it.\n\n");
    }
    for (heading, text) in
        [("What you see", &bug.symptom), ("Why", &bug.cause), ("In the page", &bug.client)]
    {
        let _ = writeln!(out, "## {heading}\n\n{text}\n");
    }
    out.push_str("## On the server\n\n");
    for (name, mend) in bug.server.mends() {
        let _ = writeln!(out, "- {name}: {mend}");
    }
    if !bug.console.is_empty() {
        out.push_str("\n## What consoles print\n\n");
        for line in &bug.console {
            let _ = writeln!(out, "- {}: `{}`", line.engine, shown(&line.text));
        }
    }
    out.push_str("\n## Or is it\n\n");
    for other in &bug.unlike {
        let _ = writeln!(out, "- [{}]({}.md): {}", other.id, other.id, other.how);
    }
    out.push_str("\n## Standards\n\n");
    for link in &bug.spec {
        let _ = writeln!(out, "- <{link}>");
    }
    if let Some([broken, mended]) = bug.scenarios() {
        let _ = writeln!(
            out,
            "\n## See it\n\n[broken](../../harness/scenarios/{broken}), \
             [mended](../../harness/scenarios/{mended})"
        );
    }
    out
}

/// A sentence with its holes, as people may read it.
fn shown(text: &str) -> String {
    text.replace("{none}", "").replace("?}", "}").replace('`', "'")
}

/// The list of all pages of the documentation.
#[must_use]
pub fn index(bugs: &[Bug]) -> String {
    let mut out = String::from(
        "# Cross-origin bugs\n\nWritten from `harness/catalogue` by its test; do not edit. \
         `withcreds-harness explain TEXT` finds the page for a line of a console.\n",
    );
    for frequency in [Frequency::Weekly, Frequency::Common, Frequency::Rare] {
        let _ = writeln!(out, "\n## {frequency}\n");
        for bug in bugs.iter().filter(|bug| bug.frequency == frequency) {
            let _ = writeln!(out, "- [{}]({}.md): {}", bug.id, bug.id, bug.title);
        }
    }
    out
}

/// `{"matches": […]}`, best first.
#[must_use]
pub fn document(matches: &[Match<'_>]) -> Value {
    json!({ "matches": matches.iter().map(entry).collect::<Vec<_>>() })
}

fn entry(found: &Match<'_>) -> Value {
    let bug = found.bug;
    let scenarios = bug.scenarios();
    json!({
        "code": bug.id,
        "title": bug.title,
        "score": found.score,
        "not_cors": bug.not_cors,
        "frequency": bug.frequency,
        "engines": bug.engines,
        "console_of": found.engine,
        "symptom": bug.symptom,
        "cause": bug.cause,
        "said": found.said(),
        "values": found.values.iter().collect::<std::collections::BTreeMap<_, _>>(),
        "mend": { "server": bug.server, "client": bug.client },
        "look_alikes": bug.unlike.iter().map(|other| json!({
            "code": other.id,
            "how": other.how,
        })).collect::<Vec<_>>(),
        "spec": bug.spec,
        "scenarios": scenarios.map(|[broken, mended]| json!({ "broken": broken, "mended": mended })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn colours_come_and_go() {
        let matches = Catalogue::embedded().explain("acao-missing");
        assert!(answer(&matches, Paint(true)).contains("\x1b[1macao-missing\x1b[0m"));
        assert!(!answer(&matches, Paint(false)).contains('\x1b'));
    }

    #[test]
    fn texts_are_wrapped_beside_their_heading() {
        let mut out = String::new();
        section(&mut out, "Because", &"word ".repeat(30));
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("Because         word"), "{}", lines[0]);
        assert!(lines[1].starts_with("                word"), "{}", lines[1]);
        assert!(lines.iter().all(|line| line.len() <= WIDTH && !line.ends_with(' ')));
    }
}
