//! TOML → tree.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::scenario::node::{Entry, Kind, Node};
use crate::scenario::problem::Complaint;

/// Reads TOML; every syntax error that the parser can tell apart is reported.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Complaint>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(complaint).collect());
    }
    Ok(Node { at: table.span().start, kind: read_table(table.get_ref()) })
}

fn complaint(error: &toml::de::Error) -> Complaint {
    let at = error.span().map_or(0, |span| span.start);
    // The library's messages have lines of their own for what was expected.
    let says = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
    Complaint { at, path: Vec::new(), says: format!("this is not valid TOML: {says}") }
}

fn read_table(table: &DeTable<'_>) -> Kind {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: key.span().start,
            value: read(value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.at);
    Kind::Table(entries)
}

fn read(value: &Spanned<DeValue<'_>>) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Kind::Text(integer.to_string()), |n| Kind::Number(n.into())),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Kind::Text(float.to_string()), Kind::Number),
        DeValue::Boolean(b) => Kind::Bool(*b),
        DeValue::Datetime(when) => Kind::Text(when.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(read).collect()),
        DeValue::Table(table) => read_table(table),
    };
    Node { at: value.span().start, kind }
}
