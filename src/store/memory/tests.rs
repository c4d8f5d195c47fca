use std::future::Ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::identity::User;
use crate::policy::agent::Agent;
use crate::policy::session::SessionSecret;
use crate::store::conformance::{Bench, LIFETIMES, PER_USER, suite};
use crate::store::{IdpSession, Tokens};

const IDLE: Duration = LIFETIMES.idle;
const START: UnixMillis = UnixMillis(1_000_000);

fn limits(max_sessions: usize, max_sessions_per_user: usize) -> StoreLimits {
    StoreLimits { max_sessions, max_sessions_per_user, max_bytes: usize::MAX, evict: Evict::Nobody }
}

fn store(max_sessions: usize, max_sessions_per_user: usize) -> MemoryStore {
    MemoryStore::new(LIFETIMES, limits(max_sessions, max_sessions_per_user))
}

fn bench() -> Ready<Option<Bench<MemoryStore>>> {
    let store = Arc::new(store(1000, PER_USER));
    ready(Some(Bench { store, start: START, lists: true, kept: None }))
}

mod conforms {
    use super::*;

    suite!(bench());
}

fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    SessionSecret::from_random(bytes).store_key()
}

fn add(store: &MemoryStore, n: u64, user: &str, now: UnixMillis) -> Result<(), StoreError> {
    store.add(&key(n), NewSession::of(User::named(user)), None, now).map(|_| ())
}

fn is_live(store: &MemoryStore, n: u64, now: UnixMillis) -> bool {
    matches!(store.look_up(&key(n), false, now), Found::Live(_))
}

fn sweep(store: &MemoryStore, now: UnixMillis) -> usize {
    tokio_test::block_on(store.sweep(now))
}

/// Everything that is counted twice is counted alike.
#[track_caller]
fn assert_sound(store: &MemoryStore, sessions: usize) {
    let slots: usize = store.shards.iter().map(|s| lock(s).len()).sum();
    let mut listed = 0;
    for shard in &store.shards {
        for slot in lock(shard).iter() {
            let owner = store.hash(slot.stored.owner());
            let ring = lock(&store.rings[ring_index(owner)]);
            let at = |id: SessionId| id.shard() == shard_index(&slot.key);
            listed += usize::from(ring.oldest_first(owner).any(at));
        }
    }
    assert_eq!((store.len(), slots, listed), (sessions, sessions, sessions));
    let bytes: usize = store
        .shards
        .iter()
        .map(|s| lock(s).iter().map(|slot| load(slot).bytes).sum::<usize>())
        .sum();
    assert_eq!(store.bytes(), bytes);
    if sessions == 0 {
        assert!(store.rings.iter().all(|ring| lock(ring).is_empty()));
        assert!(lock(&store.idp).is_empty());
    }
}

#[test]
fn full_means_expired_first_then_refused() {
    let store = store(2, 10);
    add(&store, 1, "ada", START).unwrap();
    add(&store, 2, "bob", START).unwrap();
    assert_eq!(add(&store, 3, "eve", START), Err(StoreError::Full));
    assert_sound(&store, 2);
    let later = UnixMillis(START.after(IDLE).0 + 1);
    add(&store, 3, "eve", later).unwrap();
    add(&store, 4, "eve", later).unwrap();
    assert_eq!(add(&store, 5, "eve", later), Err(StoreError::Full));
    assert!(matches!(store.look_up(&key(1), false, later), Found::Expired));
    assert_sound(&store, 2);
}

#[test]
fn one_s_own_session_makes_room_for_its_successor() {
    let store = store(1, 10);
    add(&store, 1, "ada", START).unwrap();
    let bob = || NewSession::of(User::named("bob"));
    assert!(store.add(&key(2), bob(), Some(&key(9)), START).is_err());
    assert_sound(&store, 1);
    assert!(is_live(&store, 1, START), "refused, so nothing has changed");
    store.add(&key(2), bob(), Some(&key(1)), START).unwrap();
    assert_sound(&store, 1);
}

#[test]
fn bytes_are_bounded_and_given_back() {
    let one = OVERHEAD + User::named("ada").len();
    let store = MemoryStore::new(LIFETIMES, StoreLimits { max_bytes: 2 * one, ..limits(10, 10) });
    add(&store, 1, "ada", START).unwrap();
    add(&store, 2, "bob", START).unwrap();
    assert_eq!(add(&store, 3, "eve", START), Err(StoreError::Full));
    assert_eq!(store.bytes(), 2 * one);
    assert_sound(&store, 2);
    // A session that grows beyond the bound is not changed.
    let metadata = serde_json::value::RawValue::from_string("{\"a\":1}".to_owned()).ok();
    let change = Change { metadata, tokens: None };
    assert_eq!(store.change(&key(1), 0, change, START), Err(StoreError::Full));
    store.end(&key(1), End::Revoked, START, |_| true).unwrap();
    store.end(&key(2), End::Revoked, START, |_| true).unwrap();
    assert_sound(&store, 0);
}

