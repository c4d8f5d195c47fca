//! Tables of what users of five libraries rely on, beside what this service answers.
//!
//! Each file in `peers/` holds one library. Its columns: `options` configure the peer, `policy` is
//! what its user writes here; `request` is sent; `handler` is what stands behind CORS (200 unless it
//! says otherwise); `peer` is what the library answers, `ours` what this service must answer, with
//! every header that belongs to CORS; `handler` in an answer says whether the request got that far.
//! `differs` names the reasons for whatever differs between the two. Reasons are sections of
//! docs/cors.md, and `peers/reasons.toml` says what each may explain: a difference without a reason
//! fails, and so does a reason without a difference. `just peers` asks the libraries again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use serde::Deserialize;
use tower_service::Service as _;
use warp::Filter as _;
use warp::reply::Response;
use withcreds::{CorsConfig, CorsConfigError, CorsPolicy};

use crate::browser::{self, Lines, elements, values};

const TABLES: [&str; 5] = ["actix-cors", "express", "rs-cors", "starlette", "tower-http"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    peer: String,
    version: String,
    policies: BTreeMap<String, Policy>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    /// For readers: no test reads what a peer would make of it.
    #[serde(rename = "options")]
    _options: toml::Value,
    policy: Keys,
}

/// The keys of `[cors]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    allow_origins: Vec<String>,
    allow_origin_patterns: Vec<String>,
    allow_credentials: bool,
    allow_methods: Vec<String>,
    allow_headers: Vec<String>,
    expose_headers: Vec<String>,
    max_age_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    policy: String,
    method: String,
    request: Vec<String>,
    #[serde(default)]
    handler: Handler,
    peer: Answer,
    ours: Answer,
    differs: BTreeSet<String>,
}

/// What stands behind CORS.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, default)]
struct Handler {
    status: u16,
    headers: Vec<String>,
    /// The peer's handler throws, panics or returns an error. Here a handler cannot fail: `cors`
    /// takes only filters that have recovered, so what it sees is an answer with that status.
    fails: bool,
}

impl Default for Handler {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), fails: false }
    }
}

