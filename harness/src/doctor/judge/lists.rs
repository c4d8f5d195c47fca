//! Lists and numbers beside the grant: what scripts see, how long preflights count, what a JSON
//! POST would meet.

use crate::doctor::judge::{Judge, Severity};
use crate::doctor::{Purpose, replay};
use crate::oracle::Code;

/// Headers that nobody misses.
const DULL: [&str; 15] = [
    "accept-ranges",
    "age",
    "alt-svc",
    "connection",
    "date",
    "etag",
    "keep-alive",
    "referrer-policy",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
    "x-powered-by",
];

impl Judge<'_> {
    pub(super) fn lists(&mut self) {
        self.exposed();
        self.max_age();
        self.json();
    }

    fn exposed(&mut self) {
        let readable = self.sees.iter().find(|sees| sees.first.readable == Some(true));
        let hidden: Vec<_> = readable
            .and_then(|sees| sees.first.hidden_headers.as_deref())
            .unwrap_or_default()
            .iter()
            .filter(|name| !DULL.contains(&name.as_str()) && !name.starts_with("access-control-"))
            .cloned()
            .collect();
        if !hidden.is_empty() && self.facts.call.is_cross_origin() {
            let text = format!(
                "the page cannot read these headers of the answer, which are not exposed: {}",
                hidden.join(", ")
            );
            self.say(Code::ExposeHeadersMissing.id(), Severity::Info, text);
        }
    }

    fn max_age(&mut self) {
        let preflights = [Purpose::Preflight, Purpose::JsonPreflight];
        let Some(answer) = preflights.into_iter().find_map(|p| self.facts.answer(p)) else {
            return;
        };
        let Some(value) = answer.lines("access-control-max-age").next().map(str::to_owned) else {
            return;
        };
        let text = match value.trim().parse::<i64>() {
            Ok(seconds) if seconds > 86_400 => format!(
                "Access-Control-Max-Age is {seconds}: Chromium keeps preflights for two hours at most, WebKit for ten minutes, Firefox for a day; after a change of the server's lists some users meet the old ones so long"
            ),
            Ok(_) => return,
            Err(_) => format!(
                "Access-Control-Max-Age is \"{value}\", which is no number of seconds: it is ignored, and preflights count for five seconds"
            ),
        };
        self.say("preflight-cache-stale", Severity::Info, text);
    }

    /// What was asked is a simple request; most pages send JSON some day.
    fn json(&mut self) {
        let Some(exchange) = self.facts.of(Purpose::JsonPreflight).next() else { return };
        if exchange.answer().is_none() || !self.works() {
            return;
        }
        let json = [("content-type", "application/json")];
        let sees = replay::of_answer(self.facts, exchange, &json, self.profiles, self.now_ms);
        let Some(failing) = sees.iter().find(|s| s.first.request_sent == Some(false)) else {
            return;
        };
        let Some(why) = failing.why.iter().find(|finding| finding.is_violation()) else { return };
        let text =
            format!("if the page sends JSON by POST some day, its preflight fails: {}", why.text());
        self.say(why.code().id(), Severity::Info, text);
    }
}
