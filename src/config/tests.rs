use std::time::Duration;

use super::*;
use crate::policy::csrf::{CsrfMode, CsrfRules};
use crate::store::Evict;

const GOOD: &str = r#"
[server]
listen = ["127.0.0.1:0"]
public_origin = "https://api.example.com"

[cors]
allow_origins = ["https://app.example.com"]

[session]
idle_timeout = "30m"

[auth]
users_file = "peers-users.toml"
"#;

/// From `withcreds keygen`, once.
const KEY: &str = "Q3v1mT8cWq0-Zs_9kLr5XyJ2bNd7uHe4fPaGoUiVwBE";
/// `change-me-change-me-change-me-please`, as people write it.
const EXAMPLE: &str = "Y2hhbmdlLW1lLWNoYW5nZS1tZS1jaGFuZ2UtbWUtcGxlYXNl";

fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(text, Path::new("tests/benches/withcreds.toml"))
}

#[test]
fn a_good_file() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.session.cookie.name(), "__Host-session");
    assert_eq!(config.session.lifetimes.idle, Duration::from_mins(30));
    assert_eq!(config.session.lifetimes.absolute, Duration::from_hours(12));
    assert_eq!(config.accounts.unwrap().len(), 1);
    assert_eq!(config.logout.post_logout_url, "https://app.example.com/");
    assert!(config.cors.allows_credentials());
    assert!(!config.dev);
}

#[test]
fn what_a_session_may_be_given() {
    let text = GOOD.replace(
        "[session]",
        &format!(
            "[session]\nkeys = [\"{KEY}\"]\nsnapshot = \"s\"\nmax_bytes = 2000000\nevict = \"lru\"\ndomain = \"example.com\""
        ),
    );
    let session = parse(&text).unwrap().session;
    assert_eq!(session.cookie.name(), "__Secure-session");
    assert_eq!(
        (session.limits.max_bytes, session.limits.evict),
        (2_000_000, Evict::LeastRecentlyUsed)
    );
    // Relative paths start from the file.
    let snapshot = Some(PathBuf::from("tests/benches/s"));
    assert_eq!(session.store, StoreConfig::Memory { snapshot });
    assert!(session.keys.is_some());
}

#[test]
fn no_message_repeats_a_key() {
    for keys in [format!("[\"{EXAMPLE}\"]"), format!("\"{KEY}\""), format!("[\"{KEY}\", 5]")] {
        let text = GOOD.replace("[session]", &format!("[session]\nkeys = {keys}"));
        let shown = format!("{:?}", parse(&text).unwrap_err());
        assert!(!shown.contains(EXAMPLE) && !shown.contains(KEY), "{shown}");
    }
}

#[test]
fn development_is_sound() {
    let config = Config::development().unwrap();
    assert!(config.dev);
    assert_eq!(config.session.cookie.name(), "session");
    assert_eq!(config.frontend.unwrap().origin.as_str(), "http://localhost:3000");
    assert!(config.server.listen.iter().all(|a| a.ip().is_loopback()));
}