#[test]
fn the_least_recently_used_go_where_that_is_wanted() {
    let evicting = StoreLimits { evict: Evict::LeastRecentlyUsed, ..limits(100, 100) };
    let store = MemoryStore::new(LIFETIMES, evicting);
    for n in 0..100 {
        add(&store, n, "ada", START.after(Duration::from_millis(n))).unwrap();
    }
    // The first half is used once more, later than the second.
    let now = START.after(IDLE / 2);
    for n in 0..50 {
        assert!(matches!(store.look_up(&key(n), true, now), Found::Live(_)));
    }
    for n in 100..150 {
        add(&store, n, "bob", now).unwrap();
    }
    let live: Vec<_> = (0..150).filter(|n| is_live(&store, *n, now)).collect();
    assert_eq!(live, (0..50).chain(100..150).collect::<Vec<_>>());
    assert!(matches!(store.look_up(&key(60), false, now), Found::Revoked));
    assert_sound(&store, 100);
}

#[test]
fn the_expired_are_swept_and_remembered() {
    let store = store(100_000, 10);
    for n in 0..1000 {
        add(&store, n, &format!("user{n}"), START.after(Duration::from_millis(n))).unwrap();
    }
    let end = START.after(IDLE);
    // A tenth of them stays in use.
    for n in (0..1000).step_by(10) {
        let _ = store.look_up(&key(n), true, end);
    }
    assert_eq!(sweep(&store, end), 0);
    let late = end.after(IDLE / 2);
    assert_eq!(sweep(&store, late), 900);
    assert_sound(&store, 100);
    assert!(matches!(store.look_up(&key(1), true, late), Found::Expired));
    assert!(is_live(&store, 10, late));
    assert_eq!(sweep(&store, late.after(IDLE * 3)), 100);
    assert_sound(&store, 0);
    let tomorrow = late.after(Duration::from_hours(24));
    assert!(matches!(store.look_up(&key(1), true, tomorrow), Found::Nothing));
}

#[test]
fn the_bounds_hold_under_parallel_logins() {
    for (max_sessions, per_user, want) in [(100, 1000, 100), (1000, 1, 1), (1000, 7, 7)] {
        let store = store(max_sessions, per_user);
        std::thread::scope(|scope| {
            for t in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..50 {
                        let _ = add(store, t * 50 + n, "ada", START);
                    }
                });
            }
        });
        assert_sound(&store, want);
    }
}

