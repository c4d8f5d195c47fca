//! How often may the same one try again? Counts for many, in memory that never grows.

use std::time::Duration;

use crate::policy::session::UnixMillis;

/// So many at once, and the same number again in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// At once; at least one.
    pub attempts: u32,
    /// How long it takes until all of them are free again.
    pub window: Duration,
}

impl Quota {
    /// How long one attempt takes to be free again, in microseconds.
    fn interval(self) -> u64 {
        let micros = self.window.as_micros() / u128::from(self.attempts.max(1));
        u64::try_from(micros).unwrap_or(u64::MAX).max(1)
    }
}

/// Each key hashes to a set of so many places.
const WAYS: usize = 4;

/// One key, and when all of its attempts will be free: the "theoretical arrival time" of GCRA, in
/// microseconds. That one number is the whole count.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    free_at: u64,
}

/// Counts for as many keys as it has places. When all places of a set are taken, a newcomer takes
/// over the lowest count there, and the count with it (the Space-Saving rule): so nobody gets rid
/// of a count by pushing it out with others, and an innocent newcomer starts with as much as the
/// least guilty had.
#[derive(Debug)]
pub struct RateTable {
    interval: u64,
    /// How far the count may run ahead of the clock.
    ahead: u64,
    sets: Box<[[Place; WAYS]]>,
}

impl RateTable {
    /// A table with room for so many keys, rounded up to whole sets.
    #[must_use]
    pub fn new(quota: Quota, keys: usize) -> Self {
        let interval = quota.interval();
        let ahead = interval.saturating_mul(u64::from(quota.attempts.max(1)) - 1);
        let sets = keys.div_ceil(WAYS).max(1);
        Self { interval, ahead, sets: vec![[Place::default(); WAYS]; sets].into() }
    }

    /// Takes one attempt of this key, which has to be a hash that nobody can steer.
    ///
    /// # Errors
    ///
    /// How long to wait, if there is none left.
    pub fn take(&mut self, key: u64, now: UnixMillis) -> Result<(), Duration> {
        let now = now.0.saturating_mul(1000);
        let (interval, ahead) = (self.interval, self.ahead);
        let place = self.place(key);
        let free_at = place.free_at.max(now);
        let wait = free_at.saturating_sub(now.saturating_add(ahead));
        if wait > 0 {
            return Err(Duration::from_micros(wait));
        }
        *place = Place { key, free_at: free_at.saturating_add(interval) };
        Ok(())
    }

    /// Gives an attempt back.
    pub fn give_back(&mut self, key: u64) {
        let interval = self.interval;
        let place = self.place(key);
        // Pushed out meanwhile: its count is somebody else's now.
        if place.key == key {
            place.free_at = place.free_at.saturating_sub(interval);
        }
    }

    /// The key's place, or the one it would take over.
    fn place(&mut self, key: u64) -> &mut Place {
        let set = usize::try_from(key % self.sets.len() as u64).unwrap_or_default();
        let set = &mut self.sets[set];
        let own = set.iter().position(|place| place.key == key);
        let lowest = || (0..WAYS).min_by_key(|way| set[*way].free_at).unwrap_or_default();
        let way = own.unwrap_or_else(lowest);
        &mut set[way]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const QUOTA: Quota = Quota { attempts: 3, window: Duration::from_secs(30) };

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn three_at_once_and_one_each_ten_seconds() {
        let mut table = RateTable::new(QUOTA, 8);
        let wait = |seconds| Err(Duration::from_secs(seconds));
        for (second, want) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, wait(10)),
            (4, wait(6)),
            (10, Ok(())),
            (10, wait(10)),
            // All are free again.
            (100, Ok(())),
            (100, Ok(())),
            (100, Ok(())),
            (100, wait(10)),
        ] {
            assert_eq!(table.take(7, at(second)), want, "after {second} s");
        }
        assert_eq!(table.take(8, at(100)), Ok(()), "somebody else");
    }

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let mut table = RateTable::new(QUOTA, 8);
        for _ in 0..100 {
            assert_eq!(table.take(7, at(0)), Ok(()));
            table.give_back(7);
        }
        // No more than was taken.
        table.give_back(9);
        let taken = (0..10).filter(|_| table.take(7, at(0)).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn nobody_is_pushed_out_of_a_count() {
        let mut table = RateTable::new(QUOTA, WAYS);
        while table.take(7, at(0)).is_ok() {}
        // A crowd in the same set, each as often as it may.
        for key in 100..1100 {
            while table.take(key, at(0)).is_ok() {}
        }
        assert!(table.take(7, at(1)).is_err());
    }

    proptest! {
        /// Against a count for each key that forgets nothing: what the table grants, that one
        /// does, too.
        #[test]
        fn a_full_table_grants_nothing_more(requests in prop::collection::vec((0u64..12, 0u64..8), 0..300)) {
            let (mut table, mut exact) = (RateTable::new(QUOTA, WAYS), HashMap::new());
            let mut second = 0;
            for (key, pause) in requests {
                second += pause / 3;
                let granted = table.take(key, at(second)).is_ok();
                let alone = exact.entry(key).or_insert_with(|| RateTable::new(QUOTA, WAYS));
                if granted {
                    prop_assert_eq!(alone.take(key, at(second)), Ok(()));
                }
            }
        }

        /// With room for all, it is exact, and a wait that was named is enough.
        #[test]
        fn who_waits_as_told_gets_through(attempts in 1u32..20, window in 1u64..4000, tries in 1usize..60) {
            let quota = Quota { attempts, window: Duration::from_millis(window) };
            let mut table = RateTable::new(quota, 64);
            let mut now = at(0);
            for n in 0..tries {
                if let Err(wait) = table.take(5, now) {
                    prop_assert!(n >= attempts as usize);
                    prop_assert!(wait <= quota.window);
                    now.0 += u64::try_from(wait.as_micros().div_ceil(1000)).unwrap();
                    prop_assert_eq!(table.take(5, now), Ok(()));
                }
            }
        }
    }
}
