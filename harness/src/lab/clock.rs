//! The time of a service, which a claim moves instead of waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use withcreds::effects::{Clock, SystemClock};
use withcreds::policy::session::UnixMillis;

/// The machine's clock, and what it was put forward by.
#[derive(Debug, Clone, Default)]
pub(super) struct StageClock {
    system: Arc<SystemClock>,
    ahead_millis: Arc<AtomicU64>,
}

impl StageClock {
    /// Puts it forward.
    pub(super) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for StageClock {
    fn now(&self) -> UnixMillis {
        self.system.now().after(Duration::from_millis(self.ahead_millis.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_it_sees_it_put_forward() {
        let clock = StageClock::default();
        let (theirs, before) = (clock.clone(), clock.now());
        clock.advance(Duration::from_hours(1));
        assert!(theirs.now() >= before.after(Duration::from_hours(1)));
    }
}
