//! `doctor`: what is wrong between a page and a running backend.

use std::path::PathBuf;

use clap::ValueEnum;
use withcreds_harness::doctor::{
    Call, Client, Exchange, Purpose, REDIRECTS, Resolve, SeenCookie, Severity, TrustError,
    document, examine, findings, human, plan, predictions, shown_address,
};
use withcreds_harness::oracle::{Profile, RelationReport, is_settable, normalized_method, relate};
use withcreds_harness::scenario::{Address, Credentials};

use crate::commands::diagnose::colours;
use crate::commands::predict::{EngineArg, Format, now_ms, print, profiles};
use crate::commands::{ENVIRONMENT, OK, UNEXPECTED, USAGE, environment};

const EXAMPLES: &str = "Examples:
  withcreds-harness doctor http://localhost:8080/api/auth/session --origin http://localhost:3000
  withcreds-harness doctor https://api.example.com/items --origin https://app.example.com \\
      --cookie sid
  withcreds-harness doctor https://api.example.com/items --origin https://app.example.com \\
      --method PUT --header 'Content-Type: application/json' --header 'X-CSRF-Token: x'
  withcreds-harness doctor https://api.example.com/ --origin https://app.example.com \\
      --resolve api.example.com:443:127.0.0.1 --insecure-tls --format json

Exit: 0 nothing graver than info, 1 findings, 2 usage, 3 the environment";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the page asks for
    #[arg(value_name = "URL")]
    url: String,
    /// The page's origin, or any address of it
    #[arg(long, value_name = "ORIGIN")]
    origin: String,
    /// A cookie that should travel: its name, or a whole Set-Cookie line
    #[arg(long, value_name = "NAME")]
    cookie: Vec<String>,
    /// A header that the script sets, `Name: value`; sent with the call alone
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// The method that the script uses; only its preflight is sent, unless it is GET or HEAD
    #[arg(long, default_value = "GET")]
    method: String,
    /// The script's credentials mode
    #[arg(long, value_enum, default_value = "include")]
    credentials: Mode,
    /// Really send a method that may change something, without a body; and PROPFIND, which few servers have
    #[arg(long = "unsafe")]
    sends_unsafe: bool,
    /// Where a host is, whatever the DNS says
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    resolve: Vec<String>,
    /// More certificates to trust, in PEM
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Go on whatever the certificate
    #[arg(long)]
    insecure_tls: bool,
    /// Engines to predict
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Include,
    SameOrigin,
    Omit,
}

