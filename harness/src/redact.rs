//! Headers without their secrets, for everything that is printed.

/// The value of a header, or what may be shown of it.
pub(crate) fn redact(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "cookie" => value.split(';').map(redact_pair).collect::<Vec<_>>().join("; "),
        "set-cookie" => {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let attributes =
                if attributes.is_empty() { String::new() } else { format!(";{attributes}") };
            redact_pair(pair) + &attributes
        }
        "x-csrf-token" | "authorization" | "proxy-authorization" => "***".to_owned(),
        _ => value.to_owned(),
    }
}

fn redact_pair(pair: &str) -> String {
    match pair.trim().split_once('=') {
        Some((name, "")) => format!("{name}="),
        Some((name, _)) => format!("{name}=***"),
        None if pair.trim().is_empty() => String::new(),
        None => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_and_the_rest_is_not() {
        for (name, value, want) in [
            ("Cookie", "session=abc; a=1", "session=***; a=***"),
            ("set-cookie", "session=abc; HttpOnly; Path=/", "session=***; HttpOnly; Path=/"),
            ("set-cookie", "session=; Max-Age=0", "session=; Max-Age=0"),
            ("Set-Cookie", "abc", "***"),
            ("X-CSRF-Token", "abc", "***"),
            ("origin", "https://app.example.com", "https://app.example.com"),
        ] {
            assert_eq!(redact(name, value), want);
        }
    }
}
