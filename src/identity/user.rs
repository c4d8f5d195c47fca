//! A user as the frontend sees one.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

/// A user: id, tenant and metadata in one block of memory. A copy shares the block, so a million
/// sessions cost one allocation each, or less.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    text: Arc<str>,
    id_end: u32,
    tenant_end: u32,
}

impl User {
    /// A user with everything. `id` is stable and `userId` on the wire; a blank tenant becomes
    /// `default`; `metadata` is whatever the frontend shall know, an object, kept as JSON text
    /// because it is only ever copied into answers.
    #[must_use]
    pub fn new(id: &str, tenant: &str, metadata: &RawValue) -> Self {
        Self::from_parts(id, tenant, metadata.get())
    }

    /// A user with nothing but a name, in the tenant `default`.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self::from_parts(id, "", "{}")
    }

    /// `metadata` must be JSON: from a [`RawValue`], or from where one was written to.
    pub(crate) fn from_parts(id: &str, tenant: &str, metadata: &str) -> Self {
        let tenant = if tenant.trim().is_empty() { "default" } else { tenant };
        let text = [id, tenant, metadata].concat();
        let end = |n: usize| {
            u32::try_from(n).unwrap_or_else(|_| unreachable!("gigabytes do not come this far"))
        };
        Self { id_end: end(id.len()), tenant_end: end(id.len() + tenant.len()), text: text.into() }
    }

    /// Stable id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text[..self.id_end as usize]
    }

    /// Tenant; never blank.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.text[self.id_end as usize..self.tenant_end as usize]
    }

    /// JSON text.
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.text[self.tenant_end as usize..]
    }

    /// How many bytes the three take together.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Metadata may hold personal data: logs get the id alone.
        f.debug_struct("User").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_in_one_block() {
        let metadata = RawValue::from_string(r#"{"name":"Zoë"}"#.to_owned()).unwrap();
        let user = User::new("zoë", "acme", &metadata);
        assert_eq!((user.id(), user.tenant(), user.metadata()), ("zoë", "acme", metadata.get()));
        assert_eq!(format!("{user:?}"), r#"User { id: "zoë", .. }"#);
        let user = User::new("ada", " ", &metadata);
        assert_eq!(user.tenant(), "default");
        assert_eq!(User::named("").id(), "");
    }
}
