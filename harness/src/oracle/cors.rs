//! The CORS protocol's three questions: may this response be read, may this request be made, which
//! headers may be seen. Every violated rule is listed, in the order in which browsers look.

use crate::oracle::answers::Response;
use crate::oracle::headers;
use crate::oracle::{Code, Finding};

const ACAO: &str = "access-control-allow-origin";
const ACAC: &str = "access-control-allow-credentials";

/// A violated rule.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) finding: Finding,
    /// Chromium's name for it; other engines' are looked up by it.
    pub(super) name: &'static str,
}

/// What a check is about.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub(super) struct Circumstances<'a> {
    /// Of the server.
    pub(super) host: &'a str,
    /// The request's origin as it is compared.
    pub(super) origin: &'a str,
    /// Whether the credentials mode is `include`.
    pub(super) include: bool,
    /// Whether this is a preflight's response.
    pub(super) preflight: bool,
    /// Whether a preflight for this very request passed.
    pub(super) preflight_passed: bool,
    /// Whether redirects made the origin null.
    pub(super) tainted: bool,
    /// Whether the response is on another host than the one that was asked at first.
    pub(super) elsewhere: bool,
    /// Whether the response leads on to another host.
    pub(super) leads_elsewhere: bool,
}

/// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check).
pub(super) fn check(response: &Response<'_>, about: &Circumstances<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines: Vec<_> = response.lines(ACAO).map(headers::normalized_value).collect();
    match lines[..] {
        [] => violations.push(missing(response, about)),
        [value] if about.accepts(value) => {}
        _ => violations.push(mismatch(&lines, about)),
    }
    if about.include {
        let mut lines = response.lines(ACAC).map(headers::normalized_value);
        match (lines.next(), lines.next()) {
            (Some("true"), None) => {}
            (None, _) => violations.push(about.violation(
                Code::AcacMissing,
                ["InvalidAllowCredentials", "PreflightInvalidAllowCredentials"],
                "{} does not say Access-Control-Allow-Credentials: true, which a request with credentials needs",
                [about.host],
            )),
            (Some(value), _) => violations.push(about.violation(
                Code::AcacWrongValue,
                ["InvalidAllowCredentials", "PreflightInvalidAllowCredentials"],
                "{} says Access-Control-Allow-Credentials: {}; only true counts",
                [about.host, value],
            )),
        }
    }
    violations
}

impl Circumstances<'_> {
    fn accepts(&self, value: &str) -> bool {
        value == self.origin || (value == "*" && !self.include)
    }

    fn violation<const N: usize>(
        &self,
        code: Code,
        names: [&'static str; 2],
        template: &'static str,
        values: [&str; N],
    ) -> Violation {
        let finding = Finding::new(code, template, values);
        Violation { finding, name: names[usize::from(self.preflight)] }
    }
}

fn missing(response: &Response<'_>, about: &Circumstances<'_>) -> Violation {
    let names = ["MissingAllowOriginHeader", "PreflightMissingAllowOriginHeader"];
    let status = response.status.to_string();
    let leads_on = response.is_redirect() && response.location.is_some();
    if about.preflight {
        let template = "the preflight's answer from {} has no Access-Control-Allow-Origin";
        return about.violation(Code::AcaoMissing, names, template, [about.host]);
    }
    if leads_on && !about.leads_elsewhere {
        let template =
            "the redirect ({}) of {} has no Access-Control-Allow-Origin: every hop is checked";
        return about.violation(
            Code::RedirectHopWithoutCors,
            names,
            template,
            [&status, about.host],
        );
    }
    if leads_on || about.elsewhere {
        let template = "the request was redirected to another host, and {} answers without Access-Control-Allow-Origin";
        return about.violation(Code::IdpRedirectInFetch, names, template, [about.host]);
    }
    if response.status >= 400 {
        let template = "{} answered {}, and this error answer has no Access-Control-Allow-Origin, so the page cannot see it";
        return about.violation(
            Code::ErrorResponseWithoutCorsHeaders,
            names,
            template,
            [about.host, &status],
        );
    }
    if about.preflight_passed {
        let template =
            "{} allowed the preflight, but its actual answer has no Access-Control-Allow-Origin";
        return about.violation(Code::CorsOnlyOnPreflight, names, template, [about.host]);
    }
    let template = "the answer of {} has no Access-Control-Allow-Origin";
    about.violation(Code::AcaoMissing, names, template, [about.host])
}

