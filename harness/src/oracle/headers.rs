//! Header names and values, as Fetch sorts them.

/// Tracing headers that libraries add by themselves.
const TRACING: [&str; 9] = [
    "b3",
    "baggage",
    "elastic-apm-traceparent",
    "newrelic",
    "request-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
];

/// Prefixes of the same.
const TRACING_PREFIXES: [&str; 2] = ["x-b3-", "x-datadog-"];

/// <https://fetch.spec.whatwg.org/#forbidden-request-header>
const FORBIDDEN: [&str; 21] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// <https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name>
const SAFELISTED_RESPONSE: [&str; 7] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
];

/// The value bytes that all safelisted headers of a request may have together.
const SAFELISTED_TOTAL: usize = 1024;
/// The value bytes of one.
const SAFELISTED_VALUE: usize = 128;

/// The header names that a preflight asks for, or none where a script's request needs no preflight:
/// [CORS-safelisted method](https://fetch.spec.whatwg.org/#cors-safelisted-method) and headers.
/// The method is taken as Fetch normalises it; names come back in lower case, sorted.
#[must_use]
pub fn preflight_names(method: &str, headers: &[(String, String)]) -> Option<Vec<String>> {
    let lower: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let names: Vec<_> = unsafe_names(&lower).into_iter().map(str::to_owned).collect();
    let needed = !names.is_empty() || !is_safelisted_method(&normalized_method(method));
    needed.then_some(names)
}

/// Whether a script can set this header at all: no
/// [forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header).
#[must_use]
pub fn is_settable(name: &str, value: &str) -> bool {
    !is_forbidden_request(&name.to_ascii_lowercase(), value)
}

/// [Forbidden request-header](https://fetch.spec.whatwg.org/#forbidden-request-header): scripts
/// cannot set it; the attempt is ignored.
pub(super) fn is_forbidden_request(name: &str, value: &str) -> bool {
    let overrides =
        matches!(name, "x-http-method" | "x-http-method-override" | "x-method-override");
    FORBIDDEN.contains(&name)
        || name.starts_with("proxy-")
        || name.starts_with("sec-")
        || (overrides && value.split(',').any(|method| is_forbidden_method(method.trim())))
}

/// [Forbidden method](https://fetch.spec.whatwg.org/#forbidden-method).
pub(super) fn is_forbidden_method(method: &str) -> bool {
    ["CONNECT", "TRACE", "TRACK"].iter().any(|m| m.eq_ignore_ascii_case(method))
}

/// [Normalize](https://fetch.spec.whatwg.org/#concept-method-normalize): six methods are upper-cased,
/// `patch` is not one of them.
#[must_use]
pub fn normalized_method(method: &str) -> String {
    let known = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    match known.iter().find(|known| known.eq_ignore_ascii_case(method)) {
        Some(known) => (*known).to_owned(),
        None => method.to_owned(),
    }
}

/// [CORS-safelisted method](https://fetch.spec.whatwg.org/#cors-safelisted-method).
pub(super) fn is_safelisted_method(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST")
}

/// [Safe](https://httpwg.org/specs/rfc9110.html#safe.methods), as cookies understand it.
pub(super) fn is_safe_method(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// [Normalize](https://fetch.spec.whatwg.org/#concept-header-value-normalize) a value.
pub(super) fn normalized_value(value: &str) -> &str {
    value.trim_matches([' ', '\t', '\n', '\r'])
}

/// Whether a normalised value can be one at all: bytes, no line breaks.
pub(super) fn is_value(value: &str) -> bool {
    value.chars().all(|c| !matches!(c, '\0' | '\r' | '\n') && u32::from(c) <= 0xff)
}

/// [CORS-safelisted request-header](https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
pub(super) fn is_safelisted_request(name: &str, value: &str) -> bool {
    // A character up to U+00FF is one byte on the wire.
    if value.chars().count() > SAFELISTED_VALUE {
        return false;
    }
    match name {
        "accept" => !value.chars().any(is_unsafe),
        "accept-language" | "content-language" => value.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b' ' | b'*' | b',' | b'-' | b'.' | b';' | b'=')
        }),
        "content-type" => {
            !value.chars().any(is_unsafe)
                && essence(value).is_some_and(|essence| {
                    matches!(
                        essence.as_str(),
                        "application/x-www-form-urlencoded" | "multipart/form-data" | "text/plain"
                    )
                })
        }
        "range" => is_simple_range(value),
        _ => false,
    }
}

/// [No-CORS-safelisted](https://fetch.spec.whatwg.org/#no-cors-safelisted-request-header).
pub(super) fn is_no_cors_safelisted(name: &str, value: &str) -> bool {
    name != "range" && is_safelisted_request(name, value)
}

