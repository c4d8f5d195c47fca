//! What a million sessions cost: memory as the machine counts it, look-ups, and what requests feel
//! while all of them expire at once. Times are of the thread's own work, except latencies, which
//! include whatever else the machine does. Linux only. `cargo bench --bench memory`.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use withcreds::User;
use withcreds::policy::session::{Lifetimes, SessionSecret, StoreKey, UnixMillis};
use withcreds::store::{Evict, Found, MemoryStore, NewSession, StoreLimits};

// The service's own allocator, or the figures would be another's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u64 = 1_000_000;
/// In use all the time, also while the others expire.
const BUSY: u64 = 10_000;
const LIFETIMES: Lifetimes =
    Lifetimes { idle: Duration::from_hours(1), absolute: Duration::from_hours(12) };
const START: UnixMillis = UnixMillis(1_000_000_000);

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// What this thread has worked so far; others on the machine do not count.
fn worked() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fn work_since(begun: Duration) -> Duration {
    worked().saturating_sub(begun)
}

fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    SessionSecret::from_random(bytes).store_key()
}

/// Resident memory of this process.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

fn user(n: u64) -> User {
    let metadata = format!(r#"{{"name":"User {n}","email":"user{n}@example.com"}}"#);
    let raw = serde_json::value::RawValue::from_string(metadata).expect("JSON");
    User::new(&format!("user-{n}"), "acme", &raw)
}

/// Latencies of single look-ups of busy sessions until told to stop.
fn feel(store: &MemoryStore, keys: &[StoreKey], moment: UnixMillis, stop: &AtomicBool) -> Vec<u64> {
    let mut felt = Vec::with_capacity(20_000_000);
    for key in keys.iter().cycle() {
        if stop.load(Ordering::Relaxed) || felt.len() == felt.capacity() {
            break;
        }
        let begun = now();
        assert!(matches!(store.look_up(key, true, moment), Found::Live(_)));
        felt.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    felt.sort_unstable();
    felt
}

fn say(what: &str, felt: &[u64]) {
    let at = |share: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = ((felt.len() - 1) as f64 * share) as usize;
        felt[rank]
    };
    println!(
        "{what}: {} look-ups, p50 {} ns, p99 {} ns, p99.9 {} ns, p99.99 {} ns, max {} µs",
        felt.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        felt[felt.len() - 1] / 1000
    );
}

fn main() {
    let limits = StoreLimits {
        max_sessions: 2_000_000,
        max_sessions_per_user: 10,
        max_bytes: usize::MAX,
        evict: Evict::Nobody,
    };
    let store = MemoryStore::new(LIFETIMES, limits);
    let before = resident();
    let (mut payload, begun) = (0, worked());
    for n in 0..SESSIONS {
        let user = user(n);
        payload += user.id().len() + user.tenant().len() + user.metadata().len();
        store.add(&key(n), NewSession::of(user), None, START).expect("room");
    }
    let took = work_since(begun);
    let each = |bytes: usize| bytes / usize::try_from(SESSIONS).unwrap_or(1);
    println!("{SESSIONS} sessions of as many users, {} bytes of payload each", each(payload));
    println!("  filled in {:.2} s of work", took.as_secs_f64());
    println!("  resident: {} bytes each beyond the payload", each(resident() - before - payload));
    println!("  accounted: {} bytes each beyond the payload", each(store.bytes() - payload));

    for (what, held) in [("all of them, at random", SESSIONS), ("10,000 of them", BUSY)] {
        // A walk that no cache foresees: a prime step over the numbers.
        let keys: Vec<_> = (0..1_000_000u64).map(|n| key(n * 7_368_787 % held)).collect();
        let begun = worked();
        for key in &keys {
            black_box(store.look_up(key, true, START));
        }
        println!("look-up of {what}: {} ns", work_since(begun).as_nanos() / 1_000_000);
    }
    let unknown: Vec<_> = (0..1_000_000u64).map(|n| key(SESSIONS + n)).collect();
    let begun = worked();
    for key in &unknown {
        black_box(store.look_up(key, true, START));
    }
    println!("look-up of unknown keys: {} ns", work_since(begun).as_nanos() / 1_000_000);

    let busy: Vec<_> = (0..BUSY).map(key).collect();
    let half = START.after(LIFETIMES.idle / 2);
    for key in &busy {
        black_box(store.look_up(key, true, half));
    }
    // Past the end of all the others, bucket included.
    let end = START.after(LIFETIMES.idle + LIFETIMES.idle / 100);
    let stop = AtomicBool::new(false);
    let quiet = std::thread::scope(|scope| {
        let felt = scope.spawn(|| feel(&store, &busy, half, &stop));
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        felt.join().expect("an end")
    });
    say("in peace", &quiet);
    stop.store(false, Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (felt, swept, took) = std::thread::scope(|scope| {
        let felt = scope.spawn(|| feel(&store, &busy, end, &stop));
        let begun = worked();
        let swept = runtime.block_on(store.sweep(end));
        let took = work_since(begun);
        stop.store(true, Ordering::Relaxed);
        (felt.join().expect("an end"), swept, took)
    });
    say("while they expire", &felt);
    println!("{swept} expired in {:.2} s of work, {} are left", took.as_secs_f64(), store.len());
    assert_eq!(swept as u64, SESSIONS - BUSY);
    println!("  resident: {} MB, was {} MB before the first", resident() >> 20, before >> 20);
}
