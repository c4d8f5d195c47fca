//! Cookies: sent or withheld, by engine.

use serde_json::{Value, json};
use withcreds_harness::scenario::Engine;

use crate::cookies::{H, S, SX, allow, setting};
use crate::support::assert_meets;

use Engine::{Chromium, Firefox, Safari, Webkit};

/// A page asks a backend of whose host there are cookies.
fn asking(page: &str, url: &str, cookies: &[(&str, &str)], step: Value) -> Value {
    let cookies: Vec<_> =
        cookies.iter().map(|(host, set)| json!({ "host": host, "set": set })).collect();
    let origin = url::Url::parse(url).expect("an address").origin().ascii_serialization();
    let mut all = json!({ "url": url, "credentials": "include" });
    for (key, value) in step.as_object().expect("a table") {
        all[key] = value.clone();
    }
    json!({
        "page": page, "cookie": cookies, "step": [all],
        "backend": [{ "origin": origin, "actual": allow(""), "preflight": allow("") }],
    })
}

#[test]
fn what_is_sent() {
    let sent = |cookies: &[&str]| json!({ "cookies_sent": cookies, "cookies_withheld": [] });
    let held = |name: &str, reason: &str| json!({ "cookies_sent": [], "cookies_withheld": [{ "name": name, "reason": reason }] });
    let api = "http://api.shop.test:8001/auth/x";
    for (case, page, url, cookies, step, want) in [
        ("one site", H, api, vec![("api.shop.test", "sid=1")], json!({}), sent(&["sid=1"])),
        (
            "Strict on one site",
            H,
            api,
            vec![("api.shop.test", "sid=1; SameSite=Strict")],
            json!({}),
            sent(&["sid=1"]),
        ),
        ("a cookie of the page's host", H, api, vec![("shop.test", "sid=1")], json!({}), sent(&[])),
        (
            "a cookie of the parent domain",
            H,
            api,
            vec![("shop.test", "sid=1; Domain=shop.test")],
            json!({}),
            sent(&["sid=1"]),
        ),
        ("a cookie of a sibling", H, api, vec![("www.shop.test", "sid=1")], json!({}), sent(&[])),
        (
            "ports do not count",
            H,
            "http://shop.test:9000/",
            vec![("shop.test", "sid=1")],
            json!({}),
            sent(&["sid=1"]),
        ),
        ("path", H, api, vec![("api.shop.test", "sid=1; Path=/auth")], json!({}), sent(&["sid=1"])),
        (
            "other path",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/au")],
            json!({}),
            held("sid", "cookie-path-mismatch"),
        ),
        (
            "longer paths first, then older",
            H,
            api,
            vec![
                ("api.shop.test", "a=1; Path=/"),
                ("api.shop.test", "b=1; Path=/"),
                ("api.shop.test", "c=1; Path=/auth"),
            ],
            json!({}),
            sent(&["c=1", "a=1", "b=1"]),
        ),
        ("a name alone", H, api, vec![("api.shop.test", "sid")], json!({}), sent(&["sid"])),
        (
            "Secure over http",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/; Secure")],
            json!({}),
            held("sid", "secure-cookie-over-http"),
        ),
        (
            "omit",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/")],
            json!({ "credentials": "omit" }),
            held("sid", "client-credentials-not-enabled"),
        ),
        (
            "same-origin",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/")],
            json!({ "credentials": "same-origin" }),
            held("sid", "client-credentials-not-enabled"),
        ),
        (
            "xhr without withCredentials",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/")],
            json!({ "client": "xhr", "credentials": "omit" }),
            held("sid", "client-credentials-not-enabled"),
        ),
        (
            "an image asks nobody",
            H,
            api,
            vec![("api.shop.test", "sid=1; Path=/")],
            json!({ "client": "image", "credentials": null }),
            sent(&["sid=1"]),
        ),
        (
            "same-origin at home",
            H,
            "http://shop.test:8000/",
            vec![("shop.test", "sid=1; Path=/")],
            json!({ "credentials": "same-origin" }),
            sent(&["sid=1"]),
        ),
        (
            "Lax follows a link",
            S,
            "https://api.corp.test:8443/",
            vec![("api.corp.test", "sid=1; Secure; SameSite=Lax")],
            json!({ "client": "navigate", "credentials": null }),
            sent(&["sid=1"]),
        ),
        (
            "Strict does not",
            S,
            "https://api.corp.test:8443/",
            vec![("api.corp.test", "sid=1; Secure; SameSite=Strict")],
            json!({ "client": "navigate", "credentials": null }),
            held("sid", "samesite-strict-after-redirect"),
        ),
        (
            "Lax does not go with a POST",
            S,
            "https://api.corp.test:8443/",
            vec![("api.corp.test", "sid=1; Secure; SameSite=Lax")],
            json!({ "client": "form", "method": "POST", "credentials": null }),
            held("sid", "lax-post-form-post-callback"),
        ),
        (
            "None does",
            S,
            "https://api.corp.test:8443/",
            vec![("api.corp.test", "sid=1; Secure; SameSite=None")],
            json!({ "client": "form", "method": "POST", "credentials": null }),
            sent(&["sid=1"]),
        ),
    ] {
        for engine in Engine::ALL {
            assert_meets(case, engine, &asking(page, url, &cookies, step.clone()), &want);
        }
    }
    // A cookie with a path that was set over https is withheld over http for its Secure alone.
}

