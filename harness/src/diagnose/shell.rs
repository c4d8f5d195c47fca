//! Words of a shell's line, as browsers quote them when they copy a request as `curl`.

/// Splits a line as bash does, or as `cmd` where its carets are seen. None: a quote never ends.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let uncareted;
    let line = if line.contains("^\"") || line.contains("^\n") || line.contains("^\r") {
        uncareted = without_carets(line);
        &uncareted
    } else {
        line
    };
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => quoted(&mut rest, word.get_or_insert_default())?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                escaped(&mut rest, word.get_or_insert_default())?;
            }
            '"' => doubly(&mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => {
                    rest.next_if_eq(&'\n');
                }
                Some(c) => word.get_or_insert_default().push(c),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(rest: &mut Rest<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '\'' => return Some(()),
            c => word.push(c),
        }
    }
}

fn doubly(rest: &mut Rest<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '"' => return Some(()),
            '\\' => match rest.next()? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                '\n' => {}
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

/// `$'…'`: what Chromium writes where a value holds more than plain characters.
fn escaped(rest: &mut Rest<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '\'' => return Some(()),
            '\\' => match rest.next()? {
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                'u' => word.push(hex(rest, 4)?),
                'x' => word.push(hex(rest, 2)?),
                c => word.push(c),
            },
            c => word.push(c),
        }
    }
}

fn hex(rest: &mut Rest<'_>, most: usize) -> Option<char> {
    let mut digits = String::new();
    while digits.len() < most {
        match rest.next_if(char::is_ascii_hexdigit) {
            Some(digit) => digits.push(digit),
            None => break,
        }
    }
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

/// In `cmd` a caret takes the meaning from what follows it.
fn without_carets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '^' => match rest.next() {
                Some('\r') => {
                    rest.next_if_eq(&'\n');
                    out.push(' ');
                }
                Some('\n') => out.push(' '),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_a_shell_reads() {
        for (line, want) in [
            (
                r"curl 'https://a.test/x?a=1&b' -H 'A: it'\''s'",
                &["curl", "https://a.test/x?a=1&b", "-H", "A: it's"][..],
            ),
            ("curl \\\n  -X \\\r\n POST", &["curl", "-X", "POST"]),
            (r"curl $'\u0041\x42\'\n'", &["curl", "AB'\n"]),
            (r#"curl "a \"b\" \c""#, &["curl", r#"a "b" \c"#]),
            (
                "curl ^\"https://a.test/?a=1^&b=2^\" ^\r\n  -H ^\"A: b^\"",
                &["curl", "https://a.test/?a=1&b=2", "-H", "A: b"],
            ),
            ("curl ''", &["curl", ""]),
        ] {
            assert_eq!(words(line).expect(line), want, "{line}");
        }
        for line in ["curl 'a", "curl \"a", "curl $'a", "curl $'\\u'"] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
