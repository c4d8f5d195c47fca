//! Facts → findings, without a network: a server is a function from question to answer.

use withcreds_harness::doctor::{
    Answer, Call, Exchange, Facts, Finding, Purpose, Question, SeenCookie, Severity, Stranger,
    TlsFault, Trouble, findings, plan, predictions,
};
use withcreds_harness::oracle::Profile;
use withcreds_harness::scenario::{Address, Credentials, Engine};

/// Any time will do.
const NOW_MS: i64 = 1_800_000_000_000;
const APP: &str = "https://app.example.com";

fn call(page: &str, url: &str) -> Call {
    Call {
        page: Address::parse(page).expect("a page").origin().clone(),
        address: Address::parse(url).expect("an address"),
        method: "GET".to_owned(),
        headers: Vec::new(),
        credentials: Credentials::Include,
        cookies: Vec::new(),
        sends_unsafe: false,
    }
}

fn judged(call: Call, server: impl Fn(&Question) -> Result<Answer, Trouble>) -> Vec<Finding> {
    let exchange = |question: Question| Exchange {
        result: server(&question),
        question,
        peer: Some("203.0.113.1".parse().expect("an address")),
        overlooked: None,
        millis: 1,
    };
    let exchanges = plan(&call).into_iter().map(exchange).collect();
    judge(&Facts { call, exchanges, address_given: false })
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let profiles: Vec<_> =
        Engine::ALL.into_iter().map(|engine| Profile::of(engine).expect("a profile")).collect();
    let sees = predictions(facts, &profiles, NOW_MS);
    findings(facts, &sees, &profiles, NOW_MS)
}

fn origin(question: &Question) -> Option<&str> {
    question.headers.iter().find(|(name, _)| name == "origin").map(|(_, value)| value.as_str())
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Answer { status, headers, body: String::new() }
}

/// A server that grants these origins what a page needs, and adds headers of its own.
fn grants(
    allowed: &'static [&'static str],
    more: &'static [(&'static str, &'static str)],
) -> impl Fn(&Question) -> Result<Answer, Trouble> {
    move |question| {
        let mut headers = vec![("vary", "Origin")];
        if let Some(origin) = origin(question).filter(|origin| allowed.contains(origin)) {
            headers.push(("access-control-allow-origin", origin));
            headers.push(("access-control-allow-credentials", "true"));
            headers.push(("access-control-allow-headers", "content-type"));
        }
        let kept = headers.into_iter().filter(|(name, _)| !more.iter().any(|(n, _)| n == name));
        let all: Vec<_> = kept.chain(more.iter().copied()).filter(|(_, v)| !v.is_empty()).collect();
        Ok(answer(200, &all))
    }
}

fn told(found: &[Finding]) -> Vec<String> {
    found.iter().map(|f| format!("{} {}", f.severity.text(), f.code)).collect()
}

#[test]
fn strangers_by_what_they_could_do() {
    let backend = "https://api.example.com/items";
    for (page, stranger, want) in [
        (APP, Stranger::Null, Some(Severity::Critical)),
        (APP, Stranger::Suffix, Some(Severity::Critical)),
        (APP, Stranger::Prefix, Some(Severity::Critical)),
        (APP, Stranger::OtherScheme, Some(Severity::Error)),
        (APP, Stranger::OtherPort, Some(Severity::Warning)),
        (APP, Stranger::Foreign, Some(Severity::Critical)),
        ("http://app.example.com", Stranger::OtherScheme, None),
        ("http://localhost:3000", Stranger::OtherPort, None),
    ] {
        let call = call(page, backend);
        let other = stranger.origin(&call.page).expect("an origin");
        let page = page.to_owned();
        let found = judged(call, move |question| {
            let asked = origin(question).unwrap_or_default();
            let named = if asked == other { asked } else { page.as_str() };
            Ok(answer(
                200,
                &[
                    ("vary", "Origin"),
                    ("access-control-allow-origin", named),
                    ("access-control-allow-credentials", "true"),
                    ("access-control-allow-headers", "content-type"),
                ],
            ))
        });
        let ours: Vec<_> = found
            .iter()
            .filter(|f| f.code == "foreign-origin-allowed")
            // Nobody knows which server it is: the mend speaks to whoever runs it.
            .inspect(|f| assert!(f.mend.starts_with("On the server: "), "{}", f.mend))
            .map(|f| f.severity)
            .collect();
        assert_eq!(ours, Vec::from_iter(want), "{stranger:?}: {found:#?}");
    }
}

