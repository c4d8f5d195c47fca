//! Cookies: stored or refused, by engine; the words that the tables about cookies share.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::support::assert_meets;

use Engine::{Chromium, Firefox, Safari, Webkit};

/// A page asks a backend with credentials; the backend sets a cookie.
pub(super) fn setting(page: &str, backend: &str, third_party: &str, line: &str) -> Value {
    json!({
        "page": page,
        "third_party_cookies": third_party,
        "backend": [{ "origin": backend, "actual": allow(line) }],
        "step": [{ "url": format!("{backend}/api/login"), "credentials": "include" }],
    })
}

pub(super) fn allow(line: &str) -> Value {
    json!({
        "headers": [["Access-Control-Allow-Origin", "{origin}"], ["Access-Control-Allow-Credentials", "true"]],
        "set_cookie": if line.is_empty() { vec![] } else { vec![line] },
    })
}

pub(super) const S: &str = "https://portal.test:8443";
pub(super) const SX: &str = "https://api.corp.test:8443";
pub(super) const H: &str = "http://shop.test:8000";
pub(super) const HA: &str = "http://api.shop.test:8001";

#[test]
fn what_is_stored() {
    let long = format!("sid={}", "x".repeat(5000));
    for (case, page, backend, line, refused) in [
        ("plain", H, HA, "sid=1", None),
        ("Strict on one site", H, HA, "sid=1; SameSite=Strict", None),
        ("parent domain", H, HA, "sid=1; Domain=shop.test", None),
        ("a leading dot", H, HA, "sid=1; Domain=.shop.test", None),
        ("own domain", H, HA, "sid=1; Domain=api.shop.test", None),
        (
            "a domain with a port",
            H,
            HA,
            "sid=1; Domain=api.shop.test:8001",
            Some("cookie-domain-invalid"),
        ),
        ("another host", H, HA, "sid=1; Domain=www.shop.test", Some("cookie-domain-invalid")),
        ("a child", H, HA, "sid=1; Domain=x.api.shop.test", Some("cookie-domain-invalid")),
        ("half a label", H, HA, "sid=1; Domain=op.test", Some("cookie-domain-invalid")),
        ("a public suffix", H, HA, "sid=1; Domain=test", Some("cookie-domain-public-suffix")),
        (
            "a private suffix",
            "https://a.github.io",
            "https://b.a.github.io",
            "sid=1; Domain=github.io",
            Some("cookie-domain-public-suffix"),
        ),
        ("Secure over http", H, HA, "sid=1; Secure", Some("secure-cookie-over-http")),
        ("too large", H, HA, &long, Some("cookie-too-large-or-bad-chars")),
        ("nothing", H, HA, "; Secure", Some("cookie-too-large-or-bad-chars")),
        ("a control character", H, HA, "sid=\u{1}", Some("cookie-too-large-or-bad-chars")),
        (
            "Strict from another site",
            S,
            SX,
            "sid=1; Secure; SameSite=Strict",
            Some("samesite-lax-default-cross-site"),
        ),
        (
            "Lax from another site",
            S,
            SX,
            "sid=1; Secure; SameSite=Lax",
            Some("samesite-lax-default-cross-site"),
        ),
        ("None from another site", S, SX, "sid=1; Secure; SameSite=None", None),
    ] {
        let value = setting(page, backend, "allow", line);
        let want = match refused {
            None => json!({ "cookies_refused": [], "cookies_stored": [line.split(';').next()] }),
            Some(code) => json!({
                "cookies_stored": [],
                "cookies_refused": [{ "name": if case == "nothing" { "" } else { "sid" }, "reason": code }],
            }),
        };
        for engine in Engine::ALL {
            assert_meets(case, engine, &value, &want);
        }
    }
}

