//! `serve`: the log, the signals, and what is said at the start.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::{BAD_CONFIG, Common, FAILED, OK, fail, load, notify, report};
use crate::audit;
use crate::config::{Config, Environment, LogConfig};
use crate::fixture::Fixture;
use crate::server::{Server, Stopped};

pub(super) fn serve(common: &Common) -> u8 {
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
    notify::ready();
    if let Some(fixture) = server.fixture() {
        install_axios(fixture);
    }
    let mut again = stop.clone();
    // Who asks twice does not want to wait.
    let (asked_once, second) = (asked(&mut stop, 1), asked(&mut again, 2));
    let first = async {
        asked_once.await;
        notify::stopping();
    };
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

/// SIGHUP reads the configuration again and puts its CORS policy and its certificate in force, and
/// whether HTTP/2 is offered with it. The rest, which sockets and sessions depend on, waits for the
/// next start. Without a file there is nothing to read, and the signal keeps its meaning: a closed terminal ends what was started in it.
#[cfg(unix)]
fn reload_on_hangup(file: Option<PathBuf>, server: &Server) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let Some(file) = file else { return Ok(()) };
    let mut hangups = signal(SignalKind::hangup())?;
    let (app, tls) = (Arc::clone(server.app()), server.tls().cloned());
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let read = Config::read_with(Some(&file), Environment::of_process());
            for error in read.as_ref().err().into_iter().flatten() {
                tracing::error!("{error}");
            }
            if let Ok(config) = &read {
                warn_of_debug(config);
                app.replace_cors(config.cors.clone());
                if let (Some(live), Some(tls)) = (&tls, &config.server.tls)
                    && *live.current() != *tls
                {
                    live.replace(tls.clone());
                    audit::tls_reload(&app, &Ok(()));
                }
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
