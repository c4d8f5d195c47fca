//! The catalogue against what browsers print: every sentence, in every dress people paste it in.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use withcreds_harness::catalogue::{Catalogue, LONGEST_TEXT, Match, index, page};

use crate::texts::{CORS, FIREFOX, PREFLIGHT, texts};

mod texts;

const IDS: &str = include_str!("ids.txt");

fn explain(text: &str) -> Vec<Match<'static>> {
    Catalogue::embedded().explain(text)
}

#[track_caller]
fn assert_first(text: &str, want: &str) {
    let matches = explain(text);
    let got: Vec<_> = matches.iter().map(|m| (m.bug.id.as_str(), m.score)).collect();
    assert_eq!(got.first().map(|(id, _)| *id), Some(want), "{text}\n{got:?}");
}

#[test]
fn every_text_of_every_engine_is_recognised() {
    for (text, id) in texts() {
        assert_first(&text, id);
    }
}

#[test]
fn quoting_does_not_matter() {
    let single = |c: char| "‘’'".contains(c);
    let double = |c: char| "“”\"".contains(c);
    for (text, id) in texts() {
        let json = serde_json::to_string(&text).expect("JSON");
        let ascii: String = text.replace(single, "'").replace(double, "\"");
        for dressed in [
            ascii.clone(),
            text.replace(single, "’").replace(double, "”"),
            ascii.replace('\'', "\\'").replace('"', "\\\""),
            ascii.replace('\'', "&#39;").replace('"', "&quot;"),
            ascii.replace('"', "'"),
            json,
        ] {
            assert_first(&dressed, id);
        }
        // Without any quotes, '' and 'app.example.com/' keep their meaning, too.
        assert_first(&text.replace(|c| single(c) || double(c) || c == '`', ""), id);
    }
}

#[test]
fn wrapping_case_and_prefixes_do_not_matter() {
    for (text, id) in texts() {
        let wrapped: String = text
            .chars()
            .enumerate()
            .flat_map(|(at, c)| if at % 40 == 39 { vec!['\n', ' ', c] } else { vec![c] })
            .collect();
        for dressed in [
            wrapped,
            text.replace(' ', "\n"),
            text.replace(' ', "\u{a0}"),
            format!("main.4f2a.js:1:20345 {text} main.4f2a.js:1"),
            format!("[2026-11-24T12:03:01.123Z] [ERROR] localhost/:1 {text}"),
            format!("12:03:01.123 {text}"),
            format!("\u{1b}[31m{text}\u{1b}[0m"),
            format!(
                "> {text}\n> Uncaught (in promise) TypeError: Failed to fetch\n>    at load (app.js:3:5)"
            ),
        ] {
            assert_first(&dressed, id);
        }
    }
}

#[test]
fn several_lines_give_several_bugs() {
    let lines = texts();
    for pair in lines.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
        let pasted = format!("{}\n{}", pair[0].0, pair[1].0);
        let matches = explain(&pasted);
        let ids: Vec<_> = matches.iter().map(|m| m.bug.id.as_str()).collect();
        let sure = |id: &str| {
            Catalogue::embedded().bug(id).is_some() && explain(&pair[0].0)[0].score >= 90
        };
        if sure(pair[0].1) {
            assert!(ids.contains(&pair[0].1), "{pasted}\n{ids:?}");
        }
    }
    // The generic message that Firefox adds never hides the specific one.
    let both = format!(
        "{FIREFOX}CORS request did not succeed). Status code: (null).\n{FIREFOX}Did not find method in CORS header ‘Access-Control-Allow-Methods’)."
    );
    assert_first(&both, "preflight-method-not-allowed");
    let both = "Origin https://app.example.com is not allowed by Access-Control-Allow-Origin. Status code: 200\nFetch API cannot load https://api.example.com/x due to access control checks.";
    assert_first(both, "acao-missing");
}

