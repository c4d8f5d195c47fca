//! Requests of a recording → calls of pages: preflights and redirects find their call.

use crate::diagnose::recording::{Entry, Kind, Recording};
use crate::diagnose::secrets::is_secret;
use crate::diagnose::trouble::trouble;
use crate::doctor::{Answer, Call, Exchange, Facts, Purpose, Question, SeenCookie, Trouble};
use crate::oracle::preflight_names;
use crate::scenario::{Address, Credentials};

/// Headers that browsers write by themselves; what else there is the script set.
const BROWSERS_OWN: [&str; 33] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "alt-used",
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "ect",
    "host",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "purpose",
    "referer",
    "rtt",
    "save-data",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
    "viewport-width",
    "x-client-data",
];

/// One call of a page, with everything of it that was recorded.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// The call and its exchanges; the credentials mode is a guess that somebody else makes.
    pub(super) facts: Facts,
    /// Whether its page is an opaque origin.
    pub(super) is_opaque: bool,
    /// Cookies that went with the call itself.
    pub(super) cookies: Vec<String>,
    /// What the browser says of the failure, of whichever hop.
    pub(super) error: Option<String>,
    /// Whether it failed, as far as the recorder marks that.
    pub(super) failed: bool,
    /// The status that the call ended with, if anything came.
    pub(super) status: Option<u16>,
    /// Whether the last request of the call is without an answer.
    pub(super) is_unanswered: bool,
    /// What should be there and is not.
    pub(super) gap: Gap,
    /// Where it stands among the requests.
    pub(super) place: usize,
}

/// What should be in a recording and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    None,
    /// The call needs a preflight, and none was recorded.
    Preflight,
    /// A preflight was recorded, and nothing that it was for.
    Call,
}

/// All calls to other origins that CORS has a say in, and all answers that set cookies.
pub(super) fn calls(recording: &Recording) -> Vec<Recorded> {
    let mut sorter = Sorter { entries: &recording.entries, used: Vec::new() };
    sorter.used = vec![false; recording.entries.len()];
    let mut calls = Vec::new();
    for index in 0..recording.entries.len() {
        let entry = &recording.entries[index];
        if sorter.used[index] || entry.kind != Kind::Script {
            continue;
        }
        if let Some(call) = sorter.call(index) {
            calls.push(call);
        }
    }
    for index in 0..recording.entries.len() {
        if !sorter.used[index] && recording.entries[index].kind == Kind::Preflight {
            calls.extend(sorter.lonely_preflight(index));
        }
    }
    calls.retain(|call| call.is_opaque || call.facts.call.is_cross_origin() || call.is_led_away());
    calls.sort_by_key(|call| call.place);
    calls
}

struct Sorter<'a> {
    entries: &'a [Entry],
    used: Vec<bool>,
}

impl Sorter<'_> {
    /// The call that begins with this request.
    fn call(&mut self, first: usize) -> Option<Recorded> {
        let entries = self.entries;
        let entry = &entries[first];
        let page = entry.page.clone()?;
        let mut chain = vec![first];
        let mut last = first;
        while let Some(next) = self.next_hop(last) {
            self.used[next] = true;
            chain.push(next);
            last = next;
        }
        self.used[first] = true;
        let mut exchanges = Vec::new();
        let mut preflights = Vec::new();
        for (hop, index) in chain.iter().enumerate() {
            let preflight = self.preflight(*index);
            preflights.push(preflight);
            if let Some(preflight) = preflight {
                self.used[preflight] = true;
                exchanges.extend(exchange(&entries[preflight], Purpose::Preflight, hop));
            }
            exchanges.extend(exchange(&entries[*index], Purpose::Actual, hop));
        }
        let asked = preflights[0].and_then(|p| entries[p].header("access-control-request-headers"));
        let headers = set_by_script(entry, asked);
        let call = call(entry, &page, headers);
        let lacks_preflight = call.is_cross_origin()
            && preflights[0].is_none()
            && preflight_names(&call.method, &call.headers).is_some();
        let end = &entries[last];
        let failed = chain.iter().any(|index| entries[*index].has_failed());
        Some(Recorded {
            is_opaque: entry.is_opaque,
            cookies: entry.cookies.clone(),
            error: chain.iter().find_map(|index| entries[*index].error.clone()),
            failed,
            status: end.answer.as_ref().map(|answer| answer.status),
            is_unanswered: end.answer.is_none(),
            gap: if lacks_preflight { Gap::Preflight } else { Gap::None },
            place: first,
            facts: Facts { call, exchanges, address_given: false },
        })
    }

    /// Where a redirect leads: the next request for that address.
    fn next_hop(&self, index: usize) -> Option<usize> {
        let entry = &self.entries[index];
        let target = entry.address.follow(entry.answer.as_ref()?.location()?).ok()?;
        let fits = |next: &usize| {
            let other = &self.entries[*next];
            !self.used[*next]
                && other.kind != Kind::Preflight
                && other.address.cache_key() == target.cache_key()
        };
        (index + 1..self.entries.len()).find(fits)
    }

    /// The nearest preflight that asks for this request. Chromium writes it after the request.
    fn preflight(&self, index: usize) -> Option<usize> {
        let entry = &self.entries[index];
        let fits = |other: &usize| {
            let preflight = &self.entries[*other];
            let method = preflight.header("access-control-request-method");
            !self.used[*other]
                && preflight.kind == Kind::Preflight
                && preflight.address.cache_key() == entry.address.cache_key()
                && method.is_none_or(|method| method == entry.method)
        };
        (0..self.entries.len()).filter(fits).min_by_key(|other| other.abs_diff(index))
    }

    /// A preflight whose call was not recorded: it never went out.
    fn lonely_preflight(&mut self, index: usize) -> Option<Recorded> {
        let preflight = &self.entries[index];
        self.used[index] = true;
        let method = preflight.header("access-control-request-method")?.to_owned();
        let asked = preflight.header("access-control-request-headers");
        let headers = set_by_script(preflight, asked);
        let page = preflight.page.clone()?;
        let call = Call { method, ..call(preflight, &page, headers) };
        let exchanges = exchange(preflight, Purpose::Preflight, 0).into_iter().collect();
        Some(Recorded {
            is_opaque: preflight.is_opaque,
            cookies: Vec::new(),
            error: preflight.error.clone(),
            failed: true,
            status: None,
            is_unanswered: true,
            gap: Gap::Call,
            place: index,
            facts: Facts { call, exchanges, address_given: false },
        })
    }
}