#[test]
fn everything_at_once_leaves_it_sound() {
    let evicting = StoreLimits { evict: Evict::LeastRecentlyUsed, ..limits(300, 5) };
    let store = MemoryStore::new(LIFETIMES, evicting);
    std::thread::scope(|scope| {
        for t in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..150u64 {
                    let now = START.after(Duration::from_millis(n * 500));
                    // Threads meet at the same users and keys of one another.
                    let (own, other) = ((t << 32) | n, (((t + 1) % 4) << 32) | n.saturating_sub(3));
                    let user = format!("user{}", n % 97);
                    let session = NewSession::of(User::named(&user));
                    let replaces = (n % 3 == 0).then(|| key(other));
                    let _ = store.add(&key(own), session, replaces.as_ref(), now);
                    let _ = store.look_up(&key(other), true, now);
                    match n % 5 {
                        0 => {
                            store.end(&key(other), End::Revoked, now, |_| true);
                        }
                        1 => {
                            let _ = store.move_to(&key(other), &key((1 << 40) | own), now);
                        }
                        2 => {
                            let owner = Owner { tenant: "default", user: &user };
                            store.list(owner, now);
                        }
                        3 if n % 100 == 3 => {
                            sweep(store, now);
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    let held = store.len();
    assert!(held > 0 && held <= 300, "{held}");
    assert_sound(&store, held);
    assert_eq!(sweep(&store, START.after(Duration::from_hours(24))), held);
    assert_sound(&store, 0);
}

fn metadata(length: usize) -> Change {
    let metadata = serde_json::value::to_raw_value(&"x".repeat(length)).ok();
    Change { metadata, tokens: None }
}

/// Changes take no ring, so they come between what a login counts and what it takes out.
#[test]
fn sessions_that_change_while_they_go_are_counted_as_they_went() {
    let store = store(1000, 1);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                n += 1;
                for user in 0..4 {
                    // Whatever session that user has.
                    let owner = Owner { tenant: "default", user: &format!("user{user}") };
                    for (key, _) in store.list(owner, START) {
                        for version in 0..4 {
                            let _ = store.change(&key, version, metadata(n % 7 * 30), START);
                        }
                    }
                }
            }
        });
        for n in 0..40_000 {
            add(&store, n, &format!("user{}", n % 4), START).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_sound(&store, 4);
}

proptest! {
    /// Whatever happens in whatever order, what is accounted is what is there.
    #[test]
    fn what_is_accounted_is_what_is_there(
        steps in proptest::collection::vec((0u8..7, 0u64..24, 0usize..200), 0..150),
        lru: bool,
        max_bytes in 1_000usize..8_000,
    ) {
        let evict = if lru { Evict::LeastRecentlyUsed } else { Evict::Nobody };
        let store = MemoryStore::new(LIFETIMES, StoreLimits { max_bytes, evict, ..limits(16, 3) });
        let (mut now, mut fresh) = (START, 1 << 20);
        for (step, n, size) in steps {
            now = now.after(Duration::from_millis(n * 100));
            let user = User::from_parts(&format!("user{}", n % 5), "", &"x".repeat(size));
            let version = u32::try_from(size % 3).unwrap();
            match step {
                0 if store.look_up(&key(n), false, now) == Found::Nothing => {
                    let _ = store.add(&key(n), NewSession::of(user), None, now);
                }
                0 | 1 => {
                    fresh += 1;
                    let _ = store.add(&key(fresh), NewSession::of(user), Some(&key(n)), now);
                }
                2 => { let _ = store.change(&key(n), version, metadata(size), now); }
                3 => { store.end(&key(n), End::Revoked, now, |_| true); }
                4 => {
                    fresh += 1;
                    let _ = store.move_to(&key(n), &key(fresh), now);
                }
                5 => drop(store.look_up(&key(n), true, now)),
                _ => { sweep(&store, now); }
            }
            assert_sound(&store, store.len());
            prop_assert!(store.bytes() <= max_bytes && store.len() <= 16);
        }
    }
}

#[test]
fn a_session_is_small() {
    // `cargo bench --bench memory` compares this with what the machine counts.
    const { assert!(OVERHEAD <= 180) };
}

#[test]
fn what_the_store_ends_by_itself_is_counted_by_cause() {
    let store = MemoryStore::new(
        LIFETIMES,
        StoreLimits { evict: Evict::LeastRecentlyUsed, ..limits(3, 2) },
    );
    let later = START.after(IDLE * 2);
    add(&store, 1, "ada", START).unwrap();
    add(&store, 2, "ada", START).unwrap();
    add(&store, 3, "ada", START).unwrap();
    assert_eq!(store.ended(), EndedCounts { over_share: 1, ..EndedCounts::default() });
    store.add(&key(4), NewSession::of(User::named("ada")), Some(&key(3)), START).unwrap();
    add(&store, 5, "bob", START).unwrap();
    add(&store, 6, "eve", START).unwrap();
    let ended = EndedCounts { over_share: 1, replaced: 1, evicted: 1, expired: 0 };
    assert_eq!(store.ended(), ended);
    assert_eq!(sweep(&store, later), 3);
    assert_eq!(store.ended(), EndedCounts { expired: 3, ..ended });
}

const ISSUER: &str = "https://id.example";

/// A session that the provider knows, under key 0.
fn add_named(store: &MemoryStore, user: &User) -> u64 {
    let sid = Some("sid".into());
    let idp =
        IdpSession { issuer: ISSUER.into(), sub: user.id().into(), sid, tokens: Tokens::default() };
    let idp = Some(Arc::new(idp));
    let session = NewSession { user: user.clone(), idp, agent: Agent::default() };
    store.add(&key(0), session, None, START).unwrap();
    store.name_of("sid", ISSUER, "sid")
}

fn move_on(store: &MemoryStore, at: &AtomicU64) {
    let from = at.fetch_add(1, Ordering::SeqCst);
    let moved = store.move_to(&key(from), &key(from + 1), START).unwrap();
    assert!(moved.live().is_some(), "from {from}");
}

/// The worst moment for a session to move: it has just been found, and is about to be ended.
#[test]
fn a_session_that_moves_as_it_is_found_is_found_again() {
    const MOVES: u64 = 3;
    let user = User::named("ada");
    let owner = Owner { tenant: user.tenant(), user: user.id() };
    for by_user in [true, false] {
        let (store, at) = (store(10, PER_USER), AtomicU64::new(0));
        let name = add_named(&store, &user);
        let moves_now = || {
            if at.load(Ordering::SeqCst) < MOVES {
                move_on(&store, &at);
            }
        };
        let ended = if by_user {
            store.end_some(owner, START, |_| {
                moves_now();
                true
            })
        } else {
            let look = || {
                let found = store.named(name);
                moves_now();
                found
            };
            store.end_found(look, START, |_| true)
        };
        assert_eq!(at.load(Ordering::SeqCst), MOVES, "by user: {by_user}");
        assert_eq!(ended, 1, "by user: {by_user}");
        assert!((0..=MOVES).all(|n| !is_live(&store, n, START)), "by user: {by_user}");
        assert_sound(&store, 0);
    }
}

/// A look by the provider's name takes no ring, so it may come at any step of a move.
#[test]
fn a_session_that_moves_has_its_name_all_the_time() {
    let (store, at) = (store(10, PER_USER), AtomicU64::new(0));
    let name = add_named(&store, &User::named("ada"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                move_on(&store, &at);
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            assert!(!store.named(name).is_empty(), "at {at:?}");
        }
    });
    assert_eq!(store.end_named(name, START, |_| true), 1);
    assert_sound(&store, 0);
}