fn mismatch(lines: &[&str], about: &Circumstances<'_>) -> Violation {
    let value = lines.join(", ");
    let values = [about.host, value.as_str(), about.origin];
    if value == "*" {
        return about.violation(
            Code::AcaoWildcardWithCredentials,
            ["WildcardOriginNotAllowed", "PreflightWildcardOriginNotAllowed"],
            "{} says Access-Control-Allow-Origin: {}, which does not count for a request with credentials from {}",
            values,
        );
    }
    if lines.len() > 1 {
        return about.violation(
            Code::AcaoDuplicateHeader,
            ["MultipleAllowOriginHeaders", "PreflightMultipleAllowOriginHeaders"],
            "{} sends more than one Access-Control-Allow-Origin line: {} (the page is {})",
            values,
        );
    }
    if value.contains([' ', ',']) {
        return about.violation(
            Code::AcaoList,
            ["MultipleAllowOriginValues", "PreflightMultipleAllowOriginValues"],
            "{} says Access-Control-Allow-Origin: {}, a list; only one origin counts, here {}",
            values,
        );
    }
    let is_address = value == "null" || url::Url::parse(&value).is_ok();
    let names = if is_address {
        ["AllowOriginMismatch", "PreflightAllowOriginMismatch"]
    } else {
        ["InvalidAllowOriginValue", "PreflightInvalidAllowOriginValue"]
    };
    if about.origin == "null" {
        let (code, template) = if about.tainted {
            (
                Code::RedirectTaintedOriginNull,
                "{} says Access-Control-Allow-Origin: {}, but after the redirects Origin is {}",
            )
        } else {
            (
                Code::OriginNullFileOrSandbox,
                "{} says Access-Control-Allow-Origin: {}, but the origin of a sandboxed or data: frame is {}",
            )
        };
        return about.violation(code, names, template, values);
    }
    let beyond = value.strip_prefix(about.origin).is_some_and(|rest| rest.starts_with('/'));
    if beyond {
        return about.violation(
            Code::AcaoTrailingSlashOrPath,
            names,
            "{} says Access-Control-Allow-Origin: {}; an origin ends before the first slash: {}",
            values,
        );
    }
    about.violation(
        Code::AcaoOriginMismatch,
        names,
        "{} says Access-Control-Allow-Origin: {}, but the page's origin is {}",
        values,
    )
}

/// What a preflight asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// The names of `Access-Control-Request-Headers`.
    pub(super) names: &'a [&'a str],
    pub(super) wildcard_covers_authorization: bool,
}

/// What a preflight granted.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) violations: Vec<Violation>,
    pub(super) notes: Vec<Finding>,
    pub(super) methods: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) max_age: Option<i64>,
}

/// Whether the preflight's response is one at all: status and redirects, before any list is read.
fn answered(
    response: &Response<'_>,
    about: &Circumstances<'_>,
) -> (Option<Violation>, Option<Violation>) {
    let status = response.status.to_string();
    if response.is_redirect() && response.location.is_some() {
        let redirect = about.violation(
            Code::PreflightRedirect,
            ["", "PreflightDisallowedRedirect"],
            "{} answers the preflight with a redirect ({}), which no preflight may follow",
            [about.host, &status],
        );
        return (Some(redirect), None);
    }
    if (200..=299).contains(&response.status) {
        return (None, None);
    }
    let (code, template) = match response.status {
        401 | 403 | 407 => (
            Code::PreflightAuth401,
            "{} answers the preflight with {}: it asks for a login that a preflight cannot carry, or refuses it",
        ),
        404 | 405 | 501 => {
            (Code::PreflightNotRouted, "{} has no answer to OPTIONS here: the preflight got {}")
        }
        _ => (
            Code::PreflightOddStatus,
            "{} answers the preflight with {}; only 200 to 299 lets the request pass",
        ),
    };
    let names = ["", "PreflightInvalidStatus"];
    (None, Some(about.violation(code, names, template, [about.host, &status])))
}

