//! The decision once more, written from the contract (docs/cors.md, "The rules") and the
//! [Fetch standard](https://fetch.spec.whatwg.org/#http-cors-protocol): slow, obvious, strings and
//! vectors only, and not a line of `src/policy`. Of the library it knows the shape of the
//! configuration, which is data.

use withcreds::CorsConfig;

/// A name in lower case, and a value as it went over the wire.
pub(crate) type Line = (String, Vec<u8>);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) lines: Vec<Line>,
}

impl Request {
    pub(crate) fn all(&self, name: &str) -> Vec<Vec<u8>> {
        self.lines.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
    }
}

/// Everything there is to know about one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: &'static str,
    pub(crate) allowed: bool,
    pub(crate) reason: &'static str,
    pub(crate) status: Option<u16>,
    /// Without `Vary`.
    pub(crate) adds: Vec<Line>,
    pub(crate) varies_by: Vec<&'static str>,
}

pub(crate) fn decide(config: &CorsConfig, request: &Request) -> Said {
    let everybody = config.allow_origins.contains(&"*".to_owned());
    let origins = request.all("origin");
    let asked = match request.method.as_str() {
        "OPTIONS" => request.all("access-control-request-method"),
        _ => Vec::new(),
    };
    let preflight = !origins.is_empty() && !asked.is_empty();
    let mut varies_by = Vec::new();
    if !everybody {
        varies_by.push("Origin");
    }
    if preflight {
        varies_by.extend(["Access-Control-Request-Method", "Access-Control-Request-Headers"]);
    }
    let said = |kind, allowed, reason, status, adds| Said {
        kind,
        allowed,
        reason,
        status,
        adds,
        varies_by: varies_by.clone(),
    };
    if origins.is_empty() {
        // A star says the same to everybody, so also to those who did not ask.
        let adds = if everybody { readable(config, b"*") } else { Vec::new() };
        return said("non_cors", false, "no_origin", None, adds);
    }
    let listed = lists(config, &origins);
    let value = if everybody { b"*".to_vec() } else { origins[0].clone() };
    match (preflight, listed) {
        (false, true) => said("actual", true, "allowed", None, readable(config, &value)),
        (false, false) => said("actual", false, "origin_not_allowed", None, Vec::new()),
        (true, _) => {
            let lists = request.all("access-control-request-headers");
            let refused = if listed {
                fault_in_method(config, &asked).or_else(|| fault_in_headers(config, &lists))
            } else {
                Some("origin_not_allowed")
            };
            if let Some(reason) = refused {
                let (status, adds) = hint(config, reason, &value, &asked);
                return said("preflight", false, reason, Some(status), adds);
            }
            let mut adds = granted(config, &value);
            adds.push(line("access-control-allow-methods", &asked[0]));
            let mut names: Vec<_> =
                elements(&lists).iter().map(|n| n.to_ascii_lowercase()).collect();
            names.sort();
            names.dedup();
            if !names.is_empty() {
                adds.push(line("access-control-allow-headers", &names.join(&b","[..])));
            }
            if let Some(seconds) = config.max_age_s {
                adds.push(line("access-control-max-age", seconds.to_string().as_bytes()));
            }
            said("preflight", true, "allowed", Some(204), adds)
        }
    }
}

/// What a refused preflight shows: nothing, or in debug mode the reason, and what lets the browser
/// get as far as the fault.
fn hint(config: &CorsConfig, reason: &str, origin: &[u8], asked: &[Vec<u8>]) -> (u16, Vec<Line>) {
    if !config.debug {
        return (403, Vec::new());
    }
    let mut lines = vec![line("x-cors-reason", reason.as_bytes())];
    if reason == "origin_not_allowed" {
        return (403, lines);
    }
    lines.extend(granted(config, origin));
    let once = asked.len() == 1;
    match reason {
        "header_not_allowed" => {
            lines.push(line("access-control-allow-methods", &asked[0]));
            (204, lines)
        }
        "method_not_allowed" if once => (204, lines),
        _ => (403, lines),
    }
}

fn line(name: &str, value: &[u8]) -> Line {
    (name.to_owned(), value.to_vec())
}

fn granted(config: &CorsConfig, origin: &[u8]) -> Vec<Line> {
    let mut lines = vec![line("access-control-allow-origin", origin)];
    if config.allow_credentials {
        lines.push(line("access-control-allow-credentials", b"true"));
    }
    lines
}

fn readable(config: &CorsConfig, origin: &[u8]) -> Vec<Line> {
    let mut lines = granted(config, origin);
    let mut names: Vec<String> = Vec::new();
    for name in &config.expose_headers {
        if !names.contains(&name.to_lowercase()) {
            names.push(name.to_lowercase());
        }
    }
    if !names.is_empty() {
        lines.push(line("access-control-expose-headers", names.join(", ").as_bytes()));
    }
    lines
}

/// Whether all these `Origin` lines are one listed origin.
pub(crate) fn lists(config: &CorsConfig, origins: &[Vec<u8>]) -> bool {
    if config.allow_origins.contains(&"*".to_owned()) {
        return true;
    }
    let Ok(origin) = String::from_utf8(origins[0].clone()) else { return false };
    origin.len() <= 326
        && origins.iter().all(|other| *other == origins[0])
        && (config.allow_origins.contains(&origin)
            || config.allow_origin_patterns.iter().any(|pattern| fits(pattern, &origin)))
}

