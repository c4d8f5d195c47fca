//! Signs of life of a connection.
//!
//! hyper's own header timeout arms, registers and drops a timer for every request, which was a
//! tenth of the user CPU of a small answer. A pulse costs a request two stores; its one timer
//! looks once in a while.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use warp::reply::Response;

/// What a connection has done so far.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    requests: AtomicU64,
    busy: AtomicBool,
}

impl Pulse {
    /// Resolves when no request was running and none arrived completely for `limit`, and within
    /// twice that: a client that trickles its headers, or only holds the connection, is cut off.
    pub(crate) async fn silence(&self, limit: Duration) {
        let mut seen = None;
        loop {
            let now = self.requests.load(Ordering::Relaxed);
            if seen == Some(now) && !self.busy.load(Ordering::Relaxed) {
                return;
            }
            seen = Some(now);
            tokio::time::sleep(limit).await;
        }
    }
}

/// A service that tells the pulse about its requests.
pub(crate) struct Beating<S> {
    // HTTP/1 asks one thing after another, so this cell is never borrowed twice; it saves a clone
    // of the whole filter chain for every request.
    service: RefCell<S>,
    pulse: Arc<Pulse>,
}

impl<S> Beating<S> {
    pub(crate) fn new(service: S, pulse: Arc<Pulse>) -> Self {
        Self { service: RefCell::new(service), pulse }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Beating<S>
where
    S: tower_service::Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Running<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.pulse.requests.fetch_add(1, Ordering::Relaxed);
        self.pulse.busy.store(true, Ordering::Relaxed);
        let answer = self.service.borrow_mut().call(request);
        Running { answer, pulse: Arc::clone(&self.pulse) }
    }
}

pin_project_lite::pin_project! {
    /// A request that runs.
    pub(crate) struct Running<F> {
        #[pin]
        answer: F,
        pulse: Arc<Pulse>,
    }
}

impl<F: Future> Future for Running<F> {
    type Output = F::Output;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let this = self.project();
        let polled = this.answer.poll(cx);
        if polled.is_ready() {
            this.pulse.busy.store(false, Ordering::Relaxed);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_work_is_not_silence() {
        let pulse = Pulse::default();
        let mut silence = tokio_test::task::spawn(pulse.silence(LIMIT));
        tokio_test::assert_pending!(silence.poll());
        // A request every five seconds, then one that runs long.
        for _ in 0..6 {
            pulse.requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::advance(LIMIT / 2).await;
            tokio_test::assert_pending!(silence.poll());
        }
        pulse.busy.store(true, Ordering::Relaxed);
        for _ in 0..6 {
            tokio::time::advance(LIMIT).await;
            tokio_test::assert_pending!(silence.poll());
        }
        pulse.busy.store(false, Ordering::Relaxed);
        tokio::time::advance(LIMIT * 2).await;
        assert!(silence.is_woken());
        tokio_test::assert_ready!(silence.poll());
    }
}
