//! The sessions of a user, together.

use super::shard::Slot;
use super::{MemoryStore, lock};
use crate::policy::session::{StoreKey, UnixMillis};
use crate::store::graves::End;
use crate::store::{Listed, Owner, Stored};

impl MemoryStore {
    /// Ends those of a user's sessions that `which` names; how many.
    pub(super) fn end_some(
        &self,
        owner: Owner<'_>,
        now: UnixMillis,
        which: impl Fn(&StoreKey) -> bool,
    ) -> usize {
        let mut ended = 0;
        loop {
            let mut missed = false;
            for (key, _) in self.list(owner, now).into_iter().filter(|(key, _)| which(key)) {
                let end = self.end(&key, End::Revoked, now, |_| true);
                ended += usize::from(end.is_some());
                missed |= end.is_none();
            }
            // One that is gone already may have moved to another key.
            if !missed {
                return ended;
            }
        }
    }

    pub(super) fn list(&self, owner: Owner<'_>, now: UnixMillis) -> Vec<(StoreKey, Listed)> {
        let hash = self.hash(owner);
        let rings = self.lock_rings(hash, hash);
        let mut listed: Vec<_> = rings
            .first
            .1
            .oldest_first(hash)
            .filter_map(|id| {
                let shard = lock(&self.shards[id.shard()]);
                let Slot { key, stored, .. } = shard.at(id.slot())?;
                let Stored { activity, agent, .. } = *stored;
                let live = !self.lifetimes.is_expired(activity, now);
                // Hashes may meet; names do not.
                let theirs = stored.owner() == owner;
                (live && theirs).then(|| (*key, Listed { handle: key.handle(), activity, agent }))
            })
            .collect();
        listed.reverse();
        listed
    }
}
