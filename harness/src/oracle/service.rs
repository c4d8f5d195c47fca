//! What the service answers, as far as its contract says: a second opinion, written from
//! `SERVICE.md` and not from the service's code.

use std::borrow::Cow;

use crate::oracle::answers::Response;
use crate::oracle::headers;
use crate::scenario::{Address, Origin, Policy};

/// Begins the value of a cookie whose real value nobody can know beforehand. A character of a
/// private area: no scripted cookie has it.
const SECRET: char = '\u{e000}';

/// The header that everything of the service carries.
const ALWAYS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("pragma", "no-cache"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("vary", "Origin"),
];

/// A request as a server sees it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) address: &'a Address,
    pub(super) method: &'a str,
    pub(super) headers: &'a [(String, String)],
    /// Name and value, in order.
    pub(super) cookies: Vec<(String, String)>,
    pub(super) origin: Option<&'a str>,
    /// `Access-Control-Request-Method` and `-Headers`.
    pub(super) preflight: Option<(&'a str, &'a str)>,
    /// `Sec-Fetch-Site`, where the browser sends it.
    pub(super) site: Option<&'static str>,
    /// Whether this is the login of the demo account.
    pub(super) is_demo_login: bool,
}

impl Call<'_> {
    pub(super) fn is_options(&self) -> bool {
        self.preflight.is_some() || self.method == "OPTIONS"
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// How a cookie's value is shown: a secret one as `*`.
pub(super) fn shown(value: &str) -> &str {
    if value.starts_with(SECRET) { "*" } else { value }
}

/// The sessions of all services of a scenario.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    /// Origin and cookie value of each that lives.
    live: Vec<(String, String)>,
    made: u32,
}

impl Sessions {
    /// The service's answer.
    pub(super) fn answer<'a>(
        &mut self,
        policy: &'a Policy,
        origin: &'a Origin,
        call: &Call<'_>,
    ) -> Response<'a> {
        if let Some((method, names)) = call.preflight {
            return preflight(policy, call.origin, method, names);
        }
        let mut response = self.route(policy, origin, call);
        for (name, value) in ALWAYS {
            response.headers.push((name.into(), value.into()));
        }
        if !matches!(response.status, 204 | 304) {
            response.headers.push(("content-length".into(), "".into()));
        }
        if let Some(allowed) = grant(policy, call.origin) {
            allow(policy, allowed, &mut response);
            if !policy.expose_headers.is_empty() {
                let names = policy.expose_headers.join(", ");
                response.headers.push(("access-control-expose-headers".into(), names.into()));
            }
        }
        response
    }

    fn route<'a>(&mut self, policy: &'a Policy, origin: &Origin, call: &Call<'_>) -> Response<'a> {
        let name = policy.cookie_name.as_str();
        let key = |value: &String| (origin.text().to_owned(), value.clone());
        let sent = call.cookies.iter().find(|(n, _)| n == name).map(|(_, value)| key(value));
        let session = sent.filter(|key| self.live.contains(key));
        match (call.address.path(), call.method) {
            ("/api/auth/login", "POST") => {
                if session.is_some() && !trusted(policy, call) {
                    return json(403);
                }
                let is_json = call
                    .header("content-type")
                    .is_some_and(|t| t.to_ascii_lowercase().starts_with("application/json"));
                if !is_json {
                    return json(415);
                }
                if !call.is_demo_login {
                    return json(401);
                }
                if let Some(old) = session {
                    self.live.retain(|live| *live != old);
                }
                self.made += 1;
                let value = format!("{SECRET}{}", self.made);
                let mut response = json(200);
                response.set_cookie = cookies(policy, &value, "");
                response.headers.push(("x-csrf-token".into(), "".into()));
                self.live.push(key(&value));
                response
            }
            ("/api/auth/session", "GET" | "HEAD") => match session {
                Some(_) => {
                    let mut response = json(200);
                    response.headers.push(("x-csrf-token".into(), "".into()));
                    response
                }
                None => json(401),
            },
            ("/api/auth/logout", "POST") => match session {
                // A token is a secret of the session: a file cannot hold one that verifies.
                Some(_) => json(403),
                None => json(200),
            },
            ("/api/auth/logout", "GET") => {
                if call.site == Some("cross-site") {
                    return json(403);
                }
                let had_cookie = call.cookies.iter().any(|(n, _)| n == name);
                if let Some(old) = session {
                    self.live.retain(|live| *live != old);
                }
                let mut response = Response { status: 302, ..Response::default() };
                let home = policy.allow_origins.first().map_or("/", String::as_str);
                response.location = Some(Cow::Owned(format!("{}/", home.trim_end_matches('/'))));
                if had_cookie {
                    response.set_cookie = cookies(policy, "", "; Max-Age=0");
                }
                response
            }
            ("/api/auth/login" | "/api/auth/session" | "/api/auth/logout", _) => json(405),
            _ => json(404),
        }
    }
}

