//! What is counted, for Prometheus. `docs/metrics.md` says what each number means; a test compares
//! the two.
//!
//! All series exist from the start, so an event is one atomic addition to a counter that is already
//! at hand: no lock, no look-up, no allocation, and no look at a clock for a request that is answered
//! without waiting.

use std::array;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

use crate::error::ApiError;
use crate::identity::oidc::ProviderError;
use crate::policy::cors::Refusal;
use crate::policy::csrf::CsrfFailure;
use crate::store::MemoryStore;

/// Which part of the service a request was for: as many as there are, whatever clients invent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Route {
    Session,
    Login,
    Callback,
    Logout,
    Sessions,
    Token,
    Backchannel,
    Verify,
    Preflight,
    Other,
}

impl Route {
    const NAMES: [&str; 10] = [
        "session",
        "login",
        "callback",
        "logout",
        "sessions",
        "token",
        "backchannel_logout",
        "verify",
        "preflight",
        "other",
    ];

    /// By path alone.
    pub(crate) fn of(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/api/auth/") else { return Self::Other };
        match rest.trim_end_matches('/') {
            "session" => Self::Session,
            "login" => Self::Login,
            "callback" => Self::Callback,
            "logout" => Self::Logout,
            "sessions" => Self::Sessions,
            "token" => Self::Token,
            "backchannel-logout" => Self::Backchannel,
            "verify" => Self::Verify,
            rest if rest.starts_with("sessions/") => Self::Sessions,
            _ => Self::Other,
        }
    }
}

/// How somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum LoginBy {
    Password,
    Provider,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum LoginOutcome {
    Ok,
    Failed,
    Limited,
    Busy,
}

/// Why sessions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Ended {
    Logout,
    /// By their user, from another session or this one.
    Revoked,
    /// By the provider's back channel.
    Backchannel,
    /// The provider gave no more tokens.
    RefreshRefused,
}

/// Why the server ends a connection that its client would have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Cut {
    /// The headers did not come in time.
    Head,
    /// The answer was not taken in time.
    Write,
    /// Nothing was asked for too long, or others waited for the place.
    Idle,
    /// The stop did not wait any longer.
    Stop,
}

const STATUSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// Beside `granted`: the reasons of [`Refusal`].
const PREFLIGHTS: [&str; 6] = [
    "granted",
    "origin_not_allowed",
    "method_not_allowed",
    "header_not_allowed",
    "request_headers_too_long",
    "request_headers_malformed",
];
/// In seconds. What waits here waits for a password hash, a network or a client.
const WAITS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// The numbers of one service, whatever the number of its listeners.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: [[IntCounter; STATUSES.len()]; Route::NAMES.len()],
    waits: [Histogram; Route::NAMES.len()],
    preflights: [IntCounter; PREFLIGHTS.len()],
    csrf: [IntCounter; 4],
    logins: [[IntCounter; 4]; 2],
    ended: [IntCounter; 4],
    /// The memory store counts these itself.
    ended_in_store: Option<[IntCounter; 4]>,
    sessions: Option<(IntGauge, IntGauge)>,
    return_urls: IntCounter,
    panics: IntCounter,
    store_errors: [IntCounter; 2],
    oidc: [IntCounter; 5],
    reloads: [IntCounter; 2],
    tls_reloads: [IntCounter; 2],
    connections: Connections,
    ready: IntGauge,
    /// One at a time: numbers that are counted elsewhere are carried over at each reading.
    reading: Mutex<()>,
}

/// The numbers about connections; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pub(crate) open: IntGauge,
    pub(crate) accepted: IntCounter,
    pub(crate) full: IntCounter,
    cut: [IntCounter; 4],
    handshakes: [IntCounter; 2],
}

impl Connections {
    fn new(r: &Registry) -> Self {
        Self {
            open: gauge(r, "withcreds_connections_open", "Connections at this moment."),
            accepted: counter(r, "withcreds_connections_accepted_total", "Connections accepted."),
            full: counter(
                r,
                "withcreds_connections_full_total",
                "Times that accepting had to wait because there were server.max_connections.",
            ),
            cut: row(
                &vec(
                    r,
                    "withcreds_connections_cut_total",
                    "Connections that this side ended.",
                    &["cause"],
                ),
                ["head", "write", "idle", "stop"],
            ),
            handshakes: row(
                &vec(r, "withcreds_tls_handshakes_total", "TLS handshakes.", &["outcome"]),
                ["ok", "failed"],
            ),
        }
    }

