//! What a decision and a session look-up cost in memory. `allocation_counter` counts for this thread alone, and only in
//! this binary, which is why the tests stand in one of their own.

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use withcreds::policy::session::{Lifetimes, SessionSecret, UnixMillis};
use withcreds::store::{
    Evict, Found, MemoryStore, NewSession, SessionStore as _, StoreLimits, Ticket,
};
use withcreds::{CorsConfig, CorsPolicy, User};

const APP: &str = "https://app.example.com";
const LARGE: usize = 64 << 10;

fn policy(debug: bool) -> CorsPolicy {
    CorsPolicy::compile(&CorsConfig {
        allow_origins: vec![APP.to_owned()],
        allow_origin_patterns: vec!["https://*.example.com".to_owned()],
        allow_credentials: true,
        allow_methods: vec!["PUT".to_owned()],
        allow_headers: vec!["x-a".to_owned(), "x-b".to_owned()],
        max_age_s: Some(600),
        debug,
        ..CorsConfig::default()
    })
    .expect("a good policy")
}

fn request(lines: &[(&'static str, Vec<u8>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value).expect("a value");
        headers.append(HeaderName::from_static(name), value);
    }
    // What hyper reads is shared from the start; here the first clone makes it so.
    drop(headers.clone());
    headers
}

fn origin(text: &str) -> (&'static str, Vec<u8>) {
    ("origin", text.as_bytes().to_vec())
}

fn asks(method: &[u8]) -> (&'static str, Vec<u8>) {
    ("access-control-request-method", method.to_vec())
}

fn names(list: &[u8]) -> (&'static str, Vec<u8>) {
    ("access-control-request-headers", list.to_vec())
}

/// Requests that are refused, as large as `size` where something can be large.
fn refused(size: usize) -> Vec<(&'static str, HeaderMap)> {
    let sized = |byte: u8| vec![byte; size];
    let list = |element: &str| element.repeat(size / element.len()).into_bytes();
    let tail = |start: &str| format!("{start}{}", "a".repeat(size));
    vec![
        ("unlisted", request(&[origin("https://evil.example"), asks(b"PUT")])),
        ("a long origin", request(&[origin(&tail("https://")), asks(b"PUT")])),
        (
            "a long origin that ends well",
            request(&[origin(&(tail("https://") + ".example.com")), asks(b"PUT")]),
        ),
        ("a method", request(&[origin(APP), asks(b"PATCH")])),
        ("a long method", request(&[origin(APP), asks(&sized(b'P'))])),
        ("a header", request(&[origin(APP), asks(b"PUT"), names(b"x-a,x-c")])),
        ("a long header", request(&[origin(APP), asks(b"PUT"), names(&sized(b'a'))])),
        (
            "an odd header at last",
            request(&[
                origin(APP),
                asks(b"PUT"),
                names(&[b"X-B, x-a ,,".to_vec(), b" ".to_vec(), sized(b'a')].concat()),
            ]),
        ),
        ("names without end", request(&[origin(APP), asks(b"PUT"), names(&list("x-a,"))])),
        ("commas without end", request(&[origin(APP), asks(b"PUT"), names(&list(",,,,,,,,"))])),
        (
            "no names at all",
            request(&[origin(APP), asks(b"PUT"), names(&[sized(0xff), b"\t".to_vec()].concat())]),
        ),
        (
            "many lines",
            request(&[vec![origin(APP), asks(b"PUT")], vec![names(&sized(b',')); 20]].concat()),
        ),
    ]
}

#[test]
fn a_refusal_allocates_nothing_however_large_the_request() {
    let policy = policy(false);
    for size in [5000, LARGE] {
        for (case, headers) in refused(size) {
            let decision = policy.decide(&Method::OPTIONS, &headers);
            assert_eq!(decision.preflight_status().map(|s| s.as_u16()), Some(403), "{case}");
            let info = measure(|| {
                let _ = policy.decide(&Method::OPTIONS, &headers);
            });
            assert_eq!((info.count_total, info.bytes_total), (0, 0), "{case}, {size} bytes");
        }
    }
}

#[test]
fn what_browsers_send_allocates_nothing() {
    let policy = policy(false);
    for (case, method, headers) in [
        ("no origin", Method::GET, request(&[])),
        ("listed", Method::POST, request(&[origin(APP)])),
        ("by pattern", Method::POST, request(&[origin("https://a.b.example.com")])),
        ("unlisted", Method::GET, request(&[origin("https://evil.example")])),
        ("a preflight", Method::OPTIONS, request(&[origin(APP), asks(b"PUT")])),
        ("with names", Method::OPTIONS, request(&[origin(APP), asks(b"PUT"), names(b"x-a,x-b")])),
    ] {
        assert_ne!(
            policy.decide(&method, &headers).preflight_status().map(|s| s.as_u16()),
            Some(403)
        );
        let info = measure(|| {
            let _ = policy.decide(&method, &headers);
        });
        assert_eq!(info.count_total, 0, "{case}");
    }
}

#[test]
fn writing_a_refusal_and_its_hint_does_not_grow_with_the_request() {
    for debug in [false, true] {
        let policy = policy(debug);
        let cost = |headers: &HeaderMap| {
            measure(|| {
                let mut answer = HeaderMap::new();
                policy.apply(policy.decide(&Method::OPTIONS, headers), &mut answer);
            })
            .bytes_total
        };
        for ((case, small), (_, large)) in refused(5000).iter().zip(&refused(LARGE)) {
            let (small, large) = (cost(small), cost(large));
            assert_eq!(small, large, "{case}, debug {debug}");
            assert!(large < 8 << 10, "{case}, debug {debug}: {large} bytes");
        }
    }
}

/// The counter counts: a test that could not fail would prove nothing.
#[test]
fn an_odd_spelling_that_is_granted_allocates() {
    let headers = request(&[origin(APP), asks(b"PUT"), names(b"X-B, X-A")]);
    let policy = policy(false);
    let info = measure(|| {
        let _ = policy.decide(&Method::OPTIONS, &headers);
    });
    assert!(info.count_total > 0);
}

#[test]
fn a_session_look_up_allocates_nothing() {
    let lifetimes = Lifetimes { idle: Duration::from_hours(1), absolute: Duration::from_hours(12) };
    let (max_sessions, max_sessions_per_user, max_bytes) = (10, 10, usize::MAX);
    let limits =
        StoreLimits { max_sessions, max_sessions_per_user, max_bytes, evict: Evict::Nobody };
    let (store, now) = (MemoryStore::new(lifetimes, limits), UnixMillis(1_000_000));
    let [known, unknown, ended] =
        [1, 2, 3].map(|n| Ticket::new(SessionSecret::from_random([n; 32])));
    for ticket in [&known, &ended] {
        store.add(ticket.key(), NewSession::of(User::named("ada")), None, now).expect("room");
    }
    assert!(tokio_test::block_on(store.remove(&ended, now)).expect("memory").is_some());

    assert!(measure(|| drop(black_box(vec![1]))).count_total > 0, "nothing is counted here");
    for (ticket, live) in [(&known, true), (&unknown, false), (&ended, false)] {
        for extend in [true, false] {
            let counted = measure(|| {
                let found = black_box(store.look_up(ticket.key(), extend, now));
                assert_eq!(matches!(found, Found::Live(_)), live);
            });
            assert_eq!(counted.count_total, 0, "live: {live}, extend: {extend}");
        }
    }
}