/// [CORS-unsafe request-header names](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names):
/// sorted, each once. Names are lower case already.
pub(super) fn unsafe_names(headers: &[(String, String)]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut potentially = Vec::new();
    let mut total = 0;
    for (name, value) in headers {
        if is_safelisted_request(name, value) {
            potentially.push(name.as_str());
            total += value.chars().count();
        } else {
            names.push(name.as_str());
        }
    }
    if total > SAFELISTED_TOTAL {
        names.append(&mut potentially);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// [CORS-unsafe request-header byte](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte).
fn is_unsafe(c: char) -> bool {
    (c < ' ' && c != '\t')
        || matches!(
            c,
            '"' | '(' | ')' | ':' | '<' | '>' | '?' | '@' | '[' | '\\' | ']' | '{' | '}' | '\u{7f}'
        )
}

/// The [essence](https://mimesniff.spec.whatwg.org/#mime-type-essence) of a MIME type.
fn essence(value: &str) -> Option<String> {
    let (kind, subtype) = value.split(';').next()?.split_once('/')?;
    let (kind, subtype) = (kind.trim_start(), subtype.trim_end());
    let is_token = crate::scenario::is_token;
    (is_token(kind) && is_token(subtype)).then(|| format!("{kind}/{subtype}").to_ascii_lowercase())
}

/// A [simple range](https://fetch.spec.whatwg.org/#simple-range-header-value) with a start.
fn is_simple_range(value: &str) -> bool {
    let Some((start, end)) = value.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return false;
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok());
    match (number(start), number(end)) {
        (Some(Some(start)), Some(end)) => end.is_none_or(|end: u64| start <= end),
        _ => false,
    }
}

/// Whether a response header can be read without being listed.
pub(super) fn is_safelisted_response(name: &str) -> bool {
    SAFELISTED_RESPONSE.iter().any(|safe| safe.eq_ignore_ascii_case(name))
}

/// [Forbidden response-header name](https://fetch.spec.whatwg.org/#forbidden-response-header-name).
pub(super) fn is_forbidden_response(name: &str) -> bool {
    name.eq_ignore_ascii_case("set-cookie") || name.eq_ignore_ascii_case("set-cookie2")
}

/// Whether a tracing library adds this header.
pub(super) fn is_tracing(name: &str) -> bool {
    TRACING.contains(&name) || TRACING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// [Extract header list values](https://fetch.spec.whatwg.org/#extract-header-list-values) of a list
/// of tokens; none if a value does not parse.
pub(super) fn tokens<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
    let mut all = Vec::new();
    for item in lines.flat_map(|line| line.split(',')) {
        let item = item.trim_matches([' ', '\t']);
        if item.is_empty() {
            continue;
        }
        if !crate::scenario::is_token(item) {
            return None;
        }
        all.push(item);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safelisted_request_headers() {
        let long = "a".repeat(129);
        for (name, value, safe) in [
            ("accept", "*/*", true),
            ("accept", "application/json, text/plain, */*", true),
            ("accept", "a\"b", false),
            ("accept", "a(b", false),
            ("accept", "tab\there", true),
            ("accept", &long[1..], true),
            ("accept", &long, false),
            ("accept-language", "de, en;q=0.5", true),
            ("accept-language", "@", false),
            ("content-language", "de_DE", false),
            ("content-type", "text/plain;charset=UTF-8", true),
            ("content-type", "TEXT/plain", true),
            ("content-type", " text/plain ; x", true),
            ("content-type", "application/json", false),
            ("content-type", "text/plain; charset=\"utf-8\"", false),
            ("content-type", "text/plain, text/plain", false),
            ("content-type", "multipart/form-data; boundary=x", true),
            ("content-type", "plain", false),
            ("range", "bytes=0-10", true),
            ("range", "bytes=10-", true),
            ("range", "bytes=10-2", false),
            ("range", "bytes=-10", false),
            ("range", "bytes=0-1,3-4", false),
            ("authorization", "x", false),
            ("x-csrf-token", "", false),
            ("dpr", "2", false),
        ] {
            assert_eq!(is_safelisted_request(name, value), safe, "{name}: {value}");
        }
    }

    #[test]
    fn more_than_1024_bytes_of_safelisted_values_need_a_preflight() {
        let header = |length: usize| ("accept".to_owned(), "a".repeat(length));
        let mut headers: Vec<_> = (0..8).map(|_| header(128)).collect();
        assert_eq!(unsafe_names(&headers), [""; 0]);
        headers.push(header(1));
        assert_eq!(unsafe_names(&headers), ["accept"]);
        headers.push(("x-b".to_owned(), String::new()));
        headers.push(("a".to_owned(), String::new()));
        headers.push(("x-b".to_owned(), "2".to_owned()));
        assert_eq!(unsafe_names(&headers), ["a", "accept", "x-b"]);
    }

    #[test]
    fn names_that_scripts_cannot_set() {
        for (name, value, forbidden) in [
            ("cookie", "a=1", true),
            ("origin", "x", true),
            ("sec-fetch-site", "x", true),
            ("proxy-authorization", "x", true),
            ("x-http-method-override", "PUT", false),
            ("x-http-method-override", "put, trace", true),
            ("user-agent", "x", false),
            ("access-control-allow-origin", "*", false),
        ] {
            assert_eq!(is_forbidden_request(name, value), forbidden, "{name}: {value}");
        }
    }

    #[test]
    fn lists_of_tokens() {
        for (lines, want) in [
            (&["GET, PUT", "x"][..], Some(vec!["GET", "PUT", "x"])),
            (&[" , GET,,"], Some(vec!["GET"])),
            (&[""], Some(vec![])),
            (&[], Some(vec![])),
            (&["GET PUT"], None),
            (&["x-a, \"x-b\""], None),
        ] {
            assert_eq!(tokens(lines.iter().copied()), want, "{lines:?}");
        }
    }

    #[test]
    fn what_a_preflight_asks_for() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (method, headers, want) in [
            ("get", vec![], None),
            ("POST", vec![header("Accept", "*/*")], None),
            ("PUT", vec![], Some(vec![])),
            ("patch", vec![], Some(vec![])),
            (
                "POST",
                vec![header("X-B", "1"), header("Content-Type", "application/json")],
                Some(vec!["content-type".to_owned(), "x-b".to_owned()]),
            ),
        ] {
            assert_eq!(preflight_names(method, &headers), want, "{method} {headers:?}");
        }
        assert!(is_settable("X-Any", "1") && !is_settable("Cookie", "a=1"));
    }

    #[test]
    fn six_methods_are_normalised() {
        for (method, want) in [("get", "GET"), ("Put", "PUT"), ("patch", "patch"), ("FOO", "FOO")] {
            assert_eq!(normalized_method(method), want);
        }
    }
}
