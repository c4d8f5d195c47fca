//! Reads a TOML document key by key and remembers every fault instead of stopping at the first.

use std::fmt;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize as _;
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::environment::{self, Environment};
use crate::secret::Secret;

/// What is shown in place of a secret.
pub(super) const REDACTED: &str = "***";
const NOT_YET: &str = "this version does not have it yet";

/// Names that are fixed for what is still to come, so that nobody takes them for typing mistakes.
const LATER: &[&str] = &["gateway"];

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConfigError {
    /// A stable name for programs.
    pub code: &'static str,
    /// `section.key`; empty if the file as a whole is meant.
    pub key: String,
    /// The offending value, as far as it may be shown.
    pub value: Option<String>,
    /// Why it is wrong.
    pub reason: String,
    /// What to write instead.
    pub mend: String,
    /// The file.
    pub file: String,
    /// Line from 1; 0 if it is about something that is not there.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self {
            code: "config_unreadable",
            key: String::new(),
            value: None,
            reason: format!("cannot read the file: {error}"),
            mend: "check the path and its permissions".to_owned(),
            file: path.display().to_string(),
            line: 0,
            column: 0,
        }
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value:?}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}\n  mend: {}", self.reason, self.mend)
    }
}

/// A parsed document and the faults found so far.
pub(super) struct Document<'i> {
    text: &'i str,
    path: &'i Path,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    written: Vec<&'static str>,
    environment: Environment,
    /// Every key that was asked for, in full.
    keys: Vec<String>,
    /// Keys with the variables that override them.
    overridden: Vec<(String, String)>,
    /// What was found, without secrets.
    shown: Vec<(String, toml::Value)>,
    errors: Vec<ConfigError>,
}

impl<'i> Document<'i> {
    pub(super) fn parse(
        text: &'i str,
        path: &'i Path,
        environment: Environment,
    ) -> Result<Self, Vec<ConfigError>> {
        let (table, faults) = DeTable::parse_recoverable(text);
        let mut document = Self {
            text,
            path,
            table: table.into_inner(),
            known: Vec::new(),
            written: Vec::new(),
            environment,
            keys: Vec::new(),
            overridden: Vec::new(),
            shown: Vec::new(),
            errors: Vec::new(),
        };
        for fault in faults {
            let at = fault.span().map(|span| span.start);
            document.push("", None, at, "toml_malformed", fault.message(), "mend the TOML first");
        }
        if document.errors.is_empty() { Ok(document) } else { Err(document.errors) }
    }

