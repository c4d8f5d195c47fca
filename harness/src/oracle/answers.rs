//! What the servers of a scenario answer.

use std::borrow::Cow;

use crate::oracle::service::{Call, Sessions};
use crate::scenario::{Answer, Case, Fault, Origin, Route, Script, Server, ServerKind};

/// One answer as it comes over the wire.
#[derive(Debug, Clone, Default)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    /// Without `Set-Cookie` and `Location`.
    pub(super) headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) set_cookie: Vec<Cow<'a, str>>,
    pub(super) location: Option<Cow<'a, str>>,
}

/// What happens to a request on the network.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    Response(Response<'a>),
    Fault(Fault),
    /// Only the real server knows.
    Unknown,
}

impl Response<'_> {
    /// All lines of a header.
    pub(super) fn lines<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        let wanted =
            move |header: &&(Cow<'_, str>, Cow<'_, str>)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(wanted).map(|(_, value)| &**value)
    }

    /// Whether any header speaks CORS.
    pub(super) fn speaks_cors(&self) -> bool {
        const PREFIX: &str = "access-control-";
        self.headers.iter().any(|(name, _)| {
            name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        })
    }

    /// [Redirect status](https://fetch.spec.whatwg.org/#redirect-status), whatever it leads to.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// Asks whoever answers under the call's origin.
pub(super) fn ask<'a>(case: &'a Case, sessions: &mut Sessions, call: &Call<'_>) -> Reply<'a> {
    let origin = call.address.origin();
    match case.server(origin) {
        Some(Server { kind: ServerKind::Scripted(script), .. }) => {
            Reply::Response(scripted(script, call))
        }
        Some(Server { kind: ServerKind::Service(policy), origin }) => {
            Reply::Response(sessions.answer(policy, origin, call))
        }
        Some(Server { kind: ServerKind::Unknown | ServerKind::Configured(_), .. }) => {
            Reply::Unknown
        }
        Some(Server { kind: ServerKind::Fault(fault), .. }) => Reply::Fault(*fault),
        // Where the page comes from, somebody listens.
        None if origin == case.page.origin() || is_framed(case, origin) => {
            Reply::Response(Response::bare(404))
        }
        None => Reply::Fault(Fault::Refused),
    }
}

fn is_framed(case: &Case, origin: &Origin) -> bool {
    case.steps
        .iter()
        .any(|step| matches!(&step.frame, crate::scenario::Frame::Framed(o) if o == origin))
}

fn scripted<'a>(script: &'a Script, call: &Call<'_>) -> Response<'a> {
    let of_path = script.routes.iter().filter(|route| route.path == call.address.path());
    let answer = if call.is_options() {
        // An OPTIONS that is no preflight has an answer of its own only where a route says so.
        let is_own =
            |route: &&Route| call.preflight.is_none() && route.method.as_deref() == Some("OPTIONS");
        let mut own = of_path.clone().filter(is_own).filter_map(|route| route.actual.as_ref());
        let mut routes = of_path.clone().filter_map(|route| route.preflight.as_ref());
        own.next().or_else(|| routes.next()).or(script.preflight.as_ref())
    } else {
        let mut routes = of_path
            .filter(|route| route.method.as_ref().is_none_or(|method| method == call.method))
            .filter_map(|route| route.actual.as_ref());
        routes.next().or(script.actual.as_ref())
    };
    answer.map_or_else(|| Response::bare(404), |answer| written(answer, call.origin))
}

fn written<'a>(answer: &'a Answer, origin: Option<&str>) -> Response<'a> {
    let usual = if answer.redirect.is_some() { 302 } else { 200 };
    let mut response = Response {
        status: answer.status.unwrap_or(usual),
        set_cookie: answer.set_cookie.iter().map(|line| Cow::Borrowed(line.as_str())).collect(),
        location: answer.redirect.as_deref().map(Cow::Borrowed),
        headers: Vec::with_capacity(answer.headers.len() + 1),
    };
    for (name, value) in &answer.headers {
        let value = if value.contains("{origin}") {
            let Some(origin) = origin else { continue };
            Cow::Owned(value.replace("{origin}", origin))
        } else {
            Cow::Borrowed(value.as_str())
        };
        if name.eq_ignore_ascii_case("set-cookie") {
            response.set_cookie.push(value);
        } else if name.eq_ignore_ascii_case("location") {
            response.location = Some(value);
        } else {
            response.headers.push((Cow::Borrowed(name), value));
        }
    }
    // What the server under it adds: the length of a body that there may be.
    if !matches!(response.status, 100..=199 | 204 | 304)
        && !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    {
        response.headers.push((Cow::Borrowed("content-length"), Cow::Borrowed("")));
    }
    response
}