#[test]
fn all_mistakes_at_once() {
    let errors = parse(
        r#"[server]
listen = ["127.0.0.1:0", "nowhere"]
public_origin = "https://api.example.com/"
worker_threads = 0

[cors]
allow_origin = ["x"]
allow_origins = ["https://app.example.com", "https://app.example.com/"]
max_age_s = "600"

[session]
idle_timeout = "13h"
same_site = "none"
cookie_name = "a b"

[sesion]

[log]
level = "loud"
"#,
    )
    .unwrap_err();
    let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn refusals_about_sessions() {
    refused(&[
        ("no such store", ("[session]", "[session]\nstore = \"disk\""), "store_unknown"),
        ("no such policy", ("[session]", "[session]\nevict = \"fifo\""), "evict_unknown"),
        ("too few bytes", ("[session]", "[session]\nmax_bytes = 1000"), "out_of_range"),
        ("no key", ("[session]", "[session]\nkeys = []"), "session_keys_number"),
        ("a key for a ring", ("[session]", "[session]\nkeys = \"x\""), "wrong_type"),
        ("a short key", ("[session]", "[session]\nkeys = [\"c2hvcnQ\"]"), "session_key_short"),
        (
            "one byte",
            ("[session]", &format!("[session]\nkeys = [\"{}\"]", "ab".repeat(32))),
            "session_key_repeated",
        ),
        (
            "an example behind a good one",
            ("[session]", &format!("[session]\nkeys = [\"{KEY}\", \"{EXAMPLE}\"]")),
            "session_key_example",
        ),
        (
            "a snapshot that nobody could open",
            ("[session]", "[session]\nsnapshot = \"s\""),
            "session_keys_missing",
        ),
        (
            "a cookie for everybody",
            ("[session]", "[session]\ndomain = \"com\""),
            "cookie_domain_public_suffix",
        ),
        (
            "a cookie for others",
            ("[session]", "[session]\ndomain = \"example.org\""),
            "cookie_domain_foreign",
        ),
        (
            "a prefix against its promise",
            ("[session]", "[session]\ndomain = \"example.com\"\ncookie_name = \"__Host-s\""),
            "cookie_prefix_forbids_domain",
        ),
        ("no server", ("[session]", "[session]\nstore = \"redis\""), "redis_url_missing"),
        (
            "no URL",
            ("[session]", "[redis]\nurl = \"cache:6379\"\n[session]\nstore = \"redis\""),
            "redis_url_malformed",
        ),
        ("no keys", ("[session]", "[session]\nstore = \"cookie\""), "session_keys_missing"),
        (
            "a snapshot of nothing",
            (
                "[session]",
                "[redis]\nurl = \"redis://x\"\n[session]\nstore = \"redis\"\nsnapshot = \"s\"",
            ),
            "snapshot_without_memory",
        ),
    ]);
}

#[test]
fn refusals_about_csrf() {
    let csrf = |line: &str| format!("[csrf]\n{line}\n[session]");
    for (case, line, key, code) in [
        ("no such mode", "mode = 'cookie'", "csrf.mode", "csrf_mode_unknown"),
        ("no header", "header_name = 'X CSRF'", "csrf.header_name", "malformed"),
        ("a safelisted header", "header_name = 'Accept'", "csrf.header_name", "malformed"),
        ("a forbidden header", "header_name = 'Cookie'", "csrf.header_name", "malformed"),
        ("no cookie", "cookie_name = 'a b'", "csrf.cookie_name", "cookie_name_malformed"),
        (
            "the session's cookie",
            "cookie_name = '__Host-session'",
            "csrf.cookie_name",
            "cookie_name_taken",
        ),
        (
            "hidden from scripts",
            "cookie_name = '__Http-t'",
            "csrf.cookie_name",
            "cookie_prefix_hides_from_scripts",
        ),
        (
            "a prefix against its promise",
            "cookie_name = '__Host-t'\ncookie_domain = 'example.com'",
            "csrf.cookie_name",
            "cookie_prefix_forbids_domain",
        ),
        (
            "a sibling's domain",
            "cookie_domain = 'app.example.com'",
            "csrf.cookie_domain",
            "cookie_domain_foreign",
        ),
        (
            "everybody's domain",
            "cookie_domain = 'com'",
            "csrf.cookie_domain",
            "cookie_domain_public_suffix",
        ),
        ("no domain", "cookie_domain = '.com'", "csrf.cookie_domain", "cookie_domain_malformed"),
        ("no switch", "safe_methods = 'yes'", "csrf.safe_methods", "wrong_type"),
    ] {
        let errors = parse(&GOOD.replace("[session]", &csrf(line))).unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| (e.key.as_str(), e.code, e.line > 0)).collect();
        assert_eq!(got, [(key, code, true)], "{case}");
    }
}

