//! How much the store may hold, and how much it holds.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How much the store may hold, and what happens beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// All sessions together.
    pub max_sessions: usize,
    /// Of one user; the oldest makes room for the next.
    pub max_sessions_per_user: usize,
    /// All sessions together, in bytes of memory.
    pub max_bytes: usize,
    /// Who goes when nothing has expired.
    pub evict: Evict,
}

/// What a full store does about one more login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evict {
    /// Refuses it.
    #[default]
    Nobody,
    /// Ends the session that nobody has used for longest.
    LeastRecentlyUsed,
}

/// Sessions and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) sessions: usize,
    pub(super) bytes: usize,
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), |a, b| Self {
            sessions: a.sessions + b.sessions,
            bytes: a.bytes + b.bytes,
        })
    }
}

/// Counts, within bounds.
#[derive(Debug)]
pub(super) struct Budget {
    most: Load,
    sessions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Budget {
    pub(super) fn new(most: Load) -> Self {
        Self { most, sessions: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// What is held at this moment.
    pub(super) fn held(&self) -> Load {
        Load {
            sessions: self.sessions.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Takes one load in the place of another; nothing happens if it does not fit.
    pub(super) fn exchange(&self, old: Load, new: Load) -> bool {
        if !exchange(&self.sessions, old.sessions, new.sessions, self.most.sessions) {
            return false;
        }
        if exchange(&self.bytes, old.bytes, new.bytes, self.most.bytes) {
            return true;
        }
        exchange(&self.sessions, new.sessions, old.sessions, usize::MAX);
        false
    }

    /// So much went, and not what was counted for it.
    pub(super) fn correct(&self, counted: Load, went: Load) {
        // Sums wrap, and come out right when all have been made.
        self.sessions.fetch_add(counted.sessions, Ordering::Relaxed);
        self.bytes.fetch_add(counted.bytes, Ordering::Relaxed);
        self.give_back(went);
    }

    pub(super) fn give_back(&self, load: Load) {
        self.sessions.fetch_sub(load.sessions, Ordering::Relaxed);
        self.bytes.fetch_sub(load.bytes, Ordering::Relaxed);
    }
}

/// What makes nothing larger always fits.
fn exchange(held: &AtomicUsize, old: usize, new: usize, most: usize) -> bool {
    held.try_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        let next = held.saturating_sub(old) + new;
        (new <= old || next <= most).then_some(next)
    })
    .is_ok()
}