#[test]
fn what_engines_send_differently() {
    let sent = || json!({ "cookies_sent": ["sid=1"], "cookies_withheld": [] });
    let held = |reason: &str| json!({ "cookies_sent": [], "cookies_withheld": [{ "name": "sid", "reason": reason }] });
    let cross = |third_party: &str, set: &str, step: Value| {
        let mut value = asking(S, &format!("{SX}/"), &[("api.corp.test", set)], step);
        value["third_party_cookies"] = json!(third_party);
        value
    };
    let none = "sid=1; Path=/; Secure; SameSite=None";
    for (case, engine, value, want) in [
        ("None, allowed", Chromium, cross("allow", none, json!({})), sent()),
        ("None, allowed", Firefox, cross("allow", none, json!({})), sent()),
        (
            "None, out of the box",
            Chromium,
            cross("default", none, json!({})),
            held("third-party-cookies-blocked"),
        ),
        (
            "None, out of the box",
            Firefox,
            cross("default", none, json!({})),
            held("firefox-total-cookie-protection"),
        ),
        ("None, out of the box", Webkit, cross("default", none, json!({})), sent()),
        (
            "None, out of the box",
            Safari,
            cross("default", none, json!({})),
            held("third-party-cookies-blocked"),
        ),
        (
            "no SameSite",
            Chromium,
            cross("allow", "sid=1; Path=/", json!({})),
            held("samesite-lax-default-cross-site"),
        ),
        ("no SameSite", Firefox, cross("allow", "sid=1; Path=/", json!({})), sent()),
        (
            "Lax",
            Firefox,
            cross("allow", "sid=1; Path=/; SameSite=Lax", json!({})),
            held("samesite-lax-default-cross-site"),
        ),
        (
            "partitioned, first-party copy",
            Chromium,
            cross("allow", "sid=1; Path=/; Secure; SameSite=None; Partitioned", json!({})),
            held("partitioned-other-top-level"),
        ),
        (
            "no SameSite with a POST, young",
            Chromium,
            cross(
                "default",
                "sid=1; Path=/",
                json!({ "client": "form", "method": "POST", "credentials": null }),
            ),
            sent(),
        ),
        (
            "no SameSite with a POST, old",
            Chromium,
            cross(
                "default",
                "sid=1; Path=/",
                json!({ "client": "form", "method": "POST", "credentials": null, "wait_ms": 120_000 }),
            ),
            held("lax-post-form-post-callback"),
        ),
        (
            "no SameSite with a POST",
            Firefox,
            cross(
                "default",
                "sid=1; Path=/",
                json!({ "client": "form", "method": "POST", "credentials": null }),
            ),
            sent(),
        ),
        (
            "a sandboxed frame",
            Chromium,
            asking(
                H,
                "http://api.shop.test:8001/",
                &[("api.shop.test", "sid=1; SameSite=Lax")],
                json!({ "frame": "sandbox" }),
            ),
            held("samesite-lax-default-cross-site"),
        ),
    ] {
        assert_meets(case, engine, &value, &want);
    }
}

