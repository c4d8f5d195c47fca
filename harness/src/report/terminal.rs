//! The table for people, and the progress bar before it.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::prove::{Claim, Client, Control, Progress, Proof, Verdict, must_break};
use crate::report::evidence_row;

/// What several clients showed alike.
struct Group {
    claim: Claim,
    holds: bool,
    rows: Vec<[String; 6]>,
    clients: Vec<Client>,
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

    fn mark(&self, good: bool) -> String {
        if good { self.paint("32", "✓") } else { self.paint("1;31", "✗") }
    }

    /// The whole proof.
    #[must_use]
    pub fn render(&self, proof: &Proof) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}", self.paint("1", &proof.version));
        let mut topologies: Vec<_> = proof.verdicts.iter().map(|v| v.topology).collect();
        topologies.dedup();
        for topology in topologies {
            let verdicts: Vec<_> =
                proof.verdicts.iter().filter(|v| v.topology == topology).collect();
            let _ = writeln!(out, "\n{}", self.paint("1", topology.title()));
            let _ = writeln!(out, "{}", self.table(&verdicts));
        }
        for verdict in proof.verdicts.iter().filter(|v| !v.holds()) {
            let _ = writeln!(out, "\n{}", self.failure(verdict));
        }
        if !proof.controls.is_empty() {
            let _ = writeln!(
                out,
                "\n{}",
                self.paint("1", "negative controls: the same proof over a broken service")
            );
            for control in &proof.controls {
                let _ = writeln!(out, "{}", self.control_line(control));
            }
        }
        let _ = write!(out, "\n{}", self.summary(proof));
        out
    }

    /// Claims, and below each the evidence; clients with the same evidence share their rows.
    fn table(&self, verdicts: &[&Verdict]) -> String {
        let mut groups: Vec<Group> = Vec::new();
        for claim in Claim::ALL {
            for verdict in verdicts.iter().filter(|v| v.claim == claim) {
                let rows: Vec<_> =
                    verdict.exchanges.iter().map(|seen| evidence_row(seen)).collect();
                let holds = verdict.holds();
                match groups
                    .iter_mut()
                    .find(|g| (g.claim, g.holds, &g.rows) == (claim, holds, &rows))
                {
                    Some(group) => group.clients.push(verdict.client),
                    None => {
                        groups.push(Group { claim, holds, rows, clients: vec![verdict.client] });
                    }
                }
            }
        }
        // One table for all rows keeps the columns of all claims in line.
        let all = groups.iter().flat_map(|group| &group.rows);
        let mut lines = rows_of(all).into_iter();
        let mut out = self.paint("2", &lines.next().unwrap_or_default());
        for group in groups {
            let clients: Vec<_> = group
                .clients
                .iter()
                .map(|c| format!("{} {}", self.mark(group.holds), c.id()))
                .collect();
            let title = format!("{:>2} {}", group.claim.number(), group.claim.title());
            let _ = write!(out, "\n{}  {}", self.paint("1", &title), clients.join("  "));
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
            let _ = writeln!(out, "  {} {}", self.mark(check.holds), check.says);
        }
        let _ = writeln!(out, "  what was seen:");
        let rows: Vec<_> = verdict.exchanges.iter().map(|seen| evidence_row(seen)).collect();
        for line in rows_of(&rows) {
            let _ = writeln!(out, "{line}");
        }
        let (topology, client) = (verdict.topology.id(), verdict.client.id());
        let _ =
            write!(out, "  again: withcreds-harness prove --topology {topology} --client {client}");
        out
    }

    fn control_line(&self, control: &Control) -> String {
        let title = control.sabotage.title();
        let (claim, check) = must_break(control.sabotage);
        let (number, id) = (claim.number(), claim.id());
        if !control.is_caught() {
            let stayed =
                format!("{title}: NOT CAUGHT, \"{check}\" of {number} {id} held somewhere");
            return format!("{} {stayed}", self.mark(false));
        }
        let (fell, asked) = (control.fell, control.asked);
        format!(
            "{} {title}: caught by {number} {id}, \"{check}\" ({fell} of {asked} verdicts fell)",
            self.mark(true)
        )
    }

    fn summary(&self, proof: &Proof) -> String {
        let held = proof.verdicts.iter().filter(|v| v.holds()).count();
        let timing = proof.timing;
        let mut line = format!(
            "{} {held} of {} verdicts hold",
            self.mark(proof.holds()),
            proof.verdicts.len()
        );
        if !proof.controls.is_empty() {
            let caught = proof.controls.iter().filter(|c| c.is_caught()).count();
            let _ = write!(line, ", {caught} of {} sabotages caught", proof.controls.len());
        }
        let seconds = |millis| Duration::from_millis(millis).as_secs_f64();
        let (first, total) = (seconds(timing.first_verdict_millis), seconds(timing.total_millis));
        let rate = timing.verdicts_per_second;
        let _ = write!(
            line,
            "; first after {first:.2} s, all after {total:.2} s, {rate:.0} verdicts/s"
        );
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