#[test]
fn values_of_the_text_are_in_the_answer() {
    for (text, said) in [
        (
            format!("{CORS}The 'Access-Control-Allow-Origin' header has a value 'https://www.example.com' that is not equal to the supplied origin."),
            "Your page https://app.example.com is not https://www.example.com, which is all that the server allows.",
        ),
        (
            format!("{CORS}{PREFLIGHT}Request header field x-csrf is not allowed by Access-Control-Allow-Headers in preflight response."),
            "Add \"x-csrf\" to Access-Control-Allow-Headers of the OPTIONS answer.",
        ),
        (
            format!("{CORS}Method PATCH is not allowed by Access-Control-Allow-Methods in preflight response."),
            "Add PATCH to Access-Control-Allow-Methods of the OPTIONS answer.",
        ),
        (
            format!("{FIREFOX}CORS header ‘Access-Control-Allow-Origin’ missing). Status code: 413."),
            "The status was 413. Mend that failure first; the missing header only hides it.",
        ),
        (
            "Cookie “sid” has been rejected for invalid domain.".to_owned(),
            "The cookie in question is \"sid\".",
        ),
        (
            "XMLHttpRequest cannot load http://api.example.com/x. No 'Access-Control-Allow-Origin' header is present on the requested resource. Origin 'http://app.example.com' is therefore not allowed access.".to_owned(),
            "Your page is http://app.example.com, and the answer of http://api.example.com/x does not name it.",
        ),
        (
            "Access to fetch at 'https://login.example.net/authorize?x=1' (redirected from 'https://api.example.com/x') from origin 'https://app.example.com' has been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present".to_owned(),
            "The call to https://api.example.com/x was redirected to https://login.example.net/authorize?x=1.",
        ),
    ] {
        let matches = explain(&text);
        assert!(matches[0].said().iter().any(|s| s == said), "{text}\n{:?}", matches[0].said());
    }
}

#[test]
fn each_message_keeps_its_own_values() {
    let text = "Access to fetch at 'https://one.example.com/a' from origin 'https://app.example.com' has been blocked by CORS policy: Method PUT is not allowed by Access-Control-Allow-Methods in preflight response.\n\
                Access to fetch at 'https://two.example.com/b' from origin 'https://www.example.com' has been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource.";
    let matches = explain(text);
    let url = |id: &str| {
        let found = matches.iter().find(|m| m.bug.id == id).expect("a match");
        found.values.get("url").map(str::to_owned)
    };
    assert_eq!(url("preflight-method-not-allowed").as_deref(), Some("https://one.example.com/a"));
    assert_eq!(url("acao-missing").as_deref(), Some("https://two.example.com/b"));
}

#[test]
fn ambiguous_texts_give_candidates_that_are_told_apart() {
    for text in [
        "CORS request did not succeed",
        "Fetch API cannot load https://api.example.com/ due to access control checks.",
    ] {
        let matches = explain(text);
        let ids: BTreeSet<_> = matches.iter().map(|m| m.bug.id.as_str()).collect();
        for id in [
            "connection-refused-wrong-port",
            "tls-untrusted-certificate",
            "dns-failure-or-bad-port",
            "blocked-by-client",
        ] {
            assert!(ids.contains(id), "{text}: {ids:?}");
        }
        assert!(matches[0].bug.not_cors);
        assert!(matches[0].score < 90, "nobody can be sure of that");
        let told: BTreeSet<_> = matches[0].bug.unlike.iter().map(|u| u.id.as_str()).collect();
        for other in &matches[1..] {
            assert!(told.contains(other.bug.id.as_str()) || other.score < 60, "{}", other.bug.id);
        }
    }
}

