//! Who signs in.

mod local;
pub mod oidc;
mod return_to;
mod user;

pub(crate) use local::MAX_PASSWORD_BYTES;
pub use local::{AccountsError, Busy, LocalAccounts, hash_password};
pub use return_to::{ReturnTo, ReturnToError, ReturnUrls};
pub use user::User;
