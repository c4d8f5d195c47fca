//! A tree against the JSON Schema that `schema` prints. One schema for both: what an editor marks
//! is what the reader refuses. It knows the keywords that our own types give rise to, no more.

use serde_json::{Map, Value};

use crate::scenario::node::{Kind, Node, Segment};
use crate::scenario::problem::Complaint;

/// From this likeness on, a name is worth suggesting.
const LIKENESS: f64 = 0.75;

/// Every departure from the schema, in the order of the file.
pub(super) fn check(schema: &Value, node: &Node) -> Vec<Complaint> {
    let mut checker = Checker { root: schema, path: Vec::new(), complaints: Vec::new() };
    checker.node(schema, node);
    checker.complaints.sort_by_key(|complaint| complaint.at);
    checker.complaints
}

struct Checker<'a> {
    root: &'a Value,
    path: Vec<Segment>,
    complaints: Vec<Complaint>,
}

impl<'a> Checker<'a> {
    fn node(&mut self, schema: &'a Value, node: &Node) {
        let schema = self.resolve(schema);
        if let Some(options) = choices(schema) {
            self.one_of(options, node);
        } else if let Some(words) = words(schema) {
            self.word(&words, node);
        } else if let Some(kinds) = schema.get("type")
            && !fits(kinds, node)
        {
            self.complain(node.at, format!("expected {}, found {}", names(kinds), node.noun()));
        } else {
            match &node.kind {
                Kind::Table(_) => self.table(schema, node),
                Kind::List(items) => self.list(schema, node.at, items),
                Kind::Number(number) => self.number(schema, node.at, number),
                _ => {}
            }
        }
    }

    fn table(&mut self, schema: &'a Value, node: &Node) {
        let Kind::Table(entries) = &node.kind else { return };
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for entry in entries {
            self.path.push(Segment::Key(entry.key.clone()));
            if let Some(property) = properties.and_then(|p| p.get(&entry.key)) {
                self.node(property, &entry.value);
            } else if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
                let known = properties.unwrap_or(&empty).keys().map(String::as_str);
                let hint = suggestion(&entry.key, known);
                self.complain(entry.at, format!("unknown key{hint}"));
            }
            self.path.pop();
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !entries.iter().any(|e| e.key == key) {
                self.complain(node.at, format!("the key `{key}` is missing"));
            }
        }
    }

    fn list(&mut self, schema: &'a Value, at: usize, items: &[Node]) {
        let tuple = schema.get("prefixItems").and_then(Value::as_array);
        if let Some(tuple) = tuple
            && tuple.len() != items.len()
        {
            let (wanted, found) = (tuple.len(), items.len());
            self.complain(at, format!("expected a list of {wanted} values, found {found}"));
            return;
        }
        for (index, item) in items.iter().enumerate() {
            let schema = tuple.and_then(|t| t.get(index)).or_else(|| schema.get("items"));
            if let Some(schema) = schema {
                self.path.push(Segment::Index(index));
                self.node(schema, item);
                self.path.pop();
            }
        }
    }

    fn number(&mut self, schema: &Value, at: usize, number: &serde_json::Number) {
        let limit = |key| schema.get(key).and_then(Value::as_f64);
        let value = number.as_f64().unwrap_or_default();
        let (least, most) = (limit("minimum"), limit("maximum"));
        if least.is_some_and(|least| value < least) || most.is_some_and(|most| value > most) {
            let range = match (least, most) {
                (Some(least), Some(most)) => format!("a number from {least} to {most}"),
                (Some(least), None) => format!("a number from {least} on"),
                (None, most) => format!("a number up to {}", most.unwrap_or_default()),
            };
            self.complain(at, format!("expected {range}, found {number}"));
        }
    }

    fn word(&mut self, words: &[&str], node: &Node) {
        let Kind::Text(text) = &node.kind else {
            let listed = listed(words);
            self.complain(node.at, format!("expected {listed}, found {}", node.noun()));
            return;
        };
        if !words.contains(&text.as_str()) {
            let hint = suggestion(text, words.iter().copied());
            self.complain(node.at, format!("expected {}, found \"{text}\"{hint}", listed(words)));
        }
    }

    /// The complaints of the alternative that comes nearest, if none fits.
    fn one_of(&mut self, options: &'a [Value], node: &Node) {
        let mut nearest: Option<Vec<Complaint>> = None;
        for option in options {
            let mut trial =
                Checker { root: self.root, path: self.path.clone(), complaints: Vec::new() };
            trial.node(option, node);
            if trial.complaints.is_empty() {
                return;
            }
            let option = self.resolve(option);
            let is_null = option.get("type").and_then(Value::as_str) == Some("null");
            if !is_null && nearest.as_ref().is_none_or(|n| trial.complaints.len() < n.len()) {
                nearest = Some(trial.complaints);
            }
        }
        self.complaints.extend(nearest.unwrap_or_default());
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|path| self.root.pointer(path.trim_start_matches('#')));
        target.unwrap_or(schema)
    }

    fn complain(&mut self, at: usize, says: String) {
        self.complaints.push(Complaint { at, path: self.path.clone(), says });
    }
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    let options = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    options.iter().any(|o| o.get("const").is_none()).then_some(options)
}

fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(listed) = schema.get("enum").and_then(Value::as_array) {
        return Some(listed.iter().filter_map(Value::as_str).collect());
    }
    // An enum whose values are documented is one constant for each.
    let options = schema.get("oneOf")?.as_array()?;
    options.iter().map(|o| o.get("const").and_then(Value::as_str)).collect()
}

fn fits(kinds: &Value, node: &Node) -> bool {
    let fits_one = |kind: &str| match (&node.kind, kind) {
        (Kind::Null, "null")
        | (Kind::Bool(_), "boolean")
        | (Kind::Number(_), "number")
        | (Kind::Text(_), "string")
        | (Kind::List(_), "array")
        | (Kind::Table(_), "object") => true,
        (Kind::Number(n), "integer") => n.is_i64() || n.is_u64(),
        _ => false,
    };
    match kinds {
        Value::String(kind) => fits_one(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(fits_one),
        _ => true,
    }
}

fn names(kinds: &Value) -> String {
    let noun = |kind: &str| match kind {
        "boolean" => "true or false",
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a table",
        _ => "nothing",
    };
    match kinds {
        Value::String(kind) => noun(kind).to_owned(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.map(noun).collect::<Vec<_>>().join(" or ")
        }
        _ => "something else".to_owned(),
    }
}

fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// `: did you mean …?`, or what there is.
fn suggestion<'w>(text: &str, known: impl Iterator<Item = &'w str>) -> String {
    let known: Vec<_> = known.collect();
    let likeness = |word: &&str| strsim::jaro_winkler(&text.to_lowercase(), word);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best {
        Some(best) if likeness(&best) >= LIKENESS => format!(": did you mean `{best}`?"),
        _ if known.len() <= 12 && !known.is_empty() => format!("; known are {}", known.join(", ")),
        _ => String::new(),
    }
}
