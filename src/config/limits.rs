//! `[rate_limit]`, and the proxies through which clients are seen.

use std::time::Duration;

use crate::config::reader::{Document, Section};
use crate::policy::client::{ProxyRange, ProxyRangeError};
use crate::policy::rate::Quota;

/// The longest window: longer ones would lock people out rather than guessers.
const MAX_WINDOW: Duration = Duration::from_hours(24);

/// How often a client may fail to log in; `None`: as often as it likes.
pub(super) fn read_rate_limit(document: &mut Document<'_>) -> Option<Quota> {
    document.section("rate_limit", |s| {
        let enabled = s.value("enabled").unwrap_or(true);
        let attempts = s.within("login_attempts", 1..=1_000_000).unwrap_or(10);
        let window = s.duration("login_window").unwrap_or(Duration::from_mins(5));
        if window > MAX_WINDOW {
            let value = Some(humantime::format_duration(window).to_string());
            let reason = "it is longer than a day, and people mistype their passwords, too";
            s.fault("login_window", value, "out_of_range", reason, "write \"5m\", or leave it out");
        }
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        enabled.then_some(Quota { attempts, window })
    })
}

/// `server.trusted_proxies`.
pub(super) fn read_trusted_proxies(s: &mut Section<'_, '_>) -> Vec<ProxyRange> {
    let mut ranges = Vec::new();
    for text in s.list("trusted_proxies").unwrap_or_default() {
        match text.parse() {
            Ok(range) => ranges.push(range),
            Err(error) => {
                let mend = match &error {
                    ProxyRangeError::HostBits { network } => format!("write \"{network}\""),
                    _ => {
                        "write the proxy's address, or a network such as \"10.0.0.0/8\"".to_owned()
                    }
                };
                let code = match &error {
                    ProxyRangeError::Everybody => "trusted_proxies_everybody",
                    _ => "trusted_proxies_malformed",
                };
                s.fault("trusted_proxies", Some(text), code, &error.to_string(), &mend);
            }
        }
    }
    ranges
}