    pub(crate) fn cut(&self, why: Cut) {
        self.cut[why as usize].inc();
    }

    pub(crate) fn shook_hands(&self, well: bool) {
        self.handshakes[usize::from(!well)].inc();
    }
}

impl Metrics {
    /// `in_memory`: whether sessions are in this process, where they can be counted.
    pub(crate) fn new(in_memory: bool) -> Self {
        let registry = Registry::new();
        let r = &registry;
        let build = Gauge::with_opts(
            Opts::new("withcreds_build_info", "Always 1; what runs is in the labels.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        );
        add(r, build).set(1.0);
        let ended = vec(r, "withcreds_sessions_ended_total", "Sessions that ended.", &["cause"]);
        Self {
            requests: matrix(
                &vec(r, "withcreds_requests_total", "Requests answered.", &["route", "status"]),
                Route::NAMES,
                STATUSES,
            ),
            waits: waits(r),
            preflights: row(
                &vec(r, "withcreds_preflights_total", "Preflights answered.", &["outcome"]),
                PREFLIGHTS,
            ),
            csrf: row(
                &vec(
                    r,
                    "withcreds_csrf_failures_total",
                    "Requests refused by the CSRF check.",
                    &["reason"],
                ),
                ["foreign_origin", "unknown_origin", "token_missing", "token_invalid"],
            ),
            logins: matrix(
                &vec(r, "withcreds_logins_total", "Attempts to log in.", &["by", "outcome"]),
                ["password", "provider"],
                ["ok", "failed", "limited", "busy"],
            ),
            ended_in_store: in_memory
                .then(|| row(&ended, ["expired", "replaced", "over_share", "evicted"])),
            ended: row(&ended, ["logout", "revoked", "backchannel", "refresh_refused"]),
            sessions: in_memory.then(|| {
                let live =
                    "Sessions in memory, those included that expired within the last second.";
                let bytes = "Memory that they take.";
                (
                    gauge(r, "withcreds_sessions_live", live),
                    gauge(r, "withcreds_sessions_bytes", bytes),
                )
            }),
            return_urls: counter(
                r,
                "withcreds_return_urls_refused_total",
                "Return URLs that were not followed.",
            ),
            panics: counter(r, "withcreds_panics_total", "Panics that were caught."),
            store_errors: row(
                &vec(
                    r,
                    "withcreds_store_errors_total",
                    "Requests that the session store failed.",
                    &["kind"],
                ),
                ["unavailable", "full"],
            ),
            oidc: row(
                &vec(
                    r,
                    "withcreds_oidc_failures_total",
                    "What went wrong with the identity provider.",
                    &["kind"],
                ),
                ["unreachable", "malformed", "refused", "untrusted", "crashed"],
            ),
            reloads: row(
                &vec(
                    r,
                    "withcreds_policy_reloads_total",
                    "Reloads of the CORS policy.",
                    &["outcome"],
                ),
                ["ok", "failed"],
            ),
            tls_reloads: row(
                &vec(
                    r,
                    "withcreds_tls_reloads_total",
                    "Reloads of the TLS certificate.",
                    &["outcome"],
                ),
                ["ok", "failed"],
            ),
            connections: Connections::new(r),
            ready: gauge(r, "withcreds_ready", "What /readyz says: 1 ready, 0 not."),
            registry,
            reading: Mutex::new(()),
        }
    }

    /// A request got its answer, or at least the head of it.
    pub(crate) fn answered(&self, route: Route, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.requests[route as usize][class].inc();
    }

    /// It had to wait for something before.
    pub(crate) fn waited(&self, route: Route, time: Duration) {
        self.waits[route as usize].observe(time.as_secs_f64());
    }

    pub(crate) fn preflight(&self, decision: Result<(), Refusal>) {
        let place = match decision {
            Ok(()) => 0,
            Err(Refusal::Origin) => 1,
            Err(Refusal::Method) => 2,
            Err(Refusal::Header) => 3,
            Err(Refusal::TooLong) => 4,
            Err(Refusal::Malformed) => 5,
        };
        self.preflights[place].inc();
    }

    pub(crate) fn csrf_refused(&self, failure: &CsrfFailure) {
        let place = match failure {
            CsrfFailure::ForeignOrigin => 0,
            CsrfFailure::UnknownOrigin => 1,
            CsrfFailure::TokenMissing { .. } | CsrfFailure::HeaderMissing { .. } => 2,
            CsrfFailure::TokenInvalid { .. } => 3,
        };
        self.csrf[place].inc();
    }

    pub(crate) fn login(&self, by: LoginBy, outcome: LoginOutcome) {
        self.logins[by as usize][outcome as usize].inc();
    }

    pub(crate) fn ended(&self, why: Ended, sessions: usize) {
        self.ended[why as usize].inc_by(sessions as u64);
    }

    /// A request failed with this; most errors are the client's affair and are not counted here.
    pub(crate) fn failed(&self, error: &ApiError) {
        match error {
            ApiError::Panic { .. } => self.panics.inc(),
            ApiError::StoreUnavailable { .. } => self.store_errors[0].inc(),
            ApiError::StoreFull => self.store_errors[1].inc(),
            _ => {}
        }
    }

    pub(crate) fn provider_failed(&self, error: &ProviderError) {
        let place = match error {
            ProviderError::Http(_) => 0,
            ProviderError::Malformed { .. } => 1,
            ProviderError::Refused { .. } => 2,
            ProviderError::Untrusted(_) => 3,
            ProviderError::Crashed => 4,
        };
        self.oidc[place].inc();
    }

    pub(crate) fn reloaded<T, E>(&self, result: &Result<T, E>) {
        self.reloads[usize::from(result.is_err())].inc();
    }

    pub(crate) fn tls_reloaded<T, E>(&self, result: &Result<T, E>) {
        self.tls_reloads[usize::from(result.is_err())].inc();
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn render(&self, now: &Now<'_>) -> String {
        let _one_at_a_time = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.set(now.ready.into());
        carry_over(&self.return_urls, now.return_urls_refused);
        if let Some(store) = now.store {
            if let Some((live, bytes)) = &self.sessions {
                live.set(store.len().try_into().unwrap_or(i64::MAX));
                bytes.set(store.bytes().try_into().unwrap_or(i64::MAX));
            }
            let ended = store.ended();
            let counts = [ended.expired, ended.replaced, ended.over_share, ended.evicted];
            for (counter, count) in self.ended_in_store.iter().flatten().zip(counts) {
                carry_over(counter, count);
            }
        }
        // Fails only on names that repeat or are none; a test renders them all.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// What is not counted here, at the moment of reading.
pub(crate) struct Now<'a> {
    pub(crate) ready: bool,
    pub(crate) return_urls_refused: u64,
    /// Where sessions are in this process.
    pub(crate) store: Option<&'a MemoryStore>,
}

fn carry_over(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// Names and labels are literals: what is wrong with them is wrong in every run, tests included.
fn sound<T>(result: prometheus::Result<T>) -> T {
    result.unwrap_or_else(|error| unreachable!("{error}"))
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = sound(metric);
    sound(registry.register(Box::new(metric.clone())));
    metric
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    add(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    add(registry, IntGauge::new(name, help))
}

fn vec(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn waits(registry: &Registry) -> [Histogram; Route::NAMES.len()] {
    let help = "How long requests took that had to wait: for a password hash, a body, a store or a provider.";
    let options = HistogramOpts::new("withcreds_request_wait_seconds", help).buckets(WAITS.into());
    let waits = add(registry, HistogramVec::new(options, &["route"]));
    Route::NAMES.map(|route| waits.with_label_values(&[route]))
}

fn row<const N: usize>(of: &IntCounterVec, values: [&str; N]) -> [IntCounter; N] {
    values.map(|value| of.with_label_values(&[value]))
}

fn matrix<const N: usize, const M: usize>(
    of: &IntCounterVec,
    first: [&str; N],
    second: [&str; M],
) -> [[IntCounter; M]; N] {
    array::from_fn(|n| second.map(|value| of.with_label_values(&[first[n], value])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_routes() {
        for (path, route) in [
            ("/api/auth/session", Route::Session),
            ("/api/auth/session/", Route::Session),
            ("/api/auth/sessions/abc", Route::Sessions),
            ("/api/auth/backchannel-logout", Route::Backchannel),
            ("/api/auth/sessionx", Route::Other),
            ("/", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
        assert_eq!(Route::NAMES[Route::Other as usize], "other");
        assert_eq!(Route::NAMES[Route::Preflight as usize], "preflight");
    }

    #[test]
    fn what_is_counted_elsewhere_is_carried_over_once() {
        let metrics = Metrics::new(false);
        for refused in [2, 2, 5] {
            let text =
                metrics.render(&Now { ready: true, return_urls_refused: refused, store: None });
            let line = format!("withcreds_return_urls_refused_total {refused}\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}
