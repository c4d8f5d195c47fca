//! Configuration: TOML in, checked values out. Every mistake is found in one go, each with its
//! place, the value, the reason, and what to write instead.

mod csrf;
mod environment;
mod limits;
mod oidc;
mod print;
mod reader;
mod server;
mod session;
mod site;

pub use csrf::CsrfConfig;
pub use environment::Environment;
pub use oidc::{LogoutConfig, ReturnUrlConfig, TokenConfig};
pub use reader::ConfigError;
pub use server::{Http2Config, ServerConfig, ServerLimits};
pub use session::{RedisConfig, SessionConfig, StoreConfig};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::config::reader::{Document, Section};
use crate::config::session::CrossSite;
use crate::identity::LocalAccounts;
use crate::identity::oidc::OidcSettings;
use crate::policy::cors::{CorsConfig, CorsConfigError, CorsPolicy};
use crate::policy::csrf::CsrfHeader;
use crate::policy::origin::Origin;
use crate::policy::rate::Quota;

/// What runs when no file is given: two origins on this machine, one demo account.
pub const DEVELOPMENT: &str = include_str!("development.toml");

const BUILT_IN: &str = "(built-in development configuration)";

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`.
    pub server: ServerConfig,
    /// `[cors]`, compiled.
    pub cors: CorsPolicy,
    /// `[session]`.
    pub session: SessionConfig,
    /// `[csrf]`.
    pub csrf: CsrfConfig,
    /// The accounts of `[auth] users_file`; `None` in development means a demo account.
    pub accounts: Option<Arc<LocalAccounts>>,
    /// `[auth] login_page`: where a login by navigation leads without a provider; `None`: to a
    /// plain form of our own.
    pub login_page: Option<String>,
    /// `[oidc]`: the identity provider, if there is one.
    pub oidc: Option<OidcSettings>,
    /// `[return_url]`.
    pub return_url: ReturnUrlConfig,
    /// `[logout]`.
    pub logout: LogoutConfig,
    /// `[token]`.
    pub token: TokenConfig,
    /// `[rate_limit]`: failed logins of one client address; `None`: not counted.
    pub login_quota: Option<Quota>,
    /// `[log]`.
    pub log: LogConfig,
    /// `[dev] enabled`.
    pub dev: bool,
    /// `[dev] frontend`: where the fixture page is served, if at all.
    pub frontend: Option<Frontend>,
    /// What was written, without secrets.
    written: Vec<(String, toml::Value)>,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is written.
    pub level: tracing::Level,
    /// JSON lines instead of text.
    pub json: bool,
}

/// The fixture page in development mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Its origin, which names the port.
    pub origin: Origin,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
}

impl Config {
    /// Development mode.
    ///
    /// # Errors
    ///
    /// None in practice: the built-in text is covered by a test.
    pub fn development() -> Result<Self, Vec<ConfigError>> {
        Self::parse(DEVELOPMENT, Path::new(BUILT_IN))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn read(path: &Path) -> Result<Self, Vec<ConfigError>> {
        Self::read_with(Some(path), Environment::default())
    }

    /// Reads and checks a file, or what development mode has without one, with the keys that the
    /// environment overrides.
    ///
    /// # Errors
    ///
    /// Every mistake in both.
    pub fn read_with(
        path: Option<&Path>,
        environment: Environment,
    ) -> Result<Self, Vec<ConfigError>> {
        let Some(path) = path else {
            return Self::parse_with(DEVELOPMENT, Path::new(BUILT_IN), environment);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![ConfigError::unreadable(path, &error)])?;
        Self::parse_with(&text, path, environment)
    }

    /// Checks a configuration text; `path` is for messages, and what relative paths start from.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Vec<ConfigError>> {
        Self::parse_with(text, path, Environment::default())
    }

    /// The same with the keys that the environment overrides.
    ///
    /// # Errors
    ///
    /// Every mistake in both.
    pub fn parse_with(
        text: &str,
        path: &Path,
        environment: Environment,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut document = Document::parse(text, path, environment)?;
        let dev = read_dev(&mut document);
        let server = server::read(&mut document, dev.enabled);
        let oidc = oidc::read_oidc(&mut document, dev.enabled, server.public_origin.as_ref());
        let (session, cross_site) = session::read(&mut document, server.public_origin.as_ref());
        let (rules, token_cookie) = csrf::read(
            &mut document,
            session.as_ref().map(|session| &session.cookie),
            server.public_origin.as_ref(),
        );
        let own = server.public_origin.as_ref().filter(|_| cross_site == CrossSite::Refused);
        let (cors, frontend) = read_cors(&mut document, &rules.header, own);
        let by_provider = document.has("oidc");
        let (accounts, login_page) = read_auth(&mut document, dev.enabled || by_provider);
        let return_url = oidc::read_return_url(&mut document, frontend.first(), &frontend);
        let logout = oidc::read_logout(&mut document, frontend.first());
        let token = oidc::read_token(&mut document);
        let login_quota = limits::read_rate_limit(&mut document);
        let log = read_log(&mut document);
        let written = document.finish()?;
        // Whatever is missing here has been reported by now, so `finish` did not come this far.
        let (Some(server), Some(cors), Some(session), Some(cookie)) =
            (server.finish(), cors, session, token_cookie)
        else {
            return Err(Vec::new());
        };
        let (frontend, dev) = (dev.frontend, dev.enabled);
        Ok(Self {
            server,
            cors,
            session,
            csrf: CsrfConfig { rules, cookie },
            accounts,
            login_page,
            oidc,
            return_url,
            logout,
            token,
            login_quota,
            log,
            dev,
            frontend,
            written,
        })
    }
}

struct Dev {
    enabled: bool,
    frontend: Option<Frontend>,
}

fn read_dev(document: &mut Document<'_>) -> Dev {
    document.section("dev", |s| {
        let enabled = s.value("enabled").unwrap_or(false);
        let origin = s.parsed::<Origin>("frontend", |e| match e.suggestion() {
            Some(origin) => format!("write \"{origin}\""),
            None => "write an origin such as \"http://localhost:3000\"".to_owned(),
        });
        let frontend = origin.and_then(|origin| {
            let port = origin.as_str().rsplit(':').next().and_then(|p| p.parse::<u16>().ok());
            if let Some(port) = port.filter(|_| origin.is_loopback()) {
                Some(Frontend { origin, listen: loopback(port) })
            } else {
                let value = Some(origin.to_string());
                s.fault(
                    "frontend",
                    value,
                    "not_loopback",
                    "the fixture page is served on this machine only, on a port of its own",
                    "write an origin such as \"http://localhost:3000\"",
                );
                None
            }
        });
        if frontend.is_some() && !enabled {
            let mend = "set enabled = true on your own machine, or leave frontend out";
            s.fault(
                "frontend",
                None,
                "dev_not_enabled",
                "nothing of development mode is on without enabled = true",
                mend,
            );
        }
        Dev { enabled, frontend }
    })
}

pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(std::net::Ipv4Addr::LOCALHOST, port).into(), (std::net::Ipv6Addr::LOCALHOST, port).into()]
}

/// The policy, which exposes the token's header, and the origins it lists. With credentials, they
/// have to be on the site of `own`, if it is given.
fn read_cors(
    document: &mut Document<'_>,
    token: &CsrfHeader,
    own: Option<&Origin>,
) -> (Option<CorsPolicy>, Vec<Origin>) {
    document.section("cors", |s| {
        let allow_origins = s.list("allow_origins").unwrap_or_default();
        // A list of origins in front of a session service means credentials; nobody writes it for
        // anything else. No list, or `*`, cannot mean them.
        let allow_origin_patterns = s.list("allow_origin_patterns").unwrap_or_default();
        let means_credentials =
            allow_origins.iter().any(|o| o != "*") || !allow_origin_patterns.is_empty();
        let listed = allow_origins.iter().filter_map(|o| o.parse().ok()).collect();
        let allow_credentials = s.value("allow_credentials").unwrap_or(means_credentials);
        let mut config = CorsConfig {
            allow_origins,
            allow_origin_patterns,
            allow_credentials,
            allow_methods: s.list("allow_methods").unwrap_or_default(),
            allow_headers: s.list("allow_headers").unwrap_or_default(),
            expose_headers: s.list("expose_headers").unwrap_or_default(),
            max_age_s: read_max_age(s),
            debug: s.value("debug").unwrap_or(false),
            dangerous_allow_insecure_origins: s
                .value("dangerous_allow_insecure_origins")
                .unwrap_or(false),
            dangerous_allow_public_suffixes: s
                .value("dangerous_allow_public_suffixes")
                .unwrap_or(false),
        };
        if !config.expose_headers.iter().any(|h| h == "*") {
            // A frontend on another host can read the CSRF token nowhere else.
            config.expose_headers.push(token.name().to_string());
        }
        if let Some(own) = own.filter(|_| config.allow_credentials) {
            site::check(s, &config, own);
        }
        let compiled = CorsPolicy::compile(&config);
        let mut errors = compiled.as_ref().err().cloned().unwrap_or_default();
        // A key that could not be read counts as absent: what follows from that is no mistake.
        errors.retain(|error| !s.is_bad(error.key()));
        for error in errors {
            report_cors(s, &error);
        }
        (compiled.ok(), listed)
    })
}

/// A negative number is out of range like one that is too large, not of another type.
fn read_max_age(s: &mut Section<'_, '_>) -> Option<u64> {
    let seconds: i64 = s.value("max_age_s")?;
    let value = u64::try_from(seconds).ok();
    if value.is_none() {
        s.fault(
            "max_age_s",
            Some(seconds.to_string()),
            "max_age_out_of_range",
            "a time cannot be negative",
            "write 600 for ten minutes, 0 to switch the cache off, or leave it out",
        );
    }
    value
}

/// An http(s) URL or a local path, as browsers write it.
fn where_to(text: &str) -> Option<String> {
    let base = Url::parse("http://here.invalid").ok()?;
    let url = base.join(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if url.origin() != base.origin() {
        return Url::parse(text).ok().map(String::from);
    }
    text.starts_with('/').then(|| url[url::Position::BeforePath..].to_owned())
}

fn report_cors(s: &mut Section<'_, '_>, error: &CorsConfigError) {
    s.fault(error.key(), error.value(), error.code(), &error.to_string(), &error.mend());
}

/// The accounts, and the login page. Without accounts there must be `another_way` to log in.
fn read_auth(
    document: &mut Document<'_>,
    another_way: bool,
) -> (Option<Arc<LocalAccounts>>, Option<String>) {
    let base = document.directory();
    document.section("auth", |s| {
        let page = s.value::<String>("login_page");
        let login_page = page.as_deref().and_then(where_to);
        if let Some(page) = page.filter(|_| login_page.is_none()) {
            s.fault("login_page", Some(page), "url_malformed", "browsers cannot be sent there", "write a URL such as \"https://app.example.com/login\", or leave it out");
        }
        let file = s.value::<PathBuf>("users_file");
        let Some(file) = file else {
            if !another_way && !s.is_bad("users_file") {
                s.fault("users_file", None, "users_file_missing", "nobody could log in", "name a TOML file with [[user]] entries (`withcreds hash-password` makes their hashes), or an identity provider under [oidc]");
            }
            return (None, login_page);
        };
        let accounts = match LocalAccounts::read(&base.join(&file)) {
            Ok(accounts) => Some(Arc::new(accounts)),
            Err(errors) => {
                let value = file.display().to_string();
                for error in errors {
                    s.fault("users_file", Some(value.clone()), "users_file_bad", &error.to_string(), "mend the users file");
                }
                None
            }
        };
        (accounts, login_page)
    })
}

fn read_log(document: &mut Document<'_>) -> LogConfig {
    document.section("log", |s| {
        let level = s.parsed("level", |_| {
            "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned()
        });
        let json = match s.value::<String>("format").as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                s.fault(
                    "format",
                    Some(other.to_owned()),
                    "log_format_unknown",
                    "not a format of the log",
                    "write \"text\" or \"json\"",
                );
                false
            }
        };
        LogConfig { level: level.unwrap_or(tracing::Level::INFO), json }
    })
}

#[cfg(test)]
mod tests;
