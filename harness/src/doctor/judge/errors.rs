//! Error answers: can the page read what went wrong?

use crate::doctor::judge::{Judge, Severity, error};
use crate::doctor::{Purpose, replay};
use crate::oracle::Code;

impl Judge<'_> {
    pub(super) fn errors(&mut self) {
        // Where the call itself fails, its errors fail for the same reason.
        if !self.works() || !self.facts.call.is_cross_origin() {
            return;
        }
        for (purpose, what) in [
            (Purpose::Nowhere, "a path that is not there"),
            (Purpose::NoMethod, "a method that it does not have (PROPFIND)"),
        ] {
            let Some(exchange) = self.facts.of(purpose).next() else { continue };
            let Some(answer) = exchange.answer().filter(|answer| answer.status >= 400) else {
                continue;
            };
            let status = answer.status;
            let sees = replay::of_answer(self.facts, exchange, &[], self.profiles, self.now_ms);
            let failing: Vec<_> =
                sees.iter().filter(|s| error(s).is_some()).map(|s| s.engine).collect();
            if failing.is_empty() {
                continue;
            }
            let text = format!(
                "{} answers {what} with {status}, and the page cannot read that: its CORS headers are not those of the call. It will look like a CORS error",
                self.host()
            );
            let code = Code::ErrorResponseWithoutCorsHeaders.id();
            self.say_of(code, Severity::Warning, failing, text);
        }
    }
}
