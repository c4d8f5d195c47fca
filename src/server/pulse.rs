//! Signs of life of a connection.
//!
//! hyper's own header timeout arms, registers and drops a timer for every request, which was a
//! tenth of the user CPU of a small answer, and nothing of hyper's sees a client that does not read.
//! A pulse costs a request a few plain stores; its one timer looks once in a while.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Version};
use hyper::body::Incoming;
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use warp::reply::Response;

use crate::config::ServerLimits;
use crate::metrics::Cut;
use crate::server::desk::Desk;

/// What a connection has done so far. Only the connection's own task writes here, and only it reads:
/// the atomics are for the compiler, and cost what plain numbers cost. With HTTP/2, requests that end
/// do so in tasks of their own, and their number alone is counted as atomics are.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    requests: AtomicU64,
    /// Requests that are being answered: one at most, unless they share the connection.
    running: AtomicU64,
    /// Whether they do: HTTP/2.
    shared: AtomicBool,
    read: AtomicU64,
    /// What of `read` belongs to requests that have been answered.
    answered_at: AtomicU64,
    written: AtomicU64,
    /// Something waits to be written, and the client does not take it.
    stuck: AtomicBool,
}

fn add(to: &AtomicU64, n: usize) {
    to.store(to.load(Ordering::Relaxed).wrapping_add(n as u64), Ordering::Relaxed);
}

