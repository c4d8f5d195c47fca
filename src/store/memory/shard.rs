//! A part of the store behind one lock: sessions by key, and a wheel that knows when each ends.
//!
//! The wheel is lazy. A session hangs in the bucket of the time at which it would have expired
//! when it was hung there; use moves its end, but not its place. When the bucket's time comes, who
//! is still alive is hung anew: at most once an idle timeout, whatever its user does.

use std::time::Duration;

use hashbrown::HashTable;

use super::slab::{NOWHERE, Slab};
use crate::policy::session::{Lifetimes, StoreKey, UnixMillis};
use crate::store::Stored;
use crate::store::graves::Graves;

const BUCKETS: u64 = 256;
/// An idle timeout takes so many buckets; fewer than there are, so that no two ends meet in one.
const BUCKETS_AN_IDLE: u32 = 200;
/// How many sessions are looked at before the lock is let go.
const BATCH: usize = 128;

/// The wheel's measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    lifetimes: Lifetimes,
    /// Of one bucket, in milliseconds.
    grain: u64,
}

impl Timing {
    pub(super) fn of(lifetimes: Lifetimes) -> Self {
        let grain: Duration = lifetimes.idle.min(lifetimes.absolute) / BUCKETS_AN_IDLE;
        Self { lifetimes, grain: u64::try_from(grain.as_millis()).unwrap_or(u64::MAX).max(1) }
    }

    fn bucket_of(&self, stored: &Stored) -> u64 {
        self.lifetimes.idle_expires_at(stored.activity).0 / self.grain
    }

    fn is_expired(&self, stored: &Stored, now: UnixMillis) -> bool {
        self.lifetimes.is_expired(stored.activity, now)
    }
}

/// One session and its places in the wheel and in its user's ring.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: StoreKey,
    pub(super) stored: Stored,
    /// In [`Owners`](super::owners::Owners).
    pub(super) node: u32,
    previous: u32,
    next: u32,
    bucket: u16,
}

impl Slot {
    pub(super) fn new(key: StoreKey, stored: Stored, node: u32) -> Self {
        Self { key, stored, node, previous: NOWHERE, next: NOWHERE, bucket: 0 }
    }
}

/// A session that may have to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) key: StoreKey,
    pub(super) last_seen: UnixMillis,
}

/// The sessions of one shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: HashTable<u32>,
    slots: Slab<Slot>,
    /// First slot of each bucket; empty until there is a session.
    wheel: Vec<u32>,
    /// The bucket that comes next, counted from the epoch.
    cursor: u64,
    pub(super) graves: Graves,
}

impl Shard {
    /// What a session takes here, its share of the table included: five bytes a bucket, from half
    /// to seven eighths of them taken.
    pub(super) const SLOT_BYTES: usize = Slab::<Slot>::PLACE_BYTES + 8;

    pub(super) fn find(&self, key: &StoreKey) -> Option<&Slot> {
        self.slots.get(self.position(key)?)
    }

    pub(super) fn find_mut(&mut self, key: &StoreKey) -> Option<&mut Slot> {
        self.slots.get_mut(self.position(key)?)
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    fn position(&self, key: &StoreKey) -> Option<u32> {
        let slots = &self.slots;
        let is_it = |at: &u32| slots.get(*at).is_some_and(|slot| slot.key == *key);
        self.table.find(key.spread(), is_it).copied()
    }

    /// Puts a session in; its number.
    pub(super) fn insert(&mut self, timing: Timing, slot: Slot, now: UnixMillis) -> u32 {
        if self.wheel.is_empty() {
            self.wheel = vec![NOWHERE; usize::try_from(BUCKETS).unwrap_or(0)];
        }
        if self.slots.len() == 0 {
            self.cursor = now.0 / timing.grain;
        }
        let spread = slot.key.spread();
        let at = self.slots.insert(slot);
        let Self { table, slots, .. } = self;
        table.insert_unique(spread, at, |at| slots.get(*at).map_or(0, |slot| slot.key.spread()));
        self.hang(timing, at, self.cursor);
        at
    }

    /// Takes a session out, and says where it was.
    pub(super) fn remove(&mut self, key: &StoreKey) -> Option<(u32, Slot)> {
        let slots = &self.slots;
        let is_it = |at: &u32| slots.get(*at).is_some_and(|slot| slot.key == *key);
        let (at, _) = self.table.find_entry(key.spread(), is_it).ok()?.remove();
        self.unhang(at);
        self.slots.remove(at).map(|slot| (at, slot))
    }

    /// Hangs a session into the bucket of its end, or into the first one that is allowed.
    fn hang(&mut self, timing: Timing, at: u32, earliest: u64) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let bucket = timing.bucket_of(&slot.stored).clamp(earliest, earliest + BUCKETS - 2);
        slot.bucket = u16::try_from(bucket % BUCKETS).unwrap_or(0);
        let head = &mut self.wheel[usize::from(slot.bucket)];
        (slot.previous, slot.next) = (NOWHERE, *head);
        let second = std::mem::replace(head, at);
        if let Some(second) = self.slots.get_mut(second) {
            second.previous = at;
        }
    }

