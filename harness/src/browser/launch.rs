//! How a browser is started, in words that hold for every engine.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::browser::profile::ThirdPartyCookies;

/// How a browser is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// With a window. Needs a display.
    pub headed: bool,
    /// Where the browser finds hosts: `("api.example.net:443", 127.0.0.1:41234)`. Without a port
    /// all ports of the host go there; `*` is a wildcard; the first match counts. Names under
    /// `localhost` and loopback addresses work as ever, everything else does not resolve.
    pub hosts: Vec<(String, SocketAddr)>,
    /// Public keys whose certificates are accepted without an authority: base64 of the SHA-256 of
    /// the subject public key info. Chromium's way: all other certificates are verified as usual.
    pub trusted_keys: Vec<String>,
    /// Certificates that are accepted without an authority, for every host in `hosts` that has a
    /// port: SHA-256 of the DER, as in `AB:CD:…`. Firefox's way: all other certificates are
    /// verified as usual. WebKitGTK has no way to trust just some: with any entry it accepts all.
    pub trusted_certificates: Vec<String>,
    /// What the profile says about third-party cookies.
    pub third_party_cookies: ThirdPartyCookies,
    /// The program; `None` looks for one, see [`Engine::find`](crate::browser::Engine::find).
    pub binary: Option<PathBuf>,
    /// Width and height of the window in pixels.
    pub window: (u32, u32),
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            headed: false,
            hosts: Vec::new(),
            trusted_keys: Vec::new(),
            trusted_certificates: Vec::new(),
            third_party_cookies: ThirdPartyCookies::Default,
            binary: None,
            window: (1280, 800),
        }
    }
}

/// Which listener stands for which host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Vec<(String, SocketAddr)>);

impl Hosts {
    /// As in [`Launch::hosts`].
    pub(crate) const fn new(hosts: Vec<(String, SocketAddr)>) -> Self {
        Self(hosts)
    }

    /// The listener for a host and port.
    pub(crate) fn find(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |pattern: &str| match pattern.rsplit_once(':') {
            Some((name, only)) => only.parse() == Ok(port) && covers(name, &host),
            None => covers(pattern, &host),
        };
        self.0.iter().find(|(pattern, _)| fits(pattern)).map(|(_, address)| *address)
    }
}

/// `*` stands for any text, once.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(host),
        Some((before, after)) => {
            host.len() >= before.len() + after.len()
                && host.starts_with(before)
                && host.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_counts() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let hosts = Hosts::new(vec![
            ("a.test:443".to_owned(), at(1)),
            ("a.test".to_owned(), at(2)),
            ("*.b.test:80".to_owned(), at(3)),
            ("x.b.test".to_owned(), at(4)),
        ]);
        for (host, port, want) in [
            ("a.test", 443, Some(1)),
            ("A.Test.", 443, Some(1)),
            ("a.test", 80, Some(2)),
            ("x.b.test", 80, Some(3)),
            ("x.b.test", 443, Some(4)),
            ("y.b.test", 443, None),
            ("b.test", 80, None),
            ("xa.test", 443, None),
        ] {
            assert_eq!(hosts.find(host, port), want.map(at), "{host}:{port}");
        }
    }
}
