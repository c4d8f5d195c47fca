//! What a client makes of what it is told: fetch, `XMLHttpRequest`, axios, a form, a link, an image.

use crate::oracle::headers;
use crate::oracle::{Code, Finding};
use crate::scenario::{Action, Client, Credentials, Mode, Redirect, is_token};

/// Fetch's [request](https://fetch.spec.whatwg.org/#concept-request), as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) mode: RequestMode,
    pub(super) credentials: Credentials,
    pub(super) redirect: Redirect,
}

/// [Request mode](https://fetch.spec.whatwg.org/#concept-request-mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestMode {
    Cors,
    NoCors,
    SameOrigin,
    Navigate,
}

impl Request {
    /// The request that an action leads to, or why its client refuses to make one.
    pub(super) fn of(action: &Action) -> Result<Self, Finding> {
        match action.client {
            Client::Fetch => fetch(action),
            Client::Xhr | Client::Axios => xhr(action),
            Client::Form | Client::Navigate => Ok(Self {
                method: action.method.to_ascii_uppercase(),
                headers: Vec::new(),
                mode: RequestMode::Navigate,
                credentials: Credentials::Include,
                redirect: Redirect::Follow,
            }),
            Client::Image => Ok(image(action)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }

    fn typed(mut self, body: bool, content_type: &str) -> Self {
        if body && !self.has("content-type") {
            self.headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        self
    }
}

fn refused(template: &'static str, value: &str) -> Finding {
    Finding::new(Code::RequestRefusedByClient, template, [value])
}

/// The [constructor of `Request`](https://fetch.spec.whatwg.org/#dom-request).
fn fetch(action: &Action) -> Result<Request, Finding> {
    let no_cors = action.mode == Some(Mode::NoCors);
    if action.address.has_credentials() {
        return Err(refused("fetch takes no address with a user name: {}", action.address.text()));
    }
    let method = method(&action.method)?;
    if no_cors && !headers::is_safelisted_method(&method) {
        return Err(refused("with mode no-cors fetch refuses the method {}", &method));
    }
    if action.body.is_some() && matches!(method.as_str(), "GET" | "HEAD") {
        return Err(refused("fetch takes no body with {}", &method));
    }
    let mut list: Vec<(String, String)> = Vec::with_capacity(action.headers.len() + 1);
    for (name, value) in &action.headers {
        let (name, value) = header(name, value)?;
        if headers::is_forbidden_request(&name, value) {
            continue;
        }
        // With no-cors, whatever would need a preflight is left out without a word.
        if no_cors {
            let before = list.iter().find(|(n, _)| *n == name);
            let together =
                before.map_or_else(|| value.to_owned(), |(_, v)| format!("{v}, {value}"));
            if !headers::is_no_cors_safelisted(&name, &together) {
                continue;
            }
        }
        list.push((name, value.to_owned()));
    }
    let request = Request {
        method,
        headers: list,
        mode: match action.mode {
            None | Some(Mode::Cors) => RequestMode::Cors,
            Some(Mode::NoCors) => RequestMode::NoCors,
            Some(Mode::SameOrigin) => RequestMode::SameOrigin,
        },
        credentials: action.credentials.unwrap_or(Credentials::SameOrigin),
        redirect: action.redirect,
    };
    Ok(request.typed(action.body.is_some(), "text/plain;charset=UTF-8"))
}

/// [`XMLHttpRequest`](https://xhr.spec.whatwg.org/), and axios, which uses it.
fn xhr(action: &Action) -> Result<Request, Finding> {
    let axios = action.client == Client::Axios;
    // axios upper-cases every method; XMLHttpRequest only those that Fetch normalises.
    let method =
        method(&if axios { action.method.to_ascii_uppercase() } else { action.method.clone() })?;
    let mut list: Vec<(String, String)> = Vec::with_capacity(action.headers.len() + 2);
    for (name, value) in &action.headers {
        let (name, value) = header(name, value)?;
        if headers::is_forbidden_request(&name, value) {
            continue;
        }
        match list.iter_mut().find(|(n, _)| *n == name) {
            Some((_, before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            None => list.push((name, value.to_owned())),
        }
    }
    let body = action.body.is_some() && !matches!(method.as_str(), "GET" | "HEAD");
    let form = axios && matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    let request = Request {
        method,
        headers: list,
        mode: RequestMode::Cors,
        // withCredentials has two positions.
        credentials: match action.credentials {
            Some(Credentials::Include) => Credentials::Include,
            _ => Credentials::SameOrigin,
        },
        redirect: Redirect::Follow,
    };
    let usual = if form { "application/x-www-form-urlencoded" } else { "text/plain;charset=UTF-8" };
    let mut request = request.typed(body, usual);
    if axios && !request.has("accept") {
        let accept = "application/json, text/plain, */*";
        request.headers.push(("accept".to_owned(), accept.to_owned()));
    }
    Ok(request)
}

/// An `<img>`: without `crossorigin` it reads nothing and always sends cookies.
fn image(action: &Action) -> Request {
    let cors = action.mode == Some(Mode::Cors);
    Request {
        method: "GET".to_owned(),
        headers: Vec::new(),
        mode: if cors { RequestMode::Cors } else { RequestMode::NoCors },
        credentials: match action.credentials {
            Some(Credentials::Include) => Credentials::Include,
            _ if cors => Credentials::SameOrigin,
            _ => Credentials::Include,
        },
        redirect: Redirect::Follow,
    }
}

fn method(text: &str) -> Result<String, Finding> {
    if !is_token(text) {
        return Err(refused("`{}` is no method", text));
    }
    if headers::is_forbidden_method(text) {
        return Err(refused("no script may send the method {}", text));
    }
    Ok(headers::normalized_method(text))
}

fn header<'a>(name: &str, value: &'a str) -> Result<(String, &'a str), Finding> {
    if !is_token(name) {
        return Err(refused("`{}` is no header name", name));
    }
    let value = headers::normalized_value(value);
    if !headers::is_value(value) {
        return Err(refused("the value of the header {} cannot be sent", name));
    }
    Ok((name.to_ascii_lowercase(), value))
}
