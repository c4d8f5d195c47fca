//! What is wrong with a scenario file, and where.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::scenario::node::Segment;

/// A mistake by byte offset.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) at: usize,
    pub(super) path: Vec<Segment>,
    pub(super) says: String,
}

/// One mistake in a scenario file: its place, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The key, such as `step[0].credentials`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, message } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)
    }
}

impl Problem {
    pub(super) fn new(file: &str, text: &str, complaint: Complaint) -> Self {
        let before = text.get(..complaint.at.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key(&complaint.path),
            message: complaint.says,
        }
    }
}

fn key(path: &[Segment]) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => {
                let _ = write!(out, "[{index}]");
            }
            Segment::Key(key) if out.is_empty() => out.push_str(key),
            Segment::Key(key) => {
                out.push('.');
                out.push_str(key);
            }
        }
    }
    out
}
