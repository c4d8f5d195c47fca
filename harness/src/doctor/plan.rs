//! What will be asked: the call as the page makes it, and what tells the rest about the server.

use crate::doctor::Call;
use crate::scenario::{Address, Origin, Scheme};

/// Redirects that are followed, each one shown.
pub const REDIRECTS: usize = 5;
/// An origin that nobody can have listed.
const FOREIGN: &str = "https://withcreds-doctor.example";
/// A cookie that no server can have set.
const COOKIE: &str = "withcreds-doctor=1";
/// A path that no server has.
const NOWHERE: &str = "withcreds-doctor-no-such-path";
/// A method that hardly any API has. It is safe, and registered, so that servers know the word: what
/// they do not know some refuse before CORS has a say, and no browser would ever send.
const NO_METHOD: &str = "PROPFIND";

/// One request, before it is sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it is to show.
    pub purpose: Purpose,
    /// Redirects that were followed before it.
    pub hop: usize,
    /// Method.
    pub method: String,
    /// Where to.
    pub address: Address,
    /// All headers but `Host`, in order.
    pub headers: Vec<(String, String)>,
}

/// What a question is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The call's preflight.
    Preflight,
    /// The call itself; GET in its place if it may change something.
    Actual,
    /// The preflight of a POST with JSON, which most pages send some day.
    JsonPreflight,
    /// An error answer: a path that is not there.
    Nowhere,
    /// An error answer: a method that is not there.
    NoMethod,
    /// What caches get from whoever sends no `Origin`.
    NoOrigin,
    /// Whether somebody else may read.
    Stranger(Stranger),
    /// Whether somebody else may read once there is a cookie: some servers answer differently then.
    StrangerWithCookie,
    /// Whether somebody else may send.
    StrangerPreflight,
    /// The call again, after other origins asked: whether a cache mixes them up.
    Again,
}

/// Somebody who is not the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Some other site.
    Foreign,
    /// A sandboxed frame, a file.
    Null,
    /// The page's host at the beginning of another.
    Suffix,
    /// The page's host at the end of another.
    Prefix,
    /// The page's host by the other scheme.
    OtherScheme,
    /// The page's host on another port.
    OtherPort,
}

impl Purpose {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Actual => "the call",
            Self::JsonPreflight => "preflight of a JSON POST",
            Self::Nowhere => "an error: no such path",
            Self::NoMethod => "an error: no such method",
            Self::NoOrigin => "without Origin",
            Self::Stranger(Stranger::Foreign) => "a foreign origin",
            Self::Stranger(Stranger::Null) => "origin null",
            Self::Stranger(Stranger::Suffix) => "look-alike: longer at the end",
            Self::Stranger(Stranger::Prefix) => "look-alike: longer in front",
            Self::Stranger(Stranger::OtherScheme) => "look-alike: other scheme",
            Self::Stranger(Stranger::OtherPort) => "look-alike: other port",
            Self::StrangerWithCookie => "a foreign origin with a cookie",
            Self::StrangerPreflight => "preflight of a foreign origin",
            Self::Again => "the call again",
        }
    }
}

impl Stranger {
    const ALL: [Self; 6] =
        [Self::Foreign, Self::Null, Self::Suffix, Self::Prefix, Self::OtherScheme, Self::OtherPort];

    /// The `Origin` that it sends; none where there can be no such origin.
    #[must_use]
    pub fn origin(self, page: &Origin) -> Option<String> {
        let (scheme, host) = (page.scheme().text(), page.host());
        // An address has no longer form.
        let is_name = !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err();
        let port = page.text().rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Some(match self {
            Self::Foreign => FOREIGN.to_owned(),
            Self::Null => "null".to_owned(),
            Self::Suffix if is_name => format!("{scheme}://{host}.evil.test{port}"),
            Self::Prefix if is_name => format!("{scheme}://evil{host}{port}"),
            Self::Suffix | Self::Prefix => return None,
            Self::OtherScheme => match page.scheme() {
                Scheme::Https => format!("http://{host}{port}"),
                Scheme::Http => format!("https://{host}{port}"),
            },
            Self::OtherPort => {
                let other = if page.port() == 8444 { 8445 } else { 8444 };
                format!("{scheme}://{host}:{other}")
            }
        })
        .filter(|origin| origin != page.text())
    }
}

/// All questions but those to which redirects lead, in the order in which they are asked.
#[must_use]
pub fn plan(call: &Call) -> Vec<Question> {
    let page = call.page.text();
    let mut questions = Vec::with_capacity(16);
    if call.is_cross_origin() && call.preflight().is_some() {
        questions.push(preflight_question(call, &call.address, page, 0));
    }
    questions.push(actual_question(call, &call.address, Some(page), 0));
    if call.is_cross_origin() && call.preflight().is_none() {
        let json = Call {
            method: "POST".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..call.clone()
        };
        let asked = preflight_question(&json, &call.address, page, 0);
        questions.push(Question { purpose: Purpose::JsonPreflight, ..asked });
    }
    let bare = |purpose, origin: Option<&str>| Question {
        purpose,
        headers: origin_and(origin, Vec::new()),
        ..actual_question(call, &call.address, None, 0)
    };
    // The rest reads only, whatever the call does.
    let get = |purpose, origin: Option<&str>| Question {
        method: if call.method == "HEAD" { "HEAD" } else { "GET" }.to_owned(),
        ..bare(purpose, origin)
    };
    if let Ok(address) = call.address.follow(NOWHERE) {
        questions.push(Question { address, ..get(Purpose::Nowhere, Some(page)) });
    }
    if call.sends_unsafe {
        questions
            .push(Question { method: NO_METHOD.to_owned(), ..bare(Purpose::NoMethod, Some(page)) });
    }
    questions.push(get(Purpose::NoOrigin, None));
    for stranger in Stranger::ALL {
        if let Some(origin) = stranger.origin(&call.page) {
            questions.push(get(Purpose::Stranger(stranger), Some(&origin)));
        }
    }
    let mut with_cookie = get(Purpose::StrangerWithCookie, Some(FOREIGN));
    with_cookie.headers.push(("cookie".to_owned(), COOKIE.to_owned()));
    questions.push(with_cookie);
    if call.preflight().is_some() {
        let asked = preflight_question(call, &call.address, FOREIGN, 0);
        questions.push(Question { purpose: Purpose::StrangerPreflight, ..asked });
    }
    questions.push(get(Purpose::Again, Some(page)));
    questions
}

