use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use withcreds::policy::pattern::OriginPattern;
use withcreds::{CorsConfig, CorsPolicy, Origin};

use crate::browser::{self, Lines};
use crate::generate;
use crate::model::{self, Line, Request};

fn map(lines: &[Line]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::try_from(name).expect("a name");
        map.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    map
}

fn flat(map: &HeaderMap) -> Vec<Line> {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn text(lines: &[Line]) -> Lines {
    let value = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    lines.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
}

/// One request under one policy, written onto an answer that held `before`.
struct Outcome {
    said: withcreds::Explanation,
    after: Vec<Line>,
}

fn run(config: &CorsConfig, request: &Request, before: &[Line]) -> Outcome {
    let policy = CorsPolicy::compile(config).unwrap_or_else(|e| panic!("{config:?}: {e:?}"));
    let method = Method::try_from(request.method.as_str()).expect("a method");
    let headers = map(&request.lines);
    let mut answer = map(before);
    policy.apply(policy.decide(&method, &headers), &mut answer);
    Outcome { said: policy.explain(&method, &headers), after: flat(&answer) }
}

impl Outcome {
    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.after.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_slice()).collect()
    }
}

/// The library and the model say the same, in every detail.
pub(crate) fn agrees(
    config: &CorsConfig,
    request: &Request,
    before: &[Line],
) -> Result<(), TestCaseError> {
    let got = run(config, request, before);
    let want = model::decide(config, request);
    prop_assert_eq!(got.said.kind, want.kind);
    prop_assert_eq!(got.said.reason, want.reason);
    prop_assert_eq!(got.said.allowed, want.allowed);
    prop_assert_eq!(got.said.status, want.status);
    let (got, want) = (model::as_written(got.after), model::written(&want, before));
    prop_assert_eq!(got, want);
    Ok(())
}

/// Whatever is an origin prints as it was read, and is listed by itself and nothing longer.
pub(crate) fn origin_is_its_text(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    match text.parse::<Origin>() {
        Ok(origin) => {
            prop_assert_eq!(origin.to_string(), text);
            let again = origin.to_string().parse::<Origin>();
            prop_assert_eq!(again, Ok(origin));
        }
        // What is proposed instead must be right itself.
        Err(error) => {
            if let Some(mended) = error.suggestion() {
                prop_assert!(mended.parse::<Origin>().is_ok(), "{} -> {}", text, mended);
            }
        }
    }
    Ok(())
}

/// Whatever is a pattern prints as it was read.
pub(crate) fn pattern_is_its_text(text: &str) -> Result<(), TestCaseError> {
    if let Ok(pattern) = OriginPattern::parse(text, true) {
        prop_assert_eq!(pattern.to_string(), text);
        let again = OriginPattern::parse(&pattern.to_string(), true);
        prop_assert_eq!(again, Ok(pattern));
    }
    Ok(())
}

/// A pattern takes what the model takes, in a policy of its own.
pub(crate) fn pattern_matches_like_the_model(
    pattern: &str,
    origin: &[u8],
) -> Result<(), TestCaseError> {
    let Ok(parsed) = OriginPattern::parse(pattern, true) else { return Ok(()) };
    let fits = std::str::from_utf8(origin).is_ok_and(|origin| model::fits(pattern, origin));
    prop_assert_eq!(parsed.matches(origin), fits, "{} {}", pattern, origin.escape_ascii());
    Ok(())
}

pub(crate) fn pattern_text() -> impl Strategy<Value = String> {
    let whole = proptest::sample::select(&generate::PATTERNS[..]);
    prop_oneof![
        whole.prop_map(str::to_owned),
        "https?://(\\*\\.)?[a-z0-9.]{1,9}(:\\*|:[0-9]{1,5})?",
        "[a-zA-Z*:/.@\\[\\]0-9-]{0,24}",
    ]
}

