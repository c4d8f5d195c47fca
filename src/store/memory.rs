//! Sessions in memory: sharded, bounded, gone when the process ends.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::identity::User;
use crate::policy::session::{Activity, Lifetimes, StoreKey, UnixMillis};
use crate::store::{Found, Stored, Touch};

/// Enough that two requests rarely want the same one, few enough to walk for a sweep.
const SHARDS: usize = 64;
/// For how long an expired session is remembered as such, so that its user hears "expired" after
/// lunch, not "no session". It makes room at once when the store is full.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How much the store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// All sessions together.
    pub max_sessions: usize,
    /// Of one user; the oldest makes room for the next.
    pub max_sessions_per_user: usize,
}

/// The store holds as many live sessions as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session store is full")]
pub struct StoreFull;

#[derive(Debug)]
struct Record {
    user: Arc<User>,
    activity: Activity,
}

/// Keys are SHA-256 output already: hashing them again would only cost time.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}
}

type Shard = HashMap<StoreKey, Record, BuildHasherDefault<Spread>>;

/// The default store. A look-up takes one short lock on one of the shards and allocates nothing;
/// no lock is held across an await.
#[derive(Debug)]
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    /// Keys of each user's sessions, oldest first. Never asked for while a shard is locked.
    by_user: Mutex<HashMap<Arc<str>, Vec<StoreKey>>>,
    count: AtomicUsize,
    lifetimes: Lifetimes,
    limits: StoreLimits,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(lifetimes: Lifetimes, limits: StoreLimits) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            by_user: Mutex::default(),
            count: AtomicUsize::new(0),
            lifetimes,
            limits,
        }
    }

    /// How long its sessions live.
    #[must_use]
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// Sessions held, expired ones that no sweep has met yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks a session up; with [`Touch::Extend`] this counts as use. Never creates anything.
    pub fn get(&self, key: &StoreKey, touch: Touch) -> Found {
        let mut shard = self.shard(key);
        let Some(record) = shard.get_mut(key) else { return Found::Nothing };
        let (Touch::Extend(now) | Touch::Leave(now)) = touch;
        if self.lifetimes.is_expired(record.activity, now) {
            // Left for the sweep.
            return Found::Expired;
        }
        if let Touch::Extend(now) = touch {
            record.activity.last_seen = record.activity.last_seen.max(now);
        }
        Found::Live(Stored { user: Arc::clone(&record.user), activity: record.activity })
    }

    /// Stores a new session in the place of `replaces`, if that exists. What makes room, in this
    /// order: beyond the user's share, their sessions that have expired, then their oldest; when
    /// the store is full, everything that has expired. Otherwise the login is refused, and
    /// nothing has changed.
    ///
    /// # Errors
    ///
    /// [`StoreFull`] when there are as many live sessions as there may be.
    pub fn create(
        &self,
        key: StoreKey,
        user: Arc<User>,
        replaces: Option<&StoreKey>,
        now: UnixMillis,
    ) -> Result<Activity, StoreFull> {
        let activity = Activity { created: now, last_seen: now };
        let mut record = Record { user, activity };
        for attempt in 0.. {
            // Index and records change together: nobody counts this user's sessions meanwhile.
            let mut users = self.lock_users();
            match self.place(&mut users, key, record, replaces, now) {
                Ok(()) => break,
                Err(_) if attempt > 0 => return Err(StoreFull),
                Err(refused) => record = refused,
            }
            drop(users);
            if self.sweep_before(now) == 0 {
                return Err(StoreFull);
            }
        }
        Ok(activity)
    }

    /// One attempt; gives the record back if there is no room.
    fn place(
        &self,
        users: &mut HashMap<Arc<str>, Vec<StoreKey>>,
        key: StoreKey,
        record: Record,
        replaces: Option<&StoreKey>,
        now: UnixMillis,
    ) -> Result<(), Record> {
        let keep = self.limits.max_sessions_per_user.saturating_sub(1);
        let own = users.entry(Arc::clone(&record.user.id)).or_default();
        let mut gone = Vec::new();
        if let Some(at) = own.iter().rposition(|k| Some(k) == replaces) {
            gone.push(own.remove(at));
        }
        if own.len() > keep {
            gone.extend(own.extract_if(.., |k| self.is_expired(k, now)));
        }
        gone.extend(own.drain(..own.len().saturating_sub(keep)));
        // The session that is replaced may be another user's: a shared computer.
        gone.extend(replaces.filter(|k| !gone.contains(k)));
        let mut freed = 0;
        for key in &gone {
            let Some(old) = self.shard(key).remove(key) else { continue };
            freed += 1;
            if old.user.id != record.user.id {
                remove_from(users, &old.user.id, key);
            }
        }
        if freed == 0 && !self.reserve() {
            remove_if_empty(users, &record.user.id);
            return Err(record);
        }
        self.count.fetch_sub(usize::saturating_sub(freed, 1), Ordering::Relaxed);
        users.entry(Arc::clone(&record.user.id)).or_default().push(key);
        self.shard(&key).insert(key, record);
        Ok(())
    }

    fn is_expired(&self, key: &StoreKey, now: UnixMillis) -> bool {
        self.shard(key).get(key).is_none_or(|r| self.lifetimes.is_expired(r.activity, now))
    }

    /// Removes a session; whether there was one.
    pub fn remove(&self, key: &StoreKey) -> bool {
        let Some(record) = self.shard(key).remove(key) else { return false };
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.forget(&record.user.id, key);
        true
    }

    /// Drops what expired more than an hour ago, one shard at a time, so that no request
    /// waits for more than one shard's share. Returns how many went.
    pub fn sweep(&self, now: UnixMillis) -> usize {
        self.sweep_before(now.before(REMEMBERED))
    }

    fn sweep_before(&self, moment: UnixMillis) -> usize {
        let mut swept = 0;
        for shard in &self.shards {
            let gone: Vec<_> = lock(shard)
                .extract_if(|_, record| self.lifetimes.is_expired(record.activity, moment))
                .collect();
            self.count.fetch_sub(gone.len(), Ordering::Relaxed);
            swept += gone.len();
            for (key, record) in gone {
                self.forget(&record.user.id, &key);
            }
        }
        swept
    }

    fn reserve(&self) -> bool {
        let below_limit = |n| (n < self.limits.max_sessions).then_some(n + 1);
        self.count.try_update(Ordering::Relaxed, Ordering::Relaxed, below_limit).is_ok()
    }

    fn forget(&self, user: &str, key: &StoreKey) {
        remove_from(&mut self.lock_users(), user, key);
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        // The map inside takes buckets from the low bits of the same value and tags from the top
        // seven: shards take others.
        let index = usize::try_from(key.spread() >> 40).unwrap_or(0);
        lock(&self.shards[index % SHARDS])
    }

    fn lock_users(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<StoreKey>>> {
        lock(&self.by_user)
    }
}

