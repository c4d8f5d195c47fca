//! `explain`: what a console's line, a code or plain words speak of, and how to mend it.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use clap::ValueEnum;
use withcreds_harness::catalogue::{Catalogue, LONGEST_TEXT, Match, Paint, answer, document, list};

use crate::commands::{ENVIRONMENT, OK, UNEXPECTED, environment};

const EXAMPLES: &str = "Examples:
  withcreds-harness explain
  withcreds-harness explain acao-missing
  withcreds-harness explain \"CORS header ‘Access-Control-Allow-Origin’ missing\"
  withcreds-harness explain logged out only in safari
  withcreds-harness explain --format json net::ERR_CERT_AUTHORITY_INVALID
  withcreds-harness explain - < console.log

Exit: 0 found, 1 nothing fits, 2 usage, 3 standard input or output failed";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A code, lines pasted from a console, or plain words; `-` reads standard input; nothing lists all
    #[arg(value_name = "ID or TEXT")]
    text: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Human,
    Json,
}

pub(crate) fn main(args: &Args) -> u8 {
    let text = match &args.text[..] {
        [] => return show_all(args.format),
        [dash] if dash == "-" => match standard_input() {
            Ok(text) => text,
            Err(error) => {
                let says = format!("standard input cannot be read: {error}");
                return environment(&io::Error::new(error.kind(), says));
            }
        },
        words => words.join(" "),
    };
    if text.len() > LONGEST_TEXT {
        eprintln!("note: only the first {} KiB were read", LONGEST_TEXT / 1024);
    }
    let matches = Catalogue::embedded().explain(&text);
    let code = match args.format {
        Format::Json => print(&document(&matches).to_string()),
        Format::Human => print(&answer(&matches, paint())),
    };
    if matches.is_empty() {
        eprintln!(
            "nothing in the catalogue fits. Paste the whole line from the browser's console, not the \
             script's `TypeError`; or try plain words (\"logged out in safari\"); or see the list: \
             withcreds-harness explain"
        );
        return UNEXPECTED;
    }
    code
}

/// Text from standard input, a little more than is looked at, so that a cut is noticed.
fn standard_input() -> io::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LONGEST_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn show_all(format: Format) -> u8 {
    let catalogue = Catalogue::embedded();
    match format {
        Format::Human => print(&format!(
            "{}\nOne of them: explain ID. A line from a console, or plain words: explain TEXT.",
            list(catalogue.bugs(), paint())
        )),
        Format::Json => {
            // Nothing was asked, so nothing fits better than the rest.
            let all: Vec<_> = catalogue.bugs().iter().map(Match::unasked).collect();
            print(&document(&all).to_string())
        }
    }
}

/// Prints; a reader that has seen enough (`| head`) is no failure of ours.
fn print(text: &str) -> u8 {
    if text.is_empty() {
        return OK;
    }
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ENVIRONMENT,
        _ => OK,
    }
}

fn paint() -> Paint {
    Paint(io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}