#[test]
fn partitions() {
    let under = |top: &str, engine_wide: bool| {
        let set = if engine_wide {
            "sid=1; Path=/; Secure; SameSite=None"
        } else {
            "sid=1; Path=/; Secure; SameSite=None; Partitioned"
        };
        let mut value = asking(S, &format!("{SX}/"), &[("api.corp.test", set)], json!({}));
        value["cookie"][0]["top_level_site"] = json!(top);
        value
    };
    let sent = json!({ "cookies_sent": ["sid=1"] });
    let held = |reason: &str| json!({ "cookies_sent": [], "cookies_withheld": [{ "name": "sid", "reason": reason }] });
    assert_meets("same top level", Chromium, &under("https://portal.test", false), &sent);
    assert_meets("same top level", Firefox, &under("https://portal.test", false), &sent);
    assert_meets("a bare host", Chromium, &under("portal.test", false), &sent);
    assert_meets(
        "other top level",
        Chromium,
        &under("https://other.test", false),
        &held("partitioned-other-top-level"),
    );
    assert_meets("by Firefox itself", Firefox, &under("https://portal.test", true), &sent);
    assert_meets(
        "by Firefox itself",
        Firefox,
        &under("https://other.test", true),
        &held("firefox-total-cookie-protection"),
    );
}

#[test]
fn redirect_chains_and_same_site() {
    // The page's host sends the request through another site and gets it back.
    let value = |set: &str, back: &str, host: &str| {
        json!({
            "page": "https://app.example.com",
            "third_party_cookies": "allow",
            "cookie": [{ "host": host, "set": set }],
            "backend": [
                { "origin": "https://hop.test", "actual": { "redirect": back, "headers": [["Access-Control-Allow-Origin", "{origin}"], ["Access-Control-Allow-Credentials", "true"]] } },
                { "origin": "https://app.example.com", "actual": { "headers": [["Access-Control-Allow-Origin", "null"], ["Access-Control-Allow-Credentials", "true"]] } },
                { "origin": "https://api.example.com", "actual": { "headers": [["Access-Control-Allow-Origin", "null"], ["Access-Control-Allow-Credentials", "true"]] } },
            ],
            "step": [{ "url": "https://hop.test/", "credentials": "include" }],
        })
    };
    for (set, back, host, engine, sent) in [
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://app.example.com/x",
            "app.example.com",
            Chromium,
            true,
        ),
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://app.example.com/x",
            "app.example.com",
            Firefox,
            false,
        ),
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://app.example.com/x",
            "app.example.com",
            Webkit,
            true,
        ),
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://api.example.com/x",
            "api.example.com",
            Chromium,
            true,
        ),
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://api.example.com/x",
            "api.example.com",
            Firefox,
            false,
        ),
        (
            "sid=1; Path=/; SameSite=Lax",
            "https://api.example.com/x",
            "api.example.com",
            Webkit,
            false,
        ),
        (
            "sid=1; Path=/; SameSite=None; Secure",
            "https://api.example.com/x",
            "api.example.com",
            Firefox,
            true,
        ),
    ] {
        let cookies = if sent { json!(["sid=1"]) } else { json!([]) };
        assert_meets(back, engine, &value(set, back, host), &json!({ "cookies_sent": cookies }));
    }
}

#[test]
fn grandfathered_third_parties_in_webkit() {
    let mut value = setting(S, SX, "default", "new=1; Secure; SameSite=None");
    value["cookie"] = json!([{ "host": "api.corp.test", "set": "old=1; Secure; SameSite=None" }]);
    let want = json!({ "cookies_sent": ["old=1"], "cookies_stored": ["new=1"] });
    assert_meets("grandfathered", Webkit, &value, &want);
}
