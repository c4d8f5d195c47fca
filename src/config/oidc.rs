//! `[oidc]`, `[return_url]`, `[logout]` and `[token]`: signing in at a provider.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use crate::config::reader::{Document, Section};
use crate::config::where_to;
use crate::identity::oidc::{
    ClientAuth, Endpoints, HintParams, OidcSettings, SigningAlg, SigningAlgError,
};
use crate::policy::origin::Origin;

/// What the service itself puts into the request; nobody else may.
const RESERVED: [&str; 10] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Servers on the way refuse longer ones.
const MAX_URL_BYTES: usize = 2048;
const MAX_PARAM_BYTES: usize = 255;

/// `[return_url]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnUrlConfig {
    /// Where a login leads if nothing else was asked for.
    pub default: String,
    /// Origins that a login may lead to.
    pub allowed_origins: Vec<Origin>,
}

/// `[logout]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutConfig {
    /// Where the browser goes after a logout.
    pub post_logout_url: HeaderValue,
    /// Whether the refresh token is given back to the provider.
    pub revoke: bool,
    /// Whether the user is logged out at the provider as well.
    pub rp_initiated: bool,
}

/// `[token]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenConfig {
    /// Whether `GET /api/auth/token` exists.
    pub expose: bool,
    /// A token that ends sooner than this is refreshed first.
    pub expiry_buffer: Duration,
}

/// The provider; `None` if there is no such section.
pub(super) fn read_oidc(
    document: &mut Document<'_>,
    dev: bool,
    public_origin: Option<&Origin>,
) -> Option<OidcSettings> {
    document.section("oidc", |s| {
        let issuer = s.value::<String>("issuer");
        let client_id = s.value::<String>("client_id");
        let client_secret = s.secret("client_secret");
        if client_secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            s.fault(
                "client_secret",
                None,
                "client_secret_empty",
                "an empty secret proves nothing",
                "write the secret that the provider gave this service, or leave it out",
            );
        }
        let client_auth = read_client_auth(s);
        let scopes = read_scopes(s);
        let redirect_uri = read_redirect_uri(s, public_origin);
        let algs = read_algs(s);
        let endpoints = read_endpoints(s, dev);
        let claims = s.value("claims").unwrap_or_default();
        let userinfo = s.value("userinfo").unwrap_or(true);
        let params = read_params(s);
        let hints = s.value("hint_params").unwrap_or_default();
        check_hints(s, &hints, &params);
        if !s.is_present() {
            return None;
        }
        if issuer.is_none() && !s.is_bad("issuer") {
            s.fault(
                "issuer",
                None,
                "issuer_missing",
                "without it nobody knows whose tokens to believe",
                "write the provider's issuer, as `iss` in its tokens has it",
            );
        }
        let issuer = issuer.filter(|text| check_issuer(s, text, dev));
        if client_id.as_deref().is_none_or(str::is_empty) && !s.is_bad("client_id") {
            s.fault(
                "client_id",
                None,
                "client_id_missing",
                "the provider knows this service by it",
                "write the id that the provider gave this service",
            );
        }
        Some(OidcSettings {
            issuer: issuer?,
            client_id: client_id?,
            client_secret,
            client_auth,
            scopes,
            redirect_uri: redirect_uri?,
            algs,
            endpoints,
            claims,
            userinfo,
            params,
            hints,
            plain_loopback: dev,
        })
    })
}

/// OpenID Connect Discovery 1.0 §2 and §4.1: https, no query, no fragment.
fn check_issuer(s: &mut Section<'_, '_>, text: &str, dev: bool) -> bool {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.host().is_some() && url.query().is_none() && url.fragment().is_none());
    let Some(url) = url else {
        s.fault(
            "issuer",
            Some(text.to_owned()),
            "issuer_malformed",
            "not the URL of a provider",
            "write a URL without `?` and `#`, such as \"https://login.example.com\"",
        );
        return false;
    };
    check_https(s, "issuer", &url, dev)
}

fn check_https(s: &mut Section<'_, '_>, key: &'static str, url: &Url, dev: bool) -> bool {
    let fine = OidcSettings::may_send_to(url, dev);
    if !fine {
        s.fault(
            key,
            Some(url.to_string()),
            "provider_not_https",
            "over plain http anybody on the path can be the provider",
            "write an https URL; only development mode takes http, and only on this machine",
        );
    }
    fine
}

