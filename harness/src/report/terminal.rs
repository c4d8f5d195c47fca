//! The table for people, and the progress bar before it.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::prove::{Claim, Client, Control, Progress, Proof, Verdict};
use crate::report::evidence_line;

/// Columns of the terminal on standard output, if it is one.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    console::Term::stdout().size_checked().map(|(_rows, columns)| columns)
}

/// How to write to a terminal, or to something that is none.
#[derive(Debug, Clone)]
pub struct Terminal {
    colour: bool,
    width: u16,
    bar: Option<ProgressBar>,
}

impl Terminal {
    /// A terminal with or without colour, of some width in columns; `bar` shows progress on
    /// standard error, and without it plain lines do.
    #[must_use]
    pub fn new(colour: bool, width: u16, bar: bool) -> Self {
        let bar = bar.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("starting browser {spinner} {elapsed}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { colour, width, bar }
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
            let verdicts: Vec<_> = proof.verdicts.iter().filter(|v| v.topology == topology).collect();
            let _ = writeln!(out, "\n{}", self.paint("1", topology.title()));
            let _ = writeln!(out, "{}", self.table(&verdicts));
        }
        for verdict in proof.verdicts.iter().filter(|v| !v.holds()) {
            let _ = writeln!(out, "\n{}", self.failure(verdict));
        }
        if !proof.controls.is_empty() {
            let _ = writeln!(out, "\n{}", self.paint("1", "negative controls: the same proof over a broken service"));
            for control in &proof.controls {
                let _ = writeln!(out, "{}", self.control_line(control));
            }
        }
        let _ = write!(out, "\n{}", self.summary(proof));
        out
    }

    /// Claims, and below each the evidence; clients with the same evidence share their lines.
    fn table(&self, verdicts: &[&Verdict]) -> Table {
        let mut table = Table::new();
        table
            .load_style(UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        table.set_header(["claim", "clients", "evidence"]);
        for claim in Claim::ALL {
            let of_claim = verdicts.iter().filter(|v| v.claim == claim);
            let mut groups: Vec<(bool, String, Vec<Client>)> = Vec::new();
            for verdict in of_claim {
                let lines: Vec<_> = verdict.exchanges.iter().map(|seen| evidence_line(seen)).collect();
                let (holds, lines) = (verdict.holds(), lines.join("\n"));
                match groups.iter_mut().find(|(h, l, _)| *h == holds && *l == lines) {
                    Some((.., clients)) => clients.push(verdict.client),
                    None => groups.push((holds, lines, vec![verdict.client])),
                }
            }
            for (n, (holds, lines, clients)) in groups.into_iter().enumerate() {
                let title = if n == 0 { format!("{} {}", claim.number(), claim.title()) } else { String::new() };
                let clients: Vec<_> =
                    clients.iter().map(|client| format!("{} {}", self.mark(holds), client.id())).collect();
                table.add_row([Cell::new(title), Cell::new(clients.join("\n")), Cell::new(lines)]);
            }
        }
        table
    }

    fn failure(&self, verdict: &Verdict) -> String {
        let mut out = format!("{} {}\n", self.mark(false), self.paint("1", &verdict.id()));
        let _ = writeln!(out, "  {}", verdict.claim.title());
        for check in &verdict.checks {
            let _ = writeln!(out, "  {} {}", self.mark(check.holds), check.says);
        }
        let _ = writeln!(out, "  what was seen:");
        for seen in &verdict.exchanges {
            let _ = writeln!(out, "    {}", evidence_line(seen));
        }
        let (topology, client) = (verdict.topology.id(), verdict.client.id());
        let _ = write!(out, "  again: withcreds-harness prove --topology {topology} --client {client}");
        out
    }

    fn control_line(&self, control: &Control) -> String {
        let title = control.sabotage.title();
        if !control.is_caught() {
            let says = format!("{title}: NOT CAUGHT, all {} verdicts stayed green", control.verdicts);
            return format!("{} {says}", self.mark(false));
        }
        let mut claims: Vec<_> = control.caught_by.iter().map(|v| v.claim).collect();
        claims.sort_by_key(|claim| claim.number());
        claims.dedup();
        let names: Vec<_> = claims.iter().map(|c| format!("{} {}", c.number(), c.id())).collect();
        let (fell, asked) = (control.caught_by.len(), control.verdicts);
        format!("{} {title}: caught by {} ({fell} of {asked} verdicts fell)", self.mark(true), names.join(", "))
    }

    fn summary(&self, proof: &Proof) -> String {
        let held = proof.verdicts.iter().filter(|v| v.holds()).count();
        let timing = proof.timing;
        let mut line = format!("{} {held} of {} verdicts hold", self.mark(proof.holds()), proof.verdicts.len());
        if !proof.controls.is_empty() {
            let caught = proof.controls.iter().filter(|c| c.is_caught()).count();
            let _ = write!(line, ", {caught} of {} sabotages caught", proof.controls.len());
        }
        let seconds = |millis| Duration::from_millis(millis).as_secs_f64();
        let (first, total) = (seconds(timing.first_verdict_millis), seconds(timing.total_millis));
        let rate = timing.verdicts_per_second;
        let _ = write!(line, "; first after {first:.2} s, all after {total:.2} s, {rate:.0} verdicts/s");
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