#[test]
fn the_reasons_of_devtools_are_known() {
    for (reason, id) in [
        ("MissingAllowOriginHeader", "acao-missing"),
        ("PreflightMissingAllowOriginHeader", "acao-missing"),
        ("WildcardOriginNotAllowed", "acao-wildcard-with-credentials"),
        ("PreflightWildcardOriginNotAllowed", "acao-wildcard-with-credentials"),
        ("InvalidAllowOriginValue", "acao-origin-mismatch"),
        ("AllowOriginMismatch", "acao-origin-mismatch"),
        ("PreflightMultipleAllowOriginValues", "acao-duplicate-header"),
        ("PreflightInvalidAllowCredentials", "acac-missing"),
        ("PreflightInvalidStatus", "preflight-auth-401"),
        ("PreflightDisallowedRedirect", "preflight-redirect"),
        ("InvalidAllowMethodsPreflightResponse", "allow-list-unparsable"),
        ("InvalidAllowHeadersPreflightResponse", "allow-list-unparsable"),
        ("MethodDisallowedByPreflightResponse", "preflight-method-not-allowed"),
        ("HeaderDisallowedByPreflightResponse", "preflight-header-not-allowed"),
        ("RedirectContainsCredentials", "redirect-contains-credentials"),
        ("CorsDisabledScheme", "origin-null-file-or-sandbox"),
        ("DisallowedByMode", "request-mode-same-origin"),
        ("InsecureLocalNetwork", "local-network-access-denied"),
        ("AuthorizationCoveredByWildcard", "authorization-not-covered-by-wildcard"),
        ("SameSiteUnspecifiedTreatedAsLax", "samesite-lax-default-cross-site"),
        ("SameSiteNoneInsecure", "samesite-none-without-secure"),
        ("SchemefulSameSiteLax", "samesite-lax-default-cross-site"),
        ("SchemefulSameSiteUnspecifiedTreatedAsLax", "samesite-lax-default-cross-site"),
        ("UserPreferences", "third-party-cookies-blocked"),
        ("ThirdPartyPhaseout", "third-party-cookies-blocked"),
        ("SecureOnly", "secure-cookie-over-http"),
        ("NotOnPath", "cookie-path-mismatch"),
        ("InvalidPrefix", "cookie-prefix-violation"),
        ("InvalidDomain", "cookie-domain-invalid"),
        ("NameValuePairExceedsMaxSize", "cookie-too-large-or-bad-chars"),
        ("LocalNetworkAccessPermissionDenied", "local-network-access-denied"),
    ] {
        assert_first(reason, id);
    }
}

#[test]
fn parts_of_a_sentence_are_enough() {
    for (part, id) in [
        ("must not be the wildcard '*'", "acao-wildcard-with-credentials"),
        ("No 'Access-Control-Allow-Origin' header is present", "acao-missing"),
        ("not equal to the supplied origin", "acao-origin-mismatch"),
        ("Redirect is not allowed for a preflight", "preflight-redirect"),
        ("contains multiple values", "acao-duplicate-header"),
        ("which must be 'true'", "acac-missing"),
    ] {
        assert_first(part, id);
    }
}

#[test]
fn plain_words_find_what_they_mean() {
    for (words, id) in [
        ("works in postman", "non-browser-client-ignores-cors"),
        ("logged out only in safari", "third-party-cookies-blocked"),
        ("logout does nothing", "cookie-delete-attributes-mismatch"),
        ("why is there an OPTIONS request", "content-type-json-triggers-preflight"),
        ("document.cookie is empty", "httponly-not-in-document-cookie"),
        ("set-cookie header is null in axios", "set-cookie-not-readable-by-script"),
        ("trailing slash in origin", "acao-trailing-slash-or-path"),
        ("self-signed certificate", "tls-untrusted-certificate"),
        ("localhost and 127.0.0.1", "localhost-vs-127-site"),
        ("websocket handshake anonymous", "websocket-cookie-samesite"),
        ("sentry broke cors", "tracing-header-injected"),
        ("file:// page", "origin-null-file-or-sandbox"),
        ("vite proxy cookie dropped", "dev-proxy-cookie-domain"),
        ("content-disposition header undefined", "expose-headers-missing"),
        ("intermittent, hard reload cures", "vary-origin-missing-cache"),
        ("sefl-signed certifcate", "tls-untrusted-certificate"),
    ] {
        assert_first(words, id);
    }
}

#[test]
fn slips_in_a_code_are_forgiven() {
    for (typed, id) in [
        ("acao-mising", "acao-missing"),
        ("preflight-auth-403", "preflight-auth-401"),
        ("samesite-none-without-secur", "samesite-none-without-secure"),
    ] {
        assert_first(typed, id);
    }
}

