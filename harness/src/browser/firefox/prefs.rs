//! The preferences and certificate exceptions of a scratch profile.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::browser::launch::Launch;
use crate::browser::profile::Profile;

/// Writes what the browser reads at its start.
pub(super) fn write(profile: &Profile, launch: &Launch, relay: SocketAddr) -> io::Result<()> {
    fs::write(profile.path().join("user.js"), user_js(launch, relay))?;
    let exceptions = exceptions(launch);
    if exceptions.is_empty() {
        return Ok(());
    }
    fs::write(profile.path().join("cert_override.txt"), exceptions)
}

fn user_js(launch: &Launch, relay: SocketAddr) -> String {
    let mut prefs: Vec<(&str, Value)> = vec![
        // All names go to the relay, except those that mean this machine anyway.
        ("network.proxy.type", json!(1)),
        ("network.proxy.socks", json!(relay.ip().to_string())),
        ("network.proxy.socks_port", json!(relay.port())),
        ("network.proxy.socks_version", json!(5)),
        ("network.proxy.socks_remote_dns", json!(true)),
        ("network.proxy.socks5_remote_dns", json!(true)),
        ("network.proxy.no_proxies_on", json!("")),
        ("network.proxy.failover_direct", json!(false)),
    ];
    if let Some(behavior) = launch.third_party_cookies.cookie_behavior() {
        prefs.push(("network.cookie.cookieBehavior", json!(behavior)));
    }
    let fixed = FIXED.iter().map(|(name, value)| (*name, value.json()));
    let mut text = String::new();
    for (name, value) in prefs.into_iter().chain(fixed) {
        let _ = writeln!(text, "user_pref({}, {value});", json!(name));
    }
    text
}

/// The exceptions that a person adds at Firefox's warning page: one certificate for one host and
/// port. Anything else is verified as usual.
fn exceptions(launch: &Launch) -> String {
    let mut text = String::new();
    for (host, _listener) in launch.hosts.iter().filter(|(host, _)| host.contains(':')) {
        for fingerprint in &launch.trusted_certificates {
            let _ = writeln!(text, "{host}:\t{SHA256}\t{fingerprint}\t");
        }
    }
    text
}

/// The hash of the fingerprints, as an object identifier.
const SHA256: &str = "OID.2.16.840.1.101.3.4.2.1";

enum Fixed {
    On,
    Off,
    Number(u8),
    Text(&'static str),
}

impl Fixed {
    fn json(&self) -> Value {
        match self {
            Self::On => json!(true),
            Self::Off => json!(false),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

/// Nothing here touches how cookies or CORS work.
const FIXED: [(&str, Fixed); 25] = [
    // What is asked for is what is loaded: no second try over https, no guessed names.
    ("dom.security.https_first", Fixed::Off),
    ("dom.security.https_first_schemeless", Fixed::Off),
    ("dom.security.https_only_mode", Fixed::Off),
    ("browser.fixup.alternate.enabled", Fixed::Off),
    ("network.prefetch-next", Fixed::Off),
    ("network.dns.disablePrefetch", Fixed::On),
    ("network.http.speculative-parallel-limit", Fixed::Number(0)),
    ("network.trr.mode", Fixed::Number(5)),
    // No traffic that no test asked for. The relay would let none of it out; that it is not even
    // tried spares seconds at the start.
    ("services.settings.server", Fixed::Text("data:,#remote-settings-dummy/v1")),
    ("app.normandy.enabled", Fixed::Off),
    ("app.update.disabledForTesting", Fixed::On),
    ("browser.safebrowsing.update.enabled", Fixed::Off),
    ("browser.safebrowsing.malware.enabled", Fixed::Off),
    ("browser.safebrowsing.phishing.enabled", Fixed::Off),
    ("browser.search.update", Fixed::Off),
    ("datareporting.policy.dataSubmissionEnabled", Fixed::Off),
    ("toolkit.telemetry.server", Fixed::Text("data:,")),
    ("extensions.update.enabled", Fixed::Off),
    ("network.captive-portal-service.enabled", Fixed::Off),
    ("network.connectivity-service.enabled", Fixed::Off),
    // All tabs but one are in the background, and their timers would be late by up to 15 s: a page's
    // own deadline must come before ours.
    ("dom.timeout.enable_budget_timer_throttling", Fixed::Off),
    // No page of the browser's own.
    ("browser.aboutwelcome.enabled", Fixed::Off),
    ("browser.startup.page", Fixed::Number(0)),
    ("browser.newtabpage.enabled", Fixed::Off),
    ("browser.shell.checkDefaultBrowser", Fixed::Off),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::ThirdPartyCookies;

    fn launch() -> Launch {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        Launch {
            hosts: vec![
                ("app.example.com:443".to_owned(), at(1)),
                ("any.example.com".to_owned(), at(2)),
            ],
            trusted_certificates: vec!["AB:CD".to_owned()],
            ..Launch::default()
        }
    }

    #[test]
    fn a_certificate_counts_for_its_hosts_only() {
        let want = "app.example.com:443:\tOID.2.16.840.1.101.3.4.2.1\tAB:CD\t\n";
        assert_eq!(exceptions(&launch()), want);
        assert_eq!(exceptions(&Launch { trusted_certificates: Vec::new(), ..launch() }), "");
    }

    #[test]
    fn preferences_say_what_is_asked_and_nothing_more() {
        let relay = SocketAddr::from(([127, 0, 0, 1], 4711));
        for (third_party_cookies, want) in [
            (ThirdPartyCookies::Default, None),
            (ThirdPartyCookies::Allow, Some("user_pref(\"network.cookie.cookieBehavior\", 0);")),
            (ThirdPartyCookies::Block, Some("user_pref(\"network.cookie.cookieBehavior\", 1);")),
        ] {
            let text = user_js(&Launch { third_party_cookies, ..launch() }, relay);
            let line = text.lines().find(|line| line.contains("cookieBehavior"));
            assert_eq!(line, want, "{third_party_cookies:?}");
            assert!(text.contains("user_pref(\"network.proxy.socks_port\", 4711);"), "{text}");
        }
    }
}