fn read_client_auth(s: &mut Section<'_, '_>) -> Option<ClientAuth> {
    match s.value::<String>("client_auth")?.as_str() {
        "basic" => Some(ClientAuth::Basic),
        "post" => Some(ClientAuth::Post),
        other => {
            s.fault(
                "client_auth",
                Some(other.to_owned()),
                "client_auth_unknown",
                "not a way to send the client secret",
                "write \"basic\" or \"post\", or leave it out",
            );
            None
        }
    }
}

fn read_scopes(s: &mut Section<'_, '_>) -> Vec<String> {
    let given = s.list("scopes");
    let scopes = given.unwrap_or_else(|| ["profile", "email"].map(str::to_owned).to_vec());
    for scope in &scopes {
        // RFC 6749 §3.3.
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if scope.is_empty() || !scope.bytes().all(allowed) {
            s.fault(
                "scopes",
                Some(scope.clone()),
                "scope_malformed",
                "not a scope",
                "write each scope as a string of its own, without spaces",
            );
        }
    }
    // The crate adds it by itself.
    scopes.into_iter().filter(|scope| scope != "openid").collect()
}

fn read_redirect_uri(s: &mut Section<'_, '_>, public_origin: Option<&Origin>) -> Option<Url> {
    let text = s.value::<String>("redirect_uri");
    let own = Url::parse(public_origin?.as_str()).ok()?;
    let default = own.join("/api/auth/callback").ok()?;
    let Some(text) = text else { return Some(default) };
    let mend = format!("write \"{default}\", or leave it out");
    match Url::parse(&text) {
        Ok(url) if url.origin() != own.origin() => {
            s.fault("redirect_uri", Some(text), "redirect_uri_off_origin", "it is not on server.public_origin, so the answer of the provider would go to somebody else", &mend);
            None
        }
        Ok(url) if is_callback(&url, &text) => Some(url),
        _ => {
            s.fault(
                "redirect_uri",
                Some(text),
                "redirect_uri_malformed",
                "not the URL of a callback",
                &mend,
            );
            None
        }
    }
}

/// Without a fragment (RFC 6749 §3.1.2), and without a query: what the provider appends would stand
/// beside it. The parser swallows blanks and line breaks, and the provider compares letter by letter.
fn is_callback(url: &Url, text: &str) -> bool {
    text.len() <= MAX_URL_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic())
        && url.fragment().is_none()
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn read_algs(s: &mut Section<'_, '_>) -> Vec<SigningAlg> {
    let Some(names) = s.list("algs") else { return SigningAlg::all() };
    let mend = "write names such as \"RS256\", \"ES256\" or \"EdDSA\", or leave it out";
    if names.is_empty() {
        s.fault(
            "algs",
            None,
            "alg_missing",
            "without an algorithm no token could be believed",
            mend,
        );
    }
    let mut algs = Vec::new();
    for name in names {
        match name.parse::<SigningAlg>() {
            Ok(alg) => algs.push(alg),
            Err(error) => {
                let code = match error {
                    SigningAlgError::None => "alg_none",
                    SigningAlgError::Shared => "alg_shared_secret",
                    SigningAlgError::Unknown => "alg_unknown",
                };
                s.fault("algs", Some(name), code, &error.to_string(), mend);
            }
        }
    }
    algs
}

/// All three that a login needs, or none of them.
fn read_endpoints(s: &mut Section<'_, '_>, dev: bool) -> Option<Endpoints> {
    let mut read = |key: &'static str| {
        let url = s.parsed::<Url>(key, |_| "write an https URL".to_owned());
        url.filter(|url| check_https(s, key, url, dev))
    };
    let (authorize, token, jwks) = (read("authorize_url"), read("token_url"), read("jwks_url"));
    let userinfo = read("userinfo_url");
    let (revocation, end_session) = (read("revocation_url"), read("end_session_url"));
    let needed = ["authorize_url", "token_url", "jwks_url"];
    let optional = ["userinfo_url", "revocation_url", "end_session_url"];
    let given = needed.into_iter().chain(optional).any(|key| s.has(key));
    if let Some(missing) = needed.into_iter().find(|key| given && !s.has(key)) {
        s.fault(missing, None, "endpoints_incomplete", "some endpoints are written out, but not this one", "write authorize_url, token_url and jwks_url, or none of them: they are then read from the issuer");
    }
    Some(Endpoints {
        authorize: authorize?,
        token: token?,
        jwks: jwks?,
        userinfo,
        revocation,
        end_session,
    })
}

