//! Sessions that are over, remembered for a while, so that their users hear "expired" after lunch
//! and "revoked" after a logout elsewhere, not "no session".

use std::collections::{HashMap, VecDeque};

use crate::policy::session::{StoreKey, UnixMillis};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Expired,
    Revoked,
}

/// Half of a key is enough to remember it by.
type Name = [u8; 16];

/// The most recent ends, or whatever else is remembered of sessions: so many and no more.
#[derive(Debug)]
pub(super) struct Graves<T = End> {
    ends: HashMap<Name, (T, UnixMillis)>,
    order: VecDeque<Name>,
}

impl<T> Default for Graves<T> {
    fn default() -> Self {
        Self { ends: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Clone> Graves<T> {
    /// Remembers an end until then; the oldest make room.
    pub(super) fn bury(
        &mut self,
        key: &StoreKey,
        end: T,
        now: UnixMillis,
        until: UnixMillis,
        most: usize,
    ) {
        while let Some(first) = self.order.front() {
            let over = self.ends.get(first).is_none_or(|(_, until)| *until < now);
            if !over && self.order.len() < most {
                break;
            }
            self.ends.remove(first);
            self.order.pop_front();
        }
        if most > 0 && self.ends.insert(name(key), (end, until)).is_none() {
            self.order.push_back(name(key));
        }
    }

    pub(super) fn find(&self, key: &StoreKey, now: UnixMillis) -> Option<T> {
        self.ends.get(&name(key)).filter(|(_, until)| now <= *until).map(|(end, _)| end.clone())
    }
}

fn name(key: &StoreKey) -> Name {
    key.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::session::SessionSecret;

    fn key(n: u8) -> StoreKey {
        SessionSecret::from_random([n; 32]).store_key()
    }

    #[test]
    fn ends_are_remembered_for_a_while_and_so_many() {
        let mut graves = Graves::<End>::default();
        let (now, end) = (UnixMillis(1_000), UnixMillis(2_000));
        for n in 0..4 {
            graves.bury(&key(n), End::Revoked, now, end, 3);
        }
        let found = |graves: &Graves, now| {
            (0..4).map(|n| graves.find(&key(n), now).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(found(&graves, now), [false, true, true, true]);
        assert_eq!(graves.find(&key(3), end), Some(End::Revoked));
        assert_eq!(graves.find(&key(3), UnixMillis(end.0 + 1)), None);
        graves.bury(&key(9), End::Expired, UnixMillis(2_001), UnixMillis(3_000), 3);
        assert_eq!((graves.ends.len(), graves.order.len()), (1, 1));
    }
}
