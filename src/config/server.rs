//! `[server]` and `[server.limits]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::reader::{Document, Section};
use crate::config::{limits, loopback};
use crate::policy::client::ProxyRange;
use crate::policy::origin::Origin;
use crate::tls::{Tls, TlsFiles};

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Addresses for health, readiness and metrics; none: nowhere.
    pub admin_listen: Vec<SocketAddr>,
    /// The origin under which browsers reach this service.
    pub public_origin: Origin,
    /// Threads that serve requests; `None`: one for each core.
    pub worker_threads: Option<usize>,
    /// How long a stop waits for requests that run.
    pub shutdown_grace: Duration,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Connections at the same time; whoever comes then waits until one ends.
    pub max_connections: usize,
    /// `[server.limits]`.
    pub limits: ServerLimits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<ProxyRange>,
    /// `[server.tls]`: certificate and key; `None`: a proxy in front ends TLS.
    pub tls: Option<Tls>,
    /// `[server.http2]`.
    pub http2: Http2Config,
}

/// `[server.http2]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Config {
    /// Whether it is offered over TLS.
    pub enabled: bool,
    /// Whether it is taken without TLS from clients that begin with it, as proxies may.
    pub prior_knowledge: bool,
    /// Requests at the same time on one connection.
    pub max_streams: u32,
    /// Requests taken back by the client before they were looked at; more end the connection.
    pub max_resets: usize,
}

impl Default for Http2Config {
    fn default() -> Self {
        Self { enabled: true, prior_knowledge: false, max_streams: 100, max_resets: 20 }
    }
}

/// `[server.limits]`: what a client may take its time with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// From a request's first byte (for the first one: from the connection) to the end of its
    /// headers.
    pub head: Duration,
    /// Request line and headers together, in bytes.
    pub head_bytes: usize,
    /// From the moment a body is wanted to its end.
    pub body: Duration,
    /// Bytes a second that a body has to come with, and an answer has to be taken with.
    pub min_rate: usize,
    /// How long an answer may be taken more slowly than that.
    pub write: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            head_bytes: 64 << 10,
            body: Duration::from_secs(10),
            min_rate: 240,
            write: Duration::from_secs(30),
            idle: Duration::from_secs(75),
        }
    }
}

/// Longer ones protect nobody.
const MAX_LIMIT: Duration = Duration::from_hours(1);
const ADMIN_PORT: u16 = 9090;

/// What was read; what is missing has been reported.
pub(super) struct RawServer {
    listen: Option<Vec<SocketAddr>>,
    admin_listen: Vec<SocketAddr>,
    pub(super) public_origin: Option<Origin>,
    worker_threads: Option<usize>,
    shutdown_grace: Duration,
    max_body_bytes: usize,
    max_connections: usize,
    limits: ServerLimits,
    trusted_proxies: Vec<ProxyRange>,
    tls: Option<Tls>,
    http2: Http2Config,
}

impl RawServer {
    pub(super) fn finish(self) -> Option<ServerConfig> {
        Some(ServerConfig {
            listen: self.listen?,
            admin_listen: self.admin_listen,
            public_origin: self.public_origin?,
            worker_threads: self.worker_threads,
            shutdown_grace: self.shutdown_grace,
            max_body_bytes: self.max_body_bytes,
            max_connections: self.max_connections,
            limits: self.limits,
            trusted_proxies: self.trusted_proxies,
            tls: self.tls,
            http2: self.http2,
        })
    }
}

pub(super) fn read(document: &mut Document<'_>, dev: bool) -> RawServer {
    let folder = document.directory();
    document.section("server", |s| {
        let listen = match read_addresses(s, "listen", dev) {
            None => loopback(8080)[..1].to_vec(),
            Some(addresses) => {
                if addresses.written == 0 {
                    let (reason, mend) = (
                        "there is no address to listen on",
                        "write listen = [\"127.0.0.1:8080\"]",
                    );
                    s.fault("listen", None, "no_listener", reason, mend);
                }
                addresses.good
            }
        };
        let admin_listen = match read_addresses(s, "admin_listen", dev) {
            None => loopback(ADMIN_PORT)[..1].to_vec(),
            Some(addresses) => addresses.good,
        };
        for shared in admin_listen.iter().filter(|a| a.port() != 0 && listen.contains(a)) {
            s.fault(
                "admin_listen",
                Some(shared.to_string()),
                "admin_not_separate",
                "users are served there: health and metrics have an address of their own, which no user can reach",
                "write admin_listen = [\"127.0.0.1:9090\"], or [] for none",
            );
        }
        let http2 = s.within_section("http2", "server.http2", read_http2);
        let tls = s.within_section("tls", "server.tls", |s| read_tls(s, &folder, http2.enabled));
        let public_origin = read_public_origin(s, dev);
        if tls.is_some()
            && let Some(origin) = public_origin.as_ref().filter(|origin| !origin.is_https())
        {
            s.fault(
                "public_origin",
                Some(origin.to_string()),
                "public_origin_not_https",
                "with server.tls browsers come over https",
                "write it with https://, or leave server.tls out",
            );
        }
        RawServer {
            listen: Some(listen),
            admin_listen,
            public_origin,
            tls,
            http2,
            worker_threads: s.within("worker_threads", 1..=1024),
            shutdown_grace: s.duration("shutdown_grace").unwrap_or(Duration::from_secs(10)),
            max_body_bytes: s.within("max_body_bytes", 256..=1 << 20).unwrap_or(16 << 10),
            max_connections: s.within("max_connections", 1..=1_000_000).unwrap_or(10_000),
            limits: s.within_section("limits", "server.limits", read_limits),
            trusted_proxies: limits::read_trusted_proxies(s),
        }
    })
}

