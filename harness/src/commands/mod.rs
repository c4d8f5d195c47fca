//! The commands and what they have in common.

mod diagnose;
mod doctor;
mod engines;
mod explain;
mod export;
mod list;
mod predict;
mod prove;
mod relation;
mod scenarios;
mod schema;

use clap::{Parser, Subcommand};

/// All as expected.
const OK: u8 = 0;
/// Something was not as expected.
const UNEXPECTED: u8 = 1;
/// A wrong command line, or a file that is not as it should be.
const USAGE: u8 = 2;
/// No browser, no port, a crash: nothing is known about the service.
const ENVIRONMENT: u8 = 3;
/// Ended by Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "Examples:
  withcreds-harness prove
  withcreds-harness prove --client fetch,xhr --topology cross-site
  withcreds-harness prove --controls --format json > proof.json
  withcreds-harness engines
  withcreds-harness predict omit-sends-nothing
  withcreds-harness relation http://localhost:3000 http://127.0.0.1:8080
  withcreds-harness doctor http://localhost:8080/api/auth/session --origin http://localhost:3000
  withcreds-harness diagnose app.example.com.har --scenario case.toml
  withcreds-harness explain acao-missing

Exit: 0 all as expected, 1 something was not, 2 usage or a bad file, 3 the environment (no browser, a crash)";

/// Proves with real browsers that a session cookie travels only when credentials are enabled.
#[derive(Debug, Parser)]
#[command(name = "withcreds-harness", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Show the claims about the service to be true, each with its evidence
    Prove(prove::Args),
    /// Say which browsers are here, and how to get the missing ones
    Engines,
    /// Predict what happens in scenario files, in each engine: no browser needed
    Predict(predict::Args),
    /// List the scenarios that there are
    List(list::Args),
    /// Print the JSON Schema of scenario files
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    /// Say how two origins stand to each other, and which cookies work between them
    Relation(relation::Args),
    /// Ask a running backend what a browser would ask it, and say what is wrong
    Doctor(doctor::Args),
    /// Say what went wrong in a recording (HAR) or is in a copied curl or fetch line
    Diagnose(diagnose::Args),
    /// Write a scenario for somebody who does not have this tool
    Export(export::ExportArgs),
    /// Drop from a scenario what its verdict does not depend on
    Shrink(export::ShrinkArgs),
    /// Say what a line of a browser's console means, and how to mend it
    Explain(explain::Args),
}

/// Runs the command line of this process. Usage errors end it with 2.
pub(crate) fn main() -> u8 {
    match Cli::parse().command {
        Cmd::Prove(args) => prove::main(args),
        Cmd::Engines => engines::main(),
        Cmd::Predict(args) => predict::main(&args),
        Cmd::List(args) => list::main(&args),
        Cmd::Schema => schema::main(),
        Cmd::Relation(args) => relation::main(&args),
        Cmd::Doctor(args) => doctor::main(&args),
        Cmd::Diagnose(args) => diagnose::main(&args),
        Cmd::Export(args) => export::export(&args),
        Cmd::Shrink(args) => export::shrink_main(&args),
        Cmd::Explain(args) => explain::main(&args),
    }
}

/// Ends with a message about the environment.
fn environment(error: &dyn std::error::Error) -> u8 {
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ENVIRONMENT
}
