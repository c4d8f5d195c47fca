//! What the identity provider calls sessions: an index for logouts that begin there. Its lock is
//! taken last.

use std::hash::BuildHasher as _;

use super::owners::SessionId;
use super::{MemoryStore, lock};
use crate::policy::session::UnixMillis;
use crate::store::Stored;
use crate::store::graves::End;

/// A session that moves from key to key is looked for so often. Bounded, because one whose name only
/// has the same hash is met at each look.
const MOST_LOOKS: usize = 64;

impl MemoryStore {
    /// Ends the sessions that go by this name, if they really do: hashes may meet.
    pub(super) fn end_named(
        &self,
        name: u64,
        now: UnixMillis,
        is_it: impl Fn(&Stored) -> bool,
    ) -> usize {
        self.end_found(|| self.named(name), now, is_it)
    }

    /// The same, given where to look: tests let a session move just after it was found.
    pub(super) fn end_found(
        &self,
        look: impl Fn() -> Vec<SessionId>,
        now: UnixMillis,
        is_it: impl Fn(&Stored) -> bool,
    ) -> usize {
        let mut ended = 0;
        for _ in 0..MOST_LOOKS {
            let mut missed = false;
            for id in look() {
                let key = lock(&self.shards[id.shard()]).at(id.slot()).map(|slot| slot.key);
                let end = key
                    .and_then(|key| self.end(&key, End::Revoked, now, |slot| is_it(&slot.stored)));
                ended += usize::from(end.is_some());
                missed |= end.is_none();
            }
            // One that is gone already may have moved to another key.
            if !missed {
                break;
            }
        }
        ended
    }

    pub(super) fn named(&self, name: u64) -> Vec<SessionId> {
        let named = lock(&self.idp);
        named.iter_hash(name).filter(|(n, _)| *n == name).map(|(_, id)| *id).collect()
    }

    /// Hashes of what the identity provider calls a session.
    pub(super) fn names(&self, stored: &Stored) -> [Option<u64>; 2] {
        let Some(idp) = &stored.idp else { return [None, None] };
        let sid = idp.sid.as_deref().map(|sid| self.name_of("sid", &idp.issuer, sid));
        [sid, Some(self.name_of("sub", &idp.issuer, &idp.sub))]
    }

    pub(super) fn name_of(&self, kind: &str, issuer: &str, value: &str) -> u64 {
        self.hasher.hash_one((kind, issuer, value))
    }

    pub(super) fn name(&self, names: [Option<u64>; 2], id: SessionId) {
        for name in names.into_iter().flatten() {
            lock(&self.idp).insert_unique(name, (name, id), |(name, _)| *name);
        }
    }

    pub(super) fn unname(&self, names: [Option<u64>; 2], id: SessionId) {
        for name in names.into_iter().flatten() {
            if let Ok(entry) = lock(&self.idp).find_entry(name, |entry| *entry == (name, id)) {
                entry.remove();
            }
        }
    }
}
