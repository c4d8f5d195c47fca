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

/// Asks whichever store it is.
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

/// Asks whichever store it is, and waits. What waits for a network is large: it gets a place of its
/// own, so that the future which never waits stays small and is not carried about with it.
macro_rules! wait {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Memory($store) => $call.await,
            Self::Cookie($store) => $call.await,
            Self::Redis(boxed) => {
                let $store = &**boxed;
                Box::pin($call).await
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
        wait!(self, store => SessionStore::create(store, ticket, session, replaces, now))
    }

    async fn get(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        wait!(self, store => SessionStore::get(store, ticket, now))
    }

    async fn touch(&self, ticket: &Ticket, now: UnixMillis) -> Result<Found, StoreError> {
        wait!(self, store => SessionStore::touch(store, ticket, now))
    }

    async fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        wait!(self, store => SessionStore::update(store, ticket, version, change, now))
    }

    async fn rotate(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> Result<Found, StoreError> {
        wait!(self, store => SessionStore::rotate(store, ticket, to, now))
    }

    async fn remove(&self, ticket: &Ticket, now: UnixMillis) -> Result<Option<Stored>, StoreError> {
        wait!(self, store => SessionStore::remove(store, ticket, now))
    }

    async fn list_by_user(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> Result<Vec<Listed>, StoreError> {
        wait!(self, store => SessionStore::list_by_user(store, owner, now))
    }

    async fn remove_by_handle(
        &self,
        owner: Owner<'_>,
        handle: Handle,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        wait!(self, store => SessionStore::remove_by_handle(store, owner, handle, now))
    }

    async fn remove_by_user(
        &self,
        owner: Owner<'_>,
        except: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        wait!(self, store => SessionStore::remove_by_user(store, owner, except, now))
    }

    async fn remove_by_idp_sid(
        &self,
        issuer: &str,
        sid: &str,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        wait!(self, store => SessionStore::remove_by_idp_sid(store, issuer, sid, now))
    }

    async fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        now: UnixMillis,
    ) -> Result<usize, StoreError> {
        wait!(self, store => SessionStore::remove_by_idp_sub(store, issuer, sub, now))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        wait!(self, store => SessionStore::ready(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::session::SessionSecret;
    use crate::store::conformance::LIFETIMES;
    use crate::store::{Evict, StoreLimits};

    #[test]
    fn the_way_to_memory_is_not_paved_for_a_network() {
        let (max_sessions, max_sessions_per_user, max_bytes) = (1, 1, usize::MAX);
        let limits =
            StoreLimits { max_sessions, max_sessions_per_user, max_bytes, evict: Evict::Nobody };
        let store = Store::Memory(MemoryStore::new(LIFETIMES, limits));
        let ticket = Ticket::new(SessionSecret::from_random([1; 32]));
        let size = size_of_val(&store.touch(&ticket, UnixMillis(1)));
        assert!(size <= 256, "{size}");
    }
}