#[test]
fn what_a_script_sees_tells_little_and_gives_candidates() {
    for text in [
        "Uncaught (in promise) TypeError: Failed to fetch",
        "TypeError: NetworkError when attempting to fetch resource.",
        "Unhandled Promise Rejection: TypeError: Load failed",
        "Uncaught (in promise) AxiosError {message: 'Network Error', code: 'ERR_NETWORK'}",
        "Failed to load resource: net::ERR_FAILED",
    ] {
        assert_first(text, "acao-missing");
        assert!(explain(text)[0].score < 50, "{text}");
    }
    assert!(explain("TypeError: Failed to fetch").len() >= 5);
}

#[test]
fn nothing_is_found_in_nothing() {
    for text in [
        "",
        "   ",
        "''",
        "hello world",
        "the quick brown fox jumps over lazy dogs",
        "日本語",
        "\u{0}\u{1b}",
    ] {
        let found = explain(text);
        assert!(
            found.is_empty(),
            "{text}: {:?}",
            found.iter().map(|m| &m.bug.id).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_catalogue_is_complete() {
    let want: BTreeSet<_> = IDS.lines().filter(|line| !line.is_empty()).collect();
    let got: BTreeSet<_> = Catalogue::embedded().bugs().iter().map(|bug| bug.id.as_str()).collect();
    assert_eq!(got, want);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue");
    let files: BTreeSet<_> = std::fs::read_dir(folder)
        .expect("the catalogue")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "frames.toml")
        .collect();
    let named: BTreeSet<_> = want.iter().map(|id| format!("{id}.toml")).collect();
    assert_eq!(files, named, "a file that is not built in, or the other way round");
}

#[test]
fn every_bug_is_written_out() {
    for bug in Catalogue::embedded().bugs() {
        let id = &bug.id;
        assert!(!bug.engines.is_empty() && !bug.spec.is_empty() && !bug.unlike.is_empty(), "{id}");
        let texts = [&bug.title, &bug.symptom, &bug.cause, &bug.client];
        assert!(texts.into_iter().all(|text| text.len() > 10 && !text.contains('\n')), "{id}");
        assert!(bug.server.mends().iter().all(|(_, mend)| mend.len() > 10), "{id}");
        for link in &bug.spec {
            assert!(link.starts_with("https://") && !link.contains(' '), "{id}: {link}");
        }
        for other in &bug.unlike {
            assert!(Catalogue::embedded().bug(&other.id).is_some(), "{id}: {}", other.id);
            assert_ne!(&other.id, id, "a look-alike of itself");
        }
        for line in &bug.console {
            assert!((1..=100).contains(&line.sure), "{id}: {}", line.text);
        }
    }
}

#[test]
fn every_bug_explains_itself() {
    for bug in Catalogue::embedded().bugs() {
        let matches = explain(&bug.id);
        assert_eq!(matches.len(), 1, "{}", bug.id);
        assert_eq!((matches[0].bug.id.as_str(), matches[0].score), (bug.id.as_str(), 100));
        assert_first(&bug.id.to_uppercase(), &bug.id);
        assert_first(&format!("  {} ", bug.id.replace('-', " ")), &bug.id);
        // Its own words lead back to it.
        let found = explain(&format!("{} {}", bug.title, bug.symptom));
        assert!(
            found.iter().any(|m| m.bug.id == bug.id),
            "{}: {:?}",
            bug.id,
            found.iter().map(|m| (&m.bug.id, m.score)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_catalogue_knows_nothing_else_of_the_harness() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue");
    let files: Vec<_> = std::fs::read_dir(folder).expect("the folder").collect();
    assert!(files.len() >= 10, "the folder moved");
    for file in files {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for line in text.lines().filter(|line| line.starts_with("use crate::")) {
            assert!(line.starts_with("use crate::catalogue::"), "{}: {line}", path.display());
        }
        for word in ["async ", "Instant", "SystemTime", "std::fs", "std::net", "println!"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn scenario_files_are_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for bug in Catalogue::embedded().bugs() {
        for file in bug.scenarios().into_iter().flatten() {
            let path = folder.join(&file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
            let value: toml::Table = text.parse().unwrap_or_else(|e| panic!("{file}: {e}"));
            let name = path.file_stem().expect("a name").to_string_lossy();
            assert_eq!(value["id"].as_str(), Some(&*name), "{file}");
        }
    }
}

/// `UPDATE_DOCS=1 cargo test -p withcreds-harness --no-default-features --test catalogue docs`
/// writes them anew.
#[test]
fn docs_say_what_the_catalogue_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bugs");
    let bugs = Catalogue::embedded().bugs();
    let mut pages = vec![("README.md".to_owned(), index(bugs))];
    pages.extend(bugs.iter().map(|bug| (format!("{}.md", bug.id), page(bug))));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(&folder).expect("docs/bugs");
        for (name, text) in &pages {
            std::fs::write(folder.join(name), text).expect("a page");
        }
    }
    for (name, text) in &pages {
        let written = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(&written, text, "docs/bugs/{name}: write it anew with UPDATE_DOCS=1");
    }
    let files = std::fs::read_dir(&folder).expect("docs/bugs").count();
    assert_eq!(files, pages.len(), "a page without a bug");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the bound is on real time")]
fn huge_texts_take_bounded_time() {
    let line = format!(
        "{CORS}No 'Access-Control-Allow-Origin' header is present on the requested resource.\n"
    );
    let started = std::time::Instant::now();
    for text in [
        line.repeat(LONGEST_TEXT / line.len() + 10),
        "Cookie “".repeat(LONGEST_TEXT / 8),
        "at from origin to ".repeat(LONGEST_TEXT / 4 / 16),
        "Access to fetch at 'https://a".repeat(LONGEST_TEXT / 4 / 29),
        "x".repeat(LONGEST_TEXT / 4 + 7),
        "ä".repeat(LONGEST_TEXT / 4),
        "word and other words ".repeat(LONGEST_TEXT / 4 / 20),
        "\\u2018&quot;\x1b[3".repeat(LONGEST_TEXT / 4 / 15),
        "12:03:01 ".repeat(LONGEST_TEXT / 4 / 9),
        format!(
            "Access to fetch at{}{}",
            ".".repeat(LONGEST_TEXT / 2),
            " from origin ".repeat(9000)
        ),
        format!("{} has been rejected because", "Cookie “......".repeat(LONGEST_TEXT / 4 / 15)),
    ] {
        explain(&text);
    }
    // Unoptimised, on a busy machine; it takes a twentieth of that at leisure.
    assert!(started.elapsed() < std::time::Duration::from_mins(1), "{:?}", started.elapsed());
}

/// Pieces that the catalogue reacts to, in disorder.
fn shuffled() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("Access to fetch at '".to_owned()),
        Just("' from origin '".to_owned()),
        Just("' (redirected from '".to_owned()),
        Just("' has been blocked by CORS policy: ".to_owned()),
        Just("header has a value '".to_owned()),
        Just("that is not equal to the supplied origin".to_owned()),
        Just("Status code: ".to_owned()),
        Just("Cookie “".to_owned()),
        Just("https://a.example/ß…".to_owned()),
        Just("\\u2018".to_owned()),
        Just("\u{1b}[".to_owned()),
        any::<String>(),
        "[0-9]{3}",
    ];
    prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let matches = explain(&text);
        prop_assert!(matches.windows(2).all(|pair| pair[0].score >= pair[1].score));
        prop_assert!(matches.iter().all(|m| (1..=100).contains(&m.score)));
    }

    #[test]
    fn any_disorder_of_known_pieces_is_taken(text in shuffled()) {
        for found in explain(&text) {
            for sentence in found.said() {
                prop_assert!(!sentence.chars().any(char::is_control), "{:?}", sentence);
            }
        }
    }

    #[test]
    fn addresses_do_not_matter(host in "[a-z]{1,8}(-[a-z]{1,5})?\\.[a-z]{2,6}", path in "(/[a-zA-Z0-9_.~%-]{0,12}){0,4}", port in 1024_u16..) {
        let at = format!("https://{host}:{port}{path}");
        let text = CORS.replace("https://api.example.com/api/items?page=2", &at)
            + "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the request's credentials mode is 'include'.";
        let matches = explain(&text);
        prop_assert_eq!(&matches[0].bug.id, "acao-wildcard-with-credentials");
        prop_assert_eq!(matches[0].values.get("url"), Some(at.as_str()));
        prop_assert_eq!(matches[0].values.get("origin"), Some("https://app.example.com"));
    }
}