impl Pulse {
    fn begin(&self, shared: bool) {
        add(&self.requests, 1);
        if shared {
            self.shared.store(true, Ordering::Relaxed);
            self.running.fetch_add(1, Ordering::Relaxed);
        } else {
            self.running.store(1, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        if self.is_shared() {
            self.running.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.running.store(0, Ordering::Relaxed);
        }
        self.all_heard();
    }

    /// Whatever has come so far belongs to no request that is yet to be answered.
    pub(crate) fn all_heard(&self) {
        self.answered_at.store(self.read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether several requests share the connection.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// Whether the client has asked nothing at all yet, nor begun to.
    pub(crate) fn is_untouched(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && !self.is_partial()
    }

    fn is_partial(&self) -> bool {
        self.read.load(Ordering::Relaxed) != self.answered_at.load(Ordering::Relaxed)
    }

    fn look(&self) -> Look {
        let requests = self.requests.load(Ordering::Relaxed);
        // Bytes between the requests of HTTP/2 are no beginning: windows are opened, pings answered.
        let partial = self.is_partial() && !self.is_shared();
        let doing = if self.stuck.load(Ordering::Relaxed) {
            Doing::Writing
        } else if self.running.load(Ordering::Relaxed) > 0 {
            Doing::Working
        } else if partial || requests == 0 {
            Doing::Head
        } else {
            Doing::Waiting
        };
        Look { requests, written: self.written.load(Ordering::Relaxed), doing }
    }

    /// Resolves with the reason when the client has taken too long over something. Each limit is
    /// kept to a quarter of the shortest.
    pub(crate) async fn wait_for_cut(&self, desk: &Desk) -> Cut {
        let limits = &desk.limits;
        let tick = tick(limits);
        let mut watch = Watch::new(self.look());
        loop {
            tokio::time::sleep(tick).await;
            if let Some(cut) = watch.look(self.look(), tick, desk.is_full(), limits) {
                return cut;
            }
        }
    }
}

/// How often to look.
fn tick(limits: &ServerLimits) -> Duration {
    let shortest = limits.head.min(limits.write).min(limits.idle);
    (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
}

/// A connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    requests: u64,
    written: u64,
    doing: Doing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// A request is on its way.
    Head,
    /// It is being answered; if it waits for its body, that has a deadline of its own.
    Working,
    /// The answer is on its way.
    Writing,
    /// For the next request.
    Waiting,
}

/// For how long it has been doing that. Pure: time comes in as an argument.
#[derive(Debug)]
struct Watch {
    last: Look,
    lasts: Duration,
}

impl Watch {
    const fn new(first: Look) -> Self {
        Self { last: first, lasts: Duration::ZERO }
    }

    fn look(
        &mut self,
        now: Look,
        elapsed: Duration,
        full: bool,
        limits: &ServerLimits,
    ) -> Option<Cut> {
        let last = std::mem::replace(&mut self.last, now);
        let goes_on = now.doing == last.doing && now.requests == last.requests;
        let bytes = now.written.wrapping_sub(last.written);
        let slow = u128::from(bytes) * 1000 < limits.min_rate as u128 * elapsed.as_millis();
        // Without a rate, anything that is taken counts.
        let slow = if limits.min_rate == 0 { bytes == 0 } else { slow };
        if !goes_on || (now.doing == Doing::Writing && !slow) {
            self.lasts = Duration::ZERO;
            return None;
        }
        self.lasts += elapsed;
        match now.doing {
            Doing::Head if self.lasts >= limits.head => Some(Cut::Head),
            Doing::Writing if self.lasts >= limits.write => Some(Cut::Write),
            // Others wait for the place of one who does nothing with it.
            Doing::Waiting if full || self.lasts >= limits.idle => Some(Cut::Idle),
            _ => None,
        }
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    stream: T,
    pulse: Arc<Pulse>,
}

impl<T> Counted<T> {
    pub(crate) const fn new(stream: T, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, pulse } = self.get_mut();
        let before = buf.filled().len();
        let read = ready!(Pin::new(stream).poll_read(cx, buf));
        add(&pulse.read, buf.filled().len() - before);
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, pulse } = self.get_mut();
        let written = Pin::new(stream).poll_write(cx, buf);
        pulse.stuck.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            add(&pulse.written, bytes);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A service that tells the pulse about its requests, and clients of a stopping server that this
/// answer is the last one here.
pub(crate) struct Beating<S> {
    // Requests are handed over one after another, so this cell is never borrowed twice; it saves a
    // clone of the whole filter chain for every request.
    service: RefCell<S>,
    pulse: Arc<Pulse>,
    desk: Arc<Desk>,
}

impl<S> Beating<S> {
    pub(crate) fn new(service: S, pulse: Arc<Pulse>, desk: Arc<Desk>) -> Self {
        Self { service: RefCell::new(service), pulse, desk }
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
        // HTTP/2 has no header for the last answer: it says so itself.
        let shared = request.version() == Version::HTTP_2;
        self.pulse.begin(shared);
        let beat = Beat(Arc::clone(&self.pulse));
        let answer = self.service.borrow_mut().call(request);
        Running { answer, _beat: beat, desk: (!shared).then(|| Arc::clone(&self.desk)) }
    }
}

/// A request that is being answered, until it is or its client takes it back.
struct Beat(Arc<Pulse>);

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.end();
    }
}

pin_project_lite::pin_project! {
    /// A request that runs.
    pub(crate) struct Running<F> {
        #[pin]
        answer: F,
        _beat: Beat,
        desk: Option<Arc<Desk>>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Running<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.answer.poll(cx));
        if this.desk.as_ref().is_some_and(|desk| desk.is_draining())
            && let Ok(response) = &mut answer
        {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> ServerLimits {
        let (head, write, idle) = (SECOND * 10, SECOND * 30, SECOND * 75);
        ServerLimits { head, write, idle, min_rate: 100, ..ServerLimits::default() }
    }

    /// After so many seconds of the same, each with so many more bytes taken.
    fn cut_after(doing: Doing, bytes: u64, full: bool) -> Option<(u64, Cut)> {
        let mut look = Look { requests: 1, written: 0, doing };
        let mut watch = Watch::new(look);
        for second in 1..=200 {
            look.written += bytes;
            if let Some(cut) = watch.look(look, SECOND, full, &limits()) {
                return Some((second, cut));
            }
        }
        None
    }

    #[test]
    fn each_delay_has_its_limit() {
        for (case, doing, bytes, full, want) in [
            ("headers", Doing::Head, 0, false, Some((10, Cut::Head))),
            ("no reading", Doing::Writing, 0, false, Some((30, Cut::Write))),
            ("slow reading", Doing::Writing, 99, false, Some((30, Cut::Write))),
            ("reading", Doing::Writing, 100, false, None),
            ("nothing to do", Doing::Waiting, 0, false, Some((75, Cut::Idle))),
            ("nothing to do, in others' way", Doing::Waiting, 0, true, Some((1, Cut::Idle))),
            ("work", Doing::Working, 0, true, None),
        ] {
            assert_eq!(cut_after(doing, bytes, full), want, "{case}");
        }
    }

    #[test]
    fn another_request_is_another_beginning() {
        let look = |requests, doing| Look { requests, written: 0, doing };
        let mut watch = Watch::new(look(1, Doing::Waiting));
        for request in 1..100 {
            for doing in [Doing::Waiting, Doing::Head] {
                // Half the limit each; the next look finds another request.
                assert_eq!(watch.look(look(request, doing), SECOND * 5, false, &limits()), None);
            }
        }
    }

    #[test]
    fn a_pulse_tells_what_a_connection_does() {
        let pulse = Pulse::default();
        assert_eq!(pulse.look().doing, Doing::Head, "nothing yet: its first request is due");
        assert!(pulse.is_untouched());
        add(&pulse.read, 100);
        pulse.begin(false);
        assert_eq!(pulse.look().doing, Doing::Working);
        pulse.end();
        assert_eq!(pulse.look().doing, Doing::Waiting);
        add(&pulse.read, 1);
        assert_eq!(pulse.look().doing, Doing::Head);
        pulse.begin(false);
        pulse.end();
        pulse.stuck.store(true, Ordering::Relaxed);
        assert_eq!(pulse.look().doing, Doing::Writing);
    }
    #[test]
    fn requests_that_share_a_connection_are_counted() {
        let pulse = Arc::new(Pulse::default());
        pulse.begin(true);
        let first = Beat(Arc::clone(&pulse));
        pulse.begin(true);
        let second = Beat(Arc::clone(&pulse));
        drop(second);
        assert_eq!(pulse.look().doing, Doing::Working, "the first still runs");
        drop(first);
        add(&pulse.read, 17);
        assert_eq!(pulse.look().doing, Doing::Waiting, "a ping is no request");
        assert!(!pulse.is_untouched());
    }
}
