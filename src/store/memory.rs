//! Sessions in this process: sharded, bounded, compact.
//!
//! A session takes one slot in its shard, one node in its user's ring, and one block of text. A
//! look-up takes one short lock and allocates nothing. What creates, moves or ends a session holds
//! the lock of its user's ring first and that of the shard second, so the two always agree; nothing
//! takes them the other way round, and none is held across an await.

mod budget;
mod lists;
mod names;
mod owners;
mod shard;
mod slab;
mod snapshot;
mod store;
mod tally;

pub use budget::{Evict, StoreLimits};
pub use snapshot::SnapshotError;
pub use tally::EndedCounts;

use std::future::{Ready, ready};
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use self::budget::{Budget, Load};
use self::owners::{Owners, SessionId};
use self::shard::{Candidate, Shard, Slot, Timing};
use self::tally::Tally;
use crate::policy::session::{Lifetimes, StoreKey, UnixMillis};
use crate::store::graves::End;
use crate::store::{Change, Found, NewSession, Owner, StoreError, Stored, Updated};

/// Enough that two requests rarely want the same one, and that a table of one is small to grow.
/// No power of two: tables double, and with so many they are nearly full, not half empty, when the
/// store holds the million that is its default.
const SHARDS: usize = 320;
/// Locks for the users' rings; as above.
const RINGS: usize = 80;
/// What a session takes beyond its payload: slot, node, and the counters and rounding of the
/// allocation that holds its text. A test compares it with the machine's own account.
const OVERHEAD: usize = Shard::SLOT_BYTES + Owners::NODE_BYTES + 32;
/// For how long an end is remembered.
const REMEMBERED: Duration = Duration::from_hours(1);
/// Ends that are remembered: at most a sixteenth of the sessions, and at most so many.
const MOST_GRAVES: usize = 1 << 16;
/// Beyond these, a user's oldest sessions go without a look for expired ones.
const MOST_LOOKS: usize = 1000;

/// The default store.
#[derive(Debug)]
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    rings: Box<[Mutex<Owners>]>,
    /// Sessions by hashes of what the identity provider calls them. Asked for last.
    idp: Mutex<HashTable<(u64, SessionId)>>,
    budget: Budget,
    tally: Tally,
    timing: Timing,
    lifetimes: Lifetimes,
    limits: StoreLimits,
    hasher: RandomState,
    /// Shut by [`MemoryStore::save`]. Looking up does not pass here.
    gate: RwLock<Gate>,
}