#[test]
fn cached_answers_without_vary() {
    let url = "https://api.example.com/items";
    for (more, want) in [
        (&[][..], None),
        (&[("vary", ""), ("cache-control", "public, max-age=60")][..], Some(Severity::Error)),
        (&[("vary", ""), ("cache-control", "private, max-age=60")], Some(Severity::Error)),
        (
            &[("vary", ""), ("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT")],
            Some(Severity::Warning),
        ),
        (&[("vary", ""), ("cache-control", "no-store")], Some(Severity::Info)),
        (&[("vary", ""), ("cache-control", "max-age=0")], Some(Severity::Info)),
        // A shared cache is told otherwise.
        (&[("vary", ""), ("cache-control", "max-age=0, s-maxage=600")], Some(Severity::Error)),
        (&[("vary", ""), ("cache-control", "public, max-age=0")], Some(Severity::Info)),
        (&[("vary", ""), ("expires", "Thu, 01 Jan 1970 00:00:00 GMT")], Some(Severity::Info)),
        (&[("vary", ""), ("expires", "0")], Some(Severity::Info)),
        (&[("vary", ""), ("expires", "Fri, 14 Jan 2028 00:00:00 GMT")], Some(Severity::Error)),
        (&[("vary", "Accept, origin"), ("cache-control", "max-age=60")], None),
        (&[("vary", "*"), ("cache-control", "max-age=60")], None),
        // The same for everybody: nothing to tell a cache.
        (
            &[
                ("vary", ""),
                ("cache-control", "max-age=60"),
                ("access-control-allow-origin", APP),
                ("access-control-allow-credentials", "true"),
            ],
            None,
        ),
    ] {
        let found = judged(call(APP, url), grants(&[APP], more));
        let ours = found.iter().find(|f| f.code == "vary-origin-missing-cache").map(|f| f.severity);
        assert_eq!(ours, want, "{more:?}: {found:#?}");
    }
}

#[test]
fn a_cache_that_mixes_answers_up_is_caught() {
    let found = judged(call(APP, "https://api.example.com/items"), |question| {
        let named = match question.purpose {
            Purpose::Again => "https://withcreds-doctor.example",
            _ => APP,
        };
        Ok(answer(
            200,
            &[("access-control-allow-origin", named), ("access-control-allow-credentials", "true")],
        ))
    });
    assert!(told(&found).contains(&"error vary-origin-missing-cache".to_owned()), "{found:#?}");
}

#[test]
fn a_call_with_headers_is_another_question_for_caches() {
    let call = || Call {
        headers: vec![("x-key".to_owned(), "x".to_owned())],
        ..call(APP, "https://api.example.com/items")
    };
    let cached = |found: &[Finding]| found.iter().any(|f| f.code == "vary-origin-missing-cache");
    // Whoever has no key gets a 401 before CORS has a say, be it the page or anybody.
    let found = judged(call(), |question| {
        let has_key = question.headers.iter().any(|(name, _)| name == "x-key");
        if !has_key && question.method != "OPTIONS" {
            return Ok(answer(401, &[("cache-control", "max-age=60")]));
        }
        let granted = [
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-key"),
        ];
        Ok(answer(200, &granted))
    });
    assert!(!cached(&found), "{found:#?}");
    let found = judged(call(), grants(&[APP], &[("vary", ""), ("cache-control", "max-age=60")]));
    assert!(cached(&found), "{found:#?}");
}

/// The star's twin: everybody is named, and the credentials are another matter.
#[test]
fn who_is_named_without_credentials_hides_nobody_who_has_them() {
    let suffix = "https://app.example.com.evil.test";
    let foreign = "https://withcreds-doctor.example";
    for (trusted, in_preflight, want) in [
        (&[APP][..], false, vec![Severity::Info]),
        (&[APP, suffix], false, vec![Severity::Critical, Severity::Info]),
        (&[APP, "null"], false, vec![Severity::Critical, Severity::Info]),
        (&[APP], true, vec![Severity::Error, Severity::Info]),
    ] {
        let put = Call { method: "PUT".to_owned(), ..call(APP, "https://api.example.com/items") };
        let found = judged(put, |question| {
            let asked = origin(question).unwrap_or_default();
            let preflight = question.method == "OPTIONS" && asked == foreign && in_preflight;
            let mut headers = vec![
                ("vary", "Origin"),
                ("access-control-allow-origin", asked),
                ("access-control-allow-methods", "PUT"),
                ("access-control-allow-headers", "content-type"),
            ];
            if trusted.contains(&asked) || preflight {
                headers.push(("access-control-allow-credentials", "true"));
            }
            Ok(answer(200, &headers))
        });
        let ours = found.iter().filter(|f| f.code == "foreign-origin-allowed");
        assert_eq!(ours.map(|f| f.severity).collect::<Vec<_>>(), want, "{trusted:?}: {found:#?}");
    }
}

