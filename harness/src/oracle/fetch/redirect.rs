//! Where a redirect leads, and what it does to the request.

use crate::oracle::Code;
use crate::oracle::fetch::{Flight, Stop, Tainting};
use crate::oracle::request::RequestMode;
use crate::scenario::{BadLocation, Redirect};

/// A browser follows so many redirects.
const REDIRECTS: usize = 20;

impl Flight<'_, '_> {
    /// [HTTP-redirect fetch](https://fetch.spec.whatwg.org/#concept-http-redirect-fetch).
    pub(super) fn redirect(&mut self, location: &str, status: u16) -> Result<(), Stop> {
        if self.request.redirect == Redirect::Error {
            let template = "{} redirects, and the request says that redirects are errors";
            return Err(self.stop(Code::RedirectNotFollowed, template));
        }
        let cors = self.request.mode == RequestMode::Cors;
        let next = match self.url().follow(location) {
            Ok(next) => next,
            Err(bad) => {
                let template = "the Location that {} sends is no http or https address";
                self.stop(Code::RedirectLeadsNowhere, template);
                let scheme = cors && bad == BadLocation::Scheme;
                let name = scheme.then_some("CorsDisabledScheme");
                return Err(Stop::Error(Code::RedirectLeadsNowhere, name));
            }
        };
        if self.chain.len() > REDIRECTS {
            let template = "{} redirects, and it is the twenty-first redirect";
            return Err(self.stop(Code::RedirectLoop, template));
        }
        let foreign = self.client.as_ref() != Some(next.origin());
        if next.has_credentials() && ((cors && foreign) || self.tainting == Tainting::Cors) {
            let code = Code::RedirectContainsCredentials;
            self.stop(code, "the Location that {} sends holds a user name or a password");
            return Err(Stop::Error(code, Some("RedirectContainsCredentials")));
        }
        let method = self.request.method.as_str();
        let becomes_get = match status {
            301 | 302 => method == "POST",
            303 => !matches!(method, "GET" | "HEAD"),
            _ => false,
        };
        if becomes_get {
            "GET".clone_into(&mut self.request.method);
            let of_body =
                ["content-encoding", "content-language", "content-location", "content-type"];
            self.request.headers.retain(|(name, _)| !of_body.contains(&name.as_str()));
        }
        if self.url().origin() != next.origin() {
            self.request.headers.retain(|(name, _)| name != "authorization");
            self.origin_tainted |= self.client.as_ref() != Some(self.url().origin());
        }
        self.chain.push(next);
        Ok(())
    }
}
