//! When a sentence that fits several bugs means this one: conditions on what was read from it.

use serde::Deserialize;

use crate::catalogue::values::Values;

/// Statuses, written `"401, 403, 500-599"`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}

impl TryFrom<String> for StatusSet {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Ok((first.trim().parse()?, last.trim().parse()?))
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

/// What a value that was read must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Holds {
    /// `null`, the opaque origin.
    Null,
    /// An origin with a slash or a path after it.
    OriginAndPath,
    /// Several origins that differ; with a star among them two layers have answered.
    DifferentOrigins,
    /// The very origin of the page.
    SameAsOrigin,
    /// The name of a header that monitoring libraries add.
    Tracing,
}

impl Holds {
    pub(super) fn fits(self, value: &str, values: &Values) -> bool {
        match self {
            Self::Null => value.eq_ignore_ascii_case("null"),
            Self::OriginAndPath => value
                .split_once("://")
                .is_some_and(|(_, rest)| rest.contains('/') && !rest.contains([',', ' '])),
            Self::DifferentOrigins => {
                // Without commas or schemes a blank may come from a terminal's line break.
                let mark = if value.contains("://") { [',', ' '] } else { [','; 2] };
                let mut parts = value.split(mark).map(str::trim).filter(|part| !part.is_empty());
                !value.contains('*')
                    && parts.next().is_some_and(|first| parts.any(|other| other != first))
            }
            Self::SameAsOrigin => values.get("origin") == Some(value),
            Self::Tracing => is_tracing(value),
        }
    }
}

/// Headers that monitoring libraries add to requests.
fn is_tracing(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["traceparent", "tracestate", "baggage", "sentry-trace", "newrelic", "request-id", "b3"]
        .contains(&header.as_str())
        || ["x-datadog-", "x-b3-", "elastic-apm-", "uber-trace-", "x-cloud-trace-", "x-amzn-trace"]
            .iter()
            .any(|prefix| header.starts_with(prefix))
}

/// Whether an address looks like that of a login page: by a label of its host, or by a path that
/// nobody calls an API by.
#[must_use]
pub fn is_login(url: &str) -> bool {
    const LABELS: [&str; 16] = [
        "login",
        "signin",
        "sso",
        "auth",
        "oauth",
        "oauth2",
        "accounts",
        "idp",
        "id",
        "adfs",
        "cas",
        "keycloak",
        "okta",
        "auth0",
        "microsoftonline",
        "amazoncognito",
    ];
    const SEGMENTS: [&str; 6] = ["authorize", "signin", "saml2", "saml", "adfs", "openid-connect"];
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let (host, path) = rest.split_once('/').unwrap_or((&rest, ""));
    host.split(['.', ':']).any(|label| LABELS.contains(&label))
        || path.split('/').any(|segment| SEGMENTS.contains(&segment))
}

/// The host of an address, with its port.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_one_by_one_and_as_ranges() {
        let set = StatusSet::try_from("401, 403,500-599".to_owned()).unwrap();
        for (status, want) in [(401, true), (402, false), (403, true), (500, true), (599, true)] {
            assert_eq!(set.contains(status), want, "{status}");
        }
        assert!(StatusSet::try_from("4xx".to_owned()).is_err());
    }

    #[test]
    fn conditions_look_at_what_was_read() {
        let mut values = Values::default();
        values.put("origin", "https://app.example.com");
        for (holds, value, want) in [
            (Holds::Null, "null", true),
            (Holds::Null, "https://a.example", false),
            (Holds::OriginAndPath, "https://app.example.com/", true),
            (Holds::OriginAndPath, "https://app.example.com", false),
            (Holds::OriginAndPath, "https://a.example/, https://b.example/", false),
            (Holds::DifferentOrigins, "https://a.example, https://b.example", true),
            (Holds::DifferentOrigins, "https://a.example https://b.example", true),
            (Holds::DifferentOrigins, "a, b", true),
            (Holds::DifferentOrigins, "app.exa mple.com", false),
            (Holds::DifferentOrigins, "*, *", false),
            (Holds::DifferentOrigins, "https://a.example, *", false),
            (Holds::SameAsOrigin, "https://app.example.com", true),
            (Holds::SameAsOrigin, "https://app.example.org", false),
            (Holds::Tracing, "Sentry-Trace", true),
            (Holds::Tracing, "x-datadog-parent-id", true),
            (Holds::Tracing, "x-csrf-token", false),
        ] {
            assert_eq!(holds.fits(value, &values), want, "{holds:?} {value}");
        }
    }

    #[test]
    fn login_pages_are_known_by_host_or_path() {
        for (url, want) in [
            ("https://login.example.net/x", true),
            ("https://example.okta.com/app", true),
            ("https://example.net/oauth2/authorize?client_id=1", true),
            ("https://api.example.com/api/auth/login", false),
            ("https://api.example.com/items?next=/saml", false),
        ] {
            assert_eq!(is_login(url), want, "{url}");
        }
    }
}
