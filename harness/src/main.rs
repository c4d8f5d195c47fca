//! The harness's binary: arguments → command → exit code.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(commands::main())
}
