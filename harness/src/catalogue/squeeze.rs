//! Makes texts comparable: what survives any quoting, escaping, wrapping and case is the letters and
//! digits, so nothing else is compared. The way back to the text itself is kept, for the values.

use std::borrow::Cow;

/// A text as letters and digits in lower case, and where each of their bytes came from.
pub(super) struct Squeezed {
    pub(super) letters: String,
    /// For each byte of `letters`: where its character begins and ends in the text.
    places: Vec<(u32, u32)>,
}

impl Squeezed {
    /// Squeezes; only the first 4 GiB can be told apart, which callers keep far below.
    pub(super) fn of(text: &str) -> Self {
        let mut letters = String::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len());
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        for (at, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
            for lower in c.to_lowercase() {
                letters.push(lower);
            }
            places.resize(letters.len(), (place(at), place(at + c.len_utf8())));
        }
        Self { letters, places }
    }

    /// Where the text goes on after the first `end` bytes of the letters.
    pub(super) fn after(&self, end: usize) -> usize {
        end.checked_sub(1).and_then(|last| self.places.get(last)).map_or(0, |p| p.1 as usize)
    }

    /// Where in the text the letter at `start` begins; `len` if there is none.
    pub(super) fn before(&self, start: usize, len: usize) -> usize {
        self.places.get(start).map_or(len, |p| p.0 as usize)
    }
}

/// Letters and digits of a text in lower case.
pub(super) fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The text as the console showed it: without escapes of JSON, HTML or terminals, and without the
/// time stamps that log collectors put before each line.
pub(super) fn clean(text: &str) -> String {
    let text = unescape(text);
    let lines: Vec<_> = text.lines().map(without_stamps).collect();
    lines.join("\n")
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '&', '\x1b']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '&', '\x1b']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (shown, len) = escape(rest).unwrap_or((' ', 1));
        // An ampersand that begins no entity belongs to an address.
        out.push(if len == 1 && rest.starts_with('&') { '&' } else { shown });
        rest = &rest[len..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that an escape at the beginning stands for, and the escape's length.
fn escape(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 14] = [
        ("&quot;", '"'),
        ("&apos;", '\''),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&lsquo;", '‘'),
        ("&rsquo;", '’'),
        ("&ldquo;", '“'),
        ("&rdquo;", '”'),
        ("&amp;", '&'),
        ("&nbsp;", ' '),
        ("\\n", '\n'),
        ("\\r", ' '),
        ("\\t", ' '),
        ("\\\"", '"'),
    ];
    if let Some(code) = text.strip_prefix("\\u").and_then(|t| t.get(..4)) {
        let shown = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        return shown.map(|c| (c, 6));
    }
    if let Some(sequence) = text.strip_prefix("\x1b[") {
        let end = sequence.bytes().take(32).position(|b| (0x40..=0x7e).contains(&b))?;
        return Some((' ', end + 3));
    }
    NAMED.iter().find(|(name, _)| text.starts_with(name)).map(|&(name, c)| (c, name.len()))
}

/// A line without the time stamps at its beginning.
fn without_stamps(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(end) = rest.find(char::is_whitespace) {
        if !is_stamp(&rest[..end]) {
            break;
        }
        rest = rest[end..].trim_start();
    }
    rest
}

/// `12:03:01.123`, `[2026-11-24T12:03:01Z]`: digits, and the marks between them.
fn is_stamp(token: &str) -> bool {
    let marks = token.bytes().filter(|b| b":-".contains(b)).count();
    marks >= 2
        && token.bytes().any(|b| b.is_ascii_digit())
        && token.bytes().all(|b| b.is_ascii_digit() || b"[]()+-:.,/TZ".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_blanks_and_case_do_not_count() {
        let plain = letters("No 'Access-Control-Allow-Origin' header");
        for text in [
            "no ‘access-control-allow-origin’ header",
            "No \"Access-Control-\nAllow-Origin\"   header",
            "No Access-Control-Allow-Origin header",
        ] {
            assert_eq!(letters(text), plain, "{text}");
        }
    }

    #[test]
    fn escapes_of_json_html_and_terminals_are_undone() {
        for (text, want) in [
            (r"No \u2018x\u2019 header\nnext", "No ‘x’ header\nnext"),
            ("No &#39;x&#39; &amp; &quot;y&quot;", "No 'x' & \"y\""),
            ("https://a.example/?a=1&b=2", "https://a.example/?a=1&b=2"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\\u12", "u12"),
            ("a\\", "a"),
        ] {
            assert_eq!(clean(text).trim(), want, "{text}");
        }
    }

    #[test]
    fn time_stamps_before_a_line_go() {
        for (text, want) in [
            ("12:03:01.123 Access to", "Access to"),
            ("[2026-11-24T12:03:01Z] [12:03:01] Access", "Access"),
            ("2026-11-24 12:03:01,123 Access", "Access"),
            ("app.js:12 Access", "app.js:12 Access"),
            ("404 Access", "404 Access"),
        ] {
            assert_eq!(clean(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn places_lead_back_to_the_text(text in any::<String>()) {
            let squeezed = Squeezed::of(&text);
            prop_assert_eq!(squeezed.letters.len(), squeezed.places.len());
            for at in 0..squeezed.letters.len() {
                let (start, end) = (squeezed.before(at, text.len()), squeezed.after(at + 1));
                prop_assert!(text[start..end].chars().all(char::is_alphanumeric));
            }
        }

        #[test]
        fn cleaning_takes_any_text(text in any::<String>()) {
            clean(&text);
        }

        #[test]
        fn cleaning_takes_any_escape(text in r"[\\&\x1b\[u0-9a-fA-F#;lrq‘é ]*") {
            clean(&text);
        }
    }
}
