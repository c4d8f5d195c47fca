//! What a script gets of a response, and what surprises it.

use crate::oracle::answers::Response;
use crate::oracle::cors;
use crate::oracle::fetch::{Flight, Tainting};
use crate::oracle::{Code, Finding, headers};
use crate::scenario::{Client, Redirect, ResponseType};

impl Flight<'_, '_> {
    /// What the script gets of a response.
    pub(super) fn seen(&self, response: &Response<'_>) -> Seen {
        let manual = self.request.redirect == Redirect::Manual
            && response.is_redirect()
            && response.location.is_some();
        let all = || response.headers.iter().map(|(name, _)| &**name);
        let (kind, names) = match self.tainting {
            _ if manual => (ResponseType::OpaqueRedirect, Vec::new()),
            Tainting::Basic => {
                let readable = all().filter(|name| !headers::is_forbidden_response(name));
                (ResponseType::Basic, readable.collect())
            }
            Tainting::Cors => (ResponseType::Cors, cors::exposed(response, self.includes())),
            Tainting::Opaque => (ResponseType::Opaque, Vec::new()),
        };
        let readable = matches!(kind, ResponseType::Basic | ResponseType::Cors);
        // A script that navigates away reads nothing; the person sees the answer.
        let navigation = self.is_navigation();
        let exposed = if navigation { Vec::new() } else { lower(names.into_iter()) };
        let mut hidden = lower(all());
        hidden.retain(|name| !exposed.contains(name));
        if !response.set_cookie.is_empty() {
            hidden.push("set-cookie".to_owned());
        }
        Seen {
            readable: readable && !navigation,
            status: if readable { response.status } else { 0 },
            kind: (!navigation).then_some(kind),
            exposed,
            hidden,
        }
    }

    /// What works and yet surprises.
    pub(super) fn remarks(&mut self, response: &Response<'_>, seen: &Seen) {
        let host = self.url().origin().host().to_owned();
        let mut remark = |code, template, value: &str| {
            self.why.push(Finding::new(code, template, [host.as_str(), value]).advice());
        };
        if seen.kind == Some(ResponseType::Opaque) && self.action.client != Client::Image {
            let template = "mode no-cors: {} answers, and the script sees status 0 and no body";
            remark(Code::NoCorsOpaque, template, "");
        }
        if seen.kind == Some(ResponseType::Cors) {
            for name in seen.hidden.iter().filter(|name| is_meant_for_scripts(name)) {
                let template = "{} sends {}, which the script cannot see: it is not exposed";
                remark(Code::ExposeHeadersMissing, template, name);
            }
            let mut exposed = response.lines("access-control-expose-headers");
            if exposed.any(|line| line.to_ascii_lowercase().contains("set-cookie")) {
                let template = "{} exposes Set-Cookie, which no script ever sees";
                remark(Code::SetCookieNotReadableByScript, template, "");
            }
            let by_origin = response.lines("access-control-allow-origin").any(|value| value != "*");
            let lists = |header: &str, words: &[&str]| {
                let lines: Vec<_> = response.lines(header).map(str::to_ascii_lowercase).collect();
                lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
            };
            let cacheable = lists("cache-control", &["max-age", "public"]);
            if by_origin && cacheable && !lists("vary", &["origin", "*"]) {
                let template =
                    "{} lets caches keep an answer that is for one origin, without Vary: Origin";
                remark(Code::VaryOriginMissingCache, template, "");
            }
        }
        if response.status == 401 && self.sent.as_ref().is_some_and(|sent| !sent.is_empty()) {
            let template = "the cookie arrived at {}, which answers 401 all the same";
            self.why.push(Finding::new(Code::ServerSessionRejected, template, [&host]));
        }
        if seen.kind == Some(ResponseType::Basic) && self.chain.len() == 1 {
            let template = "page and {} are one origin: CORS plays no part";
            self.why.push(Finding::new(Code::SameOrigin, template, [&host]));
        }
        if self.is_navigation() {
            let template = "a navigation to {} needs no CORS";
            self.why.push(Finding::new(Code::NavigationNeedsNoCors, template, [&host]));
        }
    }
}

/// What a script can see of a response.
pub(super) struct Seen {
    pub(super) readable: bool,
    pub(super) status: u16,
    pub(super) kind: Option<ResponseType>,
    pub(super) exposed: Vec<String>,
    pub(super) hidden: Vec<String>,
}

impl Seen {
    pub(super) fn nothing() -> Self {
        Self {
            readable: false,
            status: 0,
            kind: Some(ResponseType::Error),
            exposed: Vec::new(),
            hidden: Vec::new(),
        }
    }
}

/// Lower case, each once, in order.
fn lower<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut all: Vec<_> = names.map(str::to_ascii_lowercase).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether anybody would miss a header that is not exposed.
fn is_meant_for_scripts(name: &str) -> bool {
    const NOT: [&str; 8] = [
        "connection",
        "date",
        "referrer-policy",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "x-content-type-options",
    ];
    !NOT.contains(&name) && !name.starts_with("access-control-")
}
