//! One piece of work at a time.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

type UnderWay<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

/// Work of which there is at most one under way for each key; whoever wants the same meanwhile
/// waits for it and gets the same outcome.
///
/// The work runs as a task of its own: a client that hangs up ends its request, not the work. A
/// refresh that has reached the provider must be brought home, or the session is lost with it.
pub(crate) struct Flights<K, V>(UnderWay<K, V>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins the flight of this key, or starts it. `None` if the work panicked.
    pub(crate) async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut outcome = self.board(key, work);
        outcome.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
    }

    /// Whether somebody is at it.
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    fn board<F>(&self, key: K, work: impl FnOnce() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = under_way.get(&key) {
            return outcome.clone();
        }
        let (land, outcome) = watch::channel(None);
        under_way.insert(key.clone(), outcome.clone());
        let entry = Entry { key, under_way: Arc::clone(&self.0) };
        let work = work();
        tokio::spawn(async move {
            let value = work.await;
            // First off the board, then down: who comes later starts anew.
            drop(entry);
            land.send_replace(Some(value));
        });
        outcome
    }
}

/// Takes a flight off the board, also when it crashed.
struct Entry<K: Eq + Hash, V> {
    key: K,
    under_way: UnderWay<K, V>,
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio_test::{assert_pending, task};

    use super::*;

    #[tokio::test]
    async fn who_comes_meanwhile_gets_the_same_outcome() {
        let (flights, started) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let go = Arc::new(Notify::new());
        let work = || {
            let (started, go) = (Arc::clone(&started), Arc::clone(&go));
            move || async move {
                let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                go.notified().await;
                number
            }
        };
        let mut first = task::spawn(flights.join("a", work()));
        let mut second = task::spawn(flights.join("a", work()));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        // Even if the one who started it goes away.
        drop(first);
        tokio::task::yield_now().await;
        go.notify_one();
        assert_eq!(second.await, Some(1));
        assert_eq!(started.load(Ordering::SeqCst), 1);

        go.notify_one();
        assert_eq!(flights.join("a", work()).await, Some(2), "a later one starts anew");
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn keys_do_not_wait_for_each_other_and_a_crash_is_told() {
        let flights: Flights<u8, u8> = Flights::default();
        let mut slow = task::spawn(flights.join(1, std::future::pending));
        assert_pending!(slow.poll());
        assert_eq!(flights.join(2, || async { 2 }).await, Some(2));
        assert_eq!(flights.join(3, || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.join(3, || async { 3 }).await, Some(3));
        let mut ready = task::spawn(flights.join(1, std::future::pending));
        assert_pending!(ready.poll(), "still the first");
    }
}
