//! JSON (RFC 8259) → tree. serde_json keeps no places, so its grammar is read here; strings and
//! numbers are handed to it.

use crate::scenario::node::{Entry, Kind, Node};
use crate::scenario::problem::Complaint;

/// Deeper nesting than any scenario has; it bounds the stack.
const DEPTH: usize = 64;

/// Reads JSON.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Complaint>> {
    let mut reader = Reader { text, at: 0 };
    let result = reader.value(0).and_then(|node| {
        reader.blank();
        match reader.peek() {
            None => Ok(node),
            Some(_) => Err(reader.unexpected("the end of the file")),
        }
    });
    result.map_err(|complaint| vec![complaint])
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Complaint> {
        self.blank();
        let at = self.at;
        if depth > DEPTH {
            return Err(Self::complaint(at, "this is nested too deeply"));
        }
        let kind = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, kind })
    }

    fn table(&mut self, depth: usize) -> Result<Kind, Complaint> {
        let mut entries: Vec<Entry> = Vec::new();
        self.at += 1;
        self.blank();
        if self.eat(b'}') {
            return Ok(Kind::Table(entries));
        }
        loop {
            self.blank();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            if entries.iter().any(|e| e.key == key) {
                return Err(Self::complaint(at, &format!("the key `{key}` is here twice")));
            }
            self.blank();
            if !self.eat(b':') {
                return Err(self.unexpected("`:`"));
            }
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, at, value });
            self.blank();
            if self.eat(b'}') {
                return Ok(Kind::Table(entries));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Complaint> {
        let mut items = Vec::new();
        self.at += 1;
        self.blank();
        if self.eat(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blank();
            if self.eat(b']') {
                return Ok(Kind::List(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Complaint> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => {
                    return Err(Self::complaint(start, "this string is not closed"));
                }
            }
        }
        self.at = end + 1;
        let written = self.text.get(start..=end).unwrap_or_default();
        serde_json::from_str(written)
            .map_err(|_| Self::complaint(start, "this string has a wrong escape"))
    }

    fn number(&mut self) -> Result<Kind, Complaint> {
        let start = self.at;
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        while self.peek().is_some_and(is_part) {
            self.at += 1;
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written)
            .map(Kind::Number)
            .map_err(|_| Self::complaint(start, &format!("`{written}` is no number of JSON")))
    }

    fn word(&mut self) -> Result<Kind, Complaint> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let known =
            [("true", Kind::Bool(true)), ("false", Kind::Bool(false)), ("null", Kind::Null)];
        for (word, kind) in known {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eats = self.peek() == Some(byte);
        self.at += usize::from(eats);
        eats
    }

    fn unexpected(&self, wanted: &str) -> Complaint {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => format!("`{found}`"),
            None => "the end of the file".to_owned(),
        };
        Self::complaint(self.at, &format!("expected {wanted}, found {found}"))
    }

    fn complaint(at: usize, says: &str) -> Complaint {
        Complaint { at, path: Vec::new(), says: format!("this is not valid JSON: {says}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_have_a_place() {
        for (text, at, says) in [
            ("", 0, "expected a value, found the end of the file"),
            ("{\"a\" 1}", 5, "expected `:`, found `1`"),
            ("{\"a\":1,}", 7, "expected a key in double quotes, found `}`"),
            ("[1 2]", 3, "expected `,` or `]`, found `2`"),
            ("{\"a\":1,\"a\":2}", 7, "the key `a` is here twice"),
            ("\"a", 0, "this string is not closed"),
            ("\"\\q\"", 0, "this string has a wrong escape"),
            ("01", 0, "`01` is no number of JSON"),
            ("{} x", 3, "expected the end of the file, found `x`"),
        ] {
            let complaint = parse(text).expect_err(text).remove(0);
            assert_eq!(complaint.at, at, "{text}");
            assert!(complaint.says.ends_with(says), "{text}: {}", complaint.says);
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_alike(text in "[ -~\u{e9}\u{1f600}]{0,20}", n in any::<i64>()) {
            let value = serde_json::json!({ "a": [text, n, true, null, { "b": n }], text.clone(): {} });
            let node = parse(&value.to_string()).expect("valid JSON");
            prop_assert_eq!(node.into_value(), value);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let serde = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // Duplicate keys are the one thing that serde_json lets pass.
            prop_assert!(serde || parse(&text).is_err());
        }
    }
}
