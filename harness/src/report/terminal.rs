//! The table for people, and the progress bar before it.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::browser::Engine;
use crate::lab::Topology;
use crate::prove::{Claim, Client, Control, Judgement, Progress, Proof, Verdict, must_break};
use crate::report::evidence_row;

/// What several clients and engines showed alike.
struct Group {
    claim: Claim,
    judgement: Judgement,
    rows: Vec<[String; 6]>,
    who: Vec<(Engine, Client)>,
}

/// A header and the rows, each one line, indented below their claim.
fn rows_of<'a>(rows: impl IntoIterator<Item = &'a [String; 6]>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "credentials",
        "request",
        "preflight",
        "cookies on the wire",
        "status",
        "script",
    ]);
    table.add_rows(rows.into_iter().cloned());
    table.lines().map(|line| format!("    {}", line.trim_end())).collect()
}

/// How to write to a terminal, or to something that is none.
#[derive(Debug, Clone)]
pub struct Terminal {
    colour: bool,
    bar: Option<ProgressBar>,
}

impl Terminal {
    /// A terminal with or without colour; `bar` shows progress on
    /// standard error, and without it plain lines do.
    #[must_use]
    pub fn new(colour: bool, bar: bool) -> Self {
        let bar = bar.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("starting browser {spinner} {elapsed}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { colour, bar }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `≠`: the engine departs from the claim, just as is known of it.
    fn mark_of(&self, judgement: Judgement) -> String {
        match judgement {
            Judgement::Divergence => self.paint("33", "≠"),
            other => self.mark(other == Judgement::Pass),
        }
    }

    fn mark(&self, good: bool) -> String {
        if good { self.paint("32", "✓") } else { self.paint("1;31", "✗") }
    }

    /// The whole proof.
    #[must_use]
    pub fn render(&self, proof: &Proof) -> String {
        let mut out = String::new();
        for engine in &proof.engines {
            let _ = writeln!(out, "{}", self.paint("1", &engine.version));
        }
        for (engine, reason) in &proof.skipped {
            let _ = writeln!(out, "{} skipped: {reason}", engine.title());
        }
        let _ = writeln!(out, "cookies of other sites: {}", proof.third_party_cookies.id());
        for topology in Topology::ALL {
            let verdicts: Vec<_> = proof.verdicts().filter(|v| v.topology == topology).collect();
            if !verdicts.is_empty() {
                let _ = writeln!(out, "\n{}", self.paint("1", topology.title()));
                let _ = writeln!(out, "{}", self.table(&verdicts, proof.engines.len() > 1));
            }
        }
        for verdict in proof.verdicts().filter(|v| v.judgement() == Judgement::Fail) {
            let _ = writeln!(out, "\n{}", self.failure(verdict));
        }
        let known = self.known(proof);
        if !known.is_empty() {
            let title = "known of the engines, and still so";
            let _ = writeln!(out, "\n{}\n{known}", self.paint("1", title));
        }
        if proof.controls().next().is_some() {
            let _ = writeln!(
                out,
                "\n{}",
                self.paint("1", "negative controls: the same proof over a broken service")
            );
            for control in proof.controls() {
                let _ = writeln!(out, "{}", self.control_line(control));
            }
        }
        let _ = write!(out, "\n{}", self.summary(proof));
        out
    }

    /// What engines do of their own, each once.
    fn known(&self, proof: &Proof) -> String {
        let mut lines: Vec<String> = Vec::new();
        for verdict in proof.verdicts().filter(|v| v.judgement() == Judgement::Divergence) {
            for known in &verdict.known {
                let mark = self.mark_of(Judgement::Divergence);
                let (engine, what) = (verdict.engine.id(), &known.what);
                let line =
                    format!("{mark} {engine}: {what} (since {}, {})", known.since, known.link);
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        lines.join("\n")
    }

    /// Claims, and below each the evidence; clients and engines with the same evidence share their
    /// rows.
    fn table(&self, verdicts: &[&Verdict], name_engines: bool) -> String {
        let mut groups: Vec<Group> = Vec::new();
        for claim in Claim::ALL {
            for verdict in verdicts.iter().filter(|v| v.claim == claim) {
                let rows: Vec<_> =
                    verdict.exchanges.iter().map(|seen| evidence_row(seen)).collect();
                let judgement = verdict.judgement();
                let alike =
                    |g: &&mut Group| (g.claim, g.judgement, &g.rows) == (claim, judgement, &rows);
                let who = (verdict.engine, verdict.client);
                match groups.iter_mut().find(alike) {
                    Some(group) => group.who.push(who),
                    None => groups.push(Group { claim, judgement, rows, who: vec![who] }),
                }
            }
        }
        // One table for all rows keeps the columns of all claims in line.
        let all = groups.iter().flat_map(|group| &group.rows);
        let mut lines = rows_of(all).into_iter();
        let mut out = self.paint("2", &lines.next().unwrap_or_default());
        for group in groups {
            let mark = self.mark_of(group.judgement);
            let clients = |engine: Engine| {
                let clients = group.who.iter().filter(|(other, _)| *other == engine);
                clients.map(|(_, c)| format!("{mark} {}", c.id())).collect::<Vec<_>>().join("  ")
            };
            let engines = Engine::ALL.iter().filter(|e| group.who.iter().any(|(w, _)| w == *e));
            let who: Vec<_> = engines
                .map(|engine| {
                    let name = format!("{}: ", engine.id());
                    format!("{}{}", if name_engines { &name } else { "" }, clients(*engine))
                })
                .collect();
            let title = format!("{:>2} {}", group.claim.number(), group.claim.title());
            let _ = write!(out, "\n{}  {}", self.paint("1", &title), who.join("   "));
            for line in lines.by_ref().take(group.rows.len()) {
                let _ = write!(out, "\n{line}");
            }
        }
        out
    }

    /// One verdict that does not hold: every check, what was seen, how to see it again.
    #[must_use]
    pub fn failure(&self, verdict: &Verdict) -> String {
        let mut out = format!("{} {}\n", self.mark(false), self.paint("1", &verdict.id()));
        let _ = writeln!(out, "  {}", verdict.claim.title());
        for check in &verdict.checks {
            let known = if verdict.is_known(&check.says) { " (known to fall here)" } else { "" };
            let _ = writeln!(out, "  {} {}{known}", self.mark(check.holds), check.says);
        }
        for check in verdict.outdated() {
            let file = format!("harness/divergences/prove/{}.toml", verdict.engine.id());
            let _ = writeln!(out, "  \"{check}\" is known to fall here, and did not: mend {file}");
        }
        let _ = writeln!(out, "  what was seen:");
        let rows: Vec<_> = verdict.exchanges.iter().map(|seen| evidence_row(seen)).collect();
        for line in rows_of(&rows) {
            let _ = writeln!(out, "{line}");
        }
        let (topology, client) = (verdict.topology.id(), verdict.client.id());
        let engine = verdict.engine.id();
        let _ = write!(
            out,
            "  again: withcreds-harness prove --engine {engine} --topology {topology} --client {client}"
        );
        out
    }

    fn control_line(&self, control: &Control) -> String {
        let title = format!("{}: {}", control.engine.id(), control.sabotage.title());
        let (claim, check) = must_break(control.sabotage);
        let (number, id) = (claim.number(), claim.id());
        if !control.is_caught() {
            let why = if control.tried.is_empty() {
                "could not be tried: here this engine departs from the claim anyway; ask in more topologies"
            } else {
                "held somewhere"
            };
            let mark = self.mark(false);
            return format!("{mark} {title}: NOT CAUGHT, \"{check}\" of {number} {id} {why}");
        }
        let (fell, asked) = (control.fell, control.asked);
        format!(
            "{} {title}: caught by {number} {id}, \"{check}\" ({fell} of {asked} verdicts fell)",
            self.mark(true)
        )
    }

    fn summary(&self, proof: &Proof) -> String {
        let count = |judgement| proof.verdicts().filter(|v| v.judgement() == judgement).count();
        let timing = proof.timing;
        let mut line = format!(
            "{} {} of {} verdicts hold",
            self.mark(proof.holds()),
            count(Judgement::Pass),
            proof.verdicts().count()
        );
        match count(Judgement::Divergence) {
            0 => {}
            known => {
                let _ = write!(line, ", {known} fall as is known of their engine");
            }
        }
        if proof.controls().next().is_some() {
            let caught = proof.controls().filter(|c| c.is_caught()).count();
            let _ = write!(line, ", {caught} of {} sabotages caught", proof.controls().count());
        }
        let seconds = |millis| Duration::from_millis(millis).as_secs_f64();
        let (first, total) = (seconds(timing.first_verdict_millis), seconds(timing.total_millis));
        let rate = timing.verdicts_per_second;
        let _ = write!(
            line,
            "; first after {first:.2} s, all after {total:.2} s, {rate:.0} verdicts/s"
        );
        if proof.engines.len() > 1 {
            for engine in &proof.engines {
                let timing = engine.timing;
                let (first, total) =
                    (seconds(timing.first_verdict_millis), seconds(timing.total_millis));
                let name = engine.engine.id();
                let _ = write!(
                    line,
                    "\n  {name}: first after {first:.2} s, all after {total:.2} s of its own"
                );
            }
        }
        line
    }
}

impl Progress for Terminal {
    fn planned(&self, verdicts: usize) {
        let Some(bar) = &self.bar else {
            eprintln!("{verdicts} verdicts to come");
            return;
        };
        bar.set_length(u64::try_from(verdicts).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}") {
            bar.set_style(style);
        }
    }

    fn verdict(&self, verdict: &Verdict) {
        if let Some(bar) = &self.bar {
            bar.set_message(verdict.claim.id());
            bar.inc(1);
        }
    }

    fn control(&self, control: &Control) {
        if self.bar.is_none() {
            eprintln!("{}", self.control_line(control));
        }
    }
}