struct Addresses {
    good: Vec<SocketAddr>,
    written: usize,
}

fn read_addresses(s: &mut Section<'_, '_>, key: &'static str, dev: bool) -> Option<Addresses> {
    let list = s.list(key)?;
    let mut good = Vec::new();
    for text in &list {
        match text.parse::<SocketAddr>() {
            Ok(address) if dev && !address.ip().is_loopback() => s.fault(
                key,
                Some(text.clone()),
                "dev_not_loopback",
                "development mode is for this machine only",
                "listen on an address such as \"127.0.0.1:8080\", or set dev.enabled = false",
            ),
            Ok(address) => good.push(address),
            Err(_) => s.fault(
                key,
                Some(text.clone()),
                "address_malformed",
                "not an address with a port",
                "write \"127.0.0.1:8080\" or \"[::1]:8080\"",
            ),
        }
    }
    Some(Addresses { good, written: list.len() })
}

fn read_public_origin(s: &mut Section<'_, '_>, dev: bool) -> Option<Origin> {
    let mend = "write the origin that browsers use, such as \"https://api.example.com\"";
    let origin = s.parsed::<Origin>("public_origin", |e| {
        e.suggestion().map_or_else(|| mend.to_owned(), |o| format!("write \"{o}\""))
    });
    match origin {
        None if !s.has("public_origin") => {
            if dev {
                return "http://localhost:8080".parse().ok();
            }
            let reason = "without it neither cookies nor the CSRF check know whether browsers come over https";
            s.fault("public_origin", None, "public_origin_missing", reason, mend);
            None
        }
        Some(origin) if !dev && !origin.is_https() => {
            s.fault(
                "public_origin",
                Some(origin.to_string()),
                "public_origin_not_https",
                "a session cookie over plain http belongs to everybody on the path",
                "serve it over https, or set dev.enabled = true on this machine",
            );
            None
        }
        other => other,
    }
}

fn read_limits(s: &mut Section<'_, '_>) -> ServerLimits {
    let usual = ServerLimits::default();
    ServerLimits {
        head: read_limit(s, "head", usual.head),
        // hyper's own least is 8 KiB.
        head_bytes: s.within("head_bytes", 8 << 10..=1 << 20).unwrap_or(usual.head_bytes),
        body: read_limit(s, "body", usual.body),
        min_rate: s.within("min_rate", 0..=1 << 20).unwrap_or(usual.min_rate),
        write: read_limit(s, "write", usual.write),
        idle: read_limit(s, "idle", usual.idle),
    }
}

fn read_limit(s: &mut Section<'_, '_>, key: &'static str, usual: Duration) -> Duration {
    let limit = s.duration(key).unwrap_or(usual);
    if limit > MAX_LIMIT {
        let value = Some(humantime::format_duration(limit).to_string());
        let reason = "it is longer than an hour, and protects nobody";
        s.fault(key, value, "out_of_range", reason, "write \"10s\", or leave it out");
    }
    limit
}

fn read_http2(s: &mut Section<'_, '_>) -> Http2Config {
    let usual = Http2Config::default();
    let max_streams = s.within("max_streams", 1..=10_000).and_then(|n| u32::try_from(n).ok());
    Http2Config {
        enabled: s.value("enabled").unwrap_or(usual.enabled),
        prior_knowledge: s.value("prior_knowledge").unwrap_or(usual.prior_knowledge),
        max_streams: max_streams.unwrap_or(usual.max_streams),
        max_resets: s.within("max_resets", 1..=10_000).unwrap_or(usual.max_resets),
    }
}

fn read_tls(s: &mut Section<'_, '_>, folder: &Path, http2: bool) -> Option<Tls> {
    let (cert, key) = (s.value::<PathBuf>("cert"), s.value::<PathBuf>("key"));
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (cert, key) => {
            for (name, other, is_there) in
                [("cert", "key", key.is_some()), ("key", "cert", cert.is_some())]
            {
                if is_there && !s.has(name) {
                    let reason = format!("server.tls.{other} is there, and both are needed");
                    let mend = "write both cert and key, or neither";
                    s.fault(name, None, "tls_incomplete", &reason, mend);
                }
            }
            return None;
        }
    };
    for (name, path) in [("cert", &cert), ("key", &key)] {
        // Not a path, but what should be in the file: no message may show it.
        let text = path.to_string_lossy();
        if text.contains("-----BEGIN") || text.contains(['\n', '\r']) {
            let mend = "write it to a file that only the service can read, and name that file";
            s.fault(name, None, "tls_not_a_path", "this is no path of a file", mend);
            return None;
        }
    }
    match Tls::read(TlsFiles { cert: folder.join(cert), key: folder.join(key), http2 }) {
        Ok(tls) => Some(tls),
        Err(error) => {
            s.fault(error.key(), None, error.code(), &error.to_string(), error.mend());
            None
        }
    }
}
