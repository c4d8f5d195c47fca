//! The store that the configuration names.

use crate::policy::session::{Handle, Lifetimes, UnixMillis};
use crate::store::{
    Change, CookieStore, Found, Listed, MemoryStore, NewSession, Owner, RedisStore, SessionStore,
    StoreError, Stored, Ticket, Updated,
};

/// One of the stores. A match instead of a trait object: the memory store's futures need no
/// allocation and are ready when they are first polled.
#[derive(Debug)]
pub enum Store {
    /// In this process.
    Memory(MemoryStore),
    /// In the browsers.
    Cookie(CookieStore),
    /// In a server that several instances share.
    Redis(Box<RedisStore>),
}

/// Calls the same method of whichever store it is.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Memory($store) => $call,
            Self::Cookie($store) => $call,
            Self::Redis(boxed) => {
                let $store = &**boxed;
                $call
            }
        }
    };
}

impl SessionStore for Store {
    fn lifetimes(&self) -> Lifetimes {
        each!(self, store => SessionStore::lifetimes(store))
    }

    fn read_ticket(&self, cookie_value: &str) -> Option<Ticket> {
        each!(self, store => SessionStore::read_ticket(store, cookie_value))
    }

    fn cookie_value(&self, ticket: &Ticket, session: &Stored) -> String {
        each!(self, store => SessionStore::cookie_value(store, ticket, session))
    }

    fn reissues(&self) -> bool {
        each!(self, store => SessionStore::reissues(store))
    }
    async fn create(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        each!(self, store => SessionStore::create(store, ticket, session, replaces, now).await)
    }

    async fn get(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        each!(self, store => SessionStore::get(store, ticket, now).await)
    }

    async fn touch(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        each!(self, store => SessionStore::touch(store, ticket, now).await)
    }

    async fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        each!(self, store => SessionStore::update(store, ticket, version, change, now).await)
    }

    async fn rotate(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> Result<Found, StoreError> {
        each!(self, store => SessionStore::rotate(store, ticket, to, now).await)
    }

    async fn remove(&self, ticket: &Ticket, now: UnixMillis) -> Result<Option<Stored>, StoreError> {
        each!(self, store => SessionStore::remove(store, ticket, now).await)
    }

    async fn list_by_user(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> Result<Vec<Listed>, StoreError> {
        each!(self, store => SessionStore::list_by_user(store, owner, now).await)
    }

    async fn remove_by_handle(
        &self,
        owner: Owner<'_>,
        handle: Handle,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        each!(self, store => SessionStore::remove_by_handle(store, owner, handle, now).await)
    }

    async fn remove_by_user(
        &self,
        owner: Owner<'_>,
        except: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        each!(self, store => SessionStore::remove_by_user(store, owner, except, now).await)
    }

    async fn remove_by_idp_sid(
        &self,
        issuer: &str,
        sid: &str,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        each!(self, store => SessionStore::remove_by_idp_sid(store, issuer, sid, now).await)
    }

    async fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        each!(self, store => SessionStore::remove_by_idp_sub(store, issuer, sub, now).await)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        each!(self, store => SessionStore::ready(store).await)
    }
}