#[test]
fn what_csrf_may_be_given() {
    let lines = "[csrf]\nmode = 'header'\nheader_name = 'X-My-Token'\ncookie_name = 'XSRF-TOKEN'\ncookie_domain = 'example.com'\nsafe_methods = true\n[session]";
    let config = parse(&GOOD.replace("[session]", lines)).unwrap();
    let CsrfConfig { rules, cookie } = config.csrf;
    assert_eq!((rules.mode, rules.safe_methods), (CsrfMode::Header, true));
    assert_eq!(rules.header.name(), "x-my-token");
    assert_eq!(cookie.set("t"), "XSRF-TOKEN=t; SameSite=Lax; Secure; Path=/; Domain=example.com");
    let defaults = parse(GOOD).unwrap().csrf;
    assert_eq!(defaults.rules, CsrfRules::default());
    assert_eq!(defaults.cookie.set("t"), "CSRF-TOKEN=t; SameSite=Lax; Secure; Path=/");
}

#[test]
fn frontends_on_another_site() {
    let cross = "[\"https://app.example.com\", \"https://app.example.org\"]";
    let text = GOOD.replace("[\"https://app.example.com\"]", cross);
    let errors = parse(&text).unwrap_err();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.code, error.key.as_str()), ("cross_site_frontend", "cors.allow_origins"));
    assert_eq!((error.line, error.value.as_deref()), (7, Some("https://app.example.org")));
    assert!(error.reason.contains("SameSite=Lax") && error.reason.contains("Safari"), "{error}");
    assert!(error.mend.contains("below example.com over https"), "{error}");
    // Whoever means it says so; and whose policy has no credentials needs no cookie.
    let mean = |line: &str, after: &str| parse(&text.replace(after, &format!("{after}\n{line}")));
    assert!(mean("dangerous_allow_cross_site = true", "[session]").is_ok());
    assert!(mean("allow_credentials = false", "[cors]").is_ok());
    refused(&[
        (
            "another scheme",
            (
                "allow_origins = [\"https://",
                "dangerous_allow_insecure_origins = true\nallow_origins = [\"http://",
            ),
            "cross_site_frontend",
        ),
        (
            "a pattern",
            ("[cors]", "[cors]\nallow_origin_patterns = ['https://*.example.org']"),
            "cross_site_frontend",
        ),
    ]);
    let text = text.replace("[session]", "[session]\ndangerous_allow_cross_site = 'yes'");
    let codes: Vec<_> = parse(&text).unwrap_err().iter().map(|e| e.code).collect();
    assert_eq!(codes, ["wrong_type"], "and nothing that follows from it");
}

#[test]
fn refusals_about_limits() {
    refused(&[
        (
            "nobody's network",
            ("[cors]", "trusted_proxies = ['nginx']\n[cors]"),
            "trusted_proxies_malformed",
        ),
        (
            "half a network",
            ("[cors]", "trusted_proxies = ['10.0.0.1/8']\n[cors]"),
            "trusted_proxies_malformed",
        ),
        (
            "everybody",
            ("[cors]", "trusted_proxies = ['0.0.0.0/0']\n[cors]"),
            "trusted_proxies_everybody",
        ),
        ("no attempt", ("[cors]", "[rate_limit]\nlogin_attempts = 0\n[cors]"), "out_of_range"),
        ("no time", ("[cors]", "[rate_limit]\nlogin_window = '0s'\n[cors]"), "zero_duration"),
        ("two days", ("[cors]", "[rate_limit]\nlogin_window = '2days'\n[cors]"), "out_of_range"),
    ]);
}

