//! The command line: arguments → command → exit code.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::audit;
use crate::config::{Config, ConfigError, LogConfig};
use crate::effects::{IdSource as _, SystemIds};
use crate::fixture::Fixture;
use crate::identity::{MAX_PASSWORD_BYTES, hash_password};
use crate::policy;
use crate::policy::key::SessionKey;
use crate::server::{Server, Stopped};

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
}

#[derive(Debug, Args)]
struct CorsArgs {
    /// The method of the request; with --preflight, the one that is asked for
    #[arg(long, value_name = "M", default_value = "GET")]
    method: Method,
    /// Its `Origin`
    #[arg(long, value_name = "O")]
    origin: Option<String>,
    /// A request header; with --preflight, browsers only name it
    #[arg(long = "header", value_name = "N: V")]
    headers: Vec<String>,
    /// Ask about the preflight before the request
    #[arg(long)]
    preflight: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
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
    let code = match cli.command.unwrap_or(Cmd::Serve) {
        Cmd::Serve => serve(&cli.common),
        Cmd::Check { format } => check(&cli.common, format),
        Cmd::Cors(args) => cors(&cli.common, &args),
        Cmd::HashPassword => hash(),
        Cmd::Keygen => keygen(),
    };
    ExitCode::from(code)
}

fn load(common: &Common) -> Result<Config, Vec<ConfigError>> {
    match &common.config {
        Some(path) => Config::read(path),
        None => Config::development(),
    }
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

fn serve(common: &Common) -> u8 {
    let config = match load(common) {
        Ok(config) => config,
        Err(errors) => {
            report(&errors);
            return BAD_CONFIG;
        }
    };
    start_log(config.log);
    allow_many_files();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.server.worker_threads {
        runtime.worker_threads(threads);
    }
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(config, common.config.clone())),
        Err(error) => fail(&format!("cannot start the runtime: {error}")),
    }
}

/// Each connection is an open file, and systems allow 1,024 unless asked for more.
#[cfg(target_os = "linux")]
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_many_files() {}

async fn run(config: Config, config_file: Option<PathBuf>) -> u8 {
    // Listened for before anything is announced: who reads "Ctrl-C stops it" may press it at once.
    let mut stop = match stop_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&format!("cannot listen for signals: {error}")),
    };
    let server = match Server::bind(&config).await {
        Ok(server) => server,
        Err(error) => return fail(&error.to_string()),
    };
    #[cfg(unix)]
    if let Err(error) = reload_on_hangup(config_file, &server) {
        return fail(&format!("cannot listen for signals: {error}"));
    }
    announce(&config, &server);
    if let Some(fixture) = server.fixture() {
        install_axios(fixture);
    }
    let mut again = stop.clone();
    // Who asks twice does not want to wait.
    let (first, second) = (asked(&mut stop, 1), asked(&mut again, 2));
    match server.run_until_or(first, second).await {
        Stopped::Drained => say("stopped"),
        Stopped::GraceOver => say("stopped: the grace period was over before the last request"),
        Stopped::AtOnce => {
            say("stopped at once, without waiting for anybody");
            return FAILED;
        }
    }
    OK
}

/// Resolves when a stop has been asked for so many times.
async fn asked(signals: &mut watch::Receiver<u32>, times: u32) {
    let _ = signals.wait_for(|asked| *asked >= times).await;
}

fn fail(message: &str) -> u8 {
    eprintln!("error: {message}");
    FAILED
}

/// Counts the signals that ask for a stop.
#[cfg(unix)]
fn stop_signals() -> io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            count.send_modify(|asked| *asked += 1);
        }
    });
    Ok(counted)
}