/// Chance rarely hits a bound exactly.
#[test]
fn around_every_bound_the_library_and_the_model_agree() {
    let all = || vec!["*".to_owned()];
    let config = CorsConfig {
        allow_origin_patterns: vec!["https://*.example.com".to_owned()],
        allow_credentials: true,
        allow_methods: all(),
        allow_headers: all(),
        ..CorsConfig::default()
    };
    let mut reasons = Vec::new();
    let mut check = |origin: &str, method: &str, lists: &[String]| {
        let mut lines: Vec<Line> = vec![
            ("origin".to_owned(), origin.into()),
            ("access-control-request-method".to_owned(), method.into()),
        ];
        let name = "access-control-request-headers";
        lines.extend(lists.iter().map(|list| (name.to_owned(), list.as_bytes().to_vec())));
        let request = Request { method: "OPTIONS".to_owned(), lines };
        agrees(&config, &request, &[])
            .unwrap_or_else(|e| panic!("{origin} {method} {lists:?}: {e}"));
        reasons.push(run(&config, &request, &[]).said.reason);
    };
    let app = "https://app.example.com";
    for n in 0..=2 {
        // Labels of one letter, and one of two where the length is odd.
        let room = 325 + n - "https://example.com".len();
        let labels = "a".repeat(room % 2) + &"a.".repeat(room / 2);
        check(&format!("https://{labels}example.com"), "PUT", &[]);
        check(app, &"M".repeat(63 + n), &[]);
        check(app, "PUT", &[vec!["x"; 99 + n].join(",")]);
        check(app, "PUT", &[vec!["x"; 50].join(","), vec!["x"; 49 + n].join(",")]);
        check(app, "PUT", &[",".repeat(4095 + n)]);
        check(app, "PUT", &[",".repeat(4000), ",".repeat(95 + n)]);
    }
    // Just below and exactly at the bound is allowed, one more is not.
    let (fit, beyond) = reasons.split_at(12);
    assert_eq!(fit, ["allowed"; 12]);
    let long = "request_headers_too_long";
    assert_eq!(beyond, ["origin_not_allowed", "method_not_allowed", long, long, long, long]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_library_and_the_model_agree(
        config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        agrees(&config, &request, &before)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unlisted_origin_never_gets_an_allow_header(
        config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        let origins = request.all("origin");
        prop_assume!(!origins.is_empty() && !model::lists(&config, &origins));
        let outcome = run(&config, &request, &before);
        prop_assert!(outcome.after.iter().all(|(name, _)| !name.starts_with("access-control-")));
    }

    #[test]
    fn without_credentials_their_header_never_appears(
        mut config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        config.allow_credentials = false;
        let outcome = run(&config, &request, &before);
        prop_assert!(outcome.all("access-control-allow-credentials").is_empty());
    }

    #[test]
    fn vary_holds_origin_unless_everybody_is_allowed(
        config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        prop_assume!(config.allow_origins != ["*"]);
        let outcome = run(&config, &request, &before);
        let (_, vary) = model::as_written(outcome.after);
        let count = vary.iter().filter(|v| v.eq_ignore_ascii_case(b"Origin")).count();
        prop_assert!(count > 0 || vary.contains(&b"*".to_vec()));
        let (_, there) = model::as_written(before);
        let already = there.iter().filter(|v| v.eq_ignore_ascii_case(b"Origin")).count();
        prop_assert_eq!(count, already.max(count.min(1)), "repeated");
    }

    #[test]
    fn a_star_never_meets_credentials_and_origins_are_the_requests_own(
        config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        let outcome = run(&config, &request, &before);
        let credentials = outcome.all("access-control-allow-credentials");
        match &outcome.all("access-control-allow-origin")[..] {
            [] => prop_assert!(credentials.is_empty()),
            [b"*"] => prop_assert!(credentials.is_empty() && !config.allow_credentials),
            [one] => prop_assert_eq!(*one, &request.all("origin")[0][..]),
            many => prop_assert!(false, "{} lines", many.len()),
        }
        for name in ["access-control-allow-methods", "access-control-allow-headers"] {
            prop_assert!(outcome.all(name).iter().all(|value| *value != b"*"));
        }
    }

    #[test]
    fn each_header_stands_only_where_it_counts(
        config in generate::config(),
        request in generate::request(),
        before in generate::answer(),
    ) {
        let outcome = run(&config, &request, &before);
        let strangers: &[&str] = if outcome.said.kind == "preflight" {
            &["access-control-expose-headers"]
        } else {
            &["access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"]
        };
        for name in strangers {
            prop_assert!(outcome.all(name).is_empty(), "{}", name);
        }
    }

    #[test]
    fn what_is_allowed_passes_in_a_browser_and_nothing_else_does(
        config in generate::config(),
        request in generate::request(),
    ) {
        let outcome = run(&config, &request, &[]);
        let status = outcome.said.status.unwrap_or(200);
        let (sent, answered) = (text(&request.lines), text(&outcome.after));
        let credentials = config.allow_credentials;
        let verdict = browser::allows(&request.method, &sent, status, &answered, credentials);
        if let Some(verdict) = verdict {
            prop_assert_eq!(verdict, outcome.said.allowed);
        }
    }

    #[test]
    fn origins_print_as_they_are_read(bytes in generate::origin()) {
        origin_is_its_text(&bytes)?;
    }

    #[test]
    fn patterns_print_as_they_are_read(text in pattern_text()) {
        pattern_is_its_text(&text)?;
    }
}
