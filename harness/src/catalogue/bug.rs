//! One bug, as the files in `harness/catalogue/` hold it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalogue::condition::{Holds, StatusSet};

/// One way in which cross-origin requests or cookies go wrong, and how to mend it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Its code: what `explain`, scenario files and reports call it.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// How often people meet it.
    pub frequency: Frequency,
    /// Whether no CORS header can mend it.
    pub not_cors: bool,
    /// The engines in which it is met.
    pub engines: Vec<Engine>,
    /// Words that people use for it, for the search.
    pub(super) keywords: String,
    /// How it looks to whoever meets it.
    pub symptom: String,
    /// Why it happens.
    pub cause: String,
    /// What the page's author can do.
    pub client: String,
    /// Sentences about the pasted text; each is said when everything in its braces was read there.
    #[serde(default)]
    pub(super) said: Vec<String>,
    /// What consoles print; some bugs are silent.
    #[serde(default)]
    pub console: Vec<Line>,
    /// The sections of the standards that make it so.
    pub spec: Vec<String>,
    /// Bugs that look like it.
    pub unlike: Vec<LookAlike>,
    /// How to mend it on the server.
    pub server: Server,
    /// Why no scenario file can show it; most bugs have two.
    #[serde(default)]
    pub no_scenario: Option<String>,
}

impl Bug {
    /// The scenario files that show it broken and mended, below `harness/scenarios`.
    #[must_use]
    pub fn scenarios(&self) -> Option<[String; 2]> {
        let id = &self.id;
        self.no_scenario
            .is_none()
            .then(|| [format!("bugs/{id}.toml"), format!("bugs/{id}-mended.toml")])
    }
}

/// How often people meet a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Frequency {
    /// Most web teams meet it, week after week.
    #[serde(rename = "A")]
    Weekly,
    /// Common.
    #[serde(rename = "B")]
    Common,
    /// Rare, and costly when it comes.
    #[serde(rename = "C")]
    Rare,
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weekly => "met every week",
            Self::Common => "common",
            Self::Rare => "rare",
        })
    }
}

/// A browser engine, or any of them for texts that are no engine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Chrome, Edge, Opera, Brave.
    Chromium,
    /// Firefox.
    Firefox,
    /// Safari, WebKitGTK.
    Webkit,
    /// No engine's own: a library's text.
    Any,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
            Self::Webkit => "Safari and WebKit",
            Self::Any => "any engine",
        })
    }
}

/// A sentence that a console prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Who prints it.
    pub engine: Engine,
    /// The sentence; `{name}` stands for what differs from case to case.
    pub text: String,
    /// How surely it means this bug, in percent.
    #[serde(default = "certain")]
    pub sure: u8,
    /// It means this bug only with one of these statuses.
    #[serde(default)]
    pub(super) status: Option<StatusSet>,
    /// It means this bug only if what was read is of this kind.
    #[serde(default)]
    pub(super) holds: BTreeMap<String, Holds>,
    /// It means this bug only if the address looks like a login page's.
    #[serde(default)]
    pub(super) login: bool,
}

impl Line {
    pub(super) fn is_conditional(&self) -> bool {
        self.status.is_some() || self.login || !self.holds.is_empty()
    }
}

const fn certain() -> u8 {
    100
}

/// A bug that looks alike, and how to tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookAlike {
    /// The other bug's code.
    pub id: String,
    /// What is different there.
    pub how: String,
}

/// How to mend a bug on the server, in short, for what people run.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// This project's service.
    pub withcreds: String,
    /// nginx.
    pub nginx: String,
    /// Express, with its cors package.
    pub express: String,
    /// FastAPI and Starlette.
    pub fastapi: String,
    /// Spring Boot with Spring Security.
    pub spring: String,
    /// ASP.NET Core.
    pub aspnet: String,
}

impl Server {
    /// Name and mend of each, this service first.
    #[must_use]
    pub fn mends(&self) -> [(&'static str, &str); 6] {
        [
            ("withcreds", &self.withcreds),
            ("nginx", &self.nginx),
            ("Express", &self.express),
            ("FastAPI", &self.fastapi),
            ("Spring", &self.spring),
            ("ASP.NET", &self.aspnet),
        ]
    }
}
