//! What one decision costs: the CORS decision by kind of request and number of listed origins, the
//! session look-up, the CSRF token.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use withcreds::policy::csrf;
use withcreds::policy::session::{Lifetimes, SessionSecret, StoreKey, UnixMillis};
use withcreds::store::{Evict, MemoryStore, NewSession, StoreLimits};
use withcreds::{CorsConfig, CorsPolicy, User};

const APP: &str = "https://app.example.com";

fn policy(listed: usize) -> CorsPolicy {
    let others = (1..listed).map(|n| format!("https://app{n}.example.com"));
    CorsPolicy::compile(&CorsConfig {
        allow_origins: std::iter::once(APP.to_owned()).chain(others).collect(),
        allow_credentials: true,
        allow_methods: vec!["*".to_owned()],
        allow_headers: vec!["*".to_owned()],
        max_age_s: Some(600),
        ..CorsConfig::default()
    })
    .expect("a good policy")
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect()
}

fn cors(c: &mut Criterion) {
    let preflight = [
        ("origin", APP),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,x-csrf-token"),
    ];
    let odd = [
        preflight[0],
        preflight[1],
        ("access-control-request-headers", "X-CSRF-Token, Content-Type"),
    ];
    let foreign = [("origin", "https://evil.example"), preflight[1], preflight[2]];
    let mut group = c.benchmark_group("cors_decision");
    for (name, method, lines) in [
        ("no_origin", Method::GET, &[][..]),
        ("actual_listed", Method::GET, &preflight[..1]),
        ("actual_unlisted", Method::GET, &foreign[..1]),
        ("preflight_granted", Method::OPTIONS, &preflight),
        ("preflight_granted_odd_spelling", Method::OPTIONS, &odd),
        ("preflight_refused", Method::OPTIONS, &foreign),
    ] {
        let (policy, headers) = (policy(1), headers(lines));
        group.bench_function(name, |b| {
            b.iter(|| policy.decide(black_box(&method), black_box(&headers)));
        });
    }
    for listed in [1, 100, 10_000] {
        let policy = policy(listed);
        for (name, lines) in [("listed_origins", &preflight), ("listed_origins_refused", &foreign)]
        {
            let headers = headers(lines);
            group.bench_with_input(BenchmarkId::new(name, listed), &listed, |b, _| {
                b.iter(|| policy.decide(black_box(&Method::OPTIONS), black_box(&headers)));
            });
        }
    }
    let by_pattern = CorsPolicy::compile(&CorsConfig {
        allow_origin_patterns: vec!["https://*.example.com".to_owned()],
        allow_credentials: true,
        ..CorsConfig::default()
    })
    .expect("a good policy");
    let headers = headers(&preflight[..1]);
    group.bench_function("actual_by_pattern", |b| {
        b.iter(|| by_pattern.decide(black_box(&Method::GET), black_box(&headers)));
    });
    group.finish();
}

fn key(n: u32) -> StoreKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    SessionSecret::from_random(bytes).store_key()
}

fn session(c: &mut Criterion) {
    const HELD: u32 = 100_000;
    let lifetimes = Lifetimes { idle: Duration::from_hours(1), absolute: Duration::from_hours(12) };
    let limits = StoreLimits {
        max_sessions: 1_000_000,
        max_sessions_per_user: 10,
        max_bytes: usize::MAX,
        evict: Evict::Nobody,
    };
    let store = MemoryStore::new(lifetimes, limits);
    let now = UnixMillis(1_000_000);
    for n in 0..HELD {
        let user = User::named(&format!("user{}", n / 4));
        store.add(&key(n), NewSession::of(user), None, now).expect("room");
    }
    let keys: Vec<_> = (0..HELD).step_by(97).map(key).collect();
    let mut group = c.benchmark_group("session");
    let mut next = keys.iter().cycle();
    group.bench_function("look_up_and_extend_of_100k", |b| {
        b.iter(|| store.look_up(next.next().expect("cycles"), true, now));
    });
    let unknown = key(HELD + 1);
    group.bench_function("look_up_unknown", |b| {
        b.iter(|| store.look_up(black_box(&unknown), true, now));
    });
    let secret = SessionSecret::from_random([7; 32]);
    group.bench_function("store_key", |b| b.iter(|| black_box(&secret).store_key()));
    group.bench_function("csrf_token", |b| b.iter(|| csrf::token(black_box(&secret), [3; 16])));
    group.finish();
}

criterion_group!(benches, cors, session);
criterion_main!(benches);