fn json<'a>(status: u16) -> Response<'a> {
    let headers = vec![("content-type".into(), "application/json".into())];
    Response { status, headers, ..Response::default() }
}

fn cookies<'a>(policy: &Policy, value: &str, more: &str) -> Vec<Cow<'a, str>> {
    let secure = if policy.secure { "; Secure" } else { "" };
    let attributes = &policy.attributes;
    let name = policy.cookie_name.as_str();
    vec![
        format!("{name}={value}; HttpOnly{attributes}{secure}; Path=/{more}").into(),
        format!("CSRF-TOKEN={value}{attributes}{secure}; Path=/{more}").into(),
    ]
}

/// Whether an unsafe request with a session may do anything: by what the browser says of its origin.
fn trusted(policy: &Policy, call: &Call<'_>) -> bool {
    match (call.site, call.origin) {
        (Some("same-origin"), _) => true,
        (_, Some(origin)) => policy.lists(origin) || origin == call.address.origin().text(),
        (_, None) => false,
    }
}

/// What `Access-Control-Allow-Origin` says, if anything.
fn grant(policy: &Policy, origin: Option<&str>) -> Option<String> {
    let origin = origin?;
    let star = policy.allow_origins.iter().any(|listed| listed == "*");
    if star && !policy.allow_credentials {
        return Some("*".to_owned());
    }
    policy.lists(origin).then(|| origin.to_owned())
}

fn allow(policy: &Policy, origin: String, response: &mut Response<'_>) {
    response.headers.push(("access-control-allow-origin".into(), origin.into()));
    if policy.allow_credentials {
        response.headers.push(("access-control-allow-credentials".into(), "true".into()));
    }
}

fn preflight<'a>(policy: &Policy, origin: Option<&str>, method: &str, names: &str) -> Response<'a> {
    let mut response = Response::default();
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    response.headers.push(("vary".into(), vary.into()));
    let listed = |list: &[String], item: &str, same: fn(&str, &str) -> bool| {
        list.iter().any(|entry| entry == "*" || same(entry, item))
    };
    let method_allowed = headers::is_safelisted_method(method)
        || (!headers::is_forbidden_method(method)
            && listed(&policy.allow_methods, method, |a, b| a == b));
    let names_allowed = names
        .split(',')
        .filter(|name| !name.is_empty())
        .all(|name| listed(&policy.allow_headers, name, str::eq_ignore_ascii_case));
    match grant(policy, origin) {
        Some(allowed) if method_allowed && names_allowed => {
            response.status = 204;
            allow(policy, allowed, &mut response);
            let mut add = |name: &'static str, value: String| {
                response.headers.push((name.into(), value.into()));
            };
            add("access-control-allow-methods", method.to_owned());
            if !names.is_empty() {
                add("access-control-allow-headers", names.to_owned());
            }
            if let Some(seconds) = policy.max_age {
                add("access-control-max-age", seconds.to_string());
            }
        }
        _ => response.status = 403,
    }
    response
}