/// One exchange of a chain of redirects.
fn hop(number: usize, url: &str, answer: Answer) -> Exchange {
    let question = Question {
        purpose: Purpose::Actual,
        hop: number,
        method: "GET".to_owned(),
        address: Address::parse(url).expect("an address"),
        headers: vec![("origin".to_owned(), APP.to_owned())],
    };
    Exchange { question, result: Ok(answer), peer: None, overlooked: None, millis: 1 }
}

/// The call and its redirects, each with its answer; nobody else asked.
fn chain(call: Call, hops: &[(&str, Answer)]) -> Facts {
    let all = hops.iter().enumerate();
    let exchanges = all.map(|(number, (url, answer))| hop(number, url, answer.clone())).collect();
    Facts { call, exchanges, address_given: false }
}

/// An answer that the page may read, with more headers.
fn granted(status: u16, more: &[(&str, &str)]) -> Answer {
    let grant =
        [("access-control-allow-origin", APP), ("access-control-allow-credentials", "true")];
    answer(status, &[&grant, more].concat())
}

#[test]
fn a_login_that_is_called_leads_to_no_login() {
    let url = "https://api.example.com/auth/login";
    let slash = granted(301, &[("location", "/auth/login/")]);
    let facts = chain(
        call(APP, url),
        &[(url, slash.clone()), ("https://api.example.com/auth/login/", granted(200, &[]))],
    );
    let found = judge(&facts);
    assert_eq!(told(&found), Vec::<String>::new(), "{found:#?}");
    let put = Call { method: "PUT".to_owned(), ..call(APP, "https://api.example.com/login") };
    let found = judged(put, |_| Ok(granted(301, &[("location", "/login/")])));
    let text = found.iter().find(|f| f.code == "preflight-redirect").map(|f| f.text.as_str());
    assert!(text.is_some_and(|t| t.contains("only the last slash differs")), "{found:#?}");
    // Who calls something else has met a login.
    let items = "https://api.example.com/items";
    let facts = chain(
        call(APP, items),
        &[
            (items, granted(302, &[("location", "/login")])),
            ("https://api.example.com/login", granted(200, &[])),
        ],
    );
    assert_eq!(told(&judge(&facts)), ["warning idp-redirect-in-fetch"]);
}

/// The doctor looks on where a browser stopped; what it sees there is not what stopped the browser.
#[test]
fn the_answer_that_stopped_the_call_is_the_one_told_of() {
    let (first, second) = ("https://api.example.com/items", "https://api.example.com/v2/items");
    let facts = chain(
        call(APP, first),
        &[(first, answer(302, &[("location", "/v2/items")])), (second, granted(200, &[]))],
    );
    let found = judge(&facts);
    assert_eq!(told(&found).len(), 1, "{found:#?}");
    assert!(found[0].text.contains("No header of that answer speaks CORS"), "{found:#?}");
}

/// A redirect to the same path with another query is another answer.
#[test]
fn each_hop_has_an_answer_of_its_own() {
    let url = "https://api.example.com/items";
    let again = "https://api.example.com/items?checked=1";
    let onward = |to: &str| granted(302, &[("location", to)]);
    let bare = |status| answer(status, &[("content-type", "text/html")]);
    for (case, hops, want) in [
        ("all well", vec![(url, onward(again)), (again, granted(200, &[]))], None),
        ("the second bare", vec![(url, onward(again)), (again, bare(200))], Some("error")),
        (
            "the first bare",
            vec![(url, answer(302, &[("location", again)])), (again, granted(200, &[]))],
            Some("error"),
        ),
        ("the same again", vec![(url, onward(url)), (url, bare(200))], Some("error")),
    ] {
        let facts = chain(call(APP, url), &hops);
        let gravest = judge(&facts).into_iter().find(|f| f.severity != Severity::Info);
        assert_eq!(gravest.as_ref().map(|f| f.severity.text()), want, "{case}: {gravest:#?}");
    }
}

