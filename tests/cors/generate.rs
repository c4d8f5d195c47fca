//! Policies, requests and answers, biased: listed origins, patterns, near misses and odd lists of
//! headers come up often.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use withcreds::CorsConfig;

use crate::model::{Line, Request};

const ORIGINS: [&str; 7] = [
    "https://app.example.com",
    "https://example.com",
    "http://localhost:3000",
    "http://[::1]:8080",
    "http://127.0.0.1",
    "https://xn--bcher-kva.example",
    "https://app.example.com:8443",
];
pub(crate) const PATTERNS: [&str; 7] = [
    "https://*.example.com",
    "https://*.example.com:8443",
    "https://*.shop.example.com:*",
    "https://app.example.org:*",
    "http://localhost:*",
    "http://*.localhost:*",
    "http://[::1]:*",
];
const METHODS: [&str; 8] = ["PUT", "DELETE", "PATCH", "patch", "OPTIONS", "REPORT", "X!", "GET"];
const HEADERS: [&str; 7] =
    ["X-CSRF-Token", "x-request-id", "Authorization", "content-type", "x_y", "Range", "x-a"];
const EXPOSED: [&str; 4] = ["X-CSRF-TOKEN", "x-request-id", "X-Request-ID", "etag"];

fn strings(list: Vec<&str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

/// A list of names, or `*`.
fn names(pool: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        2 => Just(vec!["*".to_owned()]),
        3 => subsequence(pool, 0..=pool.len()).prop_map(strings),
    ]
}

/// A policy that starts.
pub(crate) fn config() -> impl Strategy<Value = CorsConfig> {
    let origins = prop_oneof![
        1 => Just(vec!["*".to_owned()]),
        6 => subsequence(&ORIGINS[..], 0..=ORIGINS.len()).prop_map(strings),
    ];
    let patterns = subsequence(&PATTERNS[..], 0..=PATTERNS.len()).prop_map(strings);
    let exposed = subsequence(&EXPOSED[..], 0..=EXPOSED.len()).prop_map(strings);
    let max_age = option::of(select(vec![0, 1, 600, 86_400]));
    let switches = (any::<bool>(), proptest::bool::weighted(0.2));
    (origins, patterns, switches, names(&METHODS), names(&HEADERS), exposed, max_age).prop_map(
        |(origins, patterns, (credentials, debug), methods, headers, exposed, max_age)| {
            let everybody = origins == ["*"];
            let mut config = CorsConfig {
                allow_origins: origins,
                allow_origin_patterns: if everybody { Vec::new() } else { patterns },
                allow_credentials: credentials && !everybody,
                allow_methods: methods,
                allow_headers: headers,
                expose_headers: exposed,
                max_age_s: max_age,
                debug,
                ..CorsConfig::default()
            };
            if config.allow_credentials
                && config.allow_origins.is_empty()
                && config.allow_origin_patterns.is_empty()
            {
                config.allow_origins.push(ORIGINS[0].to_owned());
            }
            config
        },
    )
}

/// Bytes that a header can hold.
fn holdable(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|b| (*b >= 32 && *b != 127) || *b == b'\t').collect()
}

/// One small thing wrong with a text.
fn nearly(text: Vec<u8>, how: u8, at: Index, byte: u8) -> Vec<u8> {
    let mut text = text;
    let at = at.index(text.len() + 1);
    match how {
        0 => text.insert(at, byte),
        1 if at < text.len() => {
            text.remove(at);
        }
        2 if at < text.len() => text[at] = byte,
        3 => text.make_ascii_uppercase(),
        4 => text.push(b'/'),
        5 => text.extend(b":443"),
        6 => text.extend(b".evil.example"),
        7 => text.insert(0, b' '),
        8 => text.extend(b"\t"),
        9 if at < text.len() => text[at..].make_ascii_uppercase(),
        10 => text.extend(b", https://app.example.com"),
        _ => text.truncate(at),
    }
    holdable(text)
}

fn mutated(texts: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (texts, 0..12u8, any::<Index>(), any::<u8>())
        .prop_map(|(text, how, at, byte)| nearly(text.into_bytes(), how, at, byte))
}

fn regex(text: &str) -> impl Strategy<Value = String> + use<> {
    proptest::string::string_regex(text).expect("a regular expression")
}

fn good_origin() -> impl Strategy<Value = String> {
    let below = "(a|app|a-b|x_y|[a-z0-9]{1,4}|[a-z]{62,65})";
    let port = "(|:1|:80|:443|:3000|:8443|:65535|:65536|:08443|:0|:|:x)";
    prop_oneof![
        4 => select(&ORIGINS[..]).prop_map(str::to_owned),
        2 => regex(&format!("https://{below}\\.example\\.com{port}")),
        1 => regex(&format!("https://{below}\\.{below}\\.shop\\.example\\.com{port}")),
        1 => regex(&format!("https?://({below}\\.)?localhost{port}")),
        1 => regex(&format!("https?://(app\\.example\\.org|\\[::1\\]){port}")),
        1 => regex(&format!("https://({below}\\.){{3,6}}example\\.com{port}")),
    ]
}

