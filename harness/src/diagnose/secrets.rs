//! What nobody should read in a report, or find in a scenario file that is passed on.

use crate::doctor::SECRET;

/// Names of query parameters beside those that [`SECRET`] has words for.
const PARAMETERS: [&str; 6] = ["code", "credential", "pass", "sig", "state", "ticket"];

/// An address with the values hidden that look like secrets, and without user and password.
pub(super) fn url(text: &str) -> String {
    let text = &without_user(text.split('#').next().unwrap_or_default());
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(shown).collect();
    format!("{path}?{}", query.join("&"))
}

/// Without what stands before the `@` of an authority.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Whether a header's or a parameter's value is nobody's business.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().chain(&PARAMETERS).any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_and_names_are_not() {
        for (text, want) in [
            ("https://a.test/x", "https://a.test/x"),
            (
                "https://a.test/x?page=2&access_token=abc#f",
                "https://a.test/x?page=2&access_token=***",
            ),
            ("https://u:p@a.test:8443?x=1@2", "https://a.test:8443?x=1@2"),
            ("/cb?code=1&state=2&flag", "/cb?code=***&state=***&flag"),
        ] {
            assert_eq!(url(text), want);
        }
    }
}
