//! What Firefox's console says about requests and cookies.
//!
//! Its texts are the only place where it names the rule of CORS that a request broke. They are
//! written for people and change with versions: what is not recognised keeps its own words.

/// A request that a rule blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) url: String,
    /// Firefox's own name of the rule, as in the addresses of its documentation; the console's words
    /// where they have none; `None` if it says only that there was no answer.
    pub(super) name: Option<String>,
    /// What the rule stumbled over: a header's value, a method, a header's name.
    pub(super) parameter: Option<String>,
}

/// A `Set-Cookie` line that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) reason: String,
}

/// Reads `Cross-Origin Request Blocked: … at URL. (Reason: …). Status code: 200.`
pub(super) fn blocked(text: &str) -> Option<Blocked> {
    let (before, reason) = text.split_once("(Reason: ")?;
    // One of the texts has the URL in quotes. No URL contains a typographic one.
    let start = before.rfind("http")?;
    let url: String = before[start..]
        .chars()
        .take_while(|c| !c.is_whitespace() && !matches!(c, '‘' | '’'))
        .collect();
    let reason = reason.rsplit_once(')').map_or(reason, |(reason, _rest)| {
        // `…). Status code: (null).` ends with a bracket of its own.
        reason.rsplit_once("). Status code").map_or(reason, |(reason, _)| reason)
    });
    let names = NAMES.iter().find(|(words, _)| words.iter().all(|word| reason.contains(word)));
    let name = match names {
        Some((_, "CORSDidNotSucceed")) => None,
        Some((_, name)) => Some((*name).to_owned()),
        None => Some(reason.to_owned()),
    };
    let parameter = match name.as_deref() {
        Some("CORSMissingAllowHeaderFromPreflight") => quoted(reason, 0),
        Some(
            "CORSAllowOriginNotMatchingOrigin"
            | "CORSInvalidAllowMethod"
            | "CORSInvalidAllowHeader",
        ) => last_quoted_but(reason, "Access-Control-"),
        _ => None,
    };
    let url = url.trim_end_matches('.').to_owned();
    Some(Blocked { url, name, parameter })
}

/// Reads `Cookie “sid” has been rejected because …`.
pub(super) fn refused_cookie(text: &str) -> Option<Refused> {
    let (name, reason) = text.strip_prefix("Cookie “")?.split_once('”')?;
    let reason = reason.trim();
    reason
        .contains("rejected")
        .then(|| Refused { name: name.to_owned(), reason: reason.to_owned() })
}

fn quoted(text: &str, n: usize) -> Option<String> {
    let part = text.split('‘').nth(n + 1)?;
    Some(part.split('’').next()?.to_owned())
}

fn last_quoted_but(text: &str, prefix: &str) -> Option<String> {
    let count = text.matches('‘').count();
    let all = (0..count).filter_map(|n| quoted(text, n));
    all.rev().find(|value| !value.starts_with(prefix))
}

