//! The mend for whoever answered, as far as servers name themselves.

use crate::catalogue::{Bug, Catalogue};
use crate::doctor::{Answer, Exchange, Facts};

/// What is known to write such headers.
const SERVERS: [(&str, &str, &str); 10] = [
    ("x-powered-by", "express", "Express"),
    ("x-powered-by", "asp.net", "ASP.NET"),
    ("server", "kestrel", "ASP.NET"),
    ("server", "microsoft-iis", "ASP.NET"),
    ("server", "uvicorn", "FastAPI"),
    ("server", "hypercorn", "FastAPI"),
    ("x-application-context", "", "Spring"),
    ("server", "withcreds", "withcreds"),
    ("server", "nginx", "nginx"),
    ("server", "openresty", "nginx"),
];

/// The servers that the answers name, the one nearest to the application first.
#[must_use]
pub(super) fn servers(facts: &Facts) -> Vec<&'static str> {
    let answers: Vec<_> = facts.exchanges.iter().filter_map(Exchange::answer).collect();
    let names = |answer: &&Answer, header: &str, word: &str| {
        answer.lines(header).any(|line| line.to_ascii_lowercase().contains(word))
    };
    let mut found: Vec<&'static str> = SERVERS
        .into_iter()
        .filter(|(header, word, _)| answers.iter().any(|answer| names(answer, header, word)))
        .map(|(_, _, name)| name)
        .collect();
    found.dedup();
    found
}

/// How to mend a bug: for the servers that are known here, else `otherwise`, else as the catalogue
/// says it in general.
pub(super) fn mend(code: &str, servers: &[&str], otherwise: &str) -> String {
    let Some(bug) = Catalogue::embedded().bug(code) else { return otherwise.to_owned() };
    let own: Vec<_> = bug
        .server
        .mends()
        .into_iter()
        .filter(|(name, mend)| servers.contains(name) && !mend.is_empty())
        .map(|(name, mend)| format!("{name}: {mend}"))
        .collect();
    match (own.is_empty(), otherwise.is_empty()) {
        (true, true) => general(bug),
        (true, false) => otherwise.to_owned(),
        (false, true) => own.join(" "),
        (false, false) => format!("{otherwise} {}", own.join(" ")),
    }
}

/// For whoever runs a server that did not name itself.
fn general(bug: &Bug) -> String {
    if bug.id == "foreign-origin-allowed" {
        // No page can do anything here: the catalogue's words for pages help nobody.
        return "On the server: keep a list of whole origins, compare the request's Origin with it letter by letter, and send Access-Control-Allow-Origin and Access-Control-Allow-Credentials only if it is on the list. Never send back whatever comes, never compare a part of it, and never allow null.".to_owned();
    }
    bug.client.clone()
}
