//! `diagnose`: what went wrong in a HAR, or will in a copied line.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use withcreds_harness::diagnose::{
    Diagnosis, Line, diagnose, document, human, human_line, line_document, read,
};
use withcreds_harness::oracle::Profile;
use withcreds_harness::scenario::{Address, Origin, Scenario};

use crate::commands::predict::{EngineArg, Format, now_ms, print, profiles};
use crate::commands::{ENVIRONMENT, OK, UNEXPECTED, USAGE, environment};

const EXAMPLES: &str = "Examples:
  withcreds-harness diagnose app.example.com.har
  withcreds-harness diagnose app.example.com.har --scenario case.toml
  withcreds-harness diagnose --origin https://app.example.com < copied-as-curl.txt
  withcreds-harness diagnose app.example.com.har --engine safari --format json

Save a HAR: network panel, reload, repeat what fails, \"Export HAR\". Copy a line: right click on the
request, \"Copy as cURL (bash)\" or \"Copy as fetch\".

Exit: 0 nothing failed, 1 findings, 2 usage or a file that is no HAR, 3 the environment";

/// Larger recordings are not read.
const MOST: u64 = 512 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A HAR file, or a file with a line copied as cURL or fetch; `-`, or nothing, reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The page that asks, where a copied line does not say it
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Write a scenario that shows the same; of several calls each into a file of its own
    #[arg(long, value_name = "OUT")]
    scenario: Option<PathBuf>,
    /// Engines to predict
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

pub(crate) fn main(args: &Args) -> u8 {
    let profiles = match profiles(&args.engine) {
        Ok(profiles) => profiles,
        Err(code) => return code,
    };
    let page = match args.origin.as_deref().map(|text| (text, Address::parse(text))) {
        None => None,
        Some((_, Some(address))) => Some(address.origin().clone()),
        Some((text, None)) => {
            eprintln!(
                "error: --origin: expected an origin such as https://app.example.com, found \"{text}\""
            );
            return USAGE;
        }
    };
    let text = match contents(&args.file) {
        Ok(text) => text,
        Err(error) if args.file == Path::new("-") => return environment(&error),
        Err(error) => {
            eprintln!("error: {}: {error}", args.file.display());
            return USAGE;
        }
    };
    if text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']).starts_with('{') {
        recorded(args, &text, &profiles)
    } else {
        copied(args, &text, page.as_ref(), &profiles)
    }
}

fn contents(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        if io::stdin().is_terminal() {
            eprintln!("paste a line copied as cURL or fetch, then press Ctrl-D:");
        }
        io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)?;
    } else {
        fs::File::open(file)?.take(MOST + 1).read_to_end(&mut bytes)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
        let says = format!("more than {} MiB: record less, or without bodies", MOST >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, says));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn recorded(args: &Args, text: &str, profiles: &[&Profile]) -> u8 {
    let recording = match read(text) {
        Ok(recording) => recording,
        Err(error) => {
            eprintln!("error: {}: {error}", args.file.display());
            return USAGE;
        }
    };
    let (found, calls) = diagnose(&recording, profiles, now_ms());
    let out = match args.format {
        Format::Json => document(&recording, &found, calls).to_string(),
        Format::Human => {
            let file = args.file.display().to_string();
            human(&file, &recording, &found, calls, profiles.len(), colours())
        }
    };
    if !print(out.trim_end()) {
        return ENVIRONMENT;
    }
    if let Some(out) = &args.scenario {
        let scenarios: Vec<_> = found.iter().filter_map(|d| d.scenario.as_ref()).collect();
        let lacking = found.len() - scenarios.len();
        if lacking > 0 {
            eprintln!("no scenario for {lacking} whose answers were not recorded");
        }
        if let Err(code) = save(out, &scenarios) {
            return code;
        }
    }
    let is_sound = |d: &Diagnosis| !d.failed && !d.is_explained() && d.not_shown.is_empty();
    if found.iter().all(is_sound) { OK } else { UNEXPECTED }
}

fn copied(args: &Args, text: &str, page: Option<&Origin>, profiles: &[&Profile]) -> u8 {
    let line = match Line::parse(text, page) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("error: {}: {error}", args.file.display());
            return USAGE;
        }
    };
    let predictions = line.predictions(profiles, now_ms());
    let faults = Line::faults(&predictions);
    let out = match args.format {
        Format::Json => line_document(&line, &predictions, &faults).to_string(),
        Format::Human => human_line(&line, &faults, colours()),
    };
    if !print(out.trim_end()) {
        return ENVIRONMENT;
    }
    if let Some(out) = &args.scenario
        && let Err(code) = save(out, &[&line.scenario()])
    {
        return code;
    }
    if faults.is_empty() { OK } else { UNEXPECTED }
}

/// `case.toml`, `case-2.toml`, …
fn save(out: &Path, scenarios: &[&Scenario]) -> Result<(), u8> {
    for (index, scenario) in scenarios.iter().enumerate() {
        let path = if index == 0 {
            out.to_owned()
        } else {
            let stem = out.file_stem().unwrap_or_default().to_string_lossy();
            let end = out.extension().unwrap_or_default().to_string_lossy();
            let dot = if end.is_empty() { "" } else { "." };
            out.with_file_name(format!("{stem}-{}{dot}{end}", index + 1))
        };
        let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        write(&path, scenario, is_json).map_err(|error| {
            eprintln!("error: {}: {error}", path.display());
            ENVIRONMENT
        })?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn write(path: &Path, scenario: &Scenario, is_json: bool) -> io::Result<()> {
    let text = if is_json {
        serde_json::to_string_pretty(scenario).map_err(io::Error::other)?
    } else {
        toml::to_string(scenario).map_err(io::Error::other)?
    };
    fs::write(path, text + "\n")
}
