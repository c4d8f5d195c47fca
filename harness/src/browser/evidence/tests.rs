use serde_json::json;

use super::*;

const URL: &str = "https://api.test/me?probe=p1";

fn event(method: &str, params: Value) -> Event {
    Event { session: Some("S".to_owned()), method: format!("Network.{method}"), params }
}

fn announced(id: &str, method: &str, url: &str) -> Event {
    let request = json!({"url": url, "method": method, "headers": {}});
    event("requestWillBeSent", json!({"requestId": id, "request": request}))
}

fn preflight(id: &str, of: &str) -> Event {
    let request = json!({"url": URL, "method": "OPTIONS"});
    let initiator = json!({"type": "preflight", "requestId": of});
    let params = json!({"requestId": id, "request": request, "initiator": initiator});
    event("requestWillBeSent", params)
}

fn redirected(id: &str, url: &str, has_extra: bool) -> Event {
    let mut event = announced(id, "GET", url);
    event.params["redirectResponse"] = json!({"status": 302});
    event.params["redirectHasExtraInfo"] = json!(has_extra);
    event
}

fn sent(id: &str, cookie: Option<&str>) -> Event {
    let mut headers = json!({"Host": "api.test"});
    if let Some(cookie) = cookie {
        headers["Cookie"] = json!(cookie);
    }
    let params = json!({"requestId": id, "headers": headers, "associatedCookies": []});
    event("requestWillBeSentExtraInfo", params)
}

fn answered(id: &str, status: u16) -> Event {
    let params = json!({"requestId": id, "statusCode": status, "headers": {"Vary": "Origin"}});
    event("responseReceivedExtraInfo", params)
}

fn received(id: &str, has_extra: bool) -> Event {
    let response = json!({"status": 200});
    let params = json!({"requestId": id, "response": response, "hasExtraInfo": has_extra});
    event("responseReceived", params)
}

fn finished(id: &str) -> Event {
    event("loadingFinished", json!({"requestId": id}))
}

fn failed(id: &str, cors_error: Option<&str>) -> Event {
    let mut params = json!({"requestId": id, "errorText": "net::ERR_FAILED"});
    if let Some(name) = cors_error {
        params["corsErrorStatus"] = json!({"corsError": name, "failedParameter": ""});
    }
    event("loadingFailed", params)
}

fn fed(events: &[Event]) -> Collector {
    let mut collector = Collector::default();
    for event in events {
        collector.feed(event);
    }
    collector
}

fn cookie_of(leg: Option<&Leg>) -> Option<&str> {
    leg?.cookie_header.as_deref()
}

#[test]
fn any_order_of_the_extra_events_gives_the_same_evidence() {
    let events = [
        announced("1.1", "GET", URL),
        sent("1.1", Some("sid=1")),
        received("1.1", true),
        answered("1.1", 200),
        finished("1.1"),
    ];
    let want = fed(&events).exchange("p1").unwrap();
    assert!(want.complete);
    assert_eq!(cookie_of(want.request.as_ref()), Some("sid=1"));
    assert_eq!(want.request.as_ref().unwrap().status, Some(200));

    // The others keep their order among themselves; ExtraInfo may be anywhere.
    for order in [[1, 0, 2, 3, 4], [1, 3, 0, 2, 4], [3, 1, 0, 2, 4], [0, 2, 4, 3, 1]] {
        let mut collector = Collector::default();
        for (n, index) in order.into_iter().enumerate() {
            assert!(!collector.is_settled("p1"), "{order:?} at {n}");
            collector.feed(&events[index]);
        }
        assert_eq!(collector.exchange("p1").as_ref(), Some(&want), "{order:?}");
    }
}

