use serde_json::json;

use super::*;

const URL: &str = "https://api.test/me?probe=p1";
const PAGE: &str = "https://app.test";

fn event(method: &str, params: Value) -> Event {
    Event { session: None, method: method.to_owned(), params }
}

fn header(name: &str, value: &str) -> Value {
    json!({"name": name, "value": {"type": "string", "value": value}})
}

fn request(id: &str, method: &str, extra: &[(&str, &str)]) -> Value {
    let mut headers = vec![header("Origin", PAGE), header("Sec-Fetch-Mode", "cors")];
    headers.extend(extra.iter().map(|(name, value)| header(name, value)));
    // What the jar holds, which is not what is sent.
    let cookies = json!([{"name": "elsewhere", "value": {"type": "string", "value": "1"}}]);
    json!({"request": id, "url": URL, "method": method, "headers": headers, "cookies": cookies})
}

fn preflight(id: &str) -> Value {
    request(id, "OPTIONS", &[("Access-Control-Request-Method", "PUT")])
}

fn announced(request: &Value) -> Event {
    event("network.beforeRequestSent", json!({"request": request, "redirectCount": 0}))
}

fn answered(method: &str, request: &Value, headers: &[(&str, &str)]) -> Event {
    let headers: Vec<_> = headers.iter().map(|(name, value)| header(name, value)).collect();
    let response = json!({"status": 200, "headers": headers});
    let params = json!({"request": request, "response": response, "redirectCount": 0});
    event(&format!("network.{method}"), params)
}

fn failed(request: &Value, error: &str) -> Event {
    event("network.fetchError", json!({"request": request, "errorText": error}))
}

fn blocked(reason: &str) -> Event {
    let text = format!(
        "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote \
         resource at {URL}. (Reason: {reason}). Status code: 200."
    );
    event("log.entryAdded", json!({"level": "error", "type": "javascript", "text": text}))
}

const GRANTED: [(&str, &str); 2] =
    [("Access-Control-Allow-Origin", PAGE), ("Access-Control-Allow-Credentials", "true")];
const MISSING: &str = "CORS header ‘Access-Control-Allow-Origin’ missing";

fn fed(events: &[Event]) -> BidiCollector {
    let mut collector = BidiCollector::default();
    for event in events {
        collector.feed(event);
    }
    collector
}

#[test]
fn what_was_answered_was_sent_with_the_headers_of_the_wire() {
    let put = request("2", "PUT", &[("Cookie", "sid=1; theme=dark")]);
    let options = preflight("3");
    let collector = fed(&[
        // The actual request is announced first.
        announced(&put),
        announced(&options),
        answered("responseStarted", &options, &GRANTED),
        answered("responseCompleted", &options, &GRANTED),
        answered("responseStarted", &put, &GRANTED),
        answered("responseCompleted", &put, &GRANTED),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.complete && evidence.failure.is_none());
    let (before, leg) = (evidence.preflight.unwrap(), evidence.request.unwrap());
    assert!(before.sent && before.cookie_header.is_none() && before.cookies.is_empty());
    assert!(leg.sent && leg.status == Some(200));
    assert_eq!(leg.cookie_header.as_deref(), Some("sid=1; theme=dark"));
    let names: Vec<_> = leg.cookies.iter().map(|cookie| cookie.name.as_str()).collect();
    assert_eq!(names, ["sid", "theme"]);
}

#[test]
fn what_was_only_announced_was_not_sent() {
    let put = request("2", "PUT", &[("Cookie", "sid=1")]);
    let options = preflight("3");
    let mut collector = fed(&[
        announced(&put),
        announced(&options),
        answered("responseStarted", &options, &[]),
        failed(&options, FORBIDDEN),
        failed(&put, FORBIDDEN),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Waiting, "the console has to say why");
    collector.feed(&blocked("CORS request did not succeed"));
    assert_eq!(collector.progress("p1"), Progress::Waiting, "that names no rule");
    collector.feed(&blocked(MISSING));
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.complete && evidence.preflight.unwrap().sent);
    let leg = evidence.request.unwrap();
    assert!(!leg.sent && leg.cookie_header.is_none() && leg.cookies.is_empty());
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.cors_error.as_deref(), Some("CORSMissingAllowOrigin"));
    assert_eq!(failure.net_error, FORBIDDEN);
}

#[test]
fn a_refused_response_looks_like_a_success_until_the_console_speaks() {
    let get = request("2", "GET", &[]);
    let mut collector = fed(&[
        announced(&get),
        answered("responseStarted", &get, &[]),
        answered("responseCompleted", &get, &[]),
    ]);
    assert_eq!(collector.progress("p1"), Progress::Waiting);
    collector.feed(&blocked(MISSING));
    assert_eq!(collector.progress("p1"), Progress::Settled);
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.request.unwrap().sent);
    assert_eq!(evidence.failure.unwrap().cors_error.as_deref(), Some("CORSMissingAllowOrigin"));
}