/// The checks of a [CORS-preflight fetch](https://fetch.spec.whatwg.org/#cors-preflight-fetch), in
/// the order of the engines: redirect, origin, status, lists, method, headers.
pub(super) fn preflight(
    response: &Response<'_>,
    about: &Circumstances<'_>,
    asked: &Asked<'_>,
) -> Granted {
    let mut granted = Granted::default();
    let (redirect, status) = answered(response, about);
    granted.violations.extend(redirect);
    let bare = !response.speaks_cors();
    granted.violations.extend(check(response, about));
    granted.violations.extend(status);
    if bare && matches!(response.status, 200..=299 | 403) {
        granted.notes.push(Finding::new(
            Code::ProxyOrWafAnswersOptions,
            "nothing in the answer of {} to OPTIONS speaks CORS: perhaps it is not the application that answers",
            [about.host],
        ).advice());
    }
    let methods = list(response, "access-control-allow-methods", about, &mut granted.violations);
    let names = list(response, "access-control-allow-headers", about, &mut granted.violations);
    let star = |list: &[&str]| list.contains(&"*");
    if let Some(methods) = &methods {
        let listed = methods.contains(&asked.method)
            || headers::is_safelisted_method(asked.method)
            || (star(methods) && !about.include);
        if !listed {
            granted.violations.push(refused_method(methods, about, asked.method));
        }
    }
    if let Some(names) = &names {
        for name in asked.names {
            if names.iter().any(|listed| listed.eq_ignore_ascii_case(name)) {
                continue;
            }
            if star(names) && !about.include {
                if *name != "authorization" {
                    continue;
                }
                let finding = Finding::new(
                    Code::AuthorizationNotCoveredByWildcard,
                    "{} allows headers by *, which does not cover Authorization by the standard",
                    [about.host],
                );
                if asked.wildcard_covers_authorization {
                    granted.notes.push(finding.advice());
                    continue;
                }
                let name = "HeaderDisallowedByPreflightResponse";
                granted.violations.push(Violation { finding, name });
                continue;
            }
            granted.violations.push(refused_header(names, about, name));
        }
    }
    granted.methods = methods.into_iter().flatten().map(str::to_owned).collect();
    granted.names = names.into_iter().flatten().map(str::to_ascii_lowercase).collect();
    let mut ages = response.lines("access-control-max-age").map(headers::normalized_value);
    granted.max_age = ages.next().filter(|_| ages.next().is_none()).and_then(seconds);
    granted
}

/// Digits; a minus before them is no `delta-seconds`, yet engines have an opinion of it.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    is_number.then(|| text.parse().unwrap_or(limit))
}

fn list<'r>(
    response: &'r Response<'_>,
    name: &'static str,
    about: &Circumstances<'_>,
    violations: &mut Vec<Violation>,
) -> Option<Vec<&'r str>> {
    let tokens = headers::tokens(response.lines(name));
    if tokens.is_none() {
        let value = response.lines(name).collect::<Vec<_>>().join(", ");
        let error = if name == "access-control-allow-methods" {
            "InvalidAllowMethodsPreflightResponse"
        } else {
            "InvalidAllowHeadersPreflightResponse"
        };
        violations.push(about.violation(
            Code::AllowListUnparsable,
            [error, error],
            "{} sends {}: {}, which is no list of names",
            [about.host, name, &value],
        ));
    }
    tokens
}

fn refused_method(methods: &[&str], about: &Circumstances<'_>, method: &str) -> Violation {
    let name = "MethodDisallowedByPreflightResponse";
    if methods.contains(&"*") {
        return about.violation(
            Code::WildcardHeadersMethodsWithCredentials,
            [name, name],
            "{} allows methods by *, which with credentials is a method of that name, not {}",
            [about.host, method],
        );
    }
    let listed = methods.join(", ");
    about.violation(
        Code::PreflightMethodNotAllowed,
        [name, name],
        "{} does not allow the method {}; Access-Control-Allow-Methods lists: {}",
        [about.host, method, if listed.is_empty() { "nothing" } else { &listed }],
    )
}

fn refused_header(names: &[&str], about: &Circumstances<'_>, name: &str) -> Violation {
    let listed = names.join(", ");
    let listed = if listed.is_empty() { "nothing" } else { &listed };
    let (code, template) = if names.contains(&"*") {
        (
            Code::WildcardHeadersMethodsWithCredentials,
            "{} allows headers by *, which with credentials is a header of that name, not {} (it lists: {})",
        )
    } else if headers::is_tracing(name) {
        (
            Code::TracingHeaderInjected,
            "{} does not allow the header {}, which a tracing library adds; Access-Control-Allow-Headers lists: {}",
        )
    } else if name.starts_with("access-control-") {
        (
            Code::HeadersSetOnRequest,
            "{} does not allow the header {}, which belongs on an answer; Access-Control-Allow-Headers lists: {}",
        )
    } else {
        (
            Code::PreflightHeaderNotAllowed,
            "{} does not allow the header {}; Access-Control-Allow-Headers lists: {}",
        )
    };
    let error = "HeaderDisallowedByPreflightResponse";
    about.violation(code, [error, error], template, [about.host, name, listed])
}

/// The headers of a response by what a script can see: a
/// [CORS filtered response](https://fetch.spec.whatwg.org/#concept-filtered-response-cors).
pub(super) fn exposed<'r>(response: &'r Response<'_>, include: bool) -> Vec<&'r str> {
    let listed = headers::tokens(response.lines("access-control-expose-headers"));
    let listed = listed.unwrap_or_default();
    let star = !include && listed.contains(&"*");
    let is_exposed = |name: &str| {
        headers::is_safelisted_response(name)
            || star
            || listed.iter().any(|l| l.eq_ignore_ascii_case(name))
    };
    response.headers.iter().map(|(name, _)| &**name).filter(|name| is_exposed(name)).collect()
}