#[derive(Deserialize, Debug, Clone, PartialEq)]
#[serde(untagged)]
enum Answer {
    /// The policy is refused before anything is served: codes here, words for a peer.
    Refused {
        refused: toml::Value,
    },
    Given {
        status: u16,
        handler: bool,
        headers: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    explains: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = root().join(format!("tests/cors/peers/{name}.toml"));
    let text = std::fs::read_to_string(&path).expect("a table");
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn config(keys: &Keys) -> CorsConfig {
    CorsConfig {
        allow_origins: keys.allow_origins.clone(),
        allow_origin_patterns: keys.allow_origin_patterns.clone(),
        allow_credentials: keys.allow_credentials,
        allow_methods: keys.allow_methods.clone(),
        allow_headers: keys.allow_headers.clone(),
        expose_headers: keys.expose_headers.clone(),
        max_age_s: keys.max_age_s,
        ..CorsConfig::default()
    }
}

fn split(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("a header line");
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

fn lines(text: &[String]) -> Lines {
    text.iter().map(|line| split(line)).collect()
}

/// What the filter answers, in the shape of the tables.
async fn ask(keys: &Keys, case: &Case) -> Answer {
    let policy = match CorsPolicy::compile(&config(keys)) {
        Ok(policy) => Arc::new(policy),
        Err(errors) => {
            let codes: Vec<_> = errors.iter().map(CorsConfigError::code).collect();
            return Answer::Refused { refused: codes.into() };
        }
    };
    let reached = Arc::new(AtomicBool::new(false));
    let (behind, seen) = (case.handler.clone(), Arc::clone(&reached));
    let routes = warp::any().map(move || {
        seen.store(true, Ordering::Relaxed);
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(behind.status).expect("a status");
        for (name, value) in lines(&behind.headers) {
            let name = HeaderName::try_from(name).expect("a name");
            response.headers_mut().append(name, HeaderValue::try_from(value).expect("a value"));
        }
        response
    });
    // Not by `warp::test`, which sends one line a name.
    let mut request = Request::builder().method(case.method.as_str());
    for (name, value) in lines(&case.request) {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let mut service = warp::service(withcreds::cors(policy, routes));
    let response = service.call(request).await.expect("cannot fail");
    let about_cors = |name: &HeaderName| {
        name == http::header::VARY || name.as_str().starts_with("access-control-")
    };
    let headers = response.headers().iter().filter(|(name, _)| about_cors(name));
    Answer::Given {
        status: response.status().as_u16(),
        handler: reached.load(Ordering::Relaxed),
        headers: headers.map(|(n, v)| format!("{n}: {}", v.to_str().expect("printable"))).collect(),
    }
}

/// The order of headers means nothing.
fn sorted(answer: Answer) -> Answer {
    match answer {
        Answer::Given { status, handler, mut headers } => {
            headers.sort();
            Answer::Given { status, handler, headers }
        }
        refused @ Answer::Refused { .. } => refused,
    }
}

/// What there is to compare about an answer, each in a form in which equal means the same.
fn aspects(case: &Case, answer: &Answer, credentials: bool) -> BTreeMap<&'static str, String> {
    let Answer::Given { status, handler, headers } = answer else {
        return BTreeMap::from([("start", "refused".to_owned())]);
    };
    let headers = lines(headers);
    let set = |mut list: Vec<String>| {
        list.sort();
        list.dedup();
        list.join(",")
    };
    let lower = |name| set(elements(&headers, name).iter().map(|e| e.to_lowercase()).collect());
    let request = lines(&case.request);
    let verdict = browser::allows(&case.method, &request, *status, &headers, credentials);
    BTreeMap::from([
        ("start", "starts".to_owned()),
        ("verdict", format!("{verdict:?}")),
        ("status", status.to_string()),
        ("handler", handler.to_string()),
        ("allow-origin", values(&headers, "access-control-allow-origin").join("; ")),
        ("allow-credentials", values(&headers, "access-control-allow-credentials").join("; ")),
        ("allow-methods", set(elements(&headers, "access-control-allow-methods"))),
        ("allow-headers", lower("access-control-allow-headers")),
        ("expose-headers", lower("access-control-expose-headers")),
        ("max-age", values(&headers, "access-control-max-age").join("; ")),
        (
            "allow-private-network",
            values(&headers, "access-control-allow-private-network").join("; "),
        ),
        ("vary", lower("vary")),
    ])
}

fn differences(case: &Case, credentials: bool) -> BTreeSet<&'static str> {
    let (peer, ours) =
        (aspects(case, &case.peer, credentials), aspects(case, &case.ours, credentials));
    if peer["start"] != ours["start"] {
        return BTreeSet::from(["start"]);
    }
    ours.iter().filter(|(name, value)| peer[*name] != **value).map(|(name, _)| *name).collect()
}

/// Mistakes are collected: one run shows all rows that are wrong.
fn report(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "{} mistakes\n{}", mistakes.len(), mistakes.join("\n"));
}

#[tokio::test]
async fn we_answer_what_the_tables_say() {
    let mut mistakes = Vec::new();
    for name in TABLES {
        let table: Table = read(name);
        assert!(table.case.len() >= 20, "{} {}: too few rows", table.peer, table.version);
        for case in &table.case {
            let got = sorted(ask(&table.policies[&case.policy].policy, case).await);
            let want = sorted(case.ours.clone());
            if got != want {
                mistakes.push(format!("{name}: {}\n  want {want:?}\n  got  {got:?}", case.name));
            }
        }
    }
    report(&mistakes);
}

#[test]
fn every_difference_has_a_reason_and_every_reason_a_difference() {
    let reasons: BTreeMap<String, Reason> = read("reasons");
    let mut unused: BTreeSet<_> = reasons.keys().cloned().collect();
    let mut mistakes = Vec::new();
    for name in TABLES {
        let table: Table = read(name);
        for case in &table.case {
            let credentials = table.policies[&case.policy].policy.allow_credentials;
            let differences = differences(case, credentials);
            let explained =
                |aspect: &str| case.differs.iter().any(|id| reasons[id].explains.contains(aspect));
            for aspect in differences.iter().filter(|aspect| !explained(aspect)) {
                mistakes.push(format!("{name}: {}: no reason for {aspect}", case.name));
            }
            for id in &case.differs {
                unused.remove(id);
                if !differences.iter().any(|aspect| reasons[id].explains.contains(*aspect)) {
                    mistakes.push(format!("{name}: {}: nothing differs by {id}", case.name));
                }
            }
        }
    }
    mistakes.extend(unused.iter().map(|id| format!("reasons.toml: {id} is nobody's reason")));
    report(&mistakes);
}

#[test]
fn every_reason_is_a_section_of_the_docs_and_the_other_way_round() {
    let reasons: BTreeMap<String, Reason> = read("reasons");
    let text = std::fs::read_to_string(root().join("docs/cors.md")).expect("docs/cors.md");
    let (_, text) = text.split_once("\n## Decided differently\n").expect("the part on differences");
    let part = text.split("\n## ").next().unwrap_or_default();
    let sections: BTreeSet<_> = part.lines().filter_map(|l| l.strip_prefix("### ")).collect();
    let ids: BTreeSet<_> = reasons.keys().map(String::as_str).collect();
    assert_eq!(sections, ids);
}

#[test]
fn names_of_rows_are_unique_and_policies_are_used() {
    for name in TABLES {
        let table: Table = read(name);
        let names: BTreeSet<_> = table.case.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), table.case.len(), "{name}");
        let used: BTreeSet<_> = table.case.iter().map(|case| &case.policy).collect();
        assert_eq!(used, table.policies.keys().collect(), "{name}");
        let failing = table.case.iter().filter(|case| case.handler.fails).count();
        assert_eq!(failing, 1, "{name}: one row where the handler fails");
    }
}
