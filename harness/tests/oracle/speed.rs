//! How many scenarios the oracle predicts in a second, on one core.

use std::time::{Duration, Instant};

use serde_json::json;
use withcreds_harness::oracle::{Profile, predict};
use withcreds_harness::scenario::Engine;

use crate::support::{NOW_MS, scenario};

#[test]
#[ignore = "a measurement: cargo test --release -p withcreds-harness --no-default-features --test oracle -- --ignored --nocapture"]
fn predictions_a_second() {
    let header = |name: &str, value: &str| json!([name, value]);
    let value = json!({
        "cookie": [{ "host": "api.example.com", "set": "sid=1; Path=/; Secure; HttpOnly; SameSite=Lax" }],
        "backend": [{
            "origin": "https://api.example.com",
            "preflight": { "status": 204, "headers": [
                header("Access-Control-Allow-Origin", "{origin}"), header("Access-Control-Allow-Credentials", "true"),
                header("Access-Control-Allow-Headers", "x-csrf-token"), header("Access-Control-Allow-Methods", "PUT"),
            ] },
            "actual": { "headers": [
                header("Access-Control-Allow-Origin", "{origin}"), header("Access-Control-Allow-Credentials", "true"),
            ], "set_cookie": ["sid=2; Path=/; Secure; HttpOnly; SameSite=Lax"] },
        }],
        "step": [{ "url": "https://api.example.com/x", "method": "PUT", "credentials": "include", "headers": [["X-CSRF-Token", "1"]] }],
    });
    let case = scenario(value).case;
    let profile = Profile::of(Engine::Chromium).expect("a profile");
    #[expect(clippy::disallowed_methods, reason = "a measurement takes the time")]
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < Duration::from_secs(2) {
        for _ in 0..1000 {
            let predictions =
                std::hint::black_box(predict(std::hint::black_box(&case), profile, NOW_MS));
            assert_eq!(predictions.len(), 1);
            count += 1;
        }
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("{rate:.0} scenarios a second (preflight, request, one cookie sent, one stored)");
    if !cfg!(debug_assertions) {
        assert!(rate >= 200_000.0, "{rate:.0} a second");
    }
}