pub(crate) fn main(args: &Args) -> u8 {
    let read = call(args).and_then(|call| Ok((call, resolve(&args.resolve)?)));
    let (call, resolve) = match read {
        Ok(read) => read,
        Err(says) => {
            eprintln!("error: {says}");
            return USAGE;
        }
    };
    let profiles = match profiles(&args.engine) {
        Ok(profiles) => profiles,
        Err(code) => return code,
    };
    let client = match Client::new(args.cacert.as_deref(), args.insecure_tls, resolve) {
        Ok(client) => client,
        Err(error @ TrustError::File { .. }) => {
            eprintln!("error: --cacert: {error}");
            return USAGE;
        }
        Err(error) => return environment(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return environment(&error),
    };
    announce(&call);
    let facts = runtime.block_on(examine(call, &client, tell));
    let now = now_ms();
    let sees = predictions(&facts, &profiles, now);
    let found = findings(&facts, &sees, &profiles, now);
    let relation = relate_of(&facts.call, &profiles, now);
    let text = match args.format {
        Format::Json => document(&facts, &sees, &found, &relation).to_string(),
        Format::Human => human(&facts, &sees, &found, &relation, colours()),
    };
    if !print(text.trim_end()) {
        return ENVIRONMENT;
    }
    if found.iter().all(|finding| finding.severity == Severity::Info) { OK } else { UNEXPECTED }
}

fn relate_of(call: &Call, profiles: &[&Profile], now_ms: i64) -> RelationReport {
    let page = Address::parse(call.page.text()).unwrap_or_else(|| call.address.clone());
    relate(&page, &call.address, profiles, now_ms)
}

fn call(args: &Args) -> Result<Call, String> {
    let address = |name: &str, text: &str| {
        Address::parse(text).ok_or_else(|| {
            format!("{name}: expected an address such as https://api.example.com/items, found \"{text}\"")
        })
    };
    let url = address("URL", &args.url)?;
    if url.has_credentials() {
        return Err(
            "URL: a user name or password in it: no script can send such a request".to_owned()
        );
    }
    let method = normalized_method(&args.method);
    let token = |text: &str| http::Method::from_bytes(text.as_bytes()).is_ok();
    if !token(&method) || ["CONNECT", "TRACE", "TRACK"].contains(&method.to_uppercase().as_str()) {
        return Err(format!("--method: no script can send `{method}`"));
    }
    let headers = args.header.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
    let cookies: Vec<_> = args.cookie.iter().map(|text| SeenCookie::parse(text)).collect();
    if let Some(bad) =
        args.cookie.iter().find(|text| text.trim().is_empty() || text.chars().any(char::is_control))
    {
        return Err(format!("--cookie: expected a name or a Set-Cookie line, found {bad:?}"));
    }
    Ok(Call {
        page: address("--origin", &args.origin)?.origin().clone(),
        address: url,
        method,
        headers,
        credentials: match args.credentials {
            Mode::Include => Credentials::Include,
            Mode::SameOrigin => Credentials::SameOrigin,
            Mode::Omit => Credentials::Omit,
        },
        cookies,
        sends_unsafe: args.sends_unsafe,
    })
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| format!("--header: expected \"Name: value\", found \"{line}\""))?;
    let fits = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(value).is_ok();
    if !fits {
        return Err(format!("--header: \"{line}\" cannot be sent"));
    }
    if !is_settable(name, value) {
        let why = if name.eq_ignore_ascii_case("cookie") {
            "; --cookie names the cookie that should travel"
        } else {
            ""
        };
        return Err(format!("--header: browsers let no script set {name}{why}"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn resolve(texts: &[String]) -> Result<Vec<Resolve>, String> {
    let read = |text: &String| {
        Resolve::parse(text).ok_or_else(|| {
            format!("--resolve: expected HOST:PORT:ADDR such as api.example.com:443:127.0.0.1, found \"{text}\"")
        })
    };
    texts.iter().map(read).collect()
}

/// Says what will be sent, before anything is.
fn announce(call: &Call) {
    let questions = plan(call);
    let only = if call.sends_unsafe && !call.is_read_only() {
        format!("{} among them, which may change something", call.method)
    } else if call.sends_unsafe {
        "and PROPFIND, which is as safe".to_owned()
    } else {
        "only OPTIONS, GET and HEAD".to_owned()
    };
    eprintln!(
        "sends {} requests to {}, {only}; no cookie but a made-up one; follows up to {REDIRECTS} redirects of the call:",
        questions.len(),
        call.address.origin()
    );
    for question in &questions {
        let origin = question.headers.iter().find(|(name, _)| name == "origin");
        let whose = origin.map_or_else(String::new, |(_, origin)| format!("  Origin: {origin}"));
        let set = match question.purpose {
            Purpose::Actual if !call.headers.is_empty() => {
                let names: Vec<_> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
                format!("  and {}", names.join(", "))
            }
            _ => String::new(),
        };
        let address = shown_address(question.address.cache_key());
        eprintln!("  {:<7} {address}{whose}{set}", question.method);
    }
}

/// Each exchange as soon as it is over.
fn tell(exchange: &Exchange) {
    let end = match &exchange.result {
        Ok(answer) => answer.status.to_string(),
        Err(trouble) => trouble.to_string(),
    };
    eprintln!("{}: {end} ({} ms)", exchange.question.purpose.text(), exchange.millis);
}
