//! `prove`: the claims, with evidence.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use withcreds_harness::browser::{BrowserError, Engine, ThirdPartyCookies};
use withcreds_harness::lab::Topology;
use withcreds_harness::prove::{Client, Plan, Proof, prove};
use withcreds_harness::report::{self, Terminal};

use crate::commands::{ENVIRONMENT, INTERRUPTED, OK, UNEXPECTED, environment};

const EXAMPLES: &str = "Examples:
  withcreds-harness prove
  withcreds-harness prove --engine firefox,webkit --third-party default
  withcreds-harness prove --controls
  withcreds-harness prove --client axios --topology same-site --headed";

/// How long after a failure a signal may still explain it.
const SIGNAL_GRACE: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Client forms; axios means both ways of switching credentials on
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["fetch", "xhr", "axios"])]
    client: Vec<ClientArg>,
    /// How page and backend stand to each other
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["same-origin", "same-site", "cross-site"])]
    topology: Vec<TopologyArg>,
    /// Engines; those that are not here are skipped, and said to be
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["all"])]
    engine: Vec<EngineArg>,
    /// An engine that is not here is an error
    #[arg(long)]
    require: bool,
    /// What the browsers do with cookies of other sites; default is what each was built with
    #[arg(long, value_enum, value_name = "WHAT", default_value = "allow")]
    third_party: ThirdPartyArg,
    /// Repeat the proof over sabotaged services: each must be noticed
    #[arg(long)]
    controls: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Show the browser window
    #[arg(long)]
    headed: bool,
    /// The Chromium or Chrome to use
    #[arg(long, value_name = "PATH")]
    chromium: Option<PathBuf>,
    /// The Firefox to use
    #[arg(long, value_name = "PATH")]
    firefox: Option<PathBuf>,
    /// Seconds for the whole run
    #[arg(long, value_name = "S", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineArg {
    Chromium,
    Firefox,
    #[value(name = "webkit")]
    WebKit,
    All,
}

impl EngineArg {
    fn covers(self, engine: Engine) -> bool {
        match self {
            Self::Chromium => engine == Engine::Chromium,
            Self::Firefox => engine == Engine::Firefox,
            Self::WebKit => engine == Engine::WebKit,
            Self::All => true,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ThirdPartyArg {
    Default,
    Allow,
    Block,
}

impl From<ThirdPartyArg> for ThirdPartyCookies {
    fn from(argument: ThirdPartyArg) -> Self {
        match argument {
            ThirdPartyArg::Default => Self::Default,
            ThirdPartyArg::Allow => Self::Allow,
            ThirdPartyArg::Block => Self::Block,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientArg {
    Fetch,
    Xhr,
    Axios,
    AxiosDefaults,
    AxiosCreate,
}

impl ClientArg {
    fn covers(self, client: Client) -> bool {
        match self {
            Self::Fetch => client == Client::Fetch,
            Self::Xhr => client == Client::Xhr,
            Self::Axios => client.is_axios(),
            Self::AxiosDefaults => client == Client::AxiosDefaults,
            Self::AxiosCreate => client == Client::AxiosCreate,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TopologyArg {
    SameOrigin,
    SameSite,
    CrossSite,
}

impl TopologyArg {
    fn covers(self, topology: Topology) -> bool {
        match self {
            Self::SameOrigin => topology == Topology::SameOrigin,
            Self::SameSite => topology == Topology::SameSite,
            Self::CrossSite => topology == Topology::CrossSite,
        }
    }
}

impl Args {
    /// The engines to start, and those that are not here.
    ///
    /// # Errors
    /// The first that is missing, if all are required, if it was named together with its program, or
    /// if there is no other.
    fn engines(&self) -> Result<Chosen, BrowserError> {
        let mut chosen = Chosen { engines: Vec::new(), skipped: Vec::new() };
        let mut missing = None;
        let asked = Engine::ALL.into_iter().filter(|e| self.engine.iter().any(|a| a.covers(*e)));
        for engine in asked {
            let program = match engine {
                Engine::Chromium => self.chromium.clone(),
                Engine::Firefox => self.firefox.clone(),
                Engine::WebKit => None,
            };
            match engine.check(program.as_deref()) {
                Ok(_found) => chosen.engines.push((engine, program)),
                Err(error) if self.require || program.is_some() => return Err(error),
                Err(error) => {
                    chosen.skipped.push((engine, error.to_string()));
                    missing.get_or_insert(error);
                }
            }
        }
        match missing {
            Some(error) if chosen.engines.is_empty() => Err(error),
            _ => Ok(chosen),
        }
    }

    fn plan(&self) -> Result<Plan, BrowserError> {
        let Chosen { engines, skipped } = self.engines()?;
        Ok(Plan {
            engines,
            skipped,
            clients: Client::ALL
                .into_iter()
                .filter(|c| self.client.iter().any(|a| a.covers(*c)))
                .collect(),
            topologies: Topology::ALL
                .into_iter()
                .filter(|t| self.topology.iter().any(|a| a.covers(*t)))
                .collect(),
            third_party_cookies: self.third_party.into(),
            controls: self.controls,
            headed: self.headed,
            timeout: Duration::from_secs(self.timeout),
        })
    }
}

/// What came of looking for the engines.
struct Chosen {
    engines: Vec<(Engine, Option<PathBuf>)>,
    skipped: Vec<(Engine, String)>,
}

pub(crate) fn main(args: Args) -> u8 {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => environment(&error),
    }
}

async fn run(args: Args) -> u8 {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => return environment(&error),
    };
    let terminal = terminal();
    // Dropping the unfinished proof ends the browser and removes its profile.
    let mut signal = std::pin::pin!(interrupted());
    let result = tokio::select! {
        biased;
        name = &mut signal => Err(name),
        result = prove(&plan, &terminal) => Ok(result),
    };
    terminal.finish();
    let result = match result {
        // Ctrl-C reaches the browser as well: its death may be heard of before the signal is.
        Ok(Err(error)) => match tokio::time::timeout(SIGNAL_GRACE, signal).await {
            Ok(name) => Err(name),
            Err(_no_signal) => Ok(Err(error)),
        },
        other => other,
    };
    let result = match result {
        Ok(result) => result,
        Err(name) => {
            eprintln!("ended by {name}; the browsers and their profiles are gone");
            return INTERRUPTED;
        }
    };
    match result {
        Ok(proof) => print(args.format, &terminal, &proof),
        Err(error) => environment(&error),
    }
}

fn print(format: Format, terminal: &Terminal, proof: &Proof) -> u8 {
    let text = match format {
        Format::Human => terminal.render(proof),
        Format::Json => report::document(proof).to_string(),
    };
    // A reader that has seen enough (`| head`) is no failure of the proof, but nothing was shown.
    if writeln!(io::stdout(), "{text}").is_err() {
        return ENVIRONMENT;
    }
    if proof.holds() { OK } else { UNEXPECTED }
}

fn terminal() -> Terminal {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Terminal::new(colour, io::stderr().is_terminal())
}

#[cfg(unix)]
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP: the terminal was closed",
    }
}

#[cfg(not(unix))]
async fn interrupted() -> &'static str {
    let _ = tokio::signal::ctrl_c().await;
    "Ctrl-C"
}
