//! Sessions that this store ended by itself, by cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many there were since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndedCounts {
    /// Their time was over.
    pub expired: u64,
    /// Their browser logged in anew.
    pub replaced: u64,
    /// Their user had more than a share.
    pub over_share: u64,
    /// Used least recently in a full store.
    pub evicted: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) expired: AtomicU64,
    pub(super) replaced: AtomicU64,
    pub(super) over_share: AtomicU64,
    pub(super) evicted: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> EndedCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EndedCounts {
            expired: count(&self.expired),
            replaced: count(&self.replaced),
            over_share: count(&self.over_share),
            evicted: count(&self.evicted),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, sessions: usize) {
    counter.fetch_add(sessions as u64, Ordering::Relaxed);
}