#[test]
fn what_engines_store_differently() {
    let refused = |code: &str| json!({ "cookies_stored": [], "cookies_refused": [{ "name": "sid", "reason": code }] });
    let stored = || json!({ "cookies_stored": ["sid=1"], "cookies_refused": [] });
    let blocked = || refused("third-party-cookies-blocked");
    for (case, page, backend, third_party, line, engine, want) in [
        (
            "no SameSite, cross-site",
            S,
            SX,
            "allow",
            "sid=1; Secure",
            Chromium,
            refused("samesite-lax-default-cross-site"),
        ),
        ("no SameSite, cross-site", S, SX, "allow", "sid=1; Secure", Firefox, stored()),
        (
            "None without Secure",
            H,
            HA,
            "allow",
            "sid=1; SameSite=None",
            Chromium,
            refused("samesite-none-without-secure"),
        ),
        (
            "None without Secure",
            H,
            HA,
            "allow",
            "sid=1; SameSite=None",
            Firefox,
            refused("samesite-none-without-secure"),
        ),
        ("None without Secure", H, HA, "allow", "sid=1; SameSite=None", Safari, stored()),
        (
            "third party, out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None",
            Chromium,
            blocked(),
        ),
        (
            "third party, out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None",
            Firefox,
            stored(),
        ),
        (
            "third party, out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None",
            Webkit,
            blocked(),
        ),
        (
            "third party, out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None",
            Safari,
            blocked(),
        ),
        (
            "third party, blocked",
            S,
            SX,
            "block",
            "sid=1; Secure; SameSite=None",
            Firefox,
            blocked(),
        ),
        (
            "partitioned where blocked",
            S,
            SX,
            "block",
            "sid=1; Secure; SameSite=None; Partitioned",
            Chromium,
            stored(),
        ),
        (
            "partitioned where blocked",
            S,
            SX,
            "block",
            "sid=1; Secure; SameSite=None; Partitioned",
            Firefox,
            blocked(),
        ),
        (
            "partitioned out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None; Partitioned",
            Webkit,
            blocked(),
        ),
        (
            "partitioned out of the box",
            S,
            SX,
            "default",
            "sid=1; Secure; SameSite=None; Partitioned",
            Safari,
            stored(),
        ),
        (
            "partitioned without Secure",
            H,
            HA,
            "default",
            "sid=1; Partitioned",
            Chromium,
            refused("partitioned-without-secure"),
        ),
        (
            "partitioned without Secure",
            H,
            HA,
            "default",
            "sid=1; Partitioned",
            Firefox,
            refused("partitioned-without-secure"),
        ),
        ("partitioned without Secure", H, HA, "default", "sid=1; Partitioned", Webkit, stored()),
        (
            "Secure on localhost",
            "http://localhost:3000",
            "http://localhost:8080",
            "default",
            "sid=1; Secure",
            Chromium,
            stored(),
        ),
        (
            "Secure on localhost",
            "http://localhost:3000",
            "http://localhost:8080",
            "default",
            "sid=1; Secure",
            Firefox,
            stored(),
        ),
        (
            "Secure on localhost",
            "http://localhost:3000",
            "http://localhost:8080",
            "default",
            "sid=1; Secure",
            Webkit,
            refused("safari-secure-localhost"),
        ),
        (
            "Secure on localhost",
            "http://localhost:3000",
            "http://localhost:8080",
            "default",
            "sid=1; Secure",
            Safari,
            refused("safari-secure-localhost"),
        ),
        (
            "localhost and 127.0.0.1",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "allow",
            "sid=1",
            Chromium,
            refused("localhost-vs-127-site"),
        ),
        (
            "localhost and 127.0.0.1",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "allow",
            "sid=1",
            Firefox,
            stored(),
        ),
        (
            "http page, https backend",
            "http://shop.test:8000",
            "https://api.shop.test:8443",
            "default",
            "sid=1; Secure; SameSite=Lax",
            Chromium,
            refused("schemeful-same-site"),
        ),
        (
            "http page, https backend",
            "http://shop.test:8000",
            "https://api.shop.test:8443",
            "default",
            "sid=1; Secure; SameSite=Lax",
            Firefox,
            stored(),
        ),
        (
            "http page, https backend",
            "http://shop.test:8000",
            "https://api.shop.test:8443",
            "default",
            "sid=1; Secure; SameSite=Lax",
            Webkit,
            stored(),
        ),
    ] {
        assert_meets(case, engine, &setting(page, backend, third_party, line), &want);
    }
}