#[test]
fn a_call_by_options_is_not_its_own_preflight() {
    let options = || Call { method: "OPTIONS".to_owned(), ..call(APP, "https://api.example.com/") };
    let is_preflight =
        |q: &Question| q.headers.iter().any(|(n, _)| n == "access-control-request-method");
    let grant = granted(200, &[("access-control-allow-methods", "OPTIONS")]);
    let found =
        judged(options(), |q| Ok(if is_preflight(q) { grant.clone() } else { answer(200, &[]) }));
    assert_eq!(told(&found), ["error cors-only-on-preflight"], "{found:#?}");
    let found =
        judged(options(), |q| Ok(if is_preflight(q) { answer(401, &[]) } else { grant.clone() }));
    assert_eq!(told(&found).first().map(String::as_str), Some("error preflight-auth-401"));
}

/// Six redirects: what a browser meets before the last of them is known.
#[test]
fn of_a_chain_without_end_its_beginning_is_told() {
    let url = |n: usize| format!("https://api.example.com/{n}");
    let facts = |first: Answer, last: &str| {
        let to = |n: usize| if n == 5 { last.to_owned() } else { url(n + 1) };
        let answers = (0..6)
            .map(|n| if n == 0 { first.clone() } else { granted(302, &[("location", &to(n))]) });
        let all: Vec<_> = (0..6).map(url).zip(answers).collect();
        let hops: Vec<_> = all.iter().map(|(url, answer)| (url.as_str(), answer.clone())).collect();
        chain(call(APP, &url(0)), &hops)
    };
    let bare = answer(302, &[("location", &url(1))]);
    let known = granted(302, &[("location", &url(1))]);
    for last in ["/6", "https://elsewhere.example/"] {
        let found = told(&judge(&facts(bare.clone(), last)));
        assert!(found[0].starts_with("error ") && found.len() == 2, "{found:?}");
        assert_eq!(found[1], "warning redirect-loop");
        assert_eq!(told(&judge(&facts(known.clone(), last))), ["warning redirect-loop"]);
    }
}

/// A limit that sets in while the doctor asks.
#[test]
fn what_was_not_answered_is_not_known() {
    let limited = |from: usize, refusal: Result<Answer, Trouble>| {
        let asked = std::cell::Cell::new(0);
        let serve = grants(&[APP], &[]);
        let call = call(APP, "https://api.example.com/items");
        let result = move |question: &Question| {
            asked.set(asked.get() + 1);
            if asked.get() < from { serve(question) } else { refusal.clone() }
        };
        judged(call, result)
    };
    for (refusal, why) in [
        (Ok(answer(429, &[])), "429"),
        (Ok(answer(503, &[])), "503"),
        (Err(Trouble::Closed), "the connection ended"),
    ] {
        let found = limited(5, refusal.clone());
        assert_eq!(told(&found), ["info foreign-origin-allowed"], "{found:#?}");
        let text = &found[0].text;
        assert!(text.contains(why) && text.contains("who else may read is not known"), "{text}");
    }
    // A limit that speaks CORS hides nothing.
    let spoken = limited(5, Ok(granted(429, &[])));
    assert!(!spoken.iter().any(|f| f.text.contains("not known")), "{spoken:#?}");
}

#[test]
fn cookies_by_engine() {
    let cookie = |line: &str| vec![SeenCookie::parse(line)];
    let site = "https://api.example.net/items";
    let sibling = "https://api.example.com/items";
    for (url, line, want) in [
        (sibling, "sid=1; Path=/; Secure; SameSite=Lax", None),
        // One engine keeps it back, so it fails for some users.
        (site, "sid=1; Path=/; Secure; SameSite=None", Some(Severity::Warning)),
        // All of them do.
        (site, "sid=1; Path=/; Secure; SameSite=Lax", Some(Severity::Error)),
        (sibling, "sid=1; Path=/elsewhere; Secure", Some(Severity::Error)),
    ] {
        let call = Call { cookies: cookie(line), ..call(APP, url) };
        let found = judged(call, grants(&[APP], &[]));
        let gravest = found.iter().map(|f| f.severity).min().filter(|s| *s != Severity::Info);
        assert_eq!(gravest, want, "{url} {line}: {found:#?}");
    }
}

