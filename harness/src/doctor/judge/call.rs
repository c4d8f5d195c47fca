//! The call itself: what the oracle says of the answers, with what the doctor knows beside it.

use crate::catalogue::is_login;
use crate::doctor::judge::{Judge, Severity, error};
use crate::doctor::{Answer, EngineSees, Exchange, Purpose, shown_address};
use crate::oracle::{self, Code};
use crate::scenario::{Address, Credentials, Engine};

/// What others say, or nobody needs to hear.
const ELSEWHERE: [Code; 9] = [
    // `reach` knows more.
    Code::ConnectionRefusedWrongPort,
    Code::TlsUntrustedCertificate,
    // No cookie was really sent, so no server could know it.
    Code::ServerSessionRejected,
    // `caches`, `lists`, `cookies`.
    Code::VaryOriginMissingCache,
    Code::ExposeHeadersMissing,
    Code::CookieShadowedDuplicate,
    Code::CookieDeleteAttributesMismatch,
    // As it should be.
    Code::ContentTypeJsonTriggersPreflight,
    Code::NoCorsOpaque,
];

impl Judge<'_> {
    pub(super) fn call(&mut self) {
        let mut said: Vec<(Code, Severity, String, Vec<Engine>)> = Vec::new();
        for sees in self.sees {
            for finding in &sees.why {
                let code = finding.code();
                if ELSEWHERE.contains(&code)
                    || code.mend().is_empty()
                    || is_about_cookies(sees, finding)
                {
                    continue;
                }
                if self.follows(sees, finding) {
                    continue;
                }
                let severity = self.grade(sees, finding);
                let text = self.told(sees, finding);
                let known =
                    said.iter_mut().find(|(c, s, t, _)| (*c, *s) == (code, severity) && *t == text);
                match known {
                    Some((.., engines)) if engines.contains(&sees.engine) => {}
                    Some((.., engines)) => engines.push(sees.engine),
                    None => said.push((code, severity, text, vec![sees.engine])),
                }
            }
        }
        for (code, severity, text, engines) in said {
            self.say_of(code.id(), severity, engines, text);
        }
        self.login();
        if self.facts.leads_further() {
            let text = format!(
                "{} redirects again and again: only the first five redirects were followed",
                self.host()
            );
            self.say(Code::RedirectLoop.id(), Severity::Warning, text);
        }
    }

    /// The exchange that stopped the call: the last that the browser makes. The doctor may have
    /// looked further.
    fn stopped_at(&self, sees: &EngineSees) -> Option<&Exchange> {
        let hop = sees.first.hops.as_ref()?.len().checked_sub(1)?;
        let at = |purpose| {
            let mut all = self.facts.of(purpose);
            all.find(|exchange| exchange.question.hop == hop)
        };
        let sent = sees.first.request_sent == Some(true);
        let actual = if sent { at(Purpose::Actual) } else { None };
        actual.or_else(|| at(Purpose::Preflight))
    }

    fn stopped_by(&self, sees: &EngineSees) -> Option<&Answer> {
        self.stopped_at(sees).and_then(Exchange::answer)
    }

    /// Whether an answer without a single CORS header stopped the call: that is one fault, not one
    /// for each header that it lacks.
    fn is_bare(&self, sees: &EngineSees) -> bool {
        let answer = self.stopped_by(sees);
        error(sees).is_some()
            && answer.is_some_and(|answer| {
                answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-"))
            })
    }

    /// Whether a finding only follows from another one.
    fn follows(&self, sees: &EngineSees, finding: &oracle::Finding) -> bool {
        finding.is_violation() && error(sees) != Some(finding.code().id()) && self.is_bare(sees)
    }

    fn grade(&self, sees: &EngineSees, finding: &oracle::Finding) -> Severity {
        let sent = sees.first.request_sent == Some(true);
        if !finding.is_violation() {
            return if finding.code() == Code::AuthorizationNotCoveredByWildcard {
                Severity::Warning
            } else {
                Severity::Info
            };
        }
        // The answer to another method tells little of the answer to this one.
        if sent && self.facts.call.has_stand_in() { Severity::Warning } else { Severity::Error }
    }

    fn told(&self, sees: &EngineSees, finding: &oracle::Finding) -> String {
        let call = &self.facts.call;
        let sent = sees.first.request_sent == Some(true);
        let mut text = finding.text();
        let preflight = self.facts.answer(Purpose::Preflight).filter(|_| !sent);
        let answer = preflight.or_else(|| self.facts.answer(Purpose::Actual));
        match finding.code() {
            Code::AcacWrongValue => {
                let lines: Vec<_> = answer
                    .into_iter()
                    .flat_map(|a| a.lines("access-control-allow-credentials"))
                    .collect();
                if lines.len() > 1 {
                    text = format!(
                        "{} sends Access-Control-Allow-Credentials {} times ({}): two layers write CORS headers, and browsers join the lines to a value that is not true",
                        self.host(),
                        lines.len(),
                        lines.join(", ")
                    );
                }
            }
            Code::PreflightRedirect | Code::RedirectHopWithoutCors | Code::IdpRedirectInFetch => {
                if let Some(led) = self.led(sees) {
                    text = format!("{text}. {led}");
                }
            }
            _ => {}
        }
        if finding.is_violation() && self.is_bare(sees) && error(sees) == Some(finding.code().id())
        {
            text += ". No header of that answer speaks CORS";
            if call.credentials == Credentials::Include {
                text += "; it needs Access-Control-Allow-Credentials: true as well";
            }
        }
        if sent && call.has_stand_in() && finding.is_violation() {
            text = format!(
                "to GET, which was sent in place of {} (--unsafe sends that): {text}",
                call.method
            );
        }
        text
    }

    /// Where the redirect leads that stopped the call, and what is different there.
    fn led(&self, sees: &EngineSees) -> Option<String> {
        let exchange = self.stopped_at(sees)?;
        let from = &exchange.question.address;
        let to = from.follow(exchange.answer()?.location()?).ok()?;
        let rest = |address: &Address| {
            address.cache_key().split_once("://").map(|(_, rest)| rest.to_owned())
        };
        let difference = if rest(from) == rest(&to) {
            ": only the scheme differs, so call that"
        } else if rest(from).map(|rest| rest + "/") == rest(&to)
            || rest(from) == rest(&to).map(|rest| rest + "/")
        {
            ": only the last slash differs, so call that"
        } else if self.is_led_to_login(&to) {
            ": a login page"
        } else {
            ""
        };
        Some(format!("It leads to {}{difference}", shown_address(to.cache_key())))
    }

    /// An API call that ends on a login page, on whatever host.
    fn login(&mut self) {
        let hops = self.facts.of(Purpose::Actual).filter(|e| e.question.hop > 0);
        let login = hops.map(|e| &e.question.address).find(|a| self.is_led_to_login(a)).cloned();
        let redirect = self
            .facts
            .answer(Purpose::Actual)
            .and_then(|answer| self.facts.call.address.follow(answer.location()?).ok());
        let Some(login) = login.or_else(|| redirect.filter(|to| self.is_led_to_login(to))) else {
            return;
        };
        if self.has(Code::IdpRedirectInFetch.id()) {
            return;
        }
        let severity = if self.works() { Severity::Warning } else { Severity::Error };
        let text = format!(
            "the call is redirected to a login page, {}: whoever is not logged in gets no 401 that a script could see",
            shown_address(login.cache_key())
        );
        self.say(Code::IdpRedirectInFetch.id(), severity, text);
    }

    /// Whoever calls a login's own address is led to no login that they did not ask for.
    fn is_led_to_login(&self, to: &Address) -> bool {
        is_login_page(to) && !is_login_page(&self.facts.call.address)
    }
}

/// Whether an API call that is led there has met somebody's login.
fn is_login_page(to: &Address) -> bool {
    const PAGES: [&str; 5] = ["login", "log-in", "logon", "signin", "sign-in"];
    let mut segments = to.path().split('/').map(|s| s.split('.').next().unwrap_or_default());
    is_login(to.text()) || segments.any(|s| PAGES.iter().any(|page| s.eq_ignore_ascii_case(page)))
}

/// Whether it is a cookie's reason, which `cookies` tells.
fn is_about_cookies(sees: &EngineSees, finding: &oracle::Finding) -> bool {
    if error(sees) == Some(finding.code().id()) {
        return false;
    }
    let fates = [&sees.first.cookies_refused, &sees.second.cookies_refused]
        .into_iter()
        .chain([&sees.first.cookies_withheld, &sees.second.cookies_withheld]);
    let mut fates = fates.flatten().flatten();
    fates.any(|fate| fate.reason.as_deref() == Some(finding.code().id()))
}