fn call(entry: &Entry, page: &Address, headers: Vec<(String, String)>) -> Call {
    Call {
        page: page.origin().clone(),
        address: entry.address.clone(),
        method: entry.method.clone(),
        headers,
        credentials: Credentials::SameOrigin,
        cookies: Vec::new(),
        // It was sent already.
        sends_unsafe: true,
    }
}

/// What the script set: the preflight says it, else what no browser writes by itself.
fn set_by_script(entry: &Entry, asked: Option<&str>) -> Vec<(String, String)> {
    let hidden = |name: &str, value: &str| {
        let value = if is_secret(name) { "***" } else { value };
        (name.to_owned(), value.to_owned())
    };
    let typed = entry.header("content-type");
    // A sanitized recording lacks headers that the preflight names.
    let mut names: Vec<String> = asked
        .map(|list| list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect())
        .unwrap_or_default();
    if asked.is_none() && entry.kind != Kind::Preflight {
        let own = |name: &str| BROWSERS_OWN.contains(&name) || name.starts_with("sec-");
        names = entry.request.iter().map(|(name, _)| name.clone()).collect();
        names.retain(|name| !own(name));
    } else if typed.is_some() {
        names.push("content-type".to_owned());
    }
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    let value = |name: &str| match entry.header(name) {
        Some(value) => hidden(name, value),
        None if name == "content-type" => hidden(name, "application/json"),
        None => hidden(name, "***"),
    };
    names.iter().map(|name| value(name)).collect()
}

/// The request and its answer, or why there is none; nothing where neither is known.
fn exchange(entry: &Entry, purpose: Purpose, hop: usize) -> Option<Exchange> {
    let result = match (&entry.answer, entry.error.as_deref().and_then(|e| trouble(e, entry))) {
        (_, Some(trouble)) => Err(trouble),
        (Some(answer), None) => Ok(answer.clone()),
        (None, None) => return None,
    };
    Some(Exchange {
        question: Question {
            purpose,
            hop,
            method: entry.method.clone(),
            address: entry.address.clone(),
            headers: entry.request.clone(),
        },
        result,
        peer: entry.peer,
        overlooked: None,
        millis: entry.millis,
    })
}

impl Recorded {
    /// Whether it is for its own origin, and is redirected to another.
    fn is_led_away(&self) -> bool {
        let page = &self.facts.call.page;
        self.facts.exchanges.iter().any(|e| e.question.address.origin() != page)
    }

    /// Whether the network failed, and CORS had no say.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.facts.exchanges.iter().find_map(|exchange| exchange.result.as_ref().err())
    }

    /// The answers that set cookies.
    pub(super) fn sets_cookies(&self) -> bool {
        let answers = self.facts.exchanges.iter().filter_map(Exchange::answer);
        answers.flat_map(|answer: &Answer| answer.lines("set-cookie")).next().is_some()
    }

    /// Names of the cookies that its answers set.
    pub(super) fn cookies_set(&self) -> impl Iterator<Item = &str> {
        let answers = self.facts.exchanges.iter().filter_map(Exchange::answer);
        answers
            .flat_map(|answer| answer.lines("set-cookie"))
            .filter_map(|line| line.split('=').next())
            .map(str::trim)
    }

    /// Says which cookies should have travelled.
    pub(super) fn wants(&mut self, names: impl IntoIterator<Item = String>) {
        self.facts.call.cookies.extend(names.into_iter().map(SeenCookie::Named));
    }
}
