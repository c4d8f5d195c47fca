use super::*;
use crate::policy::cors::tests::{config, strings};

#[test]
fn mends_show_the_corrected_value() {
    for (origins, patterns, code, mend) in [
        (
            &["https://app.example.com/"][..],
            &[][..],
            "origin_not_canonical",
            "write \"https://app.example.com\"",
        ),
        (&["app.example.com"], &[], "origin_scheme_missing", "write \"https://app.example.com\""),
        (
            &["https://*.example.com"],
            &[],
            "origin_star",
            "write allow_origin_patterns = [\"https://*.example.com\"]",
        ),
        (
            &["*.Example.com"],
            &[],
            "origin_star",
            "write allow_origin_patterns = [\"https://*.example.com\"]",
        ),
        (
            &["https://app*.example.com"],
            &[],
            "origin_star",
            "list each origin, or write a pattern such as \"https://*.example.com\" in allow_origin_patterns",
        ),
        (
            &[],
            &["https://*.Example.com/"],
            "pattern_not_canonical",
            "write \"https://*.example.com\"",
        ),
    ] {
        let config = CorsConfig {
            allow_origins: strings(origins),
            allow_origin_patterns: strings(patterns),
            ..config()
        };
        let errors = CorsPolicy::compile(&config).unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| (e.code(), e.mend())).collect();
        assert_eq!(got, [(code, mend.to_owned())]);
    }
}

#[test]
fn mistakes_are_reported_together() {
    let bad = CorsConfig {
        allow_origins: strings(&[
            "https://app.example.com/",
            "null",
            "http://app.example.com",
            "app",
        ]),
        allow_methods: strings(&["GE T", "TRACE", "PUT"]),
        allow_headers: strings(&["x y", "Cookie", "sec-fetch-site", "x-ok"]),
        expose_headers: strings(&["*", "Set-Cookie", "a b"]),
        max_age_s: Some(86_401),
        ..config()
    };
    let errors = CorsPolicy::compile(&bad).unwrap_err();
    let codes: Vec<_> = errors.iter().map(|e| (e.key(), e.code())).collect();
    assert_eq!(
        codes,
        [
            ("allow_origins", "origin_not_canonical"),
            ("allow_origins", "null_origin"),
            ("allow_origins", "insecure_origin"),
            ("allow_origins", "origin_scheme_missing"),
            ("allow_methods", "method_malformed"),
            ("allow_methods", "method_forbidden"),
            ("allow_headers", "header_malformed"),
            ("allow_headers", "header_forbidden"),
            ("allow_headers", "header_forbidden"),
            ("expose_headers", "wildcard_expose_with_credentials"),
            ("expose_headers", "exposed_header_forbidden"),
            ("expose_headers", "header_malformed"),
            ("max_age_s", "max_age_out_of_range"),
        ]
    );
    assert_eq!(errors[0].mend(), "write \"https://app.example.com\"");
    for config in [
        CorsConfig { allow_origins: strings(&["*"]), ..config() },
        CorsConfig { allow_origins: vec![], ..config() },
    ] {
        assert_eq!(CorsPolicy::compile(&config).unwrap_err().len(), 1);
    }
}

#[test]
fn patterns_have_mistakes_of_their_own() {
    let bad = CorsConfig {
        allow_origins: vec![],
        allow_origin_patterns: strings(&["https://*.co.uk", "https://*", "http://*.example.com"]),
        ..config()
    };
    let errors = CorsPolicy::compile(&bad).unwrap_err();
    let codes: Vec<_> = errors.iter().map(|e| (e.key(), e.code())).collect();
    let key = "allow_origin_patterns";
    let want = [(key, "public_suffix"), (key, "pattern_malformed"), (key, "insecure_origin")];
    assert_eq!(codes, want);
}

/// Who mends one fault and starts again must not meet the next one in the same value.
#[test]
fn what_a_correction_would_still_get_wrong_is_told_as_well() {
    let no_credentials = CorsConfig { allow_credentials: false, ..CorsConfig::default() };
    for (case, config, want) in [
        (
            "plain http behind a path",
            CorsConfig { allow_origins: strings(&["http://app.example.com/"]), ..config() },
            &[("allow_origins", "insecure_origin"), ("allow_origins", "origin_not_canonical")][..],
        ),
        (
            "a pattern over plain http, badly written",
            CorsConfig { allow_origin_patterns: strings(&["http://*.Example.com"]), ..config() },
            &[(PATTERNS, "insecure_origin"), (PATTERNS, "pattern_not_canonical")],
        ),
        (
            "a pattern over a public suffix, badly written",
            CorsConfig { allow_origin_patterns: strings(&["https://*.CO.uk"]), ..config() },
            &[(PATTERNS, "public_suffix"), (PATTERNS, "pattern_not_canonical")],
        ),
        (
            "everybody, and a pattern",
            CorsConfig {
                allow_origins: strings(&["*"]),
                allow_origin_patterns: strings(&["https://*.example.com"]),
                ..no_credentials.clone()
            },
            &[("allow_origins", "wildcard_beside_origins")],
        ),
        (
            "everybody, and somebody",
            CorsConfig { allow_origins: strings(&["*", "https://a.example"]), ..no_credentials },
            &[("allow_origins", "wildcard_beside_origins")],
        ),
        (
            "answers' headers among the requests'",
            CorsConfig {
                allow_headers: strings(&["Access-Control-Allow-Origin", "access-control-x"]),
                ..config()
            },
            &[("allow_headers", "header_forbidden"), ("allow_headers", "header_forbidden")],
        ),
        (
            "cookies are no script's to read",
            CorsConfig { expose_headers: strings(&["set-cookie", "Set-Cookie2"]), ..config() },
            &[
                ("expose_headers", "exposed_header_forbidden"),
                ("expose_headers", "exposed_header_forbidden"),
            ],
        ),
    ] {
        let errors = CorsPolicy::compile(&config).unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| (e.key(), e.code())).collect();
        assert_eq!(got, want, "{case}");
    }
    // The two kinds of header that are in vain have one code, and each its own way out.
    let config = CorsConfig {
        allow_headers: strings(&["access-control-request-method", "cookie"]),
        ..config()
    };
    let mends: Vec<_> =
        CorsPolicy::compile(&config).unwrap_err().iter().map(CorsConfigError::mend).collect();
    assert!(
        mends[0].contains("that your frontend sets") && mends[1] == "leave it out",
        "{mends:?}"
    );
}
