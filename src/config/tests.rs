use super::*;

const GOOD: &str = r#"
[server]
listen = ["127.0.0.1:0"]
public_origin = "https://api.example.com"

[cors]
allow_origins = ["https://app.example.com"]

[session]
idle_timeout = "30m"

[auth]
users_file = "users.toml"
"#;

fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(text, Path::new("conf/withcreds.toml"))
}

#[test]
fn a_good_file() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.session.cookie.name(), "__Host-session");
    assert_eq!(config.session.lifetimes.idle, Duration::from_secs(1800));
    assert_eq!(config.session.lifetimes.absolute, Duration::from_secs(12 * 3600));
    assert_eq!(config.users_file.as_deref(), Some(Path::new("conf/users.toml")));
    assert!(config.cors.allows_credentials());
    assert!(!config.dev);
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
fn refusals() {
    for (case, change, code) in [
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
        ("nobody can log in", ("users_file = \"users.toml\"", ""), "users_file_missing"),
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
        ("redis is not here yet", ("[session]", "[session]\nstore = \"redis\""), "store_unknown"),
        ("idle beyond absolute", ("30m", "13h"), "idle_beyond_absolute"),
        ("zero", ("30m", "0s"), "zero_duration"),
        ("no duration", ("30m", "soon"), "malformed"),
        (
            "development in public",
            ("listen = [\"127.0.0.1:0\"]", "listen = [\"0.0.0.0:80\"]\n[dev]\nenabled = true\n[x]"),
            "dev_not_loopback",
        ),
        ("not TOML", ("[cors]", "[cors"), "toml_malformed"),
        (
            "a value for a section",
            (
                "[session]\nidle_timeout = \"30m\"",
                "[log]\nlevel = \"info\"\n[dev]\nenabled = false\n[logout]",
            ),
            "",
        ),
    ] {
        let text = GOOD.replace(change.0, change.1);
        assert_ne!(text, GOOD, "{case}: the change did nothing");
        let codes: Vec<_> = parse(&text).err().unwrap_or_default().iter().map(|e| e.code).collect();
        if code.is_empty() {
            assert_eq!(codes, [""; 0], "{case}");
        } else {
            assert!(codes.contains(&code), "{case}: {codes:?}");
        }
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
