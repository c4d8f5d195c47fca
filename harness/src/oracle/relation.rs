//! How two origins stand to each other, and which cookies work between them: the first question of
//! every cross-origin bug.

use serde::Serialize;

use crate::oracle::{Profile, predict};
use crate::scenario::{
    Address, Answer, Backend, Credentials, Engine, Origin, Scenario, Scheme, Step,
    ThirdPartyCookies, understand,
};

/// How a page and a backend stand to each other.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct RelationReport {
    /// The page's origin.
    pub page: String,
    /// The backend's.
    pub backend: String,
    /// Whether they are one origin.
    pub same_origin: bool,
    /// Whether they are one site, scheme included.
    pub same_site: bool,
    /// Whether they are one site but for the scheme.
    pub same_site_but_for_scheme: bool,
    /// Whether a script needs CORS to read the backend's answers.
    pub needs_cors: bool,
    /// Whether the browser stops the request before anything is sent.
    pub mixed_content: bool,
    /// The registrable domains, or what stands for them.
    pub sites: [String; 2],
    /// Cookies by their attributes, and where they work.
    pub cookies: Vec<CookieWorks>,
    /// Across sites: what each engine does with third-party cookies out of the box.
    pub third_parties: Vec<EngineNote>,
}

/// What there is to know of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineNote {
    /// The engine.
    pub engine: Engine,
    /// In a sentence.
    pub text: String,
}

/// One way of setting a cookie.
#[derive(Debug, Clone, Serialize)]
pub struct CookieWorks {
    /// The attributes.
    pub attributes: &'static str,
    /// By engine.
    pub engines: Vec<EngineWorks>,
}

/// Whether a cookie that the backend sets on one request travels with the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineWorks {
    /// The engine.
    pub engine: Engine,
    /// Whether it does.
    pub works: bool,
    /// The catalogue's code for why not.
    pub reason: Option<String>,
}

const ATTRIBUTES: [&str; 7] = [
    "SameSite=Strict",
    "SameSite=Lax",
    "(no SameSite)",
    "SameSite=Lax; Secure",
    "SameSite=None",
    "SameSite=None; Secure",
    "SameSite=None; Secure; Partitioned",
];

/// Compares two origins and tries each kind of cookie between them.
#[must_use]
pub fn relate(
    page: &Address,
    backend: &Address,
    profiles: &[&Profile],
    now_ms: i64,
) -> RelationReport {
    let (page, backend) = (page.origin(), backend.origin());
    let same_origin = page == backend;
    let same_site = page.is_same_site(backend, true);
    RelationReport {
        page: page.text().to_owned(),
        backend: backend.text().to_owned(),
        same_origin,
        same_site,
        same_site_but_for_scheme: !same_site && page.is_same_site(backend, false),
        needs_cors: !same_origin,
        mixed_content: page.scheme() == Scheme::Https && !backend.is_trustworthy(),
        sites: [site(page), site(backend)],
        third_parties: if page.is_same_site(backend, false) {
            Vec::new()
        } else {
            profiles.iter().filter_map(|profile| third_parties(profile)).collect()
        },
        cookies: ATTRIBUTES
            .into_iter()
            .map(|attributes| CookieWorks {
                attributes,
                engines: profiles
                    .iter()
                    .map(|profile| works(page, backend, attributes, profile, now_ms))
                    .collect(),
            })
            .collect(),
    }
}

fn third_parties(profile: &Profile) -> Option<EngineNote> {
    let found = profile.divergences.iter().find(|d| d.knob == "third_party")?;
    Some(EngineNote { engine: profile.engine, text: found.what.clone() })
}

fn site(origin: &Origin) -> String {
    format!("{}://{}", origin.scheme().text(), origin.site())
}

fn works(
    page: &Origin,
    backend: &Origin,
    attributes: &str,
    profile: &Profile,
    now_ms: i64,
) -> EngineWorks {
    let attributes = if attributes.starts_with('(') { "" } else { attributes };
    let step = Step {
        url: Some(format!("{backend}/")),
        credentials: Some(Credentials::Include),
        ..Step::default()
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let scenario = Scenario {
        schema: 1,
        id: "relation".to_owned(),
        title: String::new(),
        page: page.text().to_owned(),
        third_party_cookies: ThirdPartyCookies::Default,
        engines: Vec::new(),
        tags: Vec::new(),
        source: None,
        cookies: Vec::new(),
        backends: vec![Backend {
            origin: backend.text().to_owned(),
            actual: Some(Answer {
                headers: vec![
                    header("access-control-allow-origin", "{origin}"),
                    header("access-control-allow-credentials", "true"),
                ],
                set_cookie: vec![format!("sid=1; Path=/; {attributes}")],
                ..Answer::default()
            }),
            ..Backend::default()
        }],
        steps: vec![step.clone(), step],
    };
    let predictions = understand(scenario)
        .map(|loaded| predict(&loaded.case, profile, now_ms))
        .unwrap_or_default();
    let outcomes: Vec<_> = predictions.into_iter().map(|p| p.outcome).collect();
    let sent =
        |o: &crate::scenario::Outcome| o.cookies_sent.as_ref().is_some_and(|c| !c.is_empty());
    let works = outcomes.last().is_some_and(sent);
    let fate = outcomes.iter().rev().find_map(|outcome| {
        let mut fates = outcome.cookies_refused.iter().chain(&outcome.cookies_withheld).flatten();
        fates.find_map(|fate| fate.reason.clone())
    });
    let error = outcomes.first().and_then(|o| o.error.clone()).and_then(|error| error.0);
    EngineWorks { engine: profile.engine, works, reason: error.or(fate).filter(|_| !works) }
}
