//! `export` and `shrink`: a scenario for somebody else, and as small as it gets.

use std::path::PathBuf;

use clap::ValueEnum;
use withcreds_harness::export::{curl, html, playwright, shrink};
use withcreds_harness::oracle::Profile;
use withcreds_harness::scenario::{Engine, Loaded};

use crate::commands::predict::{EngineArg, now_ms, print, profiles};
use crate::commands::scenarios::{complain, find};
use crate::commands::{ENVIRONMENT, OK, USAGE, environment};

const EXPORT_EXAMPLES: &str = "Examples:
  withcreds-harness export omit-sends-nothing --as curl
  withcreds-harness export acac-missing --as html > page.html
  withcreds-harness export acac-missing --as playwright > case.spec.mjs";

const SHRINK_EXAMPLES: &str = "Examples:
  withcreds-harness shrink acac-missing
  withcreds-harness shrink case.toml > smaller.toml";

#[derive(Debug, clap::Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    /// A scenario file, or an id that `list` shows
    #[arg(value_name = "CASE")]
    case: PathBuf,
    /// As what
    #[arg(long = "as", value_enum)]
    form: Form,
}

#[derive(Debug, clap::Args)]
#[command(after_help = SHRINK_EXAMPLES)]
pub(crate) struct ShrinkArgs {
    /// A scenario file, or an id that `list` shows
    #[arg(value_name = "FILE")]
    case: PathBuf,
    /// Engines in which the last step has to end as before
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
}

/// What a scenario is exported as.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// A shell script that asks the real servers
    Curl,
    /// A page that makes the calls in any browser
    Html,
    /// A test that brings the servers with it
    Playwright,
}

pub(crate) fn export(args: &ExportArgs) -> u8 {
    let loaded = match one(&args.case) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let profile = match Profile::of(Engine::Chromium) {
        Ok(profile) => profile,
        Err(error) => return environment(&error),
    };
    let now = now_ms();
    let text = match args.form {
        Form::Curl => curl(&loaded, profile, now),
        Form::Html => html(&loaded, profile, now),
        Form::Playwright => match playwright(&loaded, profile, now) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("error: {}: {error}", args.case.display());
                return USAGE;
            }
        },
    };
    if print(text.trim_end()) { OK } else { ENVIRONMENT }
}

pub(crate) fn shrink_main(args: &ShrinkArgs) -> u8 {
    let loaded = match one(&args.case) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let profiles = match profiles(&args.engine) {
        Ok(profiles) => profiles,
        Err(code) => return code,
    };
    let smaller = shrink(&loaded, &profiles, now_ms());
    match toml::to_string(&smaller) {
        Ok(text) if print(text.trim_end()) => OK,
        Ok(_) => ENVIRONMENT,
        Err(error) => environment(&error),
    }
}

fn one(case: &PathBuf) -> Result<Loaded, u8> {
    let mut found = find(std::slice::from_ref(case)).map_err(|bad| complain(&bad, false))?;
    match (found.len(), found.pop()) {
        (1, Some(found)) => Ok(found.loaded),
        (count, _) => {
            eprintln!("error: {}: expected one scenario, found {count}", case.display());
            Err(USAGE)
        }
    }
}