#[test]
fn without_credentials_the_cookie_that_matters_stays_home() {
    let call = Call {
        credentials: Credentials::SameOrigin,
        cookies: vec![SeenCookie::Line("sid=1; Path=/; Secure; SameSite=Lax".to_owned())],
        ..call(APP, "https://api.example.com/items")
    };
    let found = judged(call, grants(&[APP], &[]));
    assert_eq!(told(&found), ["error client-credentials-not-enabled"], "{found:#?}");
}

#[test]
fn answers_that_are_nearly_right() {
    let url = "https://api.example.com/items";
    for (more, want) in [
        (
            &[("access-control-allow-origin", "https://app.example.com/")][..],
            "error acao-trailing-slash-or-path",
        ),
        (
            &[("access-control-allow-origin", "https://a.example, https://app.example.com")],
            "error acao-list",
        ),
        (
            &[("access-control-allow-origin", "http://app.example.com")],
            "error acao-origin-mismatch",
        ),
        (&[("access-control-allow-credentials", "True")], "error acac-wrong-value"),
        (&[("access-control-allow-credentials", "")], "error acac-missing"),
    ] {
        let found = judged(call(APP, url), grants(&[APP], more));
        assert_eq!(told(&found).first().map(String::as_str), Some(want), "{more:?}: {found:#?}");
        assert_eq!(found[0].engines, Engine::ALL);
        assert!(!found[0].mend.is_empty() && !found[0].not_cors);
    }
}

#[test]
fn authorization_under_a_star() {
    let call = Call {
        credentials: Credentials::Omit,
        headers: vec![("authorization".to_owned(), "Bearer x".to_owned())],
        ..call(APP, "https://api.example.com/items")
    };
    let star = &[("access-control-allow-origin", "*"), ("access-control-allow-headers", "*")];
    let found = judged(call, grants(&[], star));
    assert!(found.iter().any(|f| f.code == "authorization-not-covered-by-wildcard"), "{found:#?}");
}

#[test]
fn troubles_are_told_first_and_are_not_cors() {
    for (trouble, want, says) in [
        (Trouble::Refused, "connection-refused-wrong-port", "port 443"),
        (Trouble::Timeout(10), "connection-refused-wrong-port", "within 10 s"),
        (Trouble::NotTls, "connection-refused-wrong-port", "does not speak TLS"),
        (Trouble::Dns("no".to_owned()), "dns-failure-or-bad-port", "is not known here"),
        (Trouble::Certificate(TlsFault::Expired), "tls-untrusted-certificate", "renew it"),
        (Trouble::Tls("no".to_owned()), "tls-untrusted-certificate", "do not agree"),
    ] {
        let found = judged(call(APP, "https://api.example.com/items"), |_| Err(trouble.clone()));
        assert_eq!(told(&found), [format!("error {want}")], "{trouble:?}");
        assert!(found[0].not_cors && found[0].text.contains(says), "{found:#?}");
    }
}

#[test]
fn a_private_address_is_worth_a_word() {
    let facts = |page: &str, peer: &str, address_given| {
        let call = call(page, "https://api.example.com/items");
        let serve = grants(&[APP, "http://localhost:3000"], &[]);
        let exchange = |question: Question| Exchange {
            result: serve(&question),
            question,
            peer: Some(peer.parse().expect("an address")),
            overlooked: None,
            millis: 1,
        };
        let exchanges = plan(&call).into_iter().map(exchange).collect();
        Facts { call, exchanges, address_given }
    };
    for (page, peer, given, want) in [
        (APP, "10.0.0.7", false, true),
        (APP, "127.0.0.1", false, true),
        (APP, "fd00::7", false, true),
        (APP, "203.0.113.1", false, false),
        (APP, "10.0.0.7", true, false),
        ("http://localhost:3000", "127.0.0.1", false, false),
    ] {
        let found = judge(&facts(page, peer, given));
        let ours: Vec<_> =
            found.iter().filter(|f| f.code == "local-network-access-denied").collect();
        assert_eq!(ours.len(), usize::from(want), "{page} {peer} {given}: {found:#?}");
        assert!(
            ours.iter().all(|f| f.severity == Severity::Info && f.engines == [Engine::Chromium])
        );
    }
}
