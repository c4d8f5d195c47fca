//! `relation`: how two origins stand to each other.

use std::fmt::Write as _;

use withcreds_harness::oracle::{RelationReport, relate};
use withcreds_harness::scenario::Address;

use crate::commands::predict::{EngineArg, Format, now_ms, print, profiles};
use crate::commands::{ENVIRONMENT, OK, USAGE};

const EXAMPLES: &str = "Examples:
  withcreds-harness relation https://app.example.com https://api.example.com
  withcreds-harness relation http://localhost:3000 http://127.0.0.1:8080
  withcreds-harness relation https://a.github.io https://b.github.io --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The page: an origin, or any address of it
    #[arg(value_name = "PAGE")]
    page: String,
    /// The backend that it talks to
    #[arg(value_name = "BACKEND")]
    backend: String,
    /// Engines
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

pub(crate) fn main(args: &Args) -> u8 {
    let parse = |text: &str| {
        let address = Address::parse(text);
        if address.is_none() {
            eprintln!("error: {text}: expected an origin such as https://app.example.com");
        }
        address
    };
    let (Some(page), Some(backend)) = (parse(&args.page), parse(&args.backend)) else {
        return USAGE;
    };
    let profiles = match profiles(&args.engine) {
        Ok(profiles) => profiles,
        Err(code) => return code,
    };
    let report = relate(&page, &backend, &profiles, now_ms());
    let text = match args.format {
        Format::Json => serde_json::to_string(&report).unwrap_or_default(),
        Format::Human => human(&report),
    };
    if print(&text) { OK } else { ENVIRONMENT }
}

fn human(report: &RelationReport) -> String {
    let mut out = String::new();
    let yes = |is: bool| if is { "yes" } else { "no" };
    let [page, backend] = &report.sites;
    let _ = writeln!(out, "page      {}   (site {page})", report.page);
    let _ = writeln!(out, "backend   {}   (site {backend})", report.backend);
    let _ = writeln!(out, "same origin?  {}", yes(report.same_origin));
    let scheme = if report.same_site_but_for_scheme {
        ", but for the scheme: Chromium counts it, Firefox and WebKit do not"
    } else {
        ""
    };
    let _ = writeln!(out, "same site?    {}{scheme}", yes(report.same_site));
    let needs = if report.needs_cors { "yes, to read the backend's answers" } else { "no" };
    let _ = writeln!(out, "needs CORS?   {needs}");
    if report.mixed_content {
        let _ = writeln!(out, "mixed content: an https page may not ask an http backend at all");
    }
    let _ = writeln!(
        out,
        "\nA cookie that the backend sets on a request with credentials travels with the next one:"
    );
    let width = report.cookies.iter().map(|cookie| cookie.attributes.len()).max().unwrap_or(0);
    for cookie in &report.cookies {
        let _ = write!(out, "  {:width$}", cookie.attributes);
        let engines = &cookie.engines;
        let works = |wanted| {
            let of = engines.iter().filter(move |e| e.works == wanted);
            of.map(|e| e.engine.id()).collect::<Vec<_>>()
        };
        let (yes, no) = (works(true), works(false));
        if no.is_empty() {
            let _ = writeln!(out, "  yes");
            continue;
        }
        if !yes.is_empty() {
            let _ = write!(out, "  yes: {};", yes.join(", "));
        }
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for engine in engines.iter().filter(|e| !e.works) {
            let reason = engine.reason.as_deref().unwrap_or("unknown");
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, engines)) => engines.push(engine.engine.id()),
                None => reasons.push((reason, vec![engine.engine.id()])),
            }
        }
        let list: Vec<_> = reasons
            .iter()
            .map(|(reason, engines)| format!("{} ({reason})", engines.join(", ")))
            .collect();
        let _ = writeln!(out, "  no: {}", list.join(", "));
    }
    if !report.third_parties.is_empty() {
        let _ = writeln!(out, "\nThird-party cookies out of the box:");
    }
    for note in &report.third_parties {
        let _ = writeln!(out, "  {}: {}", note.engine.id(), note.text);
    }
    let _ = write!(out, "\n`explain CODE` tells more about each reason.");
    out
}