#[test]
fn a_preflight_is_told_from_its_actual_request() {
    let collector = fed(&[
        announced("1.1", "PUT", URL),
        sent("GUID", None),
        preflight("GUID", "1.1"),
        answered("GUID", 204),
        received("GUID", true),
        finished("GUID"),
        sent("1.1", Some("sid=1")),
        answered("1.1", 200),
        received("1.1", true),
        finished("1.1"),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    let leg = evidence.preflight.as_ref().unwrap();
    assert_eq!((leg.method.as_str(), leg.sent, leg.status), ("OPTIONS", true, Some(204)));
    assert_eq!(cookie_of(Some(leg)), None);
    assert_eq!(cookie_of(evidence.request.as_ref()), Some("sid=1"));
    assert_eq!((evidence.hops.len(), evidence.complete), (1, true));
}

#[test]
fn after_a_failed_preflight_the_announced_request_counts_as_not_sent() {
    let mut collector = fed(&[
        announced("1.1", "PUT", URL),
        failed("1.1", Some("PreflightMissingAllowOriginHeader")),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Unsure, "the preflight is not here yet");
    for event in [preflight("G", "1.1"), sent("G", None), received("G", true)] {
        collector.feed(&event);
        assert_ne!(collector.progress("p1"), Progress::Settled);
    }
    collector.feed(&answered("G", 200));
    collector.feed(&finished("G"));
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.complete);
    assert!(!evidence.request.unwrap().sent);
    assert!(evidence.preflight.unwrap().sent);
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.cors_error.as_deref(), Some("PreflightMissingAllowOriginHeader"));
    assert_eq!(failure.failed_parameter, None);
}

#[test]
fn a_refused_answer_settles_as_soon_as_both_extra_events_are_here() {
    let mut collector = fed(&[
        announced("1.1", "GET", URL),
        sent("1.1", Some("sid=1")),
        failed("1.1", Some("MissingAllowOriginHeader")),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Unsure);
    collector.feed(&answered("1.1", 200));
    assert_eq!(collector.progress("p1"), Progress::Settled);
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.request.unwrap().sent);
}

#[test]
fn hops_pair_with_extra_events_in_order() {
    let to = "https://auth.test/login";
    let collector = fed(&[
        announced("1.1", "GET", URL),
        sent("1.1", Some("a=1")),
        sent("1.1", Some("b=2")),
        redirected("1.1", to, true),
        answered("1.1", 302),
        received("1.1", true),
        answered("1.1", 200),
        finished("1.1"),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    let hops: Vec<_> = evidence
        .hops
        .iter()
        .map(|hop| (hop.url.as_str(), hop.cookie_header.as_deref(), hop.status))
        .collect();
    assert_eq!(hops, [(URL, Some("a=1"), Some(302)), (to, Some("b=2"), Some(200))]);
    assert_eq!(evidence.request.as_ref(), evidence.hops.last());
    assert!(evidence.complete);
}

#[test]
fn a_hop_without_extra_events_does_not_take_those_of_the_next() {
    let collector = fed(&[
        announced("1.1", "GET", URL),
        redirected("1.1", "https://api.test/b", false),
        sent("1.1", Some("b=2")),
        answered("1.1", 200),
        received("1.1", true),
        finished("1.1"),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    assert_eq!((evidence.hops[0].sent, evidence.hops[0].status), (false, Some(302)));
    assert_eq!(cookie_of(evidence.hops.get(1)), Some("b=2"));
    assert!(evidence.complete);
}

#[test]
fn a_redirect_waits_for_the_extra_events_of_every_hop() {
    let collector = fed(&[
        announced("1.1", "GET", URL),
        redirected("1.1", "https://api.test/b", true),
        received("1.1", true),
        finished("1.1"),
        sent("1.1", None),
        answered("1.1", 302),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Waiting);
}

#[test]
fn engine_words_pass_through_also_when_nobody_knows_them() {
    let cookies = json!([
        {"cookie": {"name": "lax"}, "blockedReasons": ["SameSiteLax", "MoonIsFull"]},
        {"cookie": {"name": "sid"}, "blockedReasons": [], "exemptionReason": "TrustMe"},
    ]);
    let headers = json!({"cookie": "sid=1"});
    let extra = json!({"requestId": "1.1", "headers": headers, "associatedCookies": cookies,
        "clientSecurityState": {"notAFieldWeKnow": -1}});
    let refused = json!([{"cookieLine": "x=1; Secure", "blockedReasons": ["TooShiny"]}]);
    let response = json!({"requestId": "1.1", "statusCode": 299, "blockedCookies": refused,
        "headers": {"Set-Cookie": "a=1\nx=1; Secure", "Via": "x"}});
    let mut end = failed("1.1", Some("CosmicRays"));
    end.params["corsErrorStatus"]["failedParameter"] = json!("gamma");
    end.params["blockedReason"] = json!("aliens");
    let evidence = fed(&[
        announced("1.1", "GET", URL),
        event("requestWillBeSentExtraInfo", extra),
        event("responseReceivedExtraInfo", response),
        event("somethingNew", json!({"requestId": "1.1"})),
        end,
    ])
    .exchange("p1")
    .unwrap();

    let leg = evidence.request.unwrap();
    assert_eq!(leg.cookie_header.as_deref(), Some("sid=1"));
    assert_eq!(leg.cookies[0].blocked, ["SameSiteLax", "MoonIsFull"]);
    assert_eq!(leg.cookies[1].exemption.as_deref(), Some("TrustMe"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let want = [pair("Set-Cookie", "a=1"), pair("Set-Cookie", "x=1; Secure"), pair("Via", "x")];
    assert_eq!(leg.response_headers, want);
    let reasons = vec!["TooShiny".to_owned()];
    assert_eq!(
        leg.refused_set_cookies,
        [RefusedCookie { line: "x=1; Secure".to_owned(), reasons }]
    );
    let want = Failure {
        net_error: "net::ERR_FAILED".to_owned(),
        cors_error: Some("CosmicRays".to_owned()),
        failed_parameter: Some("gamma".to_owned()),
        blocked_reason: Some("aliens".to_owned()),
    };
    assert_eq!(evidence.failure, Some(want));
}

#[test]
fn missing_and_misshapen_fields_lose_no_event() {
    let evidence = fed(&[
        event("requestWillBeSent", json!({"requestId": "1.1", "request": {"url": URL}})),
        event("requestWillBeSentExtraInfo", json!({"requestId": "1.1"})),
        event(
            "responseReceivedExtraInfo",
            json!({"requestId": "1.1", "statusCode": "x", "headers": [], "blockedCookies": 7}),
        ),
        event("responseReceived", json!({"requestId": "1.1"})),
        event("loadingFailed", json!({"requestId": "1.1"})),
        event("loadingFailed", json!({"requestId": 5})),
        event("loadingFailed", Value::Null),
    ])
    .exchange("p1")
    .unwrap();
    let leg = evidence.request.unwrap();
    assert_eq!((leg.sent, leg.status, leg.method.as_str()), (true, None, ""));
    assert!(evidence.failure.is_some() && evidence.complete);
}

#[test]
fn an_answer_out_of_a_cache_waits_for_nothing() {
    let events = [announced("1.1", "GET", URL), received("1.1", false), finished("1.1")];
    let evidence = fed(&events).exchange("p1").unwrap();
    assert!(evidence.complete && !evidence.request.unwrap().sent);
}

#[test]
fn an_answer_whose_body_never_ends_is_unsure_not_waiting() {
    let collector = fed(&[
        announced("1.1", "GET", URL),
        sent("1.1", None),
        received("1.1", true),
        answered("1.1", 200),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Unsure);
}

#[test]
fn a_probe_is_found_by_its_query_parameter_only() {
    for (url, want) in [
        ("http://a/?probe=1", Some("1")),
        ("http://a/x?a=b&probe=1&c=d#probe=2", Some("1")),
        ("http://a/probe=1", None),
        ("http://a/?myprobe=1", None),
        ("http://a/?probe=", None),
        ("http://a/#?probe=1", None),
        ("", None),
    ] {
        assert_eq!(probe_of(url), want, "{url}");
    }
}

#[test]
fn probes_do_not_mix_and_forgetting_leaves_nothing() {
    let mut collector = Collector::default();
    for n in 0..3 {
        let id = format!("1.{n}");
        let url = format!("http://a/?probe=p{n}");
        for event in [
            announced(&id, "PUT", &url),
            sent(&id, Some(&format!("n={n}"))),
            received(&id, true),
            answered(&id, 200),
            finished(&id),
        ] {
            collector.feed(&event);
        }
    }
    for n in 0..3 {
        let probe = format!("p{n}");
        let evidence = collector.exchange(&probe).unwrap();
        assert_eq!(cookie_of(evidence.request.as_ref()), Some(format!("n={n}").as_str()));
        collector.forget(&probe);
        assert_eq!(collector.exchange(&probe), None);
        assert_eq!(collector.progress(&probe), Progress::Unseen);
    }
    assert!(collector.requests.is_empty() && collector.probes.is_empty());
}

#[test]
fn strangers_do_not_pile_up_and_do_not_push_probes_out() {
    let mut collector = fed(&[announced("1.1", "GET", URL)]);
    for n in 0..5_000 {
        let (loaded, orphan) = (format!("2.{n}"), format!("3.{n}"));
        collector.feed(&announced(&loaded, "GET", "http://a/logo.png"));
        collector.feed(&finished(&loaded));
        collector.feed(&sent(&loaded, None));
        collector.feed(&sent(&orphan, None));
    }
    assert!(collector.requests.len() <= STRANGERS + 1, "{}", collector.requests.len());
    assert!(collector.by_age.len() <= STRANGERS);
    assert!(collector.exchange("p1").is_some());
}
