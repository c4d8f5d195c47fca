//! Requests that are held up on their way, so that two of them meet in an order that is no accident.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// A request that has not come by then does not come.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);

/// Where a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The browser has sent it, the service has not seen it.
    BeforeService,
    /// The service has answered it, the browser has not seen the answer.
    BeforeAnswer,
}

/// A request that is waited for, and then waits itself until this is dropped.
#[derive(Debug)]
#[must_use = "the request goes on as soon as this is dropped"]
pub struct Hold {
    reached: oneshot::Receiver<()>,
    _release: oneshot::Sender<()>,
}

impl Hold {
    /// Waits until the request is where it shall wait; false if it does not come.
    pub async fn reached(&mut self) -> bool {
        matches!(timeout(ARRIVAL_DEADLINE, &mut self.reached).await, Ok(Ok(())))
    }
}

/// The fronts' side of a [`Hold`].
#[derive(Debug)]
pub(super) struct Held {
    moment: Moment,
    reached: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

impl Held {
    /// Waits, if this is the moment; what is given back waits for another.
    pub(super) async fn wait_at(self, moment: Moment) -> Option<Self> {
        if self.moment != moment {
            return Some(self);
        }
        let _ = self.reached.send(());
        // Resolves when the sender is dropped: with the hold.
        let _ = self.release.await;
        None
    }
}

/// The holds of one stage, by the probe that each is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Holds(Arc<Mutex<HashMap<String, Held>>>);

impl Holds {
    pub(super) fn add(&self, probe_id: &str, moment: Moment) -> Hold {
        let ((reached, is_reached), (release, released)) = (oneshot::channel(), oneshot::channel());
        let held = Held { moment, reached, release: released };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(probe_id.to_owned(), held);
        Hold { reached: is_reached, _release: release }
    }

    /// What was planned for this request, which happens once.
    pub(super) fn take(&self, probe_id: &str) -> Option<Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(probe_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_at_its_moment_only_until_the_hold_is_dropped() {
        let holds = Holds::default();
        let mut hold = holds.add("p1", Moment::BeforeAnswer);
        assert!(holds.take("p2").is_none());
        let waiter = holds.take("p1").unwrap();
        assert!(holds.take("p1").is_none());
        let waiter = waiter.wait_at(Moment::BeforeService).await.unwrap();
        let waiting = tokio::spawn(waiter.wait_at(Moment::BeforeAnswer));
        assert!(hold.reached().await);
        assert!(!waiting.is_finished());
        drop(hold);
        assert!(waiting.await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_request_that_was_given_up_is_not_waited_for() {
        let holds = Holds::default();
        let mut hold = holds.add("p1", Moment::BeforeService);
        drop(holds.take("p1"));
        assert!(!hold.reached().await);
    }
}
