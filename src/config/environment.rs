//! Keys that the environment overrides: `WITHCREDS_SESSION__IDLE_TIMEOUT=30m`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize as _;
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const PREFIX: &str = "WITHCREDS_";
/// Between section and key; sections have `_` in their own names.
const SEPARATOR: &str = "__";

/// Variables that stand for keys, and have not been asked for yet.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Variable>);

/// It may hold a secret, so it does not print.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) text: String,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_variables(std::env::vars_os())
    }

    /// From names and values. Variables that name no section are not ours.
    pub fn from_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let key = |(name, text): (OsString, OsString)| {
            let name = name.into_string().ok()?;
            let key = name.strip_prefix(PREFIX).filter(|key| key.contains(SEPARATOR))?;
            let key = key.to_ascii_lowercase().replace(SEPARATOR, ".");
            Some((key, Variable { name, text: text.to_string_lossy().into_owned() }))
        };
        Self(variables.into_iter().filter_map(key).collect())
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Variable> {
        self.0.remove(key)
    }

    /// Whether anything of this section is left.
    pub(super) fn has_section(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        self.0.keys().any(|key| key.starts_with(&prefix))
    }

    /// What nobody asked for.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Variable)> {
        self.0.into_iter()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The name of the variable for a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_ascii_uppercase())
}

/// Reads the text of a variable as what is expected: a string as it is, anything else as TOML has it,
/// a list also as words between commas or lines. Also gives the value that was understood.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<(T, toml::Value), String> {
    let string = DeValue::String(Cow::Borrowed(text));
    let mut error = match read(string) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let toml = format!("it = {text}");
    let (mut table, faults) = DeTable::parse_recoverable(&toml);
    if let Some(value) = table.get_mut().remove("it").filter(|_| faults.is_empty()) {
        match read(value.into_inner()) {
            Ok(found) => return Ok(found),
            Err(better) => error = better,
        }
    }
    let words = text.split([',', '\n', '\r']).map(str::trim).filter(|word| !word.is_empty());
    let words = words.map(|word| Spanned::new(0..0, DeValue::String(Cow::Borrowed(word))));
    read(DeValue::Array(words.collect())).map_err(|_| error)
}

fn read<T: DeserializeOwned>(value: DeValue<'_>) -> Result<(T, toml::Value), String> {
    let value = Spanned::new(0..0, value);
    let shown = toml::Value::deserialize(value.clone().into_deserializer());
    let found = T::deserialize(value.into_deserializer());
    let message = |error: toml::de::Error| error.message().to_owned();
    Ok((found.map_err(message)?, shown.map_err(message)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_what_is_expected() {
        assert_eq!(decode::<String>("30m").unwrap().0, "30m");
        assert_eq!(decode::<String>("12").unwrap().0, "12", "a string that looks like a number");
        assert_eq!(decode::<i64>("12").unwrap().0, 12);
        assert!(decode::<bool>("true").unwrap().0);
        for text in ["a,b", "a, b,", "a\nb\n", "['a', \"b\"]"] {
            assert_eq!(decode::<Vec<String>>(text).unwrap().0, ["a", "b"], "{text:?}");
        }
        assert!(decode::<Vec<String>>("").unwrap().0.is_empty());
        let map = decode::<BTreeMap<String, String>>("{ a = 'b' }").unwrap().0;
        assert_eq!(map["a"], "b");
        assert!(decode::<i64>("soon").unwrap_err().contains("soon"));
        assert!(decode::<bool>("1").is_err());
    }

    #[test]
    fn only_names_with_a_section_are_keys() {
        let variables = ["WITHCREDS_RATE_LIMIT__LOGIN_WINDOW", "WITHCREDS_FUZZ_SECONDS", "PATH"];
        let environment =
            Environment::from_variables(variables.map(|name| (name.into(), "1".into())));
        assert_eq!(format!("{environment:?}"), "{\"rate_limit.login_window\"}");
        assert_eq!(variable("rate_limit.login_window"), variables[0]);
    }
}
