//! Where sessions live.

mod memory;

pub use memory::{MemoryStore, StoreFull, StoreLimits};

use std::sync::Arc;

use crate::identity::User;
use crate::policy::session::{Activity, UnixMillis};

/// What the store knows of a session: a copy, made under the lock.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Whose session it is.
    pub user: Arc<User>,
    /// When it began and was last used.
    pub activity: Activity,
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub enum Found {
    /// A live session.
    Live(Stored),
    /// There was one, but its time is over.
    Expired,
    /// Nothing under this key.
    Nothing,
}

/// Whether and when a look-up counts as activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Reading extends the idle timeout.
    Extend(UnixMillis),
    /// Only look.
    Leave(UnixMillis),
}
