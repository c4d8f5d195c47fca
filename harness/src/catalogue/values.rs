//! What was read from the pasted text: the page's origin, the address, the header, the status.

use std::collections::BTreeMap;

/// Longer values are cut: they are shown to people.
const LONGEST: usize = 300;

/// Names and values; a name keeps its first value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// One value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Takes what the text has between two of its known parts, if it is fit for the name.
    pub(super) fn put(&mut self, name: &str, raw: &str) {
        if self.0.contains_key(name) {
            return;
        }
        if let Some(value) = tidy(name, raw) {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// A sentence with its braces filled, if everything in them is known.
    pub(super) fn fill(&self, sentence: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(self.get(name)?);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// Whether the text between two known parts can be an address.
pub(super) fn is_address(raw: &str) -> bool {
    let text = raw.trim_matches(is_wrapping);
    // `'…' (redirected from '…')` is two.
    if text.contains(" (") {
        return false;
    }
    text.starts_with('/')
        || text.split_once("://").is_some_and(|(scheme, rest)| {
            !rest.is_empty() && scheme.len() <= 20 && scheme.chars().all(|c| !is_quote(c))
        })
}

/// Quotes, brackets and blanks around a value.
pub(super) fn is_wrapping(c: char) -> bool {
    c.is_whitespace() || is_quote(c) || "()[]<>".contains(c)
}

pub(super) fn is_quote(c: char) -> bool {
    "'\"`´‘’‚‛“”„«»\\".contains(c)
}

fn tidy(name: &str, raw: &str) -> Option<String> {
    let text = match name {
        // A terminal may have broken it in two.
        "url" | "from" | "page" | "origin" => address(raw).split_whitespace().collect(),
        "header" | "method" | "cookie" => bare(raw).split_whitespace().collect(),
        "value" => unwrapped(bare(raw)),
        _ => bare(raw).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let fit = match name {
        "url" | "from" | "page" => is_address(&text),
        "origin" => text.contains("://") || text.eq_ignore_ascii_case("null"),
        "status" => text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()),
        _ => !text.is_empty(),
    };
    fit.then(|| match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    })
}

/// An address: between quotes it may end in a dot, without them the dot ends the sentence.
fn address(raw: &str) -> &str {
    if raw.trim().ends_with(is_quote) { raw.trim_matches(is_wrapping) } else { bare(raw) }
}

/// A value without quotes and without the end of its sentence.
fn bare(raw: &str) -> &str {
    raw.trim_matches(|c| is_wrapping(c) || ".,;:".contains(c))
}

/// Values in one line. A terminal may have broken an address in two: only a comma or the next scheme
/// begins another one.
fn unwrapped(text: &str) -> String {
    if !text.contains("//") {
        return text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let joined: String = text.split_whitespace().collect();
    let spaced = joined.replace("https://", " https://").replace("http://", " http://");
    let parts: Vec<_> = spaced.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    parts.join(if joined.contains(',') { ", " } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_tidied_by_what_they_are() {
        for (name, raw, want) in [
            ("url", " ‘https://api.exam\n  ple.com/x’. ", Some("https://api.example.com/x")),
            ("url", "'https://api.example.com/x.'", Some("https://api.example.com/x.")),
            ("url", "resource:", None),
            ("url", "/api/items", Some("/api/items")),
            ("origin", "'null'", Some("null")),
            ("origin", "'O'", None),
            ("status", "404.\"", Some("404")),
            ("status", "(null)", None),
            ("header", "x-csrf-token", Some("x-csrf-token")),
            ("header", "x-cs\n rf", Some("x-csrf")),
            ("value", "'https://a.exam\n ple'", Some("https://a.example")),
            (
                "value",
                "'https://a.example https://b.example'",
                Some("https://a.example https://b.example"),
            ),
            ("value", "'*, *'", Some("*, *")),
            ("value", "''", None),
        ] {
            let mut values = Values::default();
            values.put(name, raw);
            assert_eq!(values.get(name), want, "{name} {raw}");
        }
    }

    #[test]
    fn the_first_value_stays_and_long_ones_are_cut() {
        let mut values = Values::default();
        values.put("value", "a");
        values.put("value", "b");
        assert_eq!(values.get("value"), Some("a"));
        values.put("cookie", &"ä".repeat(1000));
        assert_eq!(values.get("cookie").unwrap().chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_sentence_is_said_when_all_of_it_is_known() {
        let mut values = Values::default();
        values.put("origin", "https://app.example.com");
        let said = |text: &str| values.fill(text);
        assert_eq!(said("page {origin}."), Some("page https://app.example.com.".to_owned()));
        assert_eq!(said("{origin} and {value}"), None);
        assert_eq!(said("nothing to fill"), Some("nothing to fill".to_owned()));
    }
}
