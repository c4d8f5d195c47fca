//! What debug mode tells the developer about a refused preflight.

use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::cors::Names;
use crate::policy::cors::words::is_token;
use crate::policy::cors::{CorsPolicy, MAX_REQUEST_HEADERS, MAX_REQUEST_HEADERS_BYTES, Refusal};

/// Says in debug mode why a preflight was refused.
pub(super) const REASON_HEADER: HeaderName = HeaderName::from_static("x-cors-reason");
/// Of a value from the request, no more than this is repeated.
const SHOWN_BYTES: usize = 200;

/// Why a preflight is refused, in words, and the headers that make the browser's console name the
/// same fault instead of a missing `Access-Control-Allow-Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// `Access-Control-Allow-Origin`, if the origin is listed.
    pub(super) origin: Option<HeaderValue>,
    /// `Access-Control-Allow-Methods`, if a header is what is wrong.
    pub(super) method: Option<HeaderValue>,
    /// Whether the browser finds the fault by itself, once it gets that far.
    pub(super) names_the_fault: bool,
    text: String,
    shown_origin: String,
}

impl Hint {
    /// The reason's code and what it is about. Printable ASCII, whatever the request held.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The request's origin, escaped, cut after 200 bytes.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shown_origin
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.text).ok()
    }
}

impl CorsPolicy {
    /// Runs for refused preflights in debug mode only, so it may allocate.
    pub(super) fn hint_at(
        &self,
        refusal: Refusal,
        origin: &HeaderValue,
        headers: &HeaderMap,
    ) -> Hint {
        let asked: Vec<_> = headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter().collect();
        let method = asked.first().copied();
        let about = match refusal {
            Refusal::Origin => format!("{} is not listed", shown(origin.as_bytes())),
            Refusal::Method if asked.len() > 1 => "it is named more than once".to_owned(),
            Refusal::Method => {
                let name = shown(method.map_or(&b""[..], HeaderValue::as_bytes));
                match self.methods {
                    Names::Any => format!("{name} is never allowed"),
                    Names::These(_) => format!("{name} is not among allow_methods"),
                }
            }
            Refusal::Header => {
                let name = Self::first_name(headers, |name| !self.allows_header(name));
                match self.headers {
                    Names::Any => format!("{name} is never allowed"),
                    Names::These(_) => format!("{name} is not among allow_headers"),
                }
            }
            Refusal::Malformed => {
                let name = Self::first_name(headers, |name| !is_token(name));
                format!("{name} is no header name")
            }
            Refusal::TooLong => format!(
                "more than {MAX_REQUEST_HEADERS} names or {MAX_REQUEST_HEADERS_BYTES} bytes"
            ),
        };
        let listed = refusal != Refusal::Origin;
        Hint {
            origin: listed.then(|| self.allow_origin_value(origin)),
            method: method.filter(|_| refusal == Refusal::Header).cloned(),
            // A list that is too long or malformed may hold nothing that a browser would miss.
            names_the_fault: asked.len() == 1
                && matches!(refusal, Refusal::Method | Refusal::Header),
            text: format!("{}: {about}", refusal.code()),
            shown_origin: shown(origin.as_bytes()),
        }
    }

    fn first_name(headers: &HeaderMap, wanted: impl Fn(&[u8]) -> bool) -> String {
        let lines = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut names = lines
            .flat_map(|line| line.as_bytes().split(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty());
        names.find(|name| wanted(name)).map(shown).unwrap_or_default()
    }
}

fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = if cut.len() < bytes.len() { "..." } else { "" };
    format!("{}{more}", cut.escape_ascii())
}