/// Whether sessions may begin, change and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// They have been written down: what happened now would be forgotten, a logout undone.
    Shut,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(lifetimes: Lifetimes, limits: StoreLimits) -> Self {
        let most = Load { sessions: limits.max_sessions, bytes: limits.max_bytes };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            rings: (0..RINGS).map(|_| Mutex::default()).collect(),
            idp: Mutex::default(),
            budget: Budget::new(most),
            tally: Tally::default(),
            timing: Timing::of(lifetimes),
            lifetimes,
            limits,
            hasher: RandomState::default(),
            gate: RwLock::new(Gate::Open),
        }
    }

    /// Sessions held, expired ones that no sweep has met yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.budget.held().sessions
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that the sessions take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.budget.held().bytes
    }

    /// Sessions that the store has ended by itself.
    #[must_use]
    pub fn ended(&self) -> EndedCounts {
        self.tally.counts()
    }

    /// Looks a session up; with `extend` this counts as use. Never creates anything.
    #[must_use]
    pub fn look_up(&self, key: &StoreKey, extend: bool, now: UnixMillis) -> Found {
        let mut shard = self.shard(key);
        let Some(slot) = shard.find_mut(key) else {
            return match shard.graves.find(key, now) {
                Some(End::Expired) => Found::Expired,
                Some(End::Revoked) => Found::Revoked,
                None => Found::Nothing,
            };
        };
        if self.lifetimes.is_expired(slot.stored.activity, now) {
            // Left for the sweep.
            return Found::Expired;
        }
        if extend {
            let last_seen = &mut slot.stored.activity.last_seen;
            *last_seen = now.max(*last_seen);
        }
        Found::Live(slot.stored.clone())
    }

    /// What [`SessionStore::create`](crate::store::SessionStore::create) does, without waiting.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`].
    pub fn add(
        &self,
        key: &StoreKey,
        session: NewSession,
        replaces: Option<&StoreKey>,
        now: UnixMillis,
    ) -> Result<Stored, StoreError> {
        let stored = session.starting(now);
        // Each turn needs another session to go, so this ends.
        while !self.place(key, &stored, replaces, now) {
            if !self.make_room(now) {
                return Err(StoreError::Full);
            }
        }
        Ok(stored)
    }

    /// One attempt; false if there is no room, and then nothing has changed.
    fn place(
        &self,
        key: &StoreKey,
        stored: &Stored,
        replaces: Option<&StoreKey>,
        now: UnixMillis,
    ) -> bool {
        let owner = self.hash(stored.owner());
        // The session that is replaced may be another user's: a shared computer.
        let replaced_owner = replaces.and_then(|k| self.owner_of(k));
        let mut rings = self.lock_rings(owner, replaced_owner.unwrap_or(owner));
        // Nothing of these two users ends or begins meanwhile, so it is still that owner's, or gone.
        let replaces = replaces.filter(|key| self.owner_of(key) == replaced_owner);
        let mut gone: Vec<(StoreKey, End)> = replaces
            .filter(|_| replaced_owner.is_some())
            .map(|key| (*key, End::Revoked))
            .into_iter()
            .collect();
        self.choose_oldest(rings.of(owner), owner, now, &mut gone);

        let freed = gone.iter().filter_map(|(key, _)| self.shard(key).find(key).map(load)).sum();
        let needed = load_of(stored);
        if !self.budget.exchange(freed, needed) {
            return false;
        }
        // Changes take no ring: what went may have grown or shrunk since it was counted.
        let mut went = Load::default();
        for (key, end) in &gone {
            if let Some(stored) = self.take_out(&mut rings, key, *end, now) {
                went = [went, load_of(&stored)].into_iter().sum();
                let cause = match end {
                    End::Expired => &self.tally.expired,
                    End::Revoked if replaces == Some(key) => &self.tally.replaced,
                    End::Revoked => &self.tally.over_share,
                };
                tally::add(cause, 1);
            }
        }
        self.budget.correct(freed, went);
        self.put_in(&mut rings, key, stored.clone(), now);
        true
    }

    /// Beyond the user's share: expired sessions, then the oldest.
    fn choose_oldest(
        &self,
        ring: &Owners,
        owner: u64,
        now: UnixMillis,
        gone: &mut Vec<(StoreKey, End)>,
    ) {
        let keys = |looks| {
            ring.oldest_first(owner).take(looks).filter_map(|id| {
                lock(&self.shards[id.shard()])
                    .at(id.slot())
                    .map(|slot| (slot.key, self.lifetimes.is_expired(slot.stored.activity, now)))
            })
        };
        let mut excess = (ring.count(owner) + 1).saturating_sub(self.limits.max_sessions_per_user);
        if excess > 0 && !gone.is_empty() {
            // Its own session goes in any case, if it is theirs.
            let replaced = gone[0].0;
            excess -= usize::from(self.owner_of(&replaced) == Some(owner));
        }
        if excess == 0 {
            return;
        }
        let looks = if excess > MOST_LOOKS { excess } else { MOST_LOOKS };
        let expired =
            keys(looks).filter(|(_, expired)| *expired).map(|(key, _)| (key, End::Expired));
        let oldest =
            keys(looks).filter(|(_, expired)| !expired).map(|(key, _)| (key, End::Revoked));
        let chosen: Vec<_> = expired
            .chain(oldest)
            .filter(|(key, _)| gone.iter().all(|(gone, _)| gone != key))
            .take(excess)
            .collect();
        gone.extend(chosen);
    }

    /// Puts a session in; its ring is locked, and its load is accounted for.
    fn put_in(&self, rings: &mut Rings<'_>, key: &StoreKey, stored: Stored, now: UnixMillis) {
        let owner = self.hash(stored.owner());
        let names = self.names(&stored);
        let index = shard_index(key);
        let mut shard = lock(&self.shards[index]);
        let slot = shard.insert(self.timing, Slot::new(*key, stored, 0), now);
        let id = SessionId::new(index, slot);
        let node = rings.of(owner).push(owner, id);
        if let Some(slot) = shard.at_mut(slot) {
            slot.node = node;
        }
        drop(shard);
        self.name(names, id);
    }

    /// Takes a session out; its ring is locked. The load is the caller's to give back.
    fn take_out(
        &self,
        rings: &mut Rings<'_>,
        key: &StoreKey,
        end: End,
        now: UnixMillis,
    ) -> Option<Stored> {
        let index = shard_index(key);
        let mut shard = lock(&self.shards[index]);
        let (at, slot) = shard.remove(key)?;
        shard.graves.bury(key, end, now, now.after(REMEMBERED), self.graves_a_shard());
        drop(shard);
        rings.of(self.hash(slot.stored.owner())).remove(slot.node);
        self.unname(self.names(&slot.stored), SessionId::new(index, at));
        Some(slot.stored)
    }

    /// Ends a session, if `still` says so once everything is locked.
    fn end(
        &self,
        key: &StoreKey,
        end: End,
        now: UnixMillis,
        still: impl FnOnce(&Slot) -> bool,
    ) -> Option<Stored> {
        let owner = self.owner_of(key)?;
        let mut rings = self.lock_rings(owner, owner);
        let is_theirs = |slot: &&Slot| self.hash(slot.stored.owner()) == owner;
        self.shard(key).find(key).filter(is_theirs).filter(|slot| still(slot))?;
        let stored = self.take_out(&mut rings, key, end, now)?;
        self.budget.give_back(load_of(&stored));
        Some(stored)
    }

    fn end_expired(&self, expired: &mut Vec<Candidate>, now: UnixMillis) -> usize {
        let is_over = |slot: &Slot| self.lifetimes.is_expired(slot.stored.activity, now);
        let ends = expired.drain(..).map(|one| self.end(&one.key, End::Expired, now, is_over));
        let ended = ends.flatten().count();
        tally::add(&self.tally.expired, ended);
        ended
    }

    /// Ends sessions until there is room for one more, if that can be: an expired one, or, where
    /// the limits say so, the one that was used least recently.
    fn make_room(&self, now: UnixMillis) -> bool {
        let mut expired = Vec::new();
        for shard in &self.shards {
            let mut more = true;
            while more {
                let mut shard = lock(shard);
                more = shard.turn(self.timing, now, &mut expired);
                if !more {
                    shard.just_expired(self.timing, now, &mut expired);
                }
                drop(shard);
                if self.end_expired(&mut expired, now) > 0 {
                    return true;
                }
            }
        }
        if self.limits.evict == Evict::Nobody {
            return false;
        }
        let stalest = self.shards.iter().filter_map(|shard| lock(shard).stalest(self.timing));
        let Some(stalest) = stalest.min_by_key(|candidate| candidate.last_seen) else {
            return false;
        };
        // If it is gone already, somebody else has made room: the next attempt tells.
        let ended = self.end(&stalest.key, End::Revoked, now, |_| true);
        tally::add(&self.tally.evicted, ended.into_iter().count());
        true
    }

    /// Drops what has expired, a batch at a time: no request waits for more than the few
    /// microseconds that a batch takes, neither for a lock nor for this thread. How many went.
    pub async fn sweep(&self, now: UnixMillis) -> usize {
        let (mut swept, mut expired) = (0, Vec::new());
        for shard in &self.shards {
            loop {
                let more = lock(shard).turn(self.timing, now, &mut expired);
                let gone = self.end_expired(&mut expired, now);
                swept += gone;
                if gone > 0 || more {
                    tokio::task::yield_now().await;
                }
                if !more {
                    break;
                }
            }
        }
        swept
    }

    fn change(
        &self,
        key: &StoreKey,
        version: u32,
        change: Change,
        now: UnixMillis,
    ) -> Result<Updated, StoreError> {
        let mut shard = self.shard(key);
        let live = |slot: &&mut Slot| !self.lifetimes.is_expired(slot.stored.activity, now);
        let Some(slot) = shard.find_mut(key).filter(live) else { return Ok(Updated::Gone) };
        if slot.stored.version != version {
            return Ok(Updated::Stale(slot.stored.clone()));
        }
        let next = change.apply(&slot.stored);
        if !self.budget.exchange(load_of(&slot.stored), load_of(&next)) {
            return Err(StoreError::Full);
        }
        slot.stored = next.clone();
        Ok(Updated::Done(next))
    }

    fn move_to(&self, key: &StoreKey, to: &StoreKey, now: UnixMillis) -> Result<Found, StoreError> {
        let found = self.look_up(key, true, now);
        let Found::Live(seen) = found else { return Ok(found) };
        let owner = self.hash(seen.owner());
        let mut rings = self.lock_rings(owner, owner);
        // Its ring is locked, so what is found now is still there a line later.
        let found = self.look_up(key, true, now);
        let Found::Live(seen) = found else { return Ok(found) };
        if self.shard(to).find(to).is_some() {
            let cause = "there is something under the new key already".to_owned();
            return Err(StoreError::Unavailable { cause });
        }
        // The new one first: whoever looks for it by another name than its user's, which takes no
        // ring, finds one of the two.
        self.put_in(&mut rings, to, seen, now);
        let Some(mut stored) = self.take_out(&mut rings, key, End::Revoked, now) else {
            self.take_out(&mut rings, to, End::Revoked, now);
            return Ok(Found::Revoked);
        };
        stored.version = stored.version.wrapping_add(1);
        if let Some(slot) = self.shard(to).find_mut(to) {
            // What was changed since it was seen comes along.
            slot.stored = stored.clone();
        }
        Ok(Found::Live(stored))
    }

    /// Does something that a snapshot must not miss.
    fn pass<T>(
        &self,
        what: impl FnOnce() -> Result<T, StoreError>,
    ) -> Ready<Result<T, StoreError>> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        ready(match *gate {
            Gate::Open => what(),
            Gate::Shut => Err(StoreError::Unavailable { cause: "the service stops".to_owned() }),
        })
    }

    fn hash(&self, owner: Owner<'_>) -> u64 {
        self.hasher.hash_one(owner)
    }

    fn owner_of(&self, key: &StoreKey) -> Option<u64> {
        self.shard(key).find(key).map(|slot| self.hash(slot.stored.owner()))
    }

    fn graves_a_shard(&self) -> usize {
        (self.limits.max_sessions / 16).min(MOST_GRAVES).div_ceil(SHARDS).max(4)
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_index(key)])
    }

    /// Locks the rings of two users, who may be one.
    fn lock_rings(&self, one: u64, other: u64) -> Rings<'_> {
        let (first, second) =
            (ring_index(one).min(ring_index(other)), ring_index(one).max(ring_index(other)));
        Rings {
            // In one order always, so that two who want both do not wait for each other.
            first: (first, lock(&self.rings[first])),
            second: (second != first).then(|| lock(&self.rings[second])),
        }
    }
}

/// Locked rings.
struct Rings<'a> {
    first: (usize, MutexGuard<'a, Owners>),
    second: Option<MutexGuard<'a, Owners>>,
}

impl Rings<'_> {
    fn of(&mut self, owner: u64) -> &mut Owners {
        match &mut self.second {
            Some(second) if ring_index(owner) != self.first.0 => second,
            _ => &mut self.first.1,
        }
    }
}

fn ring_index(owner: u64) -> usize {
    // The tables inside take other bits.
    usize::try_from(owner >> 40).unwrap_or(0) % RINGS
}

fn shard_index(key: &StoreKey) -> usize {
    // The table inside takes buckets from the low bits of the same value and tags from the top
    // seven: shards take others.
    usize::try_from(key.spread() >> 40).unwrap_or(0) % SHARDS
}

fn load(slot: &Slot) -> Load {
    load_of(&slot.stored)
}

fn load_of(stored: &Stored) -> Load {
    Load { sessions: 1, bytes: OVERHEAD + stored.payload() }
}

/// No code of ours panics while it holds a lock half-way through a change, so a poisoned lock
/// still guards sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
