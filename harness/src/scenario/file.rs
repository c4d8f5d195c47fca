//! The file format as types: what `schema` prints and what files are read into.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::Outcome;

/// One scenario: a page, the servers it talks to, and what it does step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema: u32,
    /// A stable name: lower-case words joined by hyphens.
    pub id: String,
    /// What the scenario teaches, in one sentence.
    pub title: String,
    /// The page's origin, such as `https://app.example.com`.
    pub page: String,
    /// How the browser treats cookies of other sites.
    #[serde(default)]
    pub third_party_cookies: ThirdPartyCookies,
    /// Engines that the scenario is about; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Engine>,
    /// Words to select it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it comes from: a link, an issue, a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Cookies in the jar before the first step.
    #[serde(default, rename = "cookie", skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<PlantedCookie>,
    /// The servers. An origin without one refuses the connection.
    #[serde(default, rename = "backend", skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    /// What the page does, in order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// How the browser treats cookies of other sites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThirdPartyCookies {
    /// As the engine comes out of the box.
    #[default]
    Default,
    /// They travel.
    Allow,
    /// They do not.
    Block,
}

/// An engine that the oracle has a profile of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Chromium, and what is built on it.
    Chromium,
    /// Firefox.
    Firefox,
    /// WebKitGTK.
    Webkit,
    /// Safari: predicted only.
    Safari,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chromium, Self::Firefox, Self::Webkit, Self::Safari];

    /// Its name in files and on the command line.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
            Self::Safari => "safari",
        }
    }
}

/// A cookie that a real answer of its own host set earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlantedCookie {
    /// The host that set it.
    pub host: String,
    /// The value of its `Set-Cookie` header.
    pub set: String,
    /// The site under which it was set, such as `https://portal.example`; left out: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_level_site: Option<String>,
}

/// A server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Its origin. The page's own is possible.
    pub origin: String,
    /// Whether it is the real service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
    /// The real service with this configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// A running server that answers under this origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// A connection that fails on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The answer to a preflight, and to any other `OPTIONS`; left out: 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Answer>,
    /// The answer to everything else; left out: 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Answer>,
    /// Answers for single paths.
    #[serde(default, rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// How a connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing listens.
    Refused,
    /// A certificate that the browser does not trust.
    TlsUntrusted,
    /// An ad blocker or another extension stops the request.
    BlockedByClient,
}

/// The answers of one path. A preflight is matched by its path alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The path, without a query.
    pub path: String,
    /// The method; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The answer to a preflight; left out: the backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Answer>,
    /// The answer to everything else; left out: the backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Answer>,
}

/// An answer, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status; left out: 200, or 302 with `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 999))]
    pub status: Option<u16>,
    /// Header lines. `{origin}` is the request's Origin; without one the header is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Values of `Set-Cookie` headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_cookie: Vec<String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The value of `Location`, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

/// One thing that the page does: a login, or a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Log in to the service at this origin, with the demo account and with credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What makes the request; left out: `fetch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// The address asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The credentials mode; left out: the client's own. `XMLHttpRequest` and axios know only
    /// `withCredentials`: anything but `include` switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The method as the script writes it; left out: `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Header lines as the script sets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body, a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The request mode; left out: `cors`, for images `no-cors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What fetch does with redirects; left out: `follow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Where the request is made: `sandbox`, `data`, or an origin that is framed inside the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// How often; the outcome is that of the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub repeat: Option<u32>,
    /// How long to wait before, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub wait_ms: Option<u64>,
    /// What should happen: any part of an outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Outcome>,
    /// What should happen in one engine, laid over `expect` key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_on: Option<ExpectOn>,
}

/// Exceptions of single engines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectOn {
    /// In Chromium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chromium: Option<Outcome>,
    /// In Firefox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firefox: Option<Outcome>,
    /// In WebKitGTK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webkit: Option<Outcome>,
    /// In Safari.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safari: Option<Outcome>,
}

impl Step {
    /// What is expected in an engine: `expect` with the engine's exceptions laid over it.
    #[must_use]
    pub fn expected(&self, engine: Engine) -> Option<Outcome> {
        let exception = self.expect_on.as_ref().and_then(|on| match engine {
            Engine::Chromium => on.chromium.as_ref(),
            Engine::Firefox => on.firefox.as_ref(),
            Engine::Webkit => on.webkit.as_ref(),
            Engine::Safari => on.safari.as_ref(),
        });
        match (&self.expect, exception) {
            (Some(expect), Some(over)) => Some(expect.overlaid(over)),
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        }
    }
}

/// What makes a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// `fetch()`.
    #[default]
    Fetch,
    /// `XMLHttpRequest`.
    Xhr,
    /// axios from npm.
    Axios,
    /// An HTML form that is submitted: the page navigates.
    Form,
    /// A link that is followed: the page navigates.
    Navigate,
    /// An `<img>`.
    Image,
}

/// Fetch's [credentials mode](https://fetch.spec.whatwg.org/#concept-request-credentials-mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// Never.
    Omit,
    /// To the page's own origin.
    SameOrigin,
    /// Always.
    Include,
}

/// Fetch's [request mode](https://fetch.spec.whatwg.org/#concept-request-mode), as far as scripts
/// can choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Cross-origin by the CORS protocol.
    Cors,
    /// Cross-origin without reading the answer.
    NoCors,
    /// Not cross-origin.
    SameOrigin,
}

/// Fetch's [redirect mode](https://fetch.spec.whatwg.org/#concept-request-redirect-mode).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// Go where it points.
    #[default]
    Follow,
    /// A redirect is an error.
    Error,
    /// A redirect is the answer.
    Manual,
}