/// SIGHUP reads the configuration again and puts its CORS policy in force. The rest of it, which
/// sockets and sessions depend on, waits for the next start. Without a file there is nothing to read,
/// and the signal keeps its meaning: a closed terminal ends what was started in it.
#[cfg(unix)]
fn reload_on_hangup(file: Option<PathBuf>, server: &Server) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let Some(file) = file else { return Ok(()) };
    let mut hangups = signal(SignalKind::hangup())?;
    let app = Arc::clone(server.app());
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let read = Config::read(&file);
            for error in read.as_ref().err().into_iter().flatten() {
                tracing::error!("{error}");
            }
            if let Ok(config) = &read {
                warn_of_debug(config);
                app.replace_cors(config.cors.clone());
            }
            audit::policy_reload(&app, &read);
        }
    });
    Ok(())
}

fn warn_of_debug(config: &Config) {
    if config.cors.is_debug() {
        tracing::warn!(
            "cors.debug is on: refused preflights tell everybody why; switch it off in production"
        );
    }
}

/// On loopback everybody comes through a proxy; if nobody says which, all are one client.
fn warn_of_one_client(config: &Config) {
    let server = &config.server;
    let behind_a_proxy = !config.dev && server.listen.iter().all(|a| a.ip().is_loopback());
    let counts = config.login_quota.is_some() && config.accounts.is_some();
    if behind_a_proxy && counts && server.trusted_proxies.is_empty() {
        tracing::warn!(
            "server.trusted_proxies is empty: all clients of the proxy in front count as one, and a \
             few failed logins keep everybody from logging in; name the proxy's address"
        );
    }
}

#[cfg(not(unix))]
fn stop_signals() -> io::Result<watch::Receiver<u32>> {
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            count.send_modify(|asked| *asked += 1);
        }
        // Its end would be taken for a signal.
        std::future::pending::<()>().await;
    });
    Ok(counted)
}

fn announce(config: &Config, server: &Server) {
    let origin = &config.server.public_origin;
    if config.dev {
        say("withcreds in development mode: for this machine only, everything is lost at the end");
    }
    say(&format!("  backend   {origin}/api/auth/session"));
    // Behind a proxy, or on a free port, the origin does not say where.
    for address in server.addresses() {
        if !origin.as_str().ends_with(&format!(":{}", address.port())) {
            say(&format!("  listening {address}"));
        }
    }
    if let Some(frontend) = &config.frontend {
        match server.fixture() {
            Some(_) => say(&format!("  frontend  {}/", frontend.origin)),
            None => say("  frontend  none: the folder frontend-fixture is not here"),
        }
    }
    for address in server.admin_addresses() {
        say(&format!("  admin     http://{address}/readyz  /healthz  /metrics"));
    }
    if let Some(error) = server.admin_missing() {
        say("  admin     none: its address is taken");
        tracing::warn!("{error}");
    }
    if let Some(demo) = server.demo() {
        say(&format!("  account   {}  password  {}", demo.username, demo.password.expose()));
    }
    say("  Ctrl-C stops it");
    warn_of_debug(config);
    warn_of_one_client(config);
}