/// Words that a reason contains, and what Firefox calls it. The first that fits counts.
const NAMES: [(&[&str], &str); 16] = [
    (&["did not succeed", "preflight"], "CORSPreflightDidNotSucceed"),
    (&["request did not succeed"], "CORSDidNotSucceed"),
    (&["does not match", "Access-Control-Allow-Origin"], "CORSAllowOriginNotMatchingOrigin"),
    (&["Multiple CORS header", "Access-Control-Allow-Origin"], "CORSMultipleAllowOriginNotAllowed"),
    (&["Credential is not supported"], "CORSNotSupportingCredentials"),
    (&["expected", "Access-Control-Allow-Credentials"], "CORSMissingAllowCredentials"),
    (&["Did not find method"], "CORSMethodNotFound"),
    (&["is not allowed according to header"], "CORSMissingAllowHeaderFromPreflight"),
    (&["invalid token", "Access-Control-Allow-Methods"], "CORSInvalidAllowMethod"),
    (&["invalid token", "Access-Control-Allow-Headers"], "CORSInvalidAllowHeader"),
    (&["missing token", "Access-Control-Allow-Headers"], "CORSMissingAllowHeaderFromPreflight"),
    (&["external redirect not allowed"], "CORSExternalRedirectNotAllowed"),
    (&["request not http"], "CORSRequestNotHttp"),
    (&["‘Origin’ cannot be added"], "CORSOriginHeaderNotAdded"),
    (&["CORS disabled"], "CORSDisabled"),
    (&["Access-Control-Allow-Origin", "missing"], "CORSMissingAllowOrigin"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn says(reason: &str) -> Blocked {
        let text = format!(
            "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the remote \
             resource at https://api.example.net/x?probe=p1. (Reason: {reason}). Status code: 200."
        );
        blocked(&text).unwrap()
    }

    #[test]
    fn reasons_have_the_names_of_firefox() {
        for (reason, name, parameter) in [
            ("CORS header ‘Access-Control-Allow-Origin’ missing", "CORSMissingAllowOrigin", None),
            (
                "CORS header ‘Access-Control-Allow-Origin’ does not match ‘https://b.test’",
                "CORSAllowOriginNotMatchingOrigin",
                Some("https://b.test"),
            ),
            (
                "Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed",
                "CORSMultipleAllowOriginNotAllowed",
                None,
            ),
            (
                "Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’",
                "CORSNotSupportingCredentials",
                None,
            ),
            (
                "expected ‘true’ in CORS header ‘Access-Control-Allow-Credentials’",
                "CORSMissingAllowCredentials",
                None,
            ),
            ("CORS preflight response did not succeed", "CORSPreflightDidNotSucceed", None),
            (
                "Did not find method in CORS header ‘Access-Control-Allow-Methods’",
                "CORSMethodNotFound",
                None,
            ),
            (
                "header ‘x-csrf’ is not allowed according to header ‘Access-Control-Allow-Headers’ \
                 from CORS preflight response",
                "CORSMissingAllowHeaderFromPreflight",
                Some("x-csrf"),
            ),
            (
                "invalid token ‘Bad name’ in CORS header ‘Access-Control-Allow-Methods’",
                "CORSInvalidAllowMethod",
                Some("Bad name"),
            ),
            ("CORS request external redirect not allowed", "CORSExternalRedirectNotAllowed", None),
        ] {
            let blocked = says(reason);
            assert_eq!(blocked.name.as_deref(), Some(name), "{reason}");
            assert_eq!(blocked.parameter.as_deref(), parameter, "{reason}");
            assert_eq!(blocked.url, "https://api.example.net/x?probe=p1");
        }
    }

    #[test]
    fn what_is_no_rule_of_cors_has_no_name() {
        let text = "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the \
                    remote resource at https://api.example.net/x?probe=p1. (Reason: CORS request \
                    did not succeed). Status code: (null).";
        assert_eq!(blocked(text).unwrap().name, None);
        assert_eq!(blocked(text).unwrap().url, "https://api.example.net/x?probe=p1");
    }

    #[test]
    fn a_reason_from_the_future_keeps_its_words() {
        assert_eq!(says("the moon is full").name.as_deref(), Some("the moon is full"));
    }

    #[test]
    fn the_url_may_stand_in_quotes() {
        let text = "Cross-Origin Request Blocked: The Same Origin Policy disallows reading the \
                    remote resource at ‘https://a.test/?probe=q’. (Reason: Credential is not \
                    supported if the CORS header ‘Access-Control-Allow-Origin’ is ‘*’).";
        assert_eq!(blocked(text).unwrap().url, "https://a.test/?probe=q");
    }

    #[test]
    fn refused_cookies_are_named() {
        let text = "Cookie “sid” has been rejected because a non-HTTPS cookie can’t be set as \
                    “secure”.";
        let refused = refused_cookie(text).unwrap();
        assert_eq!(refused.name, "sid");
        assert!(refused.reason.starts_with("has been rejected"), "{}", refused.reason);
        for other in ["Cookie “a” will soon be treated otherwise.", "Loading failed", ""] {
            assert_eq!(refused_cookie(other), None, "{other}");
        }
    }
}
