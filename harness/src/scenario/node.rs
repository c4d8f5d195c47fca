//! A file as a tree that remembers where each value stood, whichever notation it was written in.

use serde_json::{Map, Number, Value};

/// A value and the byte at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What TOML and JSON have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) value: Node,
}

/// One segment of a path into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A key of a table.
    Key(String),
    /// A place in a list.
    Index(usize),
}

impl Node {
    /// What a person calls this kind of value.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// Where the value at a path begins; as deep as the path leads.
    pub(super) fn locate(&self, path: &[Segment]) -> usize {
        let Some((first, rest)) = path.split_first() else { return self.at };
        let child = match (&self.kind, first) {
            (Kind::Table(entries), Segment::Key(key)) => {
                entries.iter().find(|e| e.key == *key).map(|e| &e.value)
            }
            (Kind::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        };
        child.map_or(self.at, |child| child.locate(rest))
    }

    /// The same without places.
    pub(super) fn into_value(self) -> Value {
        match self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(b),
            Kind::Number(n) => Value::Number(n),
            Kind::Text(s) => Value::String(s),
            Kind::List(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Kind::Table(entries) => Value::Object(
                entries.into_iter().map(|e| (e.key, e.value.into_value())).collect::<Map<_, _>>(),
            ),
        }
    }
}
