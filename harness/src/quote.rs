//! Words of commands that people paste into a shell.

/// In single quotes: the shell reads it as it is.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// As it is where a shell reads nothing into it, else in quotes: a host or a method out of somebody
/// else's file may hold `;` or `$(…)`.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_the_shell() {
        for (text, want) in [
            ("PUT", "PUT"),
            ("https://app.example.com:8443", "https://app.example.com:8443"),
            ("PUT; x", "'PUT; x'"),
            ("$(x)", "'$(x)'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), want);
        }
    }
}
