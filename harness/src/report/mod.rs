//! What a proof found, for people and for programs. Secrets are redacted in both: a report is
//! mailed around.

mod json;
mod terminal;

pub use json::document;
pub use terminal::Terminal;

use crate::lab::{Asker, WireExchange};
use crate::prove::Observed;

/// One exchange as a row of a table: what was asked, what the wire carried, what the script got.
#[must_use]
pub fn evidence_row(seen: &Observed) -> [String; 6] {
    let from = match seen.asker {
        Asker::Page => String::new(),
        other => format!("{}, ", other.label()),
    };
    let preflight = match &seen.preflight {
        None => "–".to_owned(),
        Some(wire) => {
            let sets =
                if wire.response("set-cookie").next().is_some() { ", SETS A COOKIE" } else { "" };
            format!("{}, {}{sets}", wire.status, cookies(wire))
        }
    };
    let wire = match &seen.request {
        None => "never sent".to_owned(),
        Some(wire) => match withheld(seen) {
            None => cookies(wire),
            Some(withheld) => format!("{}; withheld: {withheld}", cookies(wire)),
        },
    };
    let failure = seen.browser.as_ref().and_then(|browser| browser.failure.as_ref());
    let script = match (&seen.page, failure) {
        (page, _) if page.readable => format!("reads {}", page.status),
        (page, _) if page.kind.as_deref() == Some("opaque") => "nothing: opaque".to_owned(),
        (_, Some(failure)) => {
            format!("nothing: {}", failure.cors_error.as_ref().unwrap_or(&failure.net_error))
        }
        (page, None) => format!("nothing: {}", page.kind.as_deref().unwrap_or("no reason given")),
    };
    [
        format!("{from}{}", seen.mode.id()),
        format!("{} {}", seen.method, seen.path),
        preflight,
        wire,
        seen.request.as_ref().map_or_else(|| "–".to_owned(), |wire| wire.status.to_string()),
        script,
    ]
}

fn cookies(wire: &WireExchange) -> String {
    let names: Vec<_> = wire
        .request("cookie")
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split('=').next())
        .collect();
    if names.is_empty() { "no cookie".to_owned() } else { names.join(" ") }
}

/// Cookies that the browser kept back, with its reasons; those with the same reasons together.
fn withheld(seen: &Observed) -> Option<String> {
    let leg = seen.browser.as_ref()?.request.as_ref()?;
    let mut by_reason: Vec<(String, Vec<&str>)> = Vec::new();
    for cookie in leg.cookies.iter().filter(|cookie| !cookie.blocked.is_empty()) {
        let reason = cookie.blocked.join(", ");
        match by_reason.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, names)) => names.push(&cookie.name),
            None => by_reason.push((reason, vec![&cookie.name])),
        }
    }
    let all: Vec<_> =
        by_reason.iter().map(|(reason, names)| format!("{} ({reason})", names.join(" "))).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