    /// The folder of the file: what relative paths in it start from.
    pub(super) fn directory(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// Whether this section was written.
    pub(super) fn has(&self, section: &'static str) -> bool {
        self.written.contains(&section)
    }

    /// Reads one section; an absent one reads as empty.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'i>) -> T,
    ) -> T {
        self.known.push(name);
        let (table, at) = match self.table.remove(name).map(|v| (v.span().start, v.into_inner())) {
            Some((at, DeValue::Table(table))) => {
                self.written.push(name);
                (table, Some(at))
            }
            Some((at, _)) => {
                let mend = format!("write [{name}] and its keys below");
                self.push(
                    name,
                    None,
                    Some(at),
                    "not_a_section",
                    "this is a section, not a value",
                    &mend,
                );
                (DeTable::new(), Some(at))
            }
            None => (DeTable::new(), None),
        };
        let overridden = self.environment.has_section(name);
        if overridden && !self.has(name) {
            self.written.push(name);
        }
        let (known, spans) = (Vec::new(), Vec::new());
        let mut section = Section { document: self, name, at, overridden, table, known, spans };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Reports unknown sections, and everything else that was found.
    pub(super) fn finish(mut self) -> Result<Vec<(String, toml::Value)>, Vec<ConfigError>> {
        let unknown: Vec<_> =
            self.table.keys().map(|key| (key.get_ref().to_string(), key.span().start)).collect();
        for (name, at) in unknown {
            if LATER.contains(&name.as_str()) {
                self.push(&name, None, Some(at), "not_yet", NOT_YET, "leave it out");
                continue;
            }
            let mend = did_you_mean(&name, &self.known, "sections");
            self.push(&name, None, Some(at), "unknown_key", "there is no such section", &mend);
        }
        for (key, variable) in std::mem::take(&mut self.environment).rest() {
            let mend = match nearest(&key, &self.keys) {
                Some(key) => format!("did you mean `{}`?", environment::variable(key)),
                None => "unset it; WITHCREDS_SECTION__KEY overrides a key, and a secret can also be in a file that WITHCREDS_SECTION__KEY_FILE names".to_owned(),
            };
            self.overridden.push((key.clone(), variable.name));
            self.push(&key, None, None, "unknown_key", "there is no such key", &mend);
        }
        self.errors.sort_by_key(|e| (e.line, e.column));
        if self.errors.is_empty() { Ok(self.shown) } else { Err(self.errors) }
    }

    fn push(
        &mut self,
        key: &str,
        value: Option<String>,
        at: Option<usize>,
        code: &'static str,
        reason: &str,
        mend: &str,
    ) {
        let variable = self.overridden.iter().find(|(k, _)| k == key).map(|(_, name)| name);
        let file = match variable {
            Some(name) => format!("environment variable {name}"),
            None => self.path.display().to_string(),
        };
        let (line, column) = at.filter(|_| variable.is_none()).map_or((0, 0), |at| {
            let before = &self.text[..at.min(self.text.len())];
            let line_start = before.rfind('\n').map_or(0, |n| n + 1);
            (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
        });
        self.errors.push(ConfigError {
            code,
            key: key.to_owned(),
            value,
            reason: reason.to_owned(),
            mend: mend.to_owned(),
            file,
            line,
            column,
        });
    }

    /// The variable that stands for a key, if there is one.
    fn variable(&mut self, section: &str, key: &str) -> Option<String> {
        let key = format!("{section}.{key}");
        let variable = self.environment.take(&key)?;
        self.overridden.push((key, variable.name));
        Some(variable.text)
    }
}

/// One section while it is read.
pub(super) struct Section<'d, 'i> {
    document: &'d mut Document<'i>,
    name: &'static str,
    at: Option<usize>,
    /// Whether the environment has something to say here.
    overridden: bool,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    /// Where keys, and the elements of lists, stood.
    spans: Vec<(&'static str, Option<String>, usize)>,
}

impl<'i> Section<'_, 'i> {
    /// Whether the section itself was written.
    pub(super) fn is_present(&self) -> bool {
        self.at.is_some() || self.overridden
    }

    /// Whether the key was written, well or badly.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.spans.iter().any(|(k, ..)| *k == key)
    }

    /// Whether the key was written, and badly.
    pub(super) fn is_bad(&self, key: &'static str) -> bool {
        let name = format!("{}.{key}", self.name);
        self.has(key) && self.document.errors.iter().any(|e| e.key == name)
    }

    /// Reads a section within this one, `[name]` in full; an absent one reads as empty.
    pub(super) fn within_section<T>(
        &mut self,
        key: &'static str,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'i>) -> T,
    ) -> T {
        self.known.push(key);
        let (table, at) = match self.table.remove(key).map(|v| (v.span().start, v.into_inner())) {
            Some((at, DeValue::Table(table))) => (table, Some(at)),
            Some((at, _)) => {
                self.spans.push((key, None, at));
                let mend = format!("write [{name}] and its keys below");
                self.fault(key, None, "not_a_section", "this is a section, not a value", &mend);
                (DeTable::new(), Some(at))
            }
            None => (DeTable::new(), None),
        };
        let (known, spans) = (Vec::new(), Vec::new());
        let document = &mut *self.document;
        let overridden = document.environment.has_section(name);
        let mut section = Section { document, name, at, overridden, table, known, spans };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// A value of the expected type; a fault if it is of another.
    pub(super) fn value<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let result = match self.variable(key) {
            Some(text) => environment::decode(&text),
            None => self.written(key)?,
        };
        match result {
            Ok((value, shown)) => {
                self.document.shown.push((format!("{}.{key}", self.name), shown));
                Some(value)
            }
            Err(message) => {
                // The message quotes the value: no key that holds a secret may be read this way.
                self.fault(key, None, "wrong_type", &message, "write a value of the expected type");
                None
            }
        }
    }

    /// What the environment says instead of the file.
    fn variable(&mut self, key: &'static str) -> Option<String> {
        self.document.keys.push(format!("{}.{key}", self.name));
        let text = self.document.variable(self.name, key)?;
        self.known.push(key);
        self.table.remove(key);
        self.spans.push((key, None, 0));
        Some(text)
    }