fn remove_from(users: &mut HashMap<Arc<str>, Vec<StoreKey>>, user: &str, key: &StoreKey) {
    if let Some(keys) = users.get_mut(user) {
        keys.retain(|k| k != key);
    }
    remove_if_empty(users, user);
}

fn remove_if_empty(users: &mut HashMap<Arc<str>, Vec<StoreKey>>, user: &str) {
    if users.get(user).is_some_and(Vec::is_empty) {
        users.remove(user);
    }
}

/// No code of ours panics while it holds a lock half-way through a change, so a poisoned lock
/// still guards sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::session::SessionSecret;

    const IDLE: Duration = Duration::from_mins(1);
    const START: UnixMillis = UnixMillis(1_000_000);

    fn store(max_sessions: usize, max_sessions_per_user: usize) -> MemoryStore {
        let lifetimes = Lifetimes { idle: IDLE, absolute: IDLE * 3 };
        MemoryStore::new(lifetimes, StoreLimits { max_sessions, max_sessions_per_user })
    }

    fn key(n: u8) -> StoreKey {
        SessionSecret::from_random([n; 32]).store_key()
    }

    fn user(name: &str) -> Arc<User> {
        Arc::new(User::named(name))
    }

    fn is_live(found: &Found) -> bool {
        matches!(found, Found::Live(_))
    }

    #[test]
    fn use_extends_up_to_the_absolute_end() {
        let store = store(10, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        let mut now = START;
        for _ in 0..3 {
            now = now.after(IDLE);
            assert!(is_live(&store.get(&key(1), Touch::Extend(now))), "{now:?}");
        }
        let later = UnixMillis(now.0 + 1);
        assert!(matches!(store.get(&key(1), Touch::Extend(later)), Found::Expired));
        assert!(matches!(store.get(&key(2), Touch::Extend(later)), Found::Nothing));
    }

    #[test]
    fn looking_does_not_extend() {
        let store = store(10, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        let now = START.after(IDLE);
        assert!(is_live(&store.get(&key(1), Touch::Leave(now))));
        let later = UnixMillis(now.0 + 1);
        assert!(matches!(store.get(&key(1), Touch::Leave(later)), Found::Expired));
    }

    #[test]
    fn a_removed_session_stays_removed() {
        let store = store(10, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        assert!(store.remove(&key(1)));
        assert!(!store.remove(&key(1)));
        assert!(matches!(store.get(&key(1), Touch::Extend(START)), Found::Nothing));
        assert!(store.is_empty());
        assert!(store.lock_users().is_empty());
    }

    #[test]
    fn full_means_expired_first_then_refused() {
        let store = store(2, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        store.create(key(2), user("bob"), None, START).unwrap();
        assert_eq!(store.create(key(3), user("eve"), None, START), Err(StoreFull));
        let later = UnixMillis(START.after(IDLE).0 + 1);
        assert!(store.create(key(3), user("eve"), None, later).is_ok());
        assert_eq!(store.len(), 1);
        assert_eq!(store.lock_users().len(), 1);
    }

    #[test]
    fn a_user_has_a_share_and_the_oldest_goes() {
        let store = store(10, 2);
        for n in 1..=3 {
            store.create(key(n), user("ada"), None, START).unwrap();
        }
        store.create(key(9), user("bob"), None, START).unwrap();
        let live: Vec<_> = [1, 2, 3, 9]
            .into_iter()
            .filter(|n| is_live(&store.get(&key(*n), Touch::Leave(START))))
            .collect();
        assert_eq!(live, [2, 3, 9]);
        assert_eq!(store.len(), 3);
    }

    #[test]
    fn the_expired_make_room_before_the_living() {
        let store = store(10, 2);
        store.create(key(1), user("ada"), None, START).unwrap();
        let middle = UnixMillis(START.0 + 30_000);
        store.create(key(2), user("ada"), None, middle).unwrap();
        // The first is the oldest, yet in use; the second has just expired.
        assert!(is_live(&store.get(&key(1), Touch::Extend(START.after(IDLE)))));
        let later = UnixMillis(middle.after(IDLE).0 + 1);
        store.create(key(3), user("ada"), None, later).unwrap();
        assert!(is_live(&store.get(&key(1), Touch::Leave(later))));
        assert!(matches!(store.get(&key(2), Touch::Leave(later)), Found::Nothing));
    }

    #[test]
    fn a_login_replaces_the_old_session_whoever_it_belonged_to() {
        let store = store(2, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        store.create(key(2), user("bob"), None, START).unwrap();
        store.create(key(3), user("bob"), Some(&key(1)), START).unwrap();
        assert!(matches!(store.get(&key(1), Touch::Leave(START)), Found::Nothing));
        assert_eq!((store.len(), store.lock_users().len()), (2, 1));
        // Refused, so nothing has changed.
        assert_eq!(store.create(key(4), user("eve"), Some(&key(9)), START), Err(StoreFull));
        assert_eq!((store.len(), store.lock_users().len()), (2, 1));
    }

    #[test]
    fn the_expired_are_remembered_for_a_while() {
        let store = store(10, 10);
        store.create(key(1), user("ada"), None, START).unwrap();
        let end = START.after(IDLE);
        assert_eq!(store.sweep(end.after(REMEMBERED)), 0);
        assert!(matches!(store.get(&key(1), Touch::Extend(end.after(REMEMBERED))), Found::Expired));
        assert_eq!(store.sweep(UnixMillis(end.after(REMEMBERED).0 + 1)), 1);
        assert!(store.is_empty());
    }

    fn log_in_from_four_threads(store: &MemoryStore) {
        std::thread::scope(|scope| {
            for t in 0..4u8 {
                scope.spawn(move || {
                    for n in 0..50u8 {
                        let mut bytes = [t; 32];
                        bytes[1] = n;
                        let key = SessionSecret::from_random(bytes).store_key();
                        let _ = store.create(key, user("ada"), None, START);
                    }
                });
            }
        });
    }

    #[test]
    fn the_bounds_hold_under_parallel_logins() {
        for (max_sessions, per_user, want) in [(100, 1000, 100), (1000, 1, 1), (1000, 7, 7)] {
            let store = store(max_sessions, per_user);
            log_in_from_four_threads(&store);
            let held: usize = store.shards.iter().map(|s| lock(s).len()).sum();
            let listed = store.lock_users().values().map(Vec::len).sum();
            assert_eq!((store.len(), held, listed), (want, want, want));
        }
    }
}
