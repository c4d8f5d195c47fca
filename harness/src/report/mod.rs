//! What a proof found, for people and for programs. Secrets are redacted in both: a report is
//! mailed around.

mod json;
mod terminal;

pub use json::document;
pub use terminal::{Terminal, terminal_width};

use crate::lab::WireExchange;
use crate::prove::Observed;

/// One exchange in one line: what was asked, what the wire carried, what the script got.
#[must_use]
pub fn evidence_line(seen: &Observed) -> String {
    let mode = seen.mode.id();
    let mut line = format!("{} {} [{mode}]", seen.method, seen.path);
    if let Some(preflight) = &seen.preflight {
        let cookie = if preflight.request("cookie").next().is_some() { "with a cookie" } else { "no cookie" };
        line += &format!(" | OPTIONS {cookie}: {}", preflight.status);
        if preflight.response("set-cookie").next().is_some() {
            line += ", sets a cookie";
        }
    }
    match &seen.request {
        Some(wire) => {
            let cookies = cookie_names(wire);
            line += &format!(" | wire: {cookies}: {}", wire.status);
            if let Some(refused) = withheld(seen) {
                line += &format!(" | browser withheld {refused}");
            }
        }
        None => line += " | wire: never sent",
    }
    let page = &seen.page;
    if page.readable {
        line += &format!(" | script: reads {}", page.status);
    } else {
        let cors = seen.browser.failure.as_ref().and_then(|f| f.cors_error.as_deref());
        line += " | script: reads nothing";
        if let Some(cors) = cors {
            line += &format!(" ({cors})");
        }
    }
    line
}

fn cookie_names(wire: &WireExchange) -> String {
    let names: Vec<_> = wire
        .request("cookie")
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split('=').next())
        .collect();
    if names.is_empty() { "no cookie".to_owned() } else { format!("Cookie {}", names.join(", ")) }
}

fn withheld(seen: &Observed) -> Option<String> {
    let leg = seen.browser.request.as_ref()?;
    let all: Vec<_> = leg
        .cookies
        .iter()
        .filter(|cookie| !cookie.blocked.is_empty())
        .map(|cookie| format!("{} ({})", cookie.name, cookie.blocked.join(", ")))
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Headers whose values are secrets.
fn redact(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "cookie" => value.split(';').map(redact_pair).collect::<Vec<_>>().join("; "),
        "set-cookie" => {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let attributes = if attributes.is_empty() { String::new() } else { format!(";{attributes}") };
            redact_pair(pair) + &attributes
        }
        "x-csrf-token" | "authorization" | "proxy-authorization" => "***".to_owned(),
        _ => value.to_owned(),
    }
}

fn redact_pair(pair: &str) -> String {
    match pair.trim().split_once('=') {
        Some((name, "")) => format!("{name}="),
        Some((name, _)) => format!("{name}=***"),
        None => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_and_the_rest_is_not() {
        for (name, value, want) in [
            ("Cookie", "session=abc; a=1", "session=***; a=***"),
            ("set-cookie", "session=abc; HttpOnly; Path=/", "session=***; HttpOnly; Path=/"),
            ("set-cookie", "session=; Max-Age=0", "session=; Max-Age=0"),
            ("Set-Cookie", "abc", "***"),
            ("X-CSRF-Token", "abc", "***"),
            ("origin", "https://app.example.com", "https://app.example.com"),
        ] {
            assert_eq!(redact(name, value), want);
        }
    }
}