pub(crate) fn origin() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => good_origin().prop_map(String::into_bytes),
        3 => mutated(good_origin()),
        1 => select(vec!["null", "", "*", "https://", "://", "https://evil.example"])
            .prop_map(|s| s.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40).prop_map(holdable),
        1 => (320..340usize).prop_map(|n| format!("https://{}.example.com", "a.".repeat(n / 2 - 10)).into_bytes()),
    ]
}

fn method_asked() -> impl Strategy<Value = Vec<u8>> {
    let usual = || {
        select(vec!["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "patch", "REPORT", "OPTIONS"])
            .prop_map(str::to_owned)
    };
    prop_oneof![
        8 => usual().prop_map(String::into_bytes),
        2 => mutated(usual()),
        1 => select(vec!["TRACE", "connect", "Track", "*", "", "P UT", "PUT,GET"])
            .prop_map(|s| s.as_bytes().to_vec()),
        1 => (62..67usize).prop_map(|n| vec![b'M'; n]),
    ]
}

fn header_asked() -> impl Strategy<Value = Vec<u8>> {
    let usual = || select(&HEADERS[..]).prop_map(str::to_owned);
    prop_oneof![
        6 => usual().prop_map(|name| name.to_ascii_lowercase().into_bytes()),
        3 => usual().prop_map(String::into_bytes),
        1 => mutated(usual()),
        2 => select(vec!["", " ", "\t", "*", "accept", "Content-Language", "x-other", "a b", "\u{e9}", "\""])
            .prop_map(|s| s.as_bytes().to_vec()),
        1 => (60..70usize).prop_map(|n| vec![b'h'; n]),
    ]
}

fn headers_asked() -> impl Strategy<Value = Vec<u8>> {
    let list = (vec(header_asked(), 0..6), select(vec![",", ", ", " ,\t", ",,"]))
        .prop_map(|(names, comma)| names.join(comma.as_bytes()));
    // Around both bounds.
    let many = (95..105usize, select(vec!["x-a", "accept", ""]))
        .prop_map(|(n, name)| vec![name; n].join(",").into_bytes());
    let long = (4080..4110usize).prop_map(|n| {
        let mut list = b"x-a,".to_vec();
        list.resize(n, b',');
        list
    });
    prop_oneof![20 => list, 1 => many, 1 => long]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let method = prop_oneof![
        6 => Just("OPTIONS"), 2 => Just("GET"), 1 => Just("POST"), 1 => Just("options"),
    ];
    let origins = prop_oneof![
        1 => Just(Vec::new()),
        9 => origin().prop_map(|o| vec![o]),
        1 => origin().prop_map(|o| vec![o.clone(), o]),
        1 => vec(origin(), 2..4),
    ];
    let asked = prop_oneof![
        2 => Just(Vec::new()),
        8 => method_asked().prop_map(|m| vec![m]),
        1 => vec(method_asked(), 2..3),
    ];
    let lists = prop_oneof![
        2 => Just(Vec::new()), 6 => headers_asked().prop_map(|l| vec![l]), 2 => vec(headers_asked(), 2..4),
    ];
    (method, origins, asked, lists, any::<bool>()).prop_map(
        |(method, origins, asked, lists, private)| {
            let mut lines: Vec<Line> = Vec::new();
            let mut put = |name: &str, values: Vec<Vec<u8>>| {
                lines.extend(values.into_iter().map(|value| (name.to_owned(), value)));
            };
            put("access-control-request-headers", lists);
            put("origin", origins);
            put("access-control-request-method", asked);
            if private {
                put("access-control-request-private-network", vec![b"true".to_vec()]);
                put("cookie", vec![b"session=x".to_vec()]);
            }
            Request { method: method.to_owned(), lines }
        },
    )
}

/// Headers that a handler may have written.
pub(crate) fn answer() -> impl Strategy<Value = Vec<Line>> {
    let vary = select(vec![
        "Origin",
        "origin , accept",
        "Accept-Encoding",
        "*",
        "",
        ",,",
        "Access-Control-Request-Method",
        "Origin-Agent-Cluster",
        "caf\u{e9}",
    ]);
    let cors = select(vec![
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-private-network",
        "access-control-expose-headers",
        "access-control-max-age",
        "access-control-made-up",
    ]);
    let value = select(vec!["*", "true", "https://evil.example", "x-a", "1", ""]);
    let line = prop_oneof![
        2 => vary.prop_map(|v| ("vary".to_owned(), v.as_bytes().to_vec())),
        3 => (cors, value).prop_map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())),
        1 => Just(("content-type".to_owned(), b"text/plain".to_vec())),
        1 => Just(("set-cookie".to_owned(), b"a=b".to_vec())),
    ];
    vec(line, 0..6)
}