    /// What the file says.
    fn written<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Option<Result<(T, toml::Value), String>> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        self.spans.push((key, None, value.span().start));
        let shown = toml::Value::deserialize(value.clone().into_deserializer());
        let found = T::deserialize(value.into_deserializer());
        Some(found.and_then(|found| Ok((found, shown?))).map_err(|e| e.message().to_owned()))
    }

    /// A list of strings.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        let list: Vec<Spanned<String>> = self.value(key)?;
        for element in &list {
            self.spans.push((key, Some(element.get_ref().clone()), element.span().start));
        }
        Some(list.into_iter().map(Spanned::into_inner).collect())
    }

    /// A string that no message repeats.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret<String>> {
        self.hidden(key, "it must be a string", "write a string: \"…\"")
    }

    /// A list of strings that no message repeats.
    pub(super) fn secrets(&mut self, key: &'static str) -> Option<Vec<Secret<String>>> {
        self.hidden(key, "it must be a list of strings", "write a list of strings: [\"…\"]")
    }

    fn hidden<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        reason: &str,
        mend: &str,
    ) -> Option<T> {
        let text = self.variable(key).or_else(|| self.file_of(key));
        let value = match text {
            Some(text) => environment::decode(&text).ok(),
            // What could not be read has been reported.
            None if self.has(key) => return None,
            None => self.written(key)?.ok(),
        };
        if value.is_none() {
            self.fault(key, None, "wrong_type", reason, mend);
        }
        let (value, _) = value?;
        self.document.shown.push((format!("{}.{key}", self.name), REDACTED.into()));
        Some(value)
    }

    /// The content of the file that the environment names for a secret.
    fn file_of(&mut self, key: &'static str) -> Option<String> {
        let full = format!("{}.{key}", self.name);
        self.document.keys.push(format!("{full}_file"));
        let variable = self.document.environment.take(&format!("{full}_file"))?;
        self.document.overridden.push((full, variable.name));
        self.known.push(key);
        self.table.remove(key);
        self.spans.push((key, None, 0));
        match std::fs::read_to_string(&variable.text) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                let reason = format!("cannot read the file that it names: {error}");
                let mend = "check the path and its permissions";
                // Its value is not shown: it may be the secret itself, where a path belongs.
                self.fault(key, None, "secret_unreadable", &reason, mend);
                None
            }
        }
    }

    /// A string that parses into `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
        mend: impl FnOnce(&T::Err) -> String,
    ) -> Option<T> {
        let text: String = self.value(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let mend = mend(&error);
                self.fault(key, Some(text), "malformed", &error.to_string(), &mend);
                None
            }
        }
    }

    /// A duration such as `90s` or `1h 30m`, longer than nothing.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let value = self.parsed::<humantime::Duration>(key, |_| {
            "write a duration such as \"60m\" or \"12h\"".to_owned()
        })?;
        if value.is_zero() {
            let text = Some(value.to_string());
            self.fault(
                key,
                text,
                "zero_duration",
                "it must be longer than nothing",
                "write a duration such as \"60m\"",
            );
            return None;
        }
        Some(*value)
    }

    /// A whole number within bounds.
    pub(super) fn within(
        &mut self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let number: i64 = self.value(key)?;
        let value = usize::try_from(number).ok().filter(|n| range.contains(n));
        if value.is_none() {
            let mend = format!("write a number from {} to {}", range.start(), range.end());
            self.fault(
                key,
                Some(number.to_string()),
                "out_of_range",
                "the number is out of range",
                &mend,
            );
        }
        value
    }

    /// Remembers a fault, with the place of the value if it can be found.
    pub(super) fn fault(
        &mut self,
        key: &'static str,
        value: Option<String>,
        code: &'static str,
        reason: &str,
        mend: &str,
    ) {
        let element = self.spans.iter().find(|(k, v, _)| *k == key && v.is_some() && *v == value);
        let whole = self.spans.iter().find(|(k, ..)| *k == key);
        let at = element.or(whole).map(|(.., at)| *at).or(self.at);
        let key = format!("{}.{key}", self.name);
        self.document.push(&key, value, at, code, reason, mend);
    }

    fn finish(self) {
        let unknown: Vec<_> =
            self.table.keys().map(|key| (key.get_ref().to_string(), key.span().start)).collect();
        for (name, at) in unknown {
            let key = format!("{}.{name}", self.name);
            if LATER.contains(&key.as_str()) {
                self.document.push(&key, None, Some(at), "not_yet", NOT_YET, "leave it out");
                continue;
            }
            let mend = did_you_mean(&name, &self.known, "keys");
            self.document.push(&key, None, Some(at), "unknown_key", "there is no such key", &mend);
        }
    }
}

fn did_you_mean(name: &str, known: &[&'static str], what: &str) -> String {
    match nearest(name, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("the {what} are: {}", known.join(", ")),
    }
}

/// The name that was probably meant.
fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let distances = known.iter().map(|candidate| {
        let candidate = candidate.as_ref();
        (strsim::damerau_levenshtein(name, candidate), candidate)
    });
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 3).then_some(candidate)
}
