//! `list`: the scenarios that there are.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::commands::predict::{Format, print};
use crate::commands::scenarios::{collection, complain, find};
use crate::commands::{ENVIRONMENT, OK};

const EXAMPLES: &str = "Examples:
  withcreds-harness list
  withcreds-harness list --tag cross-site
  withcreds-harness list my-scenarios --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files or folders; without any: the collection that comes with the harness
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only scenarios with this tag
    #[arg(long)]
    tag: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

pub(crate) fn main(args: &Args) -> u8 {
    let found = if args.files.is_empty() { collection() } else { find(&args.files) };
    let mut found = match found {
        Ok(found) => found,
        Err(bad) => return complain(&bad, args.format == Format::Json),
    };
    if let Some(tag) = &args.tag {
        found.retain(|found| found.loaded.scenario.tags.contains(tag));
    }
    let text = match args.format {
        Format::Json => {
            let entry = |found: &crate::commands::scenarios::Found| {
                let scenario = &found.loaded.scenario;
                serde_json::json!({
                    "id": scenario.id,
                    "title": scenario.title,
                    "tags": scenario.tags,
                    "engines": scenario.engines,
                    "steps": scenario.steps.len(),
                    "file": found.file,
                })
            };
            let scenarios: Vec<_> = found.iter().map(entry).collect();
            serde_json::json!({ "schema": 1, "scenarios": scenarios }).to_string()
        }
        Format::Human => {
            let ids = found.iter().map(|found| found.loaded.scenario.id.len());
            let width = ids.max().unwrap_or_default();
            let mut out = String::new();
            for found in &found {
                let scenario = &found.loaded.scenario;
                let _ = writeln!(out, "{:width$}  {}", scenario.id, scenario.title);
            }
            let _ = write!(out, "{} scenarios", found.len());
            out
        }
    };
    if print(&text) { OK } else { ENVIRONMENT }
}
