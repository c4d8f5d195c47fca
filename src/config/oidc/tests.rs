use std::path::Path;

use super::*;
use crate::config::{Config, ConfigError};
use crate::identity::oidc::ClaimMap;

const GOOD: &str = r#"
[server]
public_origin = "https://api.example.com"
[cors]
allow_origins = ["https://app.example.com"]
[oidc]
issuer = "https://login.example.com/"
client_id = "withcreds"
client_secret = "hunter2"
"#;

fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(text, Path::new("withcreds.toml"))
}

#[test]
fn a_provider_needs_three_lines() {
    let config = parse(GOOD).unwrap();
    let oidc = config.oidc.unwrap();
    assert_eq!(oidc.issuer, "https://login.example.com/");
    assert_eq!(oidc.redirect_uri.as_str(), "https://api.example.com/api/auth/callback");
    assert_eq!(oidc.scopes, ["profile", "email"]);
    assert_eq!(oidc.claims, ClaimMap::default());
    assert_eq!(oidc.algs, SigningAlg::all());
    assert!(!oidc.plain_loopback);
    assert!(!format!("{oidc:?}").contains("hunter2"));
    assert_eq!(config.return_url.default, "https://app.example.com/");
    assert_eq!(config.return_url.allowed_origins[0].as_str(), "https://app.example.com");
    assert!(config.logout.revoke && config.logout.rp_initiated && !config.token.expose);
    assert_eq!(config.token.expiry_buffer, Duration::from_mins(1));
}

#[test]
fn everything_can_be_said() {
    let more = r#"
client_auth = "post"
scopes = ["openid", "offline_access"]
redirect_uri = "https://api.example.com/signed-in"
algs = ["ES256"]
authorize_url = "https://login.example.com/a"
token_url = "https://login.example.com/t"
jwks_url = "https://login.example.com/j"
params = { prompt = "consent" }
hint_params = { idp_hint = "kc_idp_hint" }
userinfo = false
[oidc.claims]
user_id = "email"
tenant_id = "/org/id"
metadata = ["name"]
[return_url]
default = "/home"
allowed_origins = []
[logout]
revoke = false
[token]
expose = true
expiry_buffer = "5s"
"#;
    let config = parse(&format!("{GOOD}{more}")).unwrap();
    let oidc = config.oidc.unwrap();
    assert_eq!(oidc.scopes, ["offline_access"]);
    assert_eq!(oidc.endpoints.unwrap().token.as_str(), "https://login.example.com/t");
    assert_eq!(oidc.params, [("prompt".to_owned(), "consent".to_owned())]);
    assert_eq!(oidc.claims.tenant_id.as_deref(), Some("/org/id"));
    assert_eq!(config.return_url.default, "/home");
    assert!(config.return_url.allowed_origins.is_empty() && config.token.expose);
}

#[test]
fn refusals() {
    for (case, change, code) in [
        ("no issuer", ("issuer = \"https://login.example.com/\"", ""), "issuer_missing"),
        ("no client", ("client_id = \"withcreds\"", ""), "client_id_missing"),
        ("empty client", ("\"withcreds\"", "\"\""), "client_id_missing"),
        ("empty secret", ("\"hunter2\"", "\"\""), "client_secret_empty"),
        ("a secret that is no text", ("\"hunter2\"", "5"), "wrong_type"),
        ("plain http", ("https://login", "http://login"), "provider_not_https"),
        (
            "plain loopback",
            ("https://login.example.com", "http://localhost:9"),
            "provider_not_https",
        ),
        ("a query", ("login.example.com/", "login.example.com/?x"), "issuer_malformed"),
        ("no URL", ("https://login.example.com/", "login"), "issuer_malformed"),
        (
            "elsewhere",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://app.example.com/cb\""),
            "redirect_uri_off_origin",
        ),
        (
            "elsewhere by port",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://api.example.com:8443/cb\""),
            "redirect_uri_off_origin",
        ),
        ("a path", ("[oidc]", "[oidc]\nredirect_uri = \"/cb\""), "redirect_uri_malformed"),
        ("unsigned", ("[oidc]", "[oidc]\nalgs = [\"RS256\", \"none\"]"), "alg_none"),
        ("shared secret", ("[oidc]", "[oidc]\nalgs = [\"HS256\"]"), "alg_shared_secret"),
        ("made up", ("[oidc]", "[oidc]\nalgs = [\"RS1\"]"), "alg_unknown"),
        ("none at all", ("[oidc]", "[oidc]\nalgs = []"), "alg_missing"),
        (
            "half the endpoints",
            ("[oidc]", "[oidc]\ntoken_url = \"https://login.example.com/t\""),
            "endpoints_incomplete",
        ),
        (
            "an endpoint over http",
            ("[oidc]", "[oidc]\njwks_url = \"http://login.example.com/j\""),
            "provider_not_https",
        ),
        ("two in one", ("[oidc]", "[oidc]\nscopes = [\"a b\"]"), "scope_malformed"),
        ("unknown way", ("[oidc]", "[oidc]\nclient_auth = \"jwt\""), "client_auth_unknown"),
        ("ours", ("[oidc]", "[oidc]\nparams = { state = \"x\" }"), "param_reserved"),
        ("a claim too many", ("[oidc]", "[oidc]\nclaims = { id = \"x\" }"), "wrong_type"),
        (
            "no origin",
            ("[oidc]", "[return_url]\nallowed_origins = [\"https://app.example.com/\"]\n[oidc]"),
            "malformed",
        ),
        (
            "no place",
            ("[oidc]", "[return_url]\ndefault = \"javascript:x\"\n[oidc]"),
            "url_malformed",
        ),
        ("no page", ("[oidc]", "[auth]\nlogin_page = \"login\"\n[oidc]"), "url_malformed"),
    ] {
        refuses(case, change, code);
    }
}

