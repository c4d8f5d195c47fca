//! Where sessions live: one trait, [`SessionStore`], and the stores behind it.
//!
//! | store | where | bounded by | ends a session everywhere |
//! |---|---|---|---|
//! | [`MemoryStore`] | this process | `max_sessions`, `max_bytes` | yes |
//! | [`RedisStore`] | a Redis or Valkey server, sealed | that server's memory | yes |
//! | [`CookieStore`] | the browser, sealed | what a cookie holds | in this process, until it stops |
//!
//! `conformance` is the suite that all of them pass, races included.

mod any;
mod codec;
mod cookie;
mod graves;
mod memory;
mod record;
mod redis;

pub use any::Store;
pub use cookie::CookieStore;
pub use memory::{EndedCounts, Evict, MemoryStore, SnapshotError, StoreLimits};
pub use record::{
    Change, Found, IdpSession, Listed, NewSession, Owner, Stored, Ticket, Tokens, Updated,
};
pub use redis::{RedisStore, RedisUrlError};

use crate::policy::session::{Handle, Lifetimes, SessionSecret, UnixMillis};

/// What every store does. `now` is always passed in, and no method but [`create`](Self::create)
/// brings a session into being: whatever a slow request still does after a logout, the session
/// stays gone.
pub trait SessionStore: Send + Sync {
    /// How long sessions live.
    fn lifetimes(&self) -> Lifetimes;

    /// The ticket in a cookie's value, if it is well-formed; whether it opens anything only a
    /// look-up tells.
    fn read_ticket(&self, cookie_value: &str) -> Option<Ticket> {
        SessionSecret::parse(cookie_value).map(Ticket::new)
    }

    /// What the browser shall send from now on.
    fn cookie_value(&self, ticket: &Ticket, _session: &Stored) -> String {
        ticket.secret().to_cookie_value()
    }

    /// Whether that differs after each use: then every answer that has extended a session sets the
    /// cookie anew.
    fn reissues(&self) -> bool {
        false
    }

    /// Stores a new session in the place of `replaces`, if that exists. Beyond the user's share
    /// their expired sessions go, then their oldest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], and then nothing has changed; or that of the store.
    fn create(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Stored, StoreError>> + Send;

    /// Looks a session up.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn get(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Looks a session up and counts this as use, which moves its idle timeout. Never creates.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn touch(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Changes a session that is still at the version that the caller read: of two that read the
    /// same one, the second is told so. Never creates.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Updated, StoreError>> + Send;

    /// Gives a live session another secret; the old one is revoked. For whenever the user gains
    /// rights.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn rotate(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Ends a session; gives what it was, so that its tokens can be revoked.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn remove(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// The user's live sessions, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] where sessions are kept in cookies; or that of the store.
    fn list_by_user(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// Ends one of the user's sessions by its public name; whether there was one.
    ///
    /// # Errors
    ///
    /// As [`list_by_user`](Self::list_by_user).
    fn remove_by_handle(
        &self,
        owner: Owner<'_>,
        handle: Handle,
        now: UnixMillis,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends the user's sessions, all of them or all but one; how many.
    ///
    /// # Errors
    ///
    /// As [`list_by_user`](Self::list_by_user).
    fn remove_by_user(
        &self,
        owner: Owner<'_>,
        except: Option<&Ticket>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Ends the sessions that came from one session at the identity provider; how many.
    ///
    /// # Errors
    ///
    /// As [`list_by_user`](Self::list_by_user).
    fn remove_by_idp_sid(
        &self,
        issuer: &str,
        sid: &str,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Ends the sessions of one subject of the identity provider; how many.
    ///
    /// # Errors
    ///
    /// As [`list_by_user`](Self::list_by_user).
    fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Whether it can serve at this moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn ready(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why a store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It holds as much as it may.
    #[error("the session store is full")]
    Full,
    /// It does not answer; what it holds is not lost.
    #[error("the session store does not answer: {cause}")]
    Unavailable {
        /// For the log.
        cause: String,
    },
    /// The session does not fit into a cookie.
    #[error(
        "the session cookie would be {size} bytes long, and browsers drop those beyond {limit}"
    )]
    TooLarge {
        /// Name, value and all.
        size: usize,
        /// What browsers keep.
        limit: usize,
    },
    /// Sessions in cookies are known to their browsers only.
    #[error("sessions are kept in cookies, so nobody can list or end those of other browsers")]
    Unsupported,
}

#[cfg(test)]
mod conformance;
