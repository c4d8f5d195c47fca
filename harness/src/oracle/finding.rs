//! One decision of the model, with what it was about.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::oracle::Code;

/// Why a step ended as it did: one rule that was met or violated. The text is put together only
/// when somebody reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    code: Code,
    template: &'static str,
    values: Vec<String>,
    violated: bool,
}

impl Finding {
    pub(super) fn new<const N: usize>(
        code: Code,
        template: &'static str,
        values: [&str; N],
    ) -> Self {
        let violated = !code.mend().is_empty();
        Self { code, template, values: values.map(str::to_owned).to_vec(), violated }
    }

    /// Nothing failed; it is worth knowing all the same.
    pub(super) fn advice(self) -> Self {
        Self { violated: false, ..self }
    }

    /// The rule.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether a rule was violated, rather than met.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.violated
    }

    /// What happened, in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let mut values = self.values.iter();
        let mut out = String::with_capacity(self.template.len() + 32);
        for (index, part) in self.template.split("{}").enumerate() {
            if index > 0 {
                out.push_str(values.next().map_or("", String::as_str));
            }
            out.push_str(part);
        }
        out
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Finding", 5)?;
        out.serialize_field("code", self.code.id())?;
        out.serialize_field("text", &self.text())?;
        out.serialize_field("spec", self.code.spec())?;
        out.serialize_field("mend", self.code.mend())?;
        out.serialize_field("violated", &self.is_violation())?;
        out.end()
    }
}
