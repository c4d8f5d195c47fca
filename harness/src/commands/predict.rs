//! `predict`: the oracle alone.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;
use withcreds_harness::oracle::Profile;
use withcreds_harness::results::{Document, StepResult, predictions};
use withcreds_harness::scenario::{Client, Credentials, Engine, Loaded, Step};
use withcreds_harness::verdict::Verdict;

use crate::commands::scenarios::{complain, find};
use crate::commands::{ENVIRONMENT, OK, UNEXPECTED, environment};

const EXAMPLES: &str = "Examples:
  withcreds-harness predict harness/scenarios
  withcreds-harness predict omit-sends-nothing --engine firefox,safari
  withcreds-harness predict case.toml --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Scenario files, folders of them, or ids that `list` shows
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Engines to predict
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

/// An engine that has a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArg {
    Chromium,
    Firefox,
    Webkit,
    Safari,
    All,
}

/// The profiles of the engines asked for.
pub(crate) fn profiles(engines: &[EngineArg]) -> Result<Vec<&'static Profile>, u8> {
    let wanted = |engine: &Engine| {
        engines.iter().any(|arg| match arg {
            EngineArg::Chromium => *engine == Engine::Chromium,
            EngineArg::Firefox => *engine == Engine::Firefox,
            EngineArg::Webkit => *engine == Engine::Webkit,
            EngineArg::Safari => *engine == Engine::Safari,
            EngineArg::All => true,
        })
    };
    let profiles: Result<_, _> = Engine::ALL.into_iter().filter(wanted).map(Profile::of).collect();
    profiles.map_err(|error| environment(&error))
}

/// Milliseconds since 1970. Here, at the edge, and nowhere deeper.
pub(crate) fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the oracle takes the time from here")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Prints to a reader who may have seen enough (`| head`).
pub(crate) fn print(text: &str) -> bool {
    writeln!(io::stdout(), "{text}").is_ok()
}

pub(crate) fn main(args: &Args) -> u8 {
    let found = match find(&args.files) {
        Ok(found) => found,
        Err(bad) => return complain(&bad, args.format == Format::Json),
    };
    let profiles = match profiles(&args.engine) {
        Ok(profiles) => profiles,
        Err(code) => return code,
    };
    let scenarios: Vec<_> = found.into_iter().map(|found| found.loaded).collect();
    let document = predictions(&scenarios, &profiles, now_ms());
    let text = match args.format {
        Format::Json => serde_json::to_string(&document).unwrap_or_default(),
        Format::Human => human(&scenarios, &document),
    };
    if !print(&text) {
        return ENVIRONMENT;
    }
    if document.summary.holds() { OK } else { UNEXPECTED }
}

/// Colours, if anybody sees them.
struct Paint(bool);

impl Paint {
    fn of_stdout() -> Self {
        Self(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn bold(&self, text: &str) -> String {
        if self.0 { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn mark(&self, verdict: Verdict) -> String {
        let (colour, mark) = match verdict {
            Verdict::Pass => ("32", "✓"),
            Verdict::Fail => ("1;31", "✗"),
            Verdict::Divergence => ("33", "≠"),
            Verdict::Skipped => ("2", "–"),
        };
        if self.0 { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() }
    }
}

fn human(scenarios: &[Loaded], document: &Document) -> String {
    let paint = Paint::of_stdout();
    let mut out = String::new();
    let mut results = document.results.as_slice();
    for loaded in scenarios {
        let scenario = &loaded.scenario;
        let _ = writeln!(out, "{}  {}", paint.bold(&scenario.id), scenario.title);
        let own = results.iter().take_while(|r| r.scenario == scenario.id).count();
        // Two files may have one id: each has as many results as engines times steps.
        let engines: Vec<_> = document
            .engines
            .iter()
            .map(|e| e.name)
            .filter(|e| scenario.engines.is_empty() || scenario.engines.contains(e))
            .collect();
        let (mine, rest) = results.split_at(own.min(engines.len() * scenario.steps.len()));
        results = rest;
        for (index, step) in scenario.steps.iter().enumerate() {
            let _ = writeln!(out, "  {} {}", index + 1, asked(step));
            for group in grouped(mine.iter().filter(|r| r.step == index)) {
                group_lines(&mut out, &paint, &group);
            }
        }
        out.push('\n');
    }
    let summary = document.summary;
    let _ = write!(out, "{} as expected", summary.pass);
    for (count, what) in [
        (summary.fail, "not as expected"),
        (summary.divergence, "not as expected for a known difference of the engine"),
        (summary.skipped, "not known"),
    ] {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    out
}

/// Engines to which the same happens share their lines.
fn grouped<'r>(results: impl Iterator<Item = &'r StepResult>) -> Vec<Vec<&'r StepResult>> {
    let mut groups: Vec<Vec<&StepResult>> = Vec::new();
    for result in results {
        let same = |group: &&mut Vec<&StepResult>| {
            group.first().is_some_and(|first| {
                (first.verdict, &first.why, first.predicted.sentence(), &first.differences)
                    == (
                        result.verdict,
                        &result.why,
                        result.predicted.sentence(),
                        &result.differences,
                    )
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(result),
            None => groups.push(vec![result]),
        }
    }
    groups
}

fn group_lines(out: &mut String, paint: &Paint, group: &[&StepResult]) {
    let Some(first) = group.first() else { return };
    let engines: Vec<_> = group.iter().map(|result| result.engine.id()).collect();
    let _ = writeln!(
        out,
        "    {} {}: {}",
        paint.mark(first.verdict),
        engines.join(", "),
        first.predicted.sentence()
    );
    for difference in &first.differences {
        let _ = writeln!(
            out,
            "        {}: expected {}, predicted {}",
            difference.field, difference.expected, difference.got
        );
    }
    if first.verdict == Verdict::Divergence {
        let _ = writeln!(
            out,
            "        a browser that keeps to the standards would meet this; see harness/divergences"
        );
    }
    for finding in &first.why {
        let code = finding.code();
        let _ = writeln!(out, "        {}: {}", code.id(), finding.text());
        if !code.mend().is_empty() {
            let _ = writeln!(out, "          mend: {}", code.mend());
            let _ = writeln!(out, "          rule: {}", code.spec());
        }
    }
}

fn asked(step: &Step) -> String {
    if let Some(origin) = &step.login {
        return format!("log in at {origin}");
    }
    let client = match step.client.unwrap_or_default() {
        Client::Fetch => "fetch",
        Client::Xhr => "xhr",
        Client::Axios => "axios",
        Client::Form => "form",
        Client::Navigate => "navigate",
        Client::Image => "image",
    };
    let method = step.method.as_deref().unwrap_or("GET");
    let mut text = format!("{client} {method} {}", step.url.as_deref().unwrap_or_default());
    match step.credentials {
        Some(Credentials::Include) => text.push_str(", with credentials"),
        Some(Credentials::Omit) => text.push_str(", credentials omitted"),
        Some(Credentials::SameOrigin) => text.push_str(", credentials same-origin"),
        None => {}
    }
    if let Some(frame) = &step.frame {
        let _ = write!(text, ", in a frame ({frame})");
    }
    text
}