fn read_params(s: &mut Section<'_, '_>) -> Vec<(String, String)> {
    let params = s.value::<BTreeMap<String, String>>("params").unwrap_or_default();
    for (name, value) in &params {
        check_param(s, "params", name);
        if value.len() > MAX_PARAM_BYTES || value.chars().any(char::is_control) {
            let reason = format!(
                "its value is longer than {MAX_PARAM_BYTES} bytes, or has control characters"
            );
            s.fault(
                "params",
                Some(name.clone()),
                "param_malformed",
                &reason,
                "shorten it, or leave it out",
            );
        }
    }
    params.into_iter().collect()
}

/// Each name stands in the request once, or nobody knows which of two counts.
fn check_hints(s: &mut Section<'_, '_>, hints: &HintParams, params: &[(String, String)]) {
    let HintParams { idp_hint, tenant_name, tenant_custom_domain } = hints;
    let mut seen: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
    seen.push("login_hint");
    for name in [idp_hint, tenant_name, tenant_custom_domain].into_iter().flatten() {
        check_param(s, "hint_params", name);
        if seen.contains(&name.as_str()) {
            let reason = "the request has a parameter of this name already";
            s.fault("hint_params", Some(name.clone()), "param_twice", reason, "write it once");
        }
        seen.push(name);
    }
}

fn check_param(s: &mut Section<'_, '_>, key: &'static str, name: &str) {
    let (code, reason, mend) = if RESERVED.contains(&name) {
        ("param_reserved", "the service itself writes this parameter", "leave it out")
    } else if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) {
        ("param_malformed", "not the name of a parameter", "write a name such as \"connection\"")
    } else {
        return;
    };
    s.fault(key, Some(name.to_owned()), code, reason, mend);
}

/// Where logins lead. Without a list: to the frontends that may call us with credentials.
pub(super) fn read_return_url(
    document: &mut Document<'_>,
    frontend: Option<&Origin>,
    listed: &[Origin],
) -> ReturnUrlConfig {
    document.section("return_url", |s| {
        let default = read_place(s, "default", frontend);
        let allowed_origins = match s.list("allowed_origins") {
            None => listed.to_vec(),
            Some(list) => list.iter().filter_map(|text| read_origin(s, text)).collect(),
        };
        ReturnUrlConfig { default, allowed_origins }
    })
}

fn read_origin(s: &mut Section<'_, '_>, text: &str) -> Option<Origin> {
    match text.parse::<Origin>() {
        Ok(origin) => Some(origin),
        Err(error) => {
            let mend = match error.suggestion() {
                Some(origin) => format!("write \"{origin}\""),
                None => "write an origin such as \"https://app.example.com\"".to_owned(),
            };
            let value = Some(text.to_owned());
            s.fault("allowed_origins", value, "malformed", &error.to_string(), &mend);
            None
        }
    }
}

pub(super) fn read_logout(document: &mut Document<'_>, frontend: Option<&Origin>) -> LogoutConfig {
    document.section("logout", |s| {
        let url = read_place(s, "post_logout_url", frontend);
        LogoutConfig {
            post_logout_url: HeaderValue::try_from(url)
                .unwrap_or_else(|_| HeaderValue::from_static("/")),
            revoke: s.value("revoke").unwrap_or(true),
            rp_initiated: s.value("rp_initiated").unwrap_or(true),
        }
    })
}

pub(super) fn read_token(document: &mut Document<'_>) -> TokenConfig {
    document.section("token", |s| TokenConfig {
        expose: s.value("expose").unwrap_or(false),
        expiry_buffer: s.duration("expiry_buffer").unwrap_or(Duration::from_mins(1)),
    })
}

/// A place that browsers can be sent to: by default the frontend.
fn read_place(s: &mut Section<'_, '_>, key: &'static str, frontend: Option<&Origin>) -> String {
    let given = s.value::<String>(key);
    let place = match &given {
        None => Some(frontend.map_or_else(|| "/".to_owned(), |origin| format!("{origin}/"))),
        Some(text) => where_to(text),
    };
    place.unwrap_or_else(|| {
        s.fault(
            key,
            given,
            "url_malformed",
            "browsers cannot be sent there",
            "write an http or https URL such as \"https://app.example.com/\", or a path such as \"/bye\"",
        );
        "/".to_owned()
    })
}

#[cfg(test)]
mod tests;