#[test]
fn what_the_server_may_be_given() {
    let server = parse(GOOD).unwrap().server;
    assert_eq!(server.admin_listen, loopback(9090)[..1]);
    assert_eq!((server.max_connections, server.limits), (10_000, ServerLimits::default()));
    let lines = "admin_listen = []\nmax_connections = 5\n[server.limits]\nhead = '1s'\nhead_bytes = 8192\nbody = '2s'\nmin_rate = 0\nwrite = '3s'\nidle = '4s'\n[cors]";
    let server = parse(&GOOD.replace("[cors]", lines)).unwrap().server;
    assert_eq!((server.admin_listen, server.max_connections), (Vec::new(), 5));
    let [head, body, write, idle] = [1, 2, 3, 4].map(Duration::from_secs);
    let limits = ServerLimits { head, head_bytes: 8192, body, min_rate: 0, write, idle };
    assert_eq!(server.limits, limits);
}

#[test]
fn refusals_about_the_server() {
    let limits = |line: &str| format!("[server.limits]\n{line}\n[cors]");
    for (case, lines, key, code) in [
        (
            "no address",
            "admin_listen = ['x']\n[cors]".to_owned(),
            "server.admin_listen",
            "address_malformed",
        ),
        ("no list", "admin_listen = 'x'\n[cors]".to_owned(), "server.admin_listen", "wrong_type"),
        (
            "nobody",
            "max_connections = 0\n[cors]".to_owned(),
            "server.max_connections",
            "out_of_range",
        ),
        ("no section", "limits = 5\n[cors]".to_owned(), "server.limits", "not_a_section"),
        ("no time", limits("head = '0s'"), "server.limits.head", "zero_duration"),
        ("two hours", limits("idle = '2h'"), "server.limits.idle", "out_of_range"),
        ("no headers", limits("head_bytes = 100"), "server.limits.head_bytes", "out_of_range"),
        ("less than nothing", limits("min_rate = -1"), "server.limits.min_rate", "out_of_range"),
        ("no such limit", limits("idel = '1s'"), "server.limits.idel", "unknown_key"),
    ] {
        let errors = parse(&GOOD.replace("[cors]", &lines)).unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| (e.key.as_str(), e.code, e.line > 0)).collect();
        assert_eq!(got, [(key, code, true)], "{case}");
    }
    let text = GOOD.replace("127.0.0.1:0\"]", "127.0.0.1:80\"]\nadmin_listen = [\"127.0.0.1:80\"]");
    let errors = parse(&text).unwrap_err();
    assert_eq!(errors.iter().map(|e| e.code).collect::<Vec<_>>(), ["admin_not_separate"]);
}

#[test]
fn what_limits_may_be_given() {
    let config = parse(GOOD).unwrap();
    let quota = Quota { attempts: 10, window: Duration::from_mins(5) };
    assert_eq!(config.login_quota, Some(quota));
    let lines = "trusted_proxies = ['127.0.0.1', '10.0.0.0/8']\n[rate_limit]\nlogin_attempts = 3\nlogin_window = '1h'\n[cors]";
    let config = parse(&GOOD.replace("[cors]", lines)).unwrap();
    let quota = Quota { attempts: 3, window: Duration::from_hours(1) };
    assert_eq!((config.login_quota, config.server.trusted_proxies.len()), (Some(quota), 2));
}

/// Each change to the good file is answered by this code.
fn refused(cases: &[(&str, (&str, &str), &str)]) {
    for (case, change, code) in cases {
        let text = GOOD.replace(change.0, change.1);
        assert_ne!(text, GOOD, "{case}: the change did nothing");
        let codes: Vec<_> = parse(&text).err().unwrap_or_default().iter().map(|e| e.code).collect();
        assert!(codes.contains(code), "{case}: {codes:?}");
    }
}