#[test]
fn how_long_to_wait_depends_on_what_the_answer_grants() {
    let get = request("2", "GET", &[]);
    let blind = json!({"request": "2", "url": URL, "method": "GET", "headers": [
        header("Origin", PAGE), header("Sec-Fetch-Mode", "no-cors")]});
    let own = json!({"request": "2", "url": URL, "method": "POST", "headers": [
        header("Origin", "https://api.test")]});
    for (case, request, headers, want) in [
        ("granted", &get, &GRANTED[..], Progress::Settled),
        ("without credentials", &get, &GRANTED[..1], Progress::Unsure),
        ("any", &get, &[("Access-Control-Allow-Origin", "*")], Progress::Unsure),
        ("another", &get, &[("Access-Control-Allow-Origin", "https://b.test")], Progress::Waiting),
        ("no-cors", &blind, &[], Progress::Settled),
        ("same origin", &own, &[], Progress::Settled),
    ] {
        let collector = fed(&[announced(request), answered("responseCompleted", request, headers)]);
        assert_eq!(collector.progress("p1"), want, "{case}");
    }
}

#[test]
fn a_failure_of_the_network_is_none_of_cors() {
    let get = request("2", "GET", &[]);
    let mut collector = fed(&[announced(&get), failed(&get, "NS_ERROR_CONNECTION_REFUSED")]);
    assert_eq!(collector.progress("p1"), Progress::Unsure);
    collector.feed(&blocked("CORS request did not succeed"));
    let evidence = collector.exchange("p1").unwrap();
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.net_error, "NS_ERROR_CONNECTION_REFUSED");
    assert_eq!(failure.cors_error, None);
    assert!(!evidence.request.unwrap().sent);
}

#[test]
fn redirects_are_hops_of_one_request() {
    let mut first = request("2", "GET", &[]);
    let mut second = first.clone();
    first["url"] = json!("https://api.test/away?probe=p1#part");
    second["url"] = json!("https://api.test/landed");
    let hop = |method: &str, request: &Value, status: u16, count: u8| {
        let mut event = answered(method, request, &GRANTED);
        event.params["response"]["status"] = json!(status);
        event.params["redirectCount"] = json!(count);
        event
    };
    let collector = fed(&[
        announced(&first),
        hop("responseStarted", &first, 302, 0),
        hop("responseCompleted", &first, 302, 0),
        hop("beforeRequestSent", &second, 0, 1),
        hop("responseStarted", &second, 200, 1),
        hop("responseCompleted", &second, 200, 1),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    let hops: Vec<_> = evidence.hops.iter().map(|hop| (hop.url.as_str(), hop.status)).collect();
    assert_eq!(
        hops,
        [("https://api.test/away?probe=p1", Some(302)), ("https://api.test/landed", Some(200))]
    );
    assert!(evidence.complete && evidence.hops.iter().all(|hop| hop.sent));
}

#[test]
fn a_refused_cookie_belongs_to_the_answer_that_sets_it() {
    let get = request("2", "GET", &[]);
    let headers = [GRANTED[0], GRANTED[1], ("Set-Cookie", "sid=2; Secure"), ("Set-Cookie", "a=1")];
    let text =
        "Cookie “sid” has been rejected because a non-HTTPS cookie can’t be set as “secure”.";
    let collector = fed(&[
        announced(&get),
        answered("responseStarted", &get, &headers),
        event("log.entryAdded", json!({"text": text})),
        answered("responseCompleted", &get, &headers),
    ]);
    let refused = collector.exchange("p1").unwrap().request.unwrap().refused_set_cookies;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].line, "sid=2; Secure");
    assert!(refused[0].reasons[0].contains("non-HTTPS"), "{:?}", refused[0].reasons);
}

#[test]
fn words_and_events_from_the_future_lose_nothing() {
    let mut get = request("2", "GET", &[]);
    get["destination"] = json!({"kind": "moon"});
    get["headers"].as_array_mut().unwrap().push(json!({"name": 7}));
    let collector = fed(&[
        event("network.requestPaused", json!({"request": {"request": "2"}})),
        announced(&get),
        event("network.beforeRequestSent", json!({"request": {"request": 7}})),
        event("log.entryAdded", json!({"text": 7})),
        answered("responseStarted", &get, &GRANTED),
        answered("responseCompleted", &get, &GRANTED),
        event("astronomy.moonRisen", json!(["full"])),
    ]);
    let evidence = collector.exchange("p1").unwrap();
    assert!(evidence.complete && evidence.request.unwrap().sent);
}

#[test]
fn nothing_is_kept_for_strangers_or_after_forgetting() {
    let mut collector = BidiCollector::default();
    for n in 0..2 * STRANGERS {
        let url = format!("https://api.test/{n}");
        let stranger = json!({"request": n.to_string(), "url": url, "method": "GET"});
        collector.feed(&announced(&stranger));
    }
    assert!(collector.requests.len() <= STRANGERS + 1, "{}", collector.requests.len());
    let get = request("x", "GET", &[]);
    collector.feed(&announced(&get));
    collector.feed(&answered("responseCompleted", &get, &GRANTED));
    assert_eq!(collector.progress("p1"), Progress::Settled);
    collector.forget("p1");
    assert_eq!(collector.progress("p1"), Progress::Unseen);
    assert!(!collector.requests.contains_key("x") && collector.probes.is_empty());
}