#[test]
fn prefixes() {
    let refused = |name: &str| json!({ "cookies_stored": [], "cookies_refused": [{ "name": name, "reason": "cookie-prefix-violation" }] });
    for (line, engines) in [
        ("__Host-s=1; Secure; Path=/", &[][..]),
        ("__Host-s=1; Secure", &[Chromium, Safari, Firefox]),
        ("__Host-s=1; Path=/", &[Chromium, Firefox, Safari]),
        ("__host-s=1; Secure; Path=/x", &[Chromium, Firefox, Safari]),
        ("__Host-s=1; Secure; Path=/; Domain=portal.test", &[Chromium, Firefox, Safari]),
        ("__Secure-s=1; Secure", &[]),
        ("__Secure-s=1", &[Chromium, Firefox, Safari]),
        ("__Http-s=1; Secure", &[Chromium, Firefox]),
        ("__Http-s=1; Secure; HttpOnly", &[]),
        ("__Host-Http-s=1; Secure; Path=/", &[Chromium, Firefox]),
    ] {
        // The path of the address is /api/login, so the default path is not `/`.
        let value = setting(S, S, "default", line);
        for engine in Engine::ALL {
            let name = line.split('=').next().expect("a name");
            let want = if engines.contains(&engine) {
                refused(name)
            } else {
                json!({ "cookies_stored": [line.split(';').next()], "cookies_refused": [] })
            };
            assert_meets(line, engine, &value, &want);
        }
    }
    let mut value = setting(S, S, "default", "__Host-s=1; Secure");
    value["step"][0]["url"] = json!(format!("{S}/login"));
    assert_meets("default path", Chromium, &value, &refused("__Host-s"));
    assert_meets("default path", Firefox, &value, &json!({ "cookies_stored": ["__Host-s=1"] }));
}

#[test]
fn expiry_replacement_and_deletion() {
    let steps = |lines: &[&str], wait_ms: u64| {
        let routes: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| json!({ "path": format!("/{index}"), "actual": allow(line) }))
            .collect();
        let mut all: Vec<_> = (0..lines.len())
            .map(|index| json!({ "url": format!("{HA}/{index}"), "credentials": "include" }))
            .collect();
        all.push(
            json!({ "url": format!("{HA}/end"), "credentials": "include", "wait_ms": wait_ms }),
        );
        json!({ "page": H, "backend": [{ "origin": HA, "route": routes, "actual": allow("") }], "step": all })
    };
    let year = 365 * 86_400_000_u64;
    for (case, lines, wait_ms, sent) in [
        ("alive", vec!["a=1; Path=/; Max-Age=10"], 9_999, vec!["a=1"]),
        ("over", vec!["a=1; Path=/; Max-Age=10"], 10_000, vec![]),
        (
            "Max-Age before Expires",
            vec!["a=1; Path=/; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
            0,
            vec!["a=1"],
        ),
        (
            "expired on arrival",
            vec!["a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
            0,
            vec![],
        ),
        ("replaced", vec!["a=1; Path=/", "a=2; Path=/"], 0, vec!["a=2"]),
        ("two paths are two cookies", vec!["a=1; Path=/", "a=2; Path=/end"], 0, vec!["a=2", "a=1"]),
        ("deleted", vec!["a=1; Path=/", "a=; Path=/; Max-Age=0"], 0, vec![]),
        (
            "deleted under another domain",
            vec!["a=1; Path=/; Domain=shop.test", "a=; Path=/; Max-Age=0"],
            0,
            vec!["a=1"],
        ),
        ("a session cookie lives on", vec!["a=1; Path=/"], 86_400_000, vec!["a=1"]),
    ] {
        let value = steps(&lines, wait_ms);
        for engine in Engine::ALL {
            assert_meets(case, engine, &value, &json!({ "cookies_sent": sent }));
        }
    }
    let mut capped = steps(&["a=1; Path=/; Max-Age=999999999"], 86_400_000);
    // Four hundred days are the longest life: a step waits a day at most, so many of them wait.
    let last = capped["step"][1].clone();
    let days = usize::try_from(2 * year / 86_400_000).expect("a number");
    capped["step"].as_array_mut().expect("steps").extend(vec![last; days]);
    assert_meets("capped", Chromium, &capped, &json!({ "cookies_sent": [] }));
}

#[test]
fn secure_cookies_are_left_alone() {
    let mut value = setting(H, HA, "default", "sid=2; Path=/");
    value["cookie"] = json!([{ "host": "api.shop.test", "set": "sid=1; Path=/; Secure" }]);
    let want = json!({ "cookies_stored": [], "cookies_refused": [{ "name": "sid", "reason": "secure-cookie-over-http" }] });
    for engine in Engine::ALL {
        assert_meets("overwriting", engine, &value, &want);
    }
}

#[test]
fn an_answer_that_cors_hides_sets_cookies_all_the_same() {
    let mut value = setting(H, HA, "default", "sid=1; Path=/");
    value["backend"][0]["actual"]["headers"] = json!([]);
    let want = json!({ "readable": false, "error": "acao-missing", "cookies_stored": ["sid=1"] });
    for engine in Engine::ALL {
        assert_meets("hidden", engine, &value, &want);
    }
}