    fn unhang(&mut self, at: u32) {
        let Some(slot) = self.slots.get(at) else { return };
        let (previous, next, bucket) = (slot.previous, slot.next, slot.bucket);
        match self.slots.get_mut(previous) {
            Some(slot) => slot.next = next,
            None => self.wheel[usize::from(bucket)] = next,
        }
        if let Some(slot) = self.slots.get_mut(next) {
            slot.previous = previous;
        }
    }

    fn head(&self, bucket: u64) -> u32 {
        usize::try_from(bucket % BUCKETS)
            .ok()
            .and_then(|n| self.wheel.get(n))
            .copied()
            .unwrap_or(NOWHERE)
    }

    /// Looks at a batch of the sessions whose time may have come and names those whose time it is;
    /// whether there are more to look at. The named ones stay until they are removed.
    pub(super) fn turn(
        &mut self,
        timing: Timing,
        now: UnixMillis,
        expired: &mut Vec<Candidate>,
    ) -> bool {
        let present = now.0 / timing.grain;
        if self.slots.len() == 0 {
            return false;
        }
        for _ in 0..BATCH {
            if self.cursor >= present {
                return false;
            }
            let at = self.head(self.cursor);
            if at == NOWHERE {
                self.cursor += 1;
                continue;
            }
            self.unhang(at);
            // Not into the bucket it came from, or this would never end.
            self.hang(timing, at, self.cursor + 1);
            let Some(slot) = self.slots.get(at) else { continue };
            if timing.is_expired(&slot.stored, now) {
                expired.push(candidate(slot));
            }
        }
        true
    }

    /// Names those who have expired within the present bucket.
    pub(super) fn just_expired(
        &self,
        timing: Timing,
        now: UnixMillis,
        expired: &mut Vec<Candidate>,
    ) {
        let mut next = self.head(now.0 / timing.grain);
        for _ in 0..BATCH {
            let Some(slot) = self.slots.get(next) else { return };
            if timing.is_expired(&slot.stored, now) {
                expired.push(candidate(slot));
            }
            next = slot.next;
        }
    }

    /// The session that was used least recently, to a bucket's precision: of those that would end
    /// first, the one that was idle longest.
    pub(super) fn stalest(&mut self, timing: Timing) -> Option<Candidate> {
        let mut looks = 8 * BATCH;
        for bucket in self.cursor..self.cursor + BUCKETS {
            let mut stalest: Option<Candidate> = None;
            let mut next = self.head(bucket);
            while let Some(slot) = self.slots.get(next) {
                let (at, later) = (next, timing.bucket_of(&slot.stored) > bucket);
                next = slot.next;
                if later && bucket < self.cursor + BUCKETS - 2 && looks > 0 {
                    // In use since it was hung here.
                    self.unhang(at);
                    self.hang(timing, at, bucket + 1);
                } else if stalest.is_none_or(|s| slot.stored.activity.last_seen < s.last_seen) {
                    stalest = Some(candidate(slot));
                }
                looks = looks.saturating_sub(1);
                if looks == 0 && stalest.is_some() {
                    break;
                }
            }
            if stalest.is_some() {
                return stalest;
            }
        }
        None
    }
}

fn candidate(slot: &Slot) -> Candidate {
    let last_seen = slot.stored.activity.last_seen;
    Candidate { key: slot.key, last_seen }
}
