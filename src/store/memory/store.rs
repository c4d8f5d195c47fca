//! The memory store as a [`SessionStore`].

use std::future::ready;

use super::MemoryStore;
use crate::policy::session::{Handle, Lifetimes, UnixMillis};
use crate::store::graves::End;
use crate::store::{
    Change, Found, Listed, NewSession, Owner, SessionStore, StoreError, Stored, Ticket, Updated,
};

/// Nothing here waits, so every future is ready at once.
impl SessionStore for MemoryStore {
    fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    fn create(
        &self,
        ticket: &Ticket,
        session: NewSession,
        replaces: Option<&Ticket>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Stored, StoreError>> + Send {
        self.pass(|| self.add(ticket.key(), session, replaces.map(Ticket::key), now))
    }

    fn get(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        ready(Ok(self.look_up(ticket.key(), false, now)))
    }

    fn touch(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        ready(Ok(self.look_up(ticket.key(), true, now)))
    }

    fn update(
        &self,
        ticket: &Ticket,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Updated, StoreError>> + Send {
        self.pass(|| self.change(ticket.key(), version, change, now))
    }

    fn rotate(
        &self,
        ticket: &Ticket,
        to: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send {
        self.pass(|| self.move_to(ticket.key(), to.key(), now))
    }

    fn remove(
        &self,
        ticket: &Ticket,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send {
        self.pass(|| Ok(self.end(ticket.key(), End::Revoked, now, |_| true)))
    }

    fn list_by_user(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send {
        ready(Ok(self.list(owner, now).into_iter().map(|(_, listed)| listed).collect()))
    }

    fn remove_by_handle(
        &self,
        owner: Owner<'_>,
        handle: Handle,
        now: UnixMillis,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.pass(|| Ok(self.end_some(owner, now, |key| key.handle() == handle) > 0))
    }

    fn remove_by_user(
        &self,
        owner: Owner<'_>,
        except: Option<&Ticket>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        let kept = except.map(Ticket::key);
        self.pass(|| Ok(self.end_some(owner, now, |key| Some(key) != kept)))
    }

    fn remove_by_idp_sid(
        &self,
        issuer: &str,
        sid: &str,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        let is_it = |stored: &Stored| {
            stored
                .idp
                .as_ref()
                .is_some_and(|idp| *idp.issuer == *issuer && idp.sid.as_deref() == Some(sid))
        };
        self.pass(|| Ok(self.end_named(self.name_of("sid", issuer, sid), now, is_it)))
    }

    fn remove_by_idp_sub(
        &self,
        issuer: &str,
        sub: &str,
        now: UnixMillis,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        let is_it = |stored: &Stored| {
            stored.idp.as_ref().is_some_and(|idp| *idp.issuer == *issuer && *idp.sub == *sub)
        };
        self.pass(|| Ok(self.end_named(self.name_of("sub", issuer, sub), now, is_it)))
    }

    fn ready(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }
}
