//! What all listeners of one server share: how much they take in, and whether they still do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ServerLimits;
use crate::metrics::{Connections, Cut};

/// Where clients are let in.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) limits: ServerLimits,
    room: Arc<Semaphore>,
    /// Listeners with somebody at the door for whom there is no room.
    waiting: AtomicUsize,
    draining: AtomicBool,
    /// What is not for users is not counted.
    counted: Option<Connections>,
}

impl Desk {
    pub(crate) fn new(limits: ServerLimits, room: usize, counted: Option<Connections>) -> Self {
        Self {
            limits,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            counted,
        }
    }

    /// Waits until there is room for the connection that was just accepted. Until then nobody else is:
    /// clients stay in the system's queue instead of being turned away, and idle connections are
    /// closed.
    pub(crate) async fn room(&self) -> Place {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Place { _permit: Some(permit), counted: None };
        }
        let _waiting = Waiting::new(&self.waiting);
        if let Some(counted) = &self.counted {
            counted.full.inc();
            // Told more and more rarely: it may happen with every new connection.
            if counted.full.get().is_power_of_two() {
                let times = counted.full.get();
                tracing::warn!(
                    times,
                    "there are server.max_connections: who comes now has to wait"
                );
            }
        }
        // Nobody closes the semaphore.
        Place { _permit: Arc::clone(&self.room).acquire_owned().await.ok(), counted: None }
    }

    /// For those who come at the very end, whether there is room or not.
    pub(crate) fn standing_room(&self) -> Place {
        Place { _permit: Arc::clone(&self.room).try_acquire_owned().ok(), counted: None }
    }

    /// Somebody takes the place.
    pub(crate) fn accepted(&self, place: &mut Place) {
        if let Some(counted) = &self.counted {
            counted.accepted.inc();
            counted.open.inc();
            place.counted = Some(counted.clone());
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// From now on every answer is the last one of its connection.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Somebody came over TLS, or tried to.
    pub(crate) fn shook_hands(&self, well: bool) {
        if let Some(counted) = &self.counted {
            counted.shook_hands(well);
        }
    }

    pub(crate) fn cut(&self, why: Cut) {
        if let Some(counted) = &self.counted {
            counted.cut(why);
        }
    }
}

/// Room for one connection.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    counted: Option<Connections>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.open.dec();
        }
    }
}

/// Somebody waits, until dropped: also when a stop ends the waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
