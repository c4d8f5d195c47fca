//! Who signs in.

mod local;
mod user;

pub(crate) use local::MAX_PASSWORD_BYTES;
pub use local::{AccountsError, Busy, LocalAccounts, hash_password};
pub use user::User;