#[test]
fn refusals() {
    refused(&[
        (
            "plain http",
            ("https://api.example.com", "http://api.example.com"),
            "public_origin_not_https",
        ),
        (
            "no public origin",
            ("public_origin = \"https://api.example.com\"", ""),
            "public_origin_missing",
        ),
        ("nobody can log in", ("users_file = \"peers-users.toml\"", ""), "users_file_missing"),
        (
            "no credentials for nobody",
            (
                "[cors]\nallow_origins = [\"https://app.example.com\"]",
                "[cors]\nallow_credentials = true",
            ),
            "no_origin",
        ),
        (
            "wildcard",
            ("[\"https://app.example.com\"]", "[\"*\"]\nallow_credentials = true"),
            "wildcard_origin_with_credentials",
        ),
        ("idle beyond absolute", ("30m", "13h"), "idle_beyond_absolute"),
        ("zero", ("30m", "0s"), "zero_duration"),
        ("no duration", ("30m", "soon"), "malformed"),
        (
            "development in public",
            ("listen = [\"127.0.0.1:0\"]", "listen = [\"0.0.0.0:80\"]\n[dev]\nenabled = true\n[x]"),
            "dev_not_loopback",
        ),
        ("not TOML", ("[cors]", "[cors"), "toml_malformed"),
        ("a value for a section", ("[server]", "log = \"info\"\n[server]"), "not_a_section"),
        ("what is still to come", ("[session]", "[gateway]\nx = \"x\"\n[session]"), "not_yet"),
        ("half of TLS", ("[server]", "[server]\ntls.cert = \"cert.pem\""), "tls_incomplete"),
        (
            "TLS without files",
            ("[server]", "[server]\ntls.cert = \"a\"\ntls.key = \"b\""),
            "tls_unreadable",
        ),
        (
            "the key itself",
            ("[server]", "[server]\ntls.cert = \"a\"\ntls.key = \"-----BEGIN PRIVATE KEY-----\""),
            "tls_not_a_path",
        ),
        ("no streams", ("[server]", "[server]\nhttp2.max_streams = 0"), "out_of_range"),
        ("no users file", ("peers-users.toml", "nowhere.toml"), "users_file_bad"),
        ("no users in it", ("peers-users.toml", "peers.toml"), "users_file_bad"),
        (
            "development halfway",
            ("[session]", "[dev]\nfrontend = \"http://localhost:3000\"\n[session]"),
            "dev_not_enabled",
        ),
        (
            "no place to go",
            ("[auth]", "[logout]\npost_logout_url = \"javascript:alert(1)\"\n[auth]"),
            "url_malformed",
        ),
        ("nowhere to go", ("[auth]", "[logout]\npost_logout_url = \"\"\n[auth]"), "url_malformed"),
    ]);
}

#[test]
fn a_bad_value_has_no_false_consequences() {
    for (change, code) in [
        (
            (
                "[\"https://app.example.com\"]",
                "\"https://app.example.com\"\nallow_credentials = true",
            ),
            "wrong_type",
        ),
        (("\"30m\"", "\"13h\"\nabsolute_timeout = \"soon\""), "malformed"),
    ] {
        let errors = parse(&GOOD.replace(change.0, change.1)).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.code).collect::<Vec<_>>(), [code]);
    }
}

#[test]
fn where_a_logout_leads() {
    for (text, want) in [
        ("https://app.example.com", Some("https://app.example.com/")),
        ("https://bücher.example/x", Some("https://xn--bcher-kva.example/x")),
        ("/bye?x=1#y", Some("/bye?x=1#y")),
        ("//evil.example/", None),
        ("/\\evil.example", None),
        ("bye", None),
        ("ftp://app.example.com", None),
    ] {
        assert_eq!(where_to(text).as_deref(), want, "{text}");
    }
}

#[test]
fn prefixes_and_same_site_none_need_https() {
    for line in [
        "cookie_name = \"__Host-s\"",
        "same_site = \"none\"\ndangerous_allow_cross_site = true",
        "partitioned = true",
    ] {
        let text = format!("[dev]\nenabled = true\n[session]\n{line}\n");
        assert_eq!(parse(&text).unwrap_err().len(), 1, "{line}");
    }
}

#[test]
fn a_missing_file_is_said() {
    let errors = Config::read(Path::new("does/not/exist.toml")).unwrap_err();
    assert_eq!(errors[0].code, "config_unreadable");
}
