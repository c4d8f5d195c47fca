//! The laws for as long as one likes: `just fuzz` (a minute), `just fuzz 3600`. No nightly compiler.
//!
//! Every batch has a seed of its own, the first one drawn by chance; a failure names it, and
//! `WITHCREDS_FUZZ_SEED=… just fuzz 1` runs that batch again.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use cookie::SameSite;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use withcreds::policy::cookie::SessionCookie;
use withcreds::policy::session::SessionSecret;

use crate::{generate, laws};

const SECONDS: &str = "WITHCREDS_FUZZ_SECONDS";
const SEED: &str = "WITHCREDS_FUZZ_SEED";
/// Cases of each target in a batch: about a second.
const BATCH: u32 = 400;
const EVERY: Duration = Duration::from_secs(5);

/// A configuration with every section; damaged copies of it come close to good ones.
const TEXT: &str = r#"
[server]
listen = ["127.0.0.1:0"]
public_origin = "https://api.example.com"
shutdown_grace = "10s"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
[cors]
allow_origins = ["https://app.example.com", "http://localhost:3000"]
allow_origin_patterns = ["https://*.shop.example.com"]
allow_credentials = true
allow_methods = ["PUT", "*"]
allow_headers = ["x-csrf-token"]
expose_headers = ["x-request-id"]
max_age_s = 600
debug = false
[session]
idle_timeout = "60m"
absolute_timeout = "12h"
cookie_name = "sid"
same_site = "lax"
dangerous_allow_cross_site = true
[csrf]
mode = "header"
header_name = "X-My-Token"
cookie_domain = "example.com"
[rate_limit]
login_attempts = 5
login_window = "1m"
[logout]
post_logout_url = "https://app.example.com/bye"
[log]
level = "info"
format = "json"
[dev]
enabled = true
"#;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

type Target = (&'static str, fn(&mut TestRunner) -> Result<(), String>);

const TARGETS: [Target; 5] = [
    ("decision against model", decisions),
    ("configuration", configurations),
    ("origin", origins),
    ("pattern", patterns),
    ("cookie", cookies),
];

fn run<S: Strategy>(
    runner: &mut TestRunner,
    strategy: S,
    law: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), String> {
    runner.run(&strategy, law).map_err(|error| error.to_string())
}

fn decisions(runner: &mut TestRunner) -> Result<(), String> {
    let all = (generate::config(), generate::request(), generate::answer());
    run(runner, all, |(config, request, before)| laws::agrees(&config, &request, &before))
}

/// Damage: pieces cut out, put in, moved.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "\"",
        "'",
        "[",
        "]",
        "=",
        "\n",
        "*",
        "cors",
        "0",
        "-1",
        "true",
        "{}",
        "\u{0}",
        "\u{fc}",
        "99999999999999999999",
        "[[",
        "\\u",
        "null",
        "https://*.com",
        "[cors]",
        "#",
        "\"\"\"",
        ".",
    ]);
    let change = (any::<Index>(), 0..30usize, pieces);
    vec(change, 0..6).prop_map(move |changes| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, length, piece) in changes {
            let start = at.index(characters.len() + 1);
            let end = (start + length).min(characters.len());
            characters.splice(start..end, piece.chars());
        }
        characters.into_iter().collect()
    })
}

/// No text makes the reader panic, and whatever it refuses it explains.
fn configurations(runner: &mut TestRunner) -> Result<(), String> {
    let text = prop_oneof![8 => damaged(TEXT), 1 => "\\PC{0,80}", 1 => "[a-z\\[\\]=\"'.\n ]{0,80}"];
    run(runner, text, |text| {
        if let Err(errors) = withcreds::Config::parse(&text, Path::new("fuzz.toml")) {
            prop_assert!(!errors.is_empty(), "refused without a word");
            for error in errors {
                prop_assert!(!error.to_string().is_empty());
            }
        }
        Ok(())
    })
}

fn origins(runner: &mut TestRunner) -> Result<(), String> {
    let text = prop_oneof![
        6 => generate::origin(),
        1 => "https?:/{0,3}[^/]{0,20}".prop_map(String::into_bytes),
        1 => "\\PC{0,30}".prop_map(String::into_bytes),
    ];
    run(runner, text, |bytes| laws::origin_is_its_text(&bytes))
}

fn patterns(runner: &mut TestRunner) -> Result<(), String> {
    run(runner, (laws::pattern_text(), generate::origin()), |(pattern, origin)| {
        laws::pattern_is_its_text(&pattern)?;
        laws::pattern_matches_like_the_model(&pattern, &origin)
    })
}

/// Whatever other applications wrote into the cookie line, the session in it is found.
fn cookies(runner: &mut TestRunner) -> Result<(), String> {
    let cookie = SessionCookie::new(Some("sid"), true, SameSite::Lax, false).expect("a cookie");
    let secret = SessionSecret::from_random([7; 32]);
    let good = format!("sid={}", secret.to_cookie_value()).into_bytes();
    let junk = || {
        let odd =
            select(vec!["sid=", "sid=short", "; ", "=", "sid", "\"", "a=\"b", "%00", "sid=;sid="])
                .prop_map(|text| text.as_bytes().to_vec());
        let any = vec(any::<u8>(), 0..30)
            .prop_map(|bytes| bytes.into_iter().filter(|b| *b >= 32 && *b != 127).collect());
        vec(prop_oneof![odd, any], 0..5).prop_map(|parts: Vec<Vec<u8>>| parts.concat())
    };
    run(runner, (junk(), junk(), any::<bool>(), any::<bool>()), |(front, back, one_line, there)| {
        let mut headers = HeaderMap::new();
        let lines = match (there, one_line) {
            (true, true) => vec![[&front[..], b";", &good, b"; ", &back].concat()],
            (true, false) => vec![front, good.clone(), back],
            (false, _) => vec![front, back],
        };
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(&line).expect("a value"));
        }
        let found = cookie
            .read(&headers, SessionSecret::parse)
            .map(|found| found.store_key() == secret.store_key());
        prop_assert_eq!(found, there.then_some(true));
        Ok(())
    })
}

/// One batch of all targets. The seed decides everything in it.
fn batch(seed: u64) {
    for (number, (name, target)) in TARGETS.iter().enumerate() {
        let config = Config { cases: BATCH, failure_persistence: None, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = u8::try_from(number).expect("a few");
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let result = target(&mut TestRunner::new_with_rng(config, rng));
        result.unwrap_or_else(|error| panic!("{name}: {SEED}={seed}\n{error}"));
    }
}

#[test]
fn one_batch_holds() {
    batch(number(SEED).unwrap_or(0));
}

#[test]
#[ignore = "runs for a minute: just fuzz"]
#[expect(clippy::disallowed_methods, reason = "bounded by the wall clock: it measures nothing")]
fn batches_hold_until_time_is_up() {
    let seconds = number(SECONDS).unwrap_or(60);
    let first = number(SEED).unwrap_or_else(|| RandomState::new().hash_one(0) >> 1);
    let start = Instant::now();
    let mut next = EVERY;
    eprintln!("fuzz: {seconds} s from {SEED}={first}");
    for done in 0.. {
        let seed = first + done;
        batch(seed);
        let spent = start.elapsed();
        let cases = (done + 1) * u64::from(BATCH) * TARGETS.len() as u64;
        let over = spent.as_secs() >= seconds;
        if over || spent >= next {
            next = spent + EVERY;
            eprintln!("fuzz: {:>5} s, {cases} cases, last {SEED}={seed}", spent.as_secs());
        }
        if over {
            break;
        }
    }
}
