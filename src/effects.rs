//! The two effects that decisions depend on, as traits: time and randomness. Everything else takes
//! them as arguments; `clippy.toml` forbids reading a clock anywhere but here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use uuid::Uuid;

use crate::policy::session::UnixMillis;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, on a clock that nobody sets: for how long ago something of our own was.
    fn now(&self) -> UnixMillis;

    /// The present moment as others would tell it: for times that come from elsewhere, such as those
    /// in a provider's tokens, and for times that go there. Jumps when the wall clock is corrected.
    fn wall(&self) -> UnixMillis {
        self.now()
    }
}

/// The machine's clock. [`now`](Clock::now) is the wall clock once, at start, and then advanced by a
/// clock that nobody sets, so that a corrected wall clock neither ends sessions nor revives them. On Linux that clock goes on while
/// the machine sleeps: a session does not outlive the night in a suspended laptop.
#[derive(Debug)]
pub struct SystemClock {
    started_at: UnixMillis,
    started: Duration,
}

impl SystemClock {
    /// Reads the wall clock.
    #[must_use]
    pub fn new() -> Self {
        Self { started_at: on_the_wall(), started: steady() }
    }
}

/// What the machine takes for the time.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn on_the_wall() -> UnixMillis {
    UnixMillis(0).after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Time since some moment in the past, sleep included.
#[cfg(target_os = "linux")]
fn steady() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// Time since the first call.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn steady() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        self.started_at.after(steady().saturating_sub(self.started))
    }

    fn wall(&self) -> UnixMillis {
        on_the_wall()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicU64,
    /// By how many milliseconds the wall clock is ahead, modulo 2⁶⁴: it may be behind.
    wall_ahead: AtomicU64,
}

impl ManualClock {
    /// Starts at this moment.
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        Self { now: AtomicU64::new(now.0), wall_ahead: AtomicU64::new(0) }
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock; [`now`](Clock::now) does not see it.
    pub fn set_wall(&self, to: UnixMillis) {
        self.wall_ahead.store(to.0.wrapping_sub(self.now().0), Ordering::SeqCst);
    }
}

impl<C: Clock> Clock for &'static C {
    fn now(&self) -> UnixMillis {
        C::now(self)
    }

    fn wall(&self) -> UnixMillis {
        C::wall(self)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now.load(Ordering::SeqCst))
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(self.now().0.wrapping_add(self.wall_ahead.load(Ordering::SeqCst)))
    }
}

/// Makes ids that nobody can guess.
pub trait IdSource: Send + Sync + 'static {
    /// The secret of a new session.
    fn session_secret(&self) -> [u8; 32];

    /// A nonce for a CSRF token.
    fn nonce(&self) -> [u8; 16];

    /// A request id, version 4.
    fn request_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.nonce()).into_uuid()
    }
}

/// Session secrets straight from the operating system; everything that is drawn on each request
/// from a ChaCha generator per thread that the operating system seeds again and again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn session_secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // Without randomness no login can be safe; the panic becomes a 500 for this one request.
        getrandom::fill(&mut bytes)
            .unwrap_or_else(|e| panic!("no randomness from the system: {e}"));
        bytes
    }

    fn nonce(&self) -> [u8; 16] {
        random()
    }
}

/// Random bytes from the same generator, for nonces that no test needs to know.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrected_wall_clock_moves_what_comes_from_outside_and_nothing_else() {
        let (before, steady) = (on_the_wall(), steady());
        // As if the machine had begun in 1970 and somebody had set its clock since.
        let clock = SystemClock { started_at: UnixMillis(0), started: steady };
        assert!(clock.now() < UnixMillis(1 << 40));
        assert!(clock.wall() >= before);

        let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::at(UnixMillis(500))));
        assert_eq!(clock.wall(), UnixMillis(500));
        for to in [UnixMillis(2000), UnixMillis(100)] {
            clock.set_wall(to);
            let outer: &dyn Clock = &clock;
            assert_eq!((outer.now(), outer.wall()), (UnixMillis(500), to));
        }
        clock.advance(Duration::from_millis(50));
        assert_eq!((clock.now(), clock.wall()), (UnixMillis(550), UnixMillis(150)));
    }
}