/// The preflight of a call, as browsers write it.
pub(super) fn preflight_question(
    call: &Call,
    address: &Address,
    origin: &str,
    hop: usize,
) -> Question {
    let mut headers = vec![
        ("accept".to_owned(), "*/*".to_owned()),
        ("access-control-request-method".to_owned(), call.method.clone()),
    ];
    let names = call.preflight().unwrap_or_default().join(",");
    if !names.is_empty() {
        headers.push(("access-control-request-headers".to_owned(), names));
    }
    headers.push(("origin".to_owned(), origin.to_owned()));
    let method = "OPTIONS".to_owned();
    Question { purpose: Purpose::Preflight, hop, method, address: address.clone(), headers }
}

/// The call itself. It carries no cookie: the doctor has none.
pub(super) fn actual_question(
    call: &Call,
    address: &Address,
    origin: Option<&str>,
    hop: usize,
) -> Question {
    let mut headers = call.headers.clone();
    if call.has_stand_in() {
        // What describes a body goes with the body.
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    }
    Question {
        purpose: Purpose::Actual,
        hop,
        method: call.sent_method().to_owned(),
        address: address.clone(),
        headers: origin_and(origin, headers),
    }
}

fn origin_and(origin: Option<&str>, mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        headers.insert(0, ("accept".to_owned(), "*/*".to_owned()));
    }
    headers.extend(origin.map(|origin| ("origin".to_owned(), origin.to_owned())));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Credentials;

    fn call(page: &str, method: &str) -> Call {
        Call {
            page: Address::parse(page).expect("a page").origin().clone(),
            address: Address::parse("https://api.example.com/v1/items?x=1").expect("an address"),
            method: method.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            credentials: Credentials::Include,
            cookies: Vec::new(),
            sends_unsafe: false,
        }
    }

    #[test]
    fn strangers_are_like_the_page_and_are_not() {
        let of = |page: &str| {
            let page = Address::parse(page).expect("a page").origin().clone();
            Stranger::ALL.map(|stranger| stranger.origin(&page))
        };
        let text = |all: [Option<String>; 6]| all.map(Option::unwrap_or_default);
        assert_eq!(
            text(of("https://app.example.com")),
            [
                "https://withcreds-doctor.example",
                "null",
                "https://app.example.com.evil.test",
                "https://evilapp.example.com",
                "http://app.example.com",
                "https://app.example.com:8444",
            ]
        );
        assert_eq!(
            text(of("http://127.0.0.1:8444"))[2..],
            ["", "", "https://127.0.0.1:8444", "http://127.0.0.1:8445"]
        );
        assert_eq!(text(of("http://[::1]"))[2..], ["", "", "https://[::1]", "http://[::1]:8444"]);
    }

    #[test]
    fn without_leave_nothing_is_sent_that_may_change_anything() {
        for method in ["GET", "POST", "DELETE", "PUT"] {
            let questions = plan(&call("https://app.example.com", method));
            let methods: Vec<_> = questions.iter().map(|q| q.method.as_str()).collect();
            assert!(methods.iter().all(|m| ["GET", "OPTIONS"].contains(m)), "{methods:?}");
        }
        let leave = Call { sends_unsafe: true, ..call("https://app.example.com", "DELETE") };
        let methods: Vec<_> = plan(&leave).into_iter().map(|q| q.method).collect();
        assert_eq!(methods.iter().filter(|m| *m == "DELETE").count(), 1);
        assert_eq!(methods.iter().filter(|m| *m == "PROPFIND").count(), 1);
    }

    #[test]
    fn the_preflight_is_the_pages_own() {
        let questions = plan(&call("https://app.example.com", "POST"));
        let first = &questions[0];
        assert_eq!((first.purpose, first.method.as_str()), (Purpose::Preflight, "OPTIONS"));
        let sent: Vec<_> = first.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        assert_eq!(
            sent,
            [
                "accept: */*",
                "access-control-request-method: POST",
                "access-control-request-headers: content-type",
                "origin: https://app.example.com"
            ]
        );
        let nowhere = questions.iter().find(|q| q.purpose == Purpose::Nowhere).expect("a question");
        assert_eq!(
            nowhere.address.text(),
            "https://api.example.com/v1/withcreds-doctor-no-such-path"
        );
    }

    #[test]
    fn what_the_caller_sets_goes_with_the_call_alone() {
        let mut call = call("https://app.example.com", "GET");
        call.headers = vec![("authorization".to_owned(), "Bearer x".to_owned())];
        let with: Vec<_> = plan(&call)
            .into_iter()
            .filter(|q| q.headers.iter().any(|(name, _)| name == "authorization"))
            .map(|q| q.purpose)
            .collect();
        assert_eq!(with, [Purpose::Actual]);
    }
}