#[test]
fn callbacks_parameters_and_keys_are_looked_at() {
    for (case, change, code) in [
        (
            "a fragment",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://api.example.com/cb#x\""),
            "redirect_uri_malformed",
        ),
        (
            "a query",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://api.example.com/cb?x=1\""),
            "redirect_uri_malformed",
        ),
        (
            "a password",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://:x@api.example.com/cb\""),
            "redirect_uri_malformed",
        ),
        (
            "a line break",
            ("[oidc]", "[oidc]\nredirect_uri = \"https://api.example.com/c\\nb\""),
            "redirect_uri_malformed",
        ),
        (
            "plain callback",
            ("[oidc]", "[oidc]\nredirect_uri = \"http://api.example.com/cb\""),
            "redirect_uri_off_origin",
        ),
        (
            "a hint of ours",
            ("[oidc]", "[oidc]\nhint_params = { idp_hint = \"redirect_uri\" }"),
            "param_reserved",
        ),
        (
            "a nameless hint",
            ("[oidc]", "[oidc]\nhint_params = { idp_hint = \"\" }"),
            "param_malformed",
        ),
        (
            "a hint twice",
            ("[oidc]", "[oidc]\nhint_params = { idp_hint = \"a\", tenant_name = \"a\" }"),
            "param_twice",
        ),
        (
            "login_hint twice",
            ("[oidc]", "[oidc]\nhint_params = { tenant_name = \"login_hint\" }"),
            "param_twice",
        ),
        ("two lines", ("[oidc]", "[oidc]\nparams = { prompt = \"a\\nb\" }"), "param_malformed"),
        (
            "instances without keys",
            (
                "[oidc]",
                "[session]\nstore = \"redis\"\n[redis]\nurl = \"redis://127.0.0.1\"\n[oidc]",
            ),
            "session_keys_missing",
        ),
    ] {
        refuses(case, change, code);
    }
}

#[track_caller]
fn refuses(case: &str, change: (&str, &str), code: &str) {
    let text = GOOD.replacen(change.0, change.1, 1);
    assert_ne!(text, GOOD, "{case}: the change did nothing");
    let errors = parse(&text).err().unwrap_or_default();
    let codes: Vec<_> = errors.iter().map(|e| e.code).collect();
    assert!(codes.contains(&code), "{case}: {codes:?}");
    assert!(!format!("{errors:?}").contains("hunter2"), "{case}");
}

#[test]
fn development_may_use_a_provider_on_this_machine_only() {
    let dev = |issuer: &str| {
        format!(
            "[dev]\nenabled = true\n[cors]\nallow_origins = ['http://localhost:3000']\n[oidc]\nissuer = '{issuer}'\nclient_id = 'a'"
        )
    };
    assert!(parse(&dev("http://127.0.0.1:9")).unwrap().oidc.unwrap().plain_loopback);
    let errors = parse(&dev("http://login.example.com")).unwrap_err();
    assert_eq!(errors[0].code, "provider_not_https");
}