/// A line for whoever started this. Nobody may be reading any more: that is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Gets the page its axios, once. In development mode only, and only what the lock file names.
fn install_axios(fixture: &Fixture) {
    if fixture.has_axios() {
        return;
    }
    say("  axios     is being installed for the page (npm ci in frontend-fixture, once)");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(fixture.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // The service serves at once; the page's two axios clients come when they come.
    std::thread::spawn(move || match npm.status() {
        Ok(status) if status.success() => say("  axios     is there: load the page again"),
        _ => eprintln!(
            "warning: npm could not install axios; the page works without it \
             (run `npm ci` in frontend-fixture, with Node 18 or newer)"
        ),
    });
}

fn check(common: &Common, format: Format) -> u8 {
    let result = load(common);
    let errors = result.as_ref().err().map_or(&[][..], Vec::as_slice);
    match format {
        Format::Json => println!("{}", serde_json::json!({ "errors": errors })),
        Format::Text => match &result {
            Ok(config) => {
                let (origin, cors) = (&config.server.public_origin, config.cors.summary());
                println!("the configuration is good: {origin} for {cors}");
            }
            Err(errors) => report(errors),
        },
    }
    if errors.is_empty() { OK } else { BAD_CONFIG }
}

fn cors(common: &Common, args: &CorsArgs) -> u8 {
    let config = match load(common) {
        Ok(config) => config,
        Err(errors) => {
            report(&errors);
            return BAD_CONFIG;
        }
    };
    let (method, headers) = match request(args) {
        Ok(request) => request,
        Err(bad) => {
            eprintln!("error: {bad:?} cannot be sent in a header: write --header 'Name: value'");
            return BAD_CONFIG;
        }
    };
    let explanation = config.cors.explain(&method, &headers);
    match args.format {
        Format::Json => println!("{}", serde_json::json!(explanation)),
        Format::Text => {
            let verdict = if explanation.allowed { "allowed" } else { "not allowed" };
            println!("{}: {verdict} ({})", explanation.kind.replace('_', "-"), explanation.reason);
            if let Some(status) = explanation.status {
                println!("status {status}");
            }
            for (name, value) in &explanation.headers {
                println!("{name}: {value}");
            }
        }
    }
    OK
}

/// The request that the arguments describe, or the argument that no request can hold.
fn request(args: &CorsArgs) -> Result<(Method, HeaderMap), &str> {
    let mut headers = HeaderMap::new();
    if let Some(origin) = &args.origin {
        headers.append(ORIGIN, HeaderValue::from_str(origin).map_err(|_| origin.as_str())?);
    }
    let mut names = Vec::new();
    for line in &args.headers {
        let (name, value) = line.split_once(':').ok_or(line.as_str())?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| line.as_str())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| line.as_str())?;
        let about_cors = name == ORIGIN || name.as_str().starts_with("access-control-request-");
        if args.preflight && !about_cors {
            if policy::cors::is_forbidden_header(name.as_str()) {
                eprintln!("note: no script can set {name}, so no preflight asks for it");
                continue;
            }
            names.push(name.to_string());
        } else {
            headers.append(name, value);
        }
    }
    if !args.preflight {
        return Ok((args.method.clone(), headers));
    }
    let asked = HeaderValue::from_str(args.method.as_str()).map_err(|_| args.method.as_str())?;
    headers.insert(ACCESS_CONTROL_REQUEST_METHOD, asked);
    if !names.is_empty() {
        names.sort_unstable();
        names.dedup();
        if let Ok(list) = HeaderValue::try_from(names.join(",")) {
            headers.append(ACCESS_CONTROL_REQUEST_HEADERS, list);
        }
    }
    Ok((Method::OPTIONS, headers))
}

fn hash() -> u8 {
    if io::stdin().is_terminal() {
        eprintln!("type the password and end it with Enter and Ctrl-D; it is shown as you type");
    }
    let mut password = String::new();
    if let Err(error) = io::stdin().take(4096).read_to_string(&mut password) {
        return fail(&format!("cannot read the password: {error}"));
    }
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        eprintln!("error: the password is empty: send it on standard input");
        return BAD_CONFIG;
    }
    if password.len() > MAX_PASSWORD_BYTES {
        eprintln!(
            "error: the password is longer than {MAX_PASSWORD_BYTES} bytes, and no login takes such a one"
        );
        return BAD_CONFIG;
    }
    match hash_password(password) {
        Ok(hash) => {
            println!("{hash}");
            OK
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn keygen() -> u8 {
    println!("{}", SessionKey::from_random(SystemIds.session_secret()).to_text());
    OK
}

fn start_log(config: LogConfig) {
    let level = config.level.to_string().to_ascii_lowercase();
    // Security events are told at every level.
    let filter = EnvFilter::new(format!("warn,withcreds={level},{}=info", audit::TARGET));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A log that nobody can read any more is no reason to panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    if config.json {
        log.json().init();
    } else {
        log.with_ansi(colour).init();
    }
}
