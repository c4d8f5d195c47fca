//! The command line: arguments → command → exit code.

mod check;
mod cors;
mod keys;
mod notify;
mod serve;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::cors::CorsArgs;
use crate::config::{Config, ConfigError, Environment};

/// All went well; for `serve`: a drained stop.
const OK: u8 = 0;
/// The run failed: a port in use, a file that cannot be read.
const FAILED: u8 = 1;
/// Bad arguments or a bad configuration.
const BAD_CONFIG: u8 = 2;

const EXAMPLES: &str = "Examples:
  withcreds                          development mode: http://localhost:8080 and a page on :3000
  withcreds --config withcreds.toml  production
  withcreds check --config withcreds.toml --format json
  withcreds hash-password < password.txt";

/// Credentialed CORS and sessions for JavaScript frontends on another origin.
#[derive(Debug, Parser)]
#[command(name = "withcreds", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Cmd>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// TOML file; without one, development mode
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the configuration as it is in force, environment and defaults included, and stop
    #[arg(long, global = true)]
    print_config: bool,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Start the service (the default)
    #[command(after_help = "Example:\n  withcreds serve --config withcreds.toml")]
    Serve,
    /// Report every mistake of a configuration and start nothing
    #[command(after_help = "Example:\n  withcreds check --config withcreds.toml --format json")]
    Check {
        /// How to print
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Say what would be decided about one request under this configuration, and why
    #[command(
        after_help = "Examples:\n  withcreds cors --origin https://app.example.com --config withcreds.toml\n  withcreds cors --preflight --method PUT --origin http://localhost:3000 --header 'X-CSRF-TOKEN: x'"
    )]
    Cors(CorsArgs),
    /// Turn a password from standard input into an argon2id hash for the users file
    #[command(
        after_help = "Example:\n  printf %s 'correct horse battery' | withcreds hash-password"
    )]
    HashPassword,
    /// Print a fresh key for `[session] keys`
    #[command(after_help = "Example:\n  withcreds keygen")]
    Keygen,
    /// Print completions for a shell
    #[command(
        hide = true,
        after_help = "Example:\n  withcreds completions bash > /etc/bash_completion.d/withcreds"
    )]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(
        hide = true,
        after_help = "Example:\n  withcreds man > /usr/local/share/man/man1/withcreds.1"
    )]
    Man,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.common.print_config {
        return ExitCode::from(check::print(&cli.common));
    }
    let code = match cli.command.unwrap_or(Cmd::Serve) {
        Cmd::Serve => serve::serve(&cli.common),
        Cmd::Check { format } => check::check(&cli.common, format),
        Cmd::Cors(args) => cors::cors(&cli.common, &args),
        Cmd::HashPassword => keys::hash(),
        Cmd::Keygen => keys::keygen(),
        Cmd::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "withcreds", &mut io::stdout());
            OK
        }
        Cmd::Man => match clap_mangen::Man::new(Cli::command()).render(&mut io::stdout()) {
            Ok(()) => OK,
            Err(error) => fail(&format!("cannot write the manual: {error}")),
        },
    };
    ExitCode::from(code)
}

fn load(common: &Common) -> Result<Config, Vec<ConfigError>> {
    Config::read_with(common.config.as_deref(), Environment::of_process())
}

fn report(errors: &[ConfigError]) {
    for error in errors {
        eprintln!("error: {error}");
    }
    let count = errors.len();
    eprintln!("{count} mistake{} in the configuration; nothing was started", plural(count));
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn fail(message: &str) -> u8 {
    eprintln!("error: {message}");
    FAILED
}
