//! Who signs in.

mod local;

pub(crate) use local::MAX_PASSWORD_BYTES;
pub use local::{AccountsError, Busy, LocalAccounts, hash_password};

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

/// A user as the frontend sees one.
#[derive(Clone)]
pub struct User {
    /// Stable id, `userId` on the wire.
    pub id: Arc<str>,
    /// Tenant, `tenantId` on the wire; never blank.
    pub tenant: Arc<str>,
    /// Whatever the frontend shall know, an object; kept as JSON text because it is only ever
    /// copied into answers.
    pub metadata: Box<RawValue>,
}

impl User {
    /// A user with nothing but a name, in the tenant `default`.
    #[must_use]
    pub fn named(id: &str) -> Self {
        let metadata = RawValue::from_string("{}".to_owned())
            .unwrap_or_else(|_| unreachable!("{{}} is valid JSON"));
        Self { id: id.into(), tenant: "default".into(), metadata }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Metadata may hold personal data: logs get the id alone.
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}
