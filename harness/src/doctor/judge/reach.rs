//! What comes before CORS: whether anybody answers at all, and who.

use std::net::IpAddr;

use crate::doctor::judge::{Judge, Severity};
use crate::doctor::{Exchange, Purpose, TlsFault, Trouble};
use crate::oracle::Code;
use crate::scenario::{Engine, Scheme};

impl Judge<'_> {
    pub(super) fn reach(&mut self) {
        let chain =
            |e: &&Exchange| matches!(e.question.purpose, Purpose::Preflight | Purpose::Actual);
        let failed = self.facts.exchanges.iter().filter(chain).find_map(|exchange| {
            exchange.result.as_ref().err().map(|trouble| (exchange.clone(), trouble.clone()))
        });
        if let Some((exchange, trouble)) = failed {
            self.trouble(&exchange, &trouble);
        }
        let overlooked = self.facts.exchanges.iter().find_map(|e| e.overlooked.clone());
        if let Some(fault) = overlooked {
            let text = format!(
                "the certificate is not trusted ({fault}); it was overlooked here, as you asked, and browsers do not overlook it"
            );
            self.say(Code::TlsUntrustedCertificate.id(), Severity::Info, text);
        }
        self.plain_http_on_a_tls_port();
        self.local_network();
    }

    fn trouble(&mut self, exchange: &Exchange, trouble: &Trouble) {
        let address = &exchange.question.address;
        let origin = address.origin();
        let led = if exchange.question.hop > 0 { "the call is redirected, and " } else { "" };
        let refused = Code::ConnectionRefusedWrongPort;
        let (code, text) = match trouble {
            Trouble::Dns(why) => (
                Code::DnsFailureOrBadPort,
                format!("the name {} is not known here: {why}", origin.host()),
            ),
            Trouble::Refused => {
                (refused, format!("nothing listens at {}, port {}", origin.host(), origin.port()))
            }
            Trouble::Unreachable(why) => {
                (refused, format!("there is no connection to {origin}: {why}"))
            }
            Trouble::Timeout(seconds) => (
                refused,
                format!(
                    "{origin} gave no answer within {seconds} s: a firewall drops the packets, or the server is stuck"
                ),
            ),
            Trouble::Certificate(fault) => {
                let mended = match fault {
                    TlsFault::Expired => ": renew it",
                    TlsFault::NotYet => ": look at the clocks",
                    TlsFault::UnknownIssuer => {
                        "; if it is your own for development, name its issuer by --cacert, or go on by --insecure-tls"
                    }
                    TlsFault::OtherHost(_) | TlsFault::Other(_) => "",
                };
                (
                    Code::TlsUntrustedCertificate,
                    format!(
                        "the certificate of {origin} is not trusted: {fault}{mended}. A page sees a network error that looks like CORS"
                    ),
                )
            }
            Trouble::NotTls => (
                refused,
                format!(
                    "port {} of {} does not speak TLS, so https cannot work there: it may be the http port",
                    origin.port(),
                    origin.host()
                ),
            ),
            Trouble::Tls(why) => (
                Code::TlsUntrustedCertificate,
                format!("{origin} and a browser do not agree on TLS: {why}"),
            ),
            Trouble::NotHttp => (
                refused,
                format!(
                    "what answers at {origin} does not speak HTTP: a wrong port, or a port that wants TLS (https)"
                ),
            ),
            Trouble::Closed => (
                refused,
                format!(
                    "{origin} hangs up without an answer: a crash, a wrong port, or a port that wants TLS (https)"
                ),
            ),
        };
        self.say(code.id(), Severity::Error, format!("{led}{text}"));
    }

    /// Many servers answer http on their https port in words.
    fn plain_http_on_a_tls_port(&mut self) {
        let mut calls = self.facts.of(Purpose::Preflight).chain(self.facts.of(Purpose::Actual));
        let found = calls.any(|exchange| {
            exchange.question.address.origin().scheme() == Scheme::Http
                && exchange.answer().is_some_and(|answer| {
                    let body = answer.body.to_ascii_lowercase();
                    answer.status == 400 && body.contains("http request") && body.contains("https")
                })
        });
        if found {
            let origin = self.facts.call.address.origin();
            let text = format!(
                "{origin} is asked over http, and says that the port wants https: mend the address first"
            );
            self.say(Code::ConnectionRefusedWrongPort.id(), Severity::Error, text);
        }
    }

    /// Chrome asks the user before a public page may reach a private address. Where the page is
    /// served from is not known here.
    fn local_network(&mut self) {
        let call = &self.facts.call;
        let peer = self.facts.of(Purpose::Actual).find_map(|exchange| exchange.peer);
        let private = peer.filter(is_private).filter(|_| !self.facts.address_given);
        let page = call.page.host();
        let page_is_here =
            call.page.is_loopback() || page.parse().is_ok_and(|ip: IpAddr| is_private(&ip));
        let Some(peer) = private.filter(|_| !page_is_here && call.is_cross_origin()) else {
            return;
        };
        let asks = self.profiles.iter().any(|profile| profile.engine == Engine::Chromium);
        if asks {
            let text = format!(
                "{} is {peer}, a private address. If {} is served from a public one, Chrome asks the user before anything is sent, and a page over plain http may not even ask",
                self.host(),
                call.page
            );
            let engines = vec![Engine::Chromium];
            self.say_of("local-network-access-denied", Severity::Info, engines, text);
        }
    }
}

fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