/// Whether an origin fits a pattern: scheme, host by labels, port.
pub(crate) fn fits(pattern: &str, origin: &str) -> bool {
    let (scheme, pattern) = pattern.split_once("://").expect("a pattern");
    let Some((its_scheme, authority)) = origin.split_once("://") else { return false };
    if its_scheme != scheme {
        return false;
    }
    let (pattern_host, pattern_port) = host_and_port(pattern);
    let (host, port) = host_and_port(authority);
    let default = if scheme == "https" { "443" } else { "80" };
    let port_fits = match (pattern_port, port) {
        (None | Some("*"), None) => true,
        (None, Some(_)) => false,
        (Some("*"), Some(port)) => is_port(port) && port != default,
        (Some(wanted), port) => port == Some(wanted),
    };
    let host_fits = match pattern_host.strip_prefix("*.") {
        None => host == pattern_host,
        Some(domain) => {
            let wanted: Vec<_> = domain.split('.').collect();
            let labels: Vec<_> = host.split('.').collect();
            labels.len() > wanted.len()
                && labels.ends_with(&wanted)
                && labels[..labels.len() - wanted.len()].iter().all(|label| is_label(label))
        }
    };
    port_fits && host_fits
}

/// The last colon stands before the port, unless it is inside the brackets of an address.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == text)
}

fn is_label(text: &str) -> bool {
    let written_by_browsers =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 63 && text.chars().all(written_by_browsers)
}

fn fault_in_method(config: &CorsConfig, asked: &[Vec<u8>]) -> Option<&'static str> {
    const REFUSED: Option<&str> = Some("method_not_allowed");
    let [method] = asked else { return REFUSED };
    let Ok(method) = std::str::from_utf8(method) else { return REFUSED };
    if method.len() > 64 {
        return REFUSED;
    }
    let forbidden = ["CONNECT", "TRACE", "TRACK"].contains(&method.to_uppercase().as_str());
    let any = config.allow_methods.contains(&"*".to_owned());
    let allowed = ["GET", "HEAD", "POST"].contains(&method)
        || (any && is_token(method) && method != "*" && !forbidden)
        || (!any && config.allow_methods.contains(&method.to_owned()));
    if allowed { None } else { REFUSED }
}

/// The first fault in reading order.
fn fault_in_headers(config: &CorsConfig, lists: &[Vec<u8>]) -> Option<&'static str> {
    let any = config.allow_headers.contains(&"*".to_owned());
    let safelisted = ["accept", "accept-language", "content-language", "content-type", "range"];
    let (mut bytes, mut names) = (0, 0);
    for list in lists {
        bytes += list.len();
        if bytes > 4096 {
            return Some("request_headers_too_long");
        }
        for name in elements(std::slice::from_ref(list)) {
            names += 1;
            if names > 100 {
                return Some("request_headers_too_long");
            }
            let Some(name) = String::from_utf8(name).ok().filter(|name| is_token(name)) else {
                return Some("request_headers_malformed");
            };
            let lower = name.to_lowercase();
            let listed = config.allow_headers.iter().any(|h| h.to_lowercase() == lower);
            let allowed = lower != "*" && (any || listed || safelisted.contains(&lower.as_str()));
            if !allowed {
                return Some("header_not_allowed");
            }
        }
    }
    None
}

/// The elements of a comma-separated list over any number of lines, without the empty ones.
fn elements(lists: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let elements = lists.iter().flat_map(|list| list.split(|byte| *byte == b','));
    let trimmed = elements.map(|element| {
        let mut element = element.to_vec();
        while matches!(element.last(), Some(b' ' | b'\t')) {
            element.pop();
        }
        while matches!(element.first(), Some(b' ' | b'\t')) {
            element.remove(0);
        }
        element
    });
    trimmed.filter(|element| !element.is_empty()).collect()
}

/// [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#name-tokens).
fn is_token(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

/// The headers of an answer that held `before`: CORS headers without those that a handler wrote,
/// sorted; the rest as it was; the elements of `Vary` in order.
pub(crate) fn written(said: &Said, before: &[Line]) -> (Vec<Line>, Vec<Vec<u8>>) {
    let is_vary = |(name, _): &&Line| name == "vary";
    let mut lines: Vec<Line> = before
        .iter()
        .filter(|line| !is_vary(line) && !line.0.starts_with("access-control-"))
        .chain(&said.adds)
        .cloned()
        .collect();
    lines.sort();
    let values: Vec<_> = before.iter().filter(is_vary).map(|(_, value)| value.clone()).collect();
    let mut vary = elements(&values);
    let has = |vary: &[Vec<u8>], name: &str| {
        vary.iter().any(|v| v == b"*" || v.eq_ignore_ascii_case(name.as_bytes()))
    };
    for name in &said.varies_by {
        if !has(&vary, name) {
            vary.push(name.as_bytes().to_vec());
        }
    }
    (lines, vary)
}

/// The same form of what was really written.
pub(crate) fn as_written(lines: Vec<Line>) -> (Vec<Line>, Vec<Vec<u8>>) {
    let (vary, mut others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|(name, _)| name == "vary");
    for (name, value) in &mut others {
        // Behind the code stand words for people.
        if name == "x-cors-reason" {
            *value = value.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
        }
    }
    others.sort();
    (others, elements(&vary.into_iter().map(|(_, value)| value).collect::<Vec<_>>()))
}
