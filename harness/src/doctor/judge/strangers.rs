//! Who else may read, and with whose cookies.

use crate::doctor::judge::{Judge, Severity};
use crate::doctor::{Purpose, Stranger};
use crate::scenario::Scheme;

/// The catalogue's code for all of it.
const CODE: &str = "foreign-origin-allowed";

/// What the server grants to an origin that is not the page's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    origin: String,
    credentials: bool,
}

impl Judge<'_> {
    pub(super) fn strangers(&mut self) {
        let foreign = self.grant(Purpose::Stranger(Stranger::Foreign));
        let with_cookie =
            || self.grant(Purpose::StrangerWithCookie).filter(|grant| grant.credentials);
        let (foreign, only) = match foreign.filter(|grant| grant.credentials) {
            Some(grant) => (Some(grant), ""),
            None => match with_cookie() {
                Some(grant) => (Some(grant), " as soon as the request has a cookie"),
                None => (self.grant(Purpose::Stranger(Stranger::Foreign)), ""),
            },
        };
        let named = foreign.is_some();
        if let Some(Grant { origin, credentials }) = foreign {
            if credentials {
                let text = format!(
                    "{} lets every origin read its answers with the cookies of the user who looks at it: {origin}, which nobody can have listed, was named and granted credentials{only}. Any website can read what your users can read",
                    self.host()
                );
                self.say(CODE, Severity::Critical, text);
                // Whoever lets everybody in lets every look-alike in: one cause, one finding.
                return;
            }
            let text = format!(
                "{} names whatever origin asks ({origin}), without credentials: as good as *",
                self.host()
            );
            self.say(CODE, Severity::Info, text);
        }
        let page_is_here = self.facts.call.page.is_loopback();
        let https = self.facts.call.page.scheme() == Scheme::Https;
        for stranger in [
            Stranger::Null,
            Stranger::Suffix,
            Stranger::Prefix,
            Stranger::OtherScheme,
            Stranger::OtherPort,
        ] {
            let Some(Grant { origin, credentials }) = self.grant(Purpose::Stranger(stranger))
            else {
                continue;
            };
            // Said already, of everybody.
            if named && !credentials {
                continue;
            }
            let (severity, why) = match stranger {
                Stranger::Null if credentials => (
                    Severity::Critical,
                    "any website can make a frame whose origin is null, and read what your users can read",
                ),
                Stranger::Suffix | Stranger::Prefix if credentials => (
                    Severity::Critical,
                    "origins are compared by a part of their text, so whoever registers such a name reads what your users can read",
                ),
                Stranger::Suffix | Stranger::Prefix => (
                    Severity::Warning,
                    "origins are compared by a part of their text, so whoever registers such a name is let in",
                ),
                Stranger::OtherScheme if https && credentials => (
                    Severity::Error,
                    "whoever is in the network between can be that page over http, and read what your users can read",
                ),
                // Development: any port of this machine is as good as another.
                Stranger::OtherPort if page_is_here => continue,
                Stranger::OtherPort if credentials => (
                    Severity::Warning,
                    "another program on that host can read what your users can read",
                ),
                Stranger::OtherScheme if !https => continue,
                _ => (Severity::Info, "without credentials"),
            };
            let text = format!("{} grants {origin}, which is not the page: {why}", self.host());
            self.say(CODE, severity, text);
        }
        self.preflight();
    }

    fn grant(&self, purpose: Purpose) -> Option<Grant> {
        let exchange = self.facts.of(purpose).next()?;
        let (origin, answer) = (exchange.origin()?, exchange.answer()?);
        answer.names(origin).then(|| Grant {
            origin: origin.to_owned(),
            credentials: answer.agrees_to_credentials(),
        })
    }

    /// A preflight lets requests through that change something, though nobody may read the answer.
    fn preflight(&mut self) {
        let Some(exchange) = self.facts.of(Purpose::StrangerPreflight).next() else { return };
        let (Some(origin), Some(answer)) = (exchange.origin(), exchange.answer()) else { return };
        if (200..=299).contains(&answer.status)
            && answer.names(origin)
            && answer.agrees_to_credentials()
        {
            let answers = match self.grant(Purpose::Stranger(Stranger::Foreign)) {
                Some(_) => "grants its answers without credentials",
                None => "refuses its answers",
            };
            let text = format!(
                "{} {answers} to {origin} and grants it the preflight with credentials: any website can send {} with the user's cookies, where SameSite does not stop them",
                self.host(),
                self.facts.call.method
            );
            self.say(CODE, Severity::Error, text);
        }
    }
}
