//! What happened to one step: expected, predicted and observed have the same structure.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// What happened to one step, or the part of it that is expected or known.
///
/// A field that is absent says nothing: nobody expects anything of it, or the engine cannot see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Outcome {
    /// Whether a preflight went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight_sent: Option<bool>,
    /// Cookies on any preflight, as `name=value`. A browser sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight_cookies: Option<Vec<String>>,
    /// Whether a request other than a preflight went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_sent: Option<bool>,
    /// Cookies on the last request, as `name=value`; a name alone stands for any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies_sent: Option<Vec<String>>,
    /// Cookies that are in the jar afterwards because of this step, as `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies_stored: Option<Vec<String>>,
    /// Cookies of the last request's host that stayed home, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies_withheld: Option<Vec<CookieFate>>,
    /// Cookies that an answer set and the browser did not store, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies_refused: Option<Vec<CookieFate>>,
    /// Whether the script got the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<bool>,
    /// The status that the script sees; 0 for an opaque or failed response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `basic`, `cors`, `opaque`, `opaqueredirect` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_type: Option<ResponseType>,
    /// Response headers that the script can read, lower case; in `expect`: at least these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_headers: Option<Vec<String>>,
    /// Response headers that it cannot read, lower case; in `expect`: none of these is exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_headers: Option<Vec<String>>,
    /// `Origin` of the last request that is no preflight; null (in TOML `""`): none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub origin_header: Option<Nullable>,
    /// Every hop on which anything went out, even if only a preflight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<Vec<Hop>>,
    /// `Access-Control-Request-Method` of the first preflight; null: none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub acrm: Option<Nullable>,
    /// `Access-Control-Request-Headers` of the first preflight, as one string; null: none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub acrh: Option<Nullable>,
    /// The catalogue's code for the failure; null: none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub error: Option<Nullable>,
    /// The engine's own name for a CORS failure, where it has one; null: none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub cors_error: Option<Nullable>,
}

/// A cookie that did not travel or was not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CookieFate {
    /// Its name.
    pub name: String,
    /// A reason code of the catalogue; left out in `expect`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One hop of a chain of redirects; the first request is the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hop {
    /// The origin that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether a preflight went out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<bool>,
    /// Cookies on the request of this hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies_sent: Option<Vec<String>>,
    /// `Origin` of the request of this hop; null (in TOML `""`): none, or only a preflight.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    pub origin_header: Option<Nullable>,
}

/// Fetch's [response type](https://fetch.spec.whatwg.org/#concept-response-type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResponseType {
    /// Same origin: everything but cookies can be read.
    Basic,
    /// Cross-origin and allowed by CORS.
    Cors,
    /// `no-cors`: nothing can be read.
    Opaque,
    /// A redirect that was asked not to be followed.
    OpaqueRedirect,
    /// A network error.
    Error,
}

/// A string or the explicit absence of one: null in JSON, `""` in TOML, which has no null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Nullable(pub Option<String>);

impl<'de> Deserialize<'de> for Nullable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(Self(text.filter(|text| !text.is_empty())))
    }
}

impl Nullable {
    /// What it holds, for people.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_deref().unwrap_or("none")
    }
}

/// A field that is there, null included; serde's own `Option` takes null for absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Nullable>, D::Error> {
    Nullable::deserialize(deserializer).map(Some)
}

impl Outcome {
    /// In a line, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Some(sent) = self.request_sent else {
            return "not known: a real server answers".to_owned();
        };
        let mut parts = Vec::new();
        if self.preflight_sent == Some(true) {
            parts.push("preflight".to_owned());
        }
        let list =
            |cookies: &Option<Vec<String>>| cookies.as_deref().unwrap_or_default().join("; ");
        let cookies = list(&self.cookies_sent);
        parts.push(match (sent, cookies.is_empty()) {
            (false, _) => "request not sent".to_owned(),
            (true, true) => "sent without cookies".to_owned(),
            (true, false) => format!("sent with {cookies}"),
        });
        let stored = list(&self.cookies_stored);
        if !stored.is_empty() {
            parts.push(format!("stores {stored}"));
        }
        let status = self.status.unwrap_or_default();
        parts.push(match (self.readable, self.error.as_ref().and_then(|e| e.0.as_deref())) {
            (_, Some(error)) => format!("fails: {error}"),
            (Some(true), None) => format!("readable, {status}"),
            (_, None) if status == 0 => "not readable".to_owned(),
            (_, None) => format!("answered {status}"),
        });
        parts.join(", ")
    }

    /// This outcome with the fields of another laid over it, key by key.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        macro_rules! overlay {
            ($($field:ident),+ $(,)?) => {
                Self { $($field: over.$field.clone().or_else(|| self.$field.clone())),+ }
            };
        }
        overlay!(
            preflight_sent,
            preflight_cookies,
            request_sent,
            cookies_sent,
            cookies_stored,
            cookies_withheld,
            cookies_refused,
            readable,
            status,
            response_type,
            exposed_headers,
            hidden_headers,
            origin_header,
            hops,
            acrm,
            acrh,
            error,
            cors_error,
        )
    }
}
