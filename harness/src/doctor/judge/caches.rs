//! Whether a cache can hand one origin's answer to another.

use crate::doctor::judge::{Judge, Severity};
use crate::doctor::{Answer, Purpose, Stranger};
use crate::oracle::Code;

/// Whether caches keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    No,
    /// By guess: there is a date, and nobody said how long.
    Guessed,
    /// They are told to.
    Told,
}

impl Judge<'_> {
    pub(super) fn caches(&mut self) {
        let first = |purpose| self.facts.learnt(purpose);
        let again = first(Purpose::Again);
        // The call alone carries the caller's headers: with them it is another question.
        let call = first(Purpose::Actual).filter(|_| self.facts.call.headers.is_empty());
        let (Some(page), Some(nobody)) = (call.or(again), first(Purpose::NoOrigin)) else {
            return;
        };
        // The stand-ins of a HEAD or an unsafe method are no answers to the same question.
        if self.facts.call.sent_method() != "GET" {
            return;
        }
        let foreign = first(Purpose::Stranger(Stranger::Foreign));
        let differs = |other: &Answer| grants(other) != grants(page);
        if again.is_some_and(|again| differs(again) && again.status == page.status) {
            let text = format!(
                "{} was asked for the same twice, other origins in between, and answered the page differently: {} and then {}. A cache mixes up the answers for different origins",
                self.host(),
                shown(page),
                again.map(shown).unwrap_or_default()
            );
            self.say(Code::VaryOriginMissingCache.id(), Severity::Error, text);
            return;
        }
        if !differs(nobody) && !foreign.is_some_and(differs) {
            return;
        }
        let lacks =
            |answer: &&&Answer| !(answer.lists("vary", "origin") || answer.lists("vary", "*"));
        let all = [Some(page), Some(nobody), foreign];
        let lacking: Vec<_> = all.iter().flatten().filter(lacks).collect();
        let kept = lacking.iter().map(|answer| kept(answer, self.now_ms)).max();
        let severity = match kept {
            Some(Kept::Told) => Severity::Error,
            Some(Kept::Guessed) => Severity::Warning,
            // Nothing is kept today: worth a word if the page's own answer says nothing of it.
            Some(Kept::No) if lacks(&&page) => Severity::Info,
            Some(Kept::No) | None => return,
        };
        let whose = if lacks(&&page) {
            "they have"
        } else {
            "the one to whoever sends another Origin or none has"
        };
        let how = match severity {
            Severity::Error => "caches are told to keep it",
            Severity::Warning => "caches may keep it for a while (it has a Last-Modified)",
            _ => "no cache keeps it today",
        };
        let age = if page.lines("age").next().is_some() { ", and there is one (Age)" } else { "" };
        let text = format!(
            "the answers of {} differ by Origin, and {whose} no Vary: Origin; {how}{age}. The page may get the answer that was meant for somebody else",
            self.host()
        );
        self.say(Code::VaryOriginMissingCache.id(), severity, text);
    }
}

fn grants(answer: &Answer) -> Vec<&str> {
    let credentials = answer.lines("access-control-allow-credentials");
    answer.lines("access-control-allow-origin").chain(credentials).collect()
}

fn shown(answer: &Answer) -> String {
    match grants(answer)[..] {
        [] => "no Access-Control-Allow-Origin".to_owned(),
        ref all => all.join(", "),
    }
}

/// <https://httpwg.org/specs/rfc9111.html#response.cacheability>, as far as it matters here.
fn kept(answer: &Answer, now_ms: i64) -> Kept {
    let directives = answer.lines("cache-control").flat_map(|line| line.split(',')).map(|d| {
        let (name, value) = d.split_once('=').unwrap_or((d, ""));
        (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'))
    });
    let all: Vec<_> = directives.collect();
    let has = |names: &[&str]| all.iter().any(|(name, _)| names.contains(&name.as_str()));
    if has(&["no-store", "no-cache"]) {
        return Kept::No;
    }
    // Each kind of cache minds its own age, so one that is not zero is enough.
    let mut ages = all.iter().filter(|(name, _)| ["max-age", "s-maxage"].contains(&name.as_str()));
    if has(&["max-age", "s-maxage"]) {
        let positive = ages.any(|(_, age)| age.parse::<u64>().is_ok_and(|age| age > 0));
        return if positive { Kept::Told } else { Kept::No };
    }
    if has(&["public", "immutable"]) {
        return Kept::Told;
    }
    // What is no date is in the past: <https://httpwg.org/specs/rfc9111.html#field.expires>
    if let Some(expires) = answer.lines("expires").next() {
        let now = u64::try_from(now_ms).unwrap_or_default();
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_millis(now);
        let later = httpdate::parse_http_date(expires.trim()).is_ok_and(|date| date > now);
        return if later { Kept::Told } else { Kept::No };
    }
    let by_status =
        matches!(answer.status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414);
    if by_status && answer.lines("last-modified").next().is_some() {
        return Kept::Guessed;
    }
    Kept::No
}
