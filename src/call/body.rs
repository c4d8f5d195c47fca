//! Request bodies, read within bounds of size and time.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

/// A body beyond the limit is read and dropped up to here, so that a browser, which sends all of
/// it before it looks at the answer, gets to see the 413 instead of a broken connection.
const DRAIN_BYTES: usize = 1 << 20;
/// Before this, nobody is too slow.
const GRACE: Duration = Duration::from_secs(5);

/// How large a body may be, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    /// From the moment it is wanted to its last byte.
    pub(crate) deadline: Duration,
    /// Bytes a second, after a grace of a few seconds; 0: any.
    pub(crate) min_rate: usize,
}

impl BodyLimits {
    /// How long after the beginning the next bytes have to be here, if so many are here now: whoever
    /// trickles is cut off long before the deadline.
    fn patience(&self, seen: usize) -> Duration {
        let by_rate = (seen as u64 * 1000).checked_div(self.min_rate as u64);
        let by_rate =
            by_rate.map(|millis| GRACE.min(self.deadline / 2) + Duration::from_millis(millis));
        by_rate.map_or(self.deadline, |patience| patience.min(self.deadline))
    }
}

/// A request body that nobody has read yet.
pub(crate) struct Body(Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(unread)")
    }
}

impl Body {
    pub(crate) fn unread<S, B>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, warp::Error>> + Send + 'static,
        B: Buf,
    {
        Self(Box::pin(stream.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))))
    }

    /// Reads a JSON object of at most so many bytes. The content type must say that it is JSON:
    /// this is what keeps a foreign page's plain form from getting here without a preflight.
    ///
    /// # Errors
    ///
    /// The [`ApiError`] that names what is wrong; never with a value of the body in it.
    pub(crate) async fn json<T: DeserializeOwned>(
        self,
        headers: &HeaderMap,
        limits: &BodyLimits,
    ) -> Result<T, ApiError> {
        let bytes = self.read(limits).await;
        if !is(headers, b"application/json") {
            return Err(ApiError::UnsupportedMediaType { expected: "application/json" });
        }
        let bytes = bytes?;
        if bytes.trim_ascii_start().starts_with(b"[") {
            // Derived types take a bare list of their fields as well; this API does not.
            return Err(ApiError::InvalidBody { line: 1, column: 1 });
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            if error.is_data() {
                ApiError::InvalidBody { line, column }
            } else {
                ApiError::MalformedJson { line, column }
            }
        })
    }

    /// Reads a form of at most so many bytes.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub(crate) async fn form(
        self,
        headers: &HeaderMap,
        limits: &BodyLimits,
    ) -> Result<Vec<u8>, ApiError> {
        let bytes = self.read(limits).await;
        if !is(headers, b"application/x-www-form-urlencoded") {
            let expected = "application/x-www-form-urlencoded";
            return Err(ApiError::UnsupportedMediaType { expected });
        }
        bytes
    }

    async fn read(mut self, limits: &BodyLimits) -> Result<Vec<u8>, ApiError> {
        let (mut kept, mut seen, limit) = (Vec::new(), 0usize, limits.bytes);
        let begin = Instant::now();
        loop {
            let due = begin + limits.patience(seen);
            let next = timeout_at(due, self.0.next()).await.map_err(|_| ApiError::BodyTimeout)?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| ApiError::BodyIncomplete)?;
            seen = seen.saturating_add(chunk.remaining());
            if seen > DRAIN_BYTES.max(limit) {
                break;
            }
            if seen <= limit {
                kept.extend_from_slice(&chunk);
            }
        }
        if seen > limit { Err(ApiError::BodyTooLarge { limit }) } else { Ok(kept) }
    }
}

fn is(headers: &HeaderMap, essence: &[u8]) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let given = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    given.trim_ascii().eq_ignore_ascii_case(essence)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// A body of one byte a second for so long; with a first burst.
    fn trickle(burst: usize, seconds: usize) -> Body {
        let chunks = stream::iter(0..=seconds).then(move |n| async move {
            if n == 0 {
                return Ok(Bytes::from(vec![b'x'; burst]));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, warp::Error>(Bytes::from_static(b"x"))
        });
        Body::unread(chunks)
    }

    #[tokio::test(start_paused = true)]
    async fn who_trickles_is_not_waited_for() {
        let limits = BodyLimits { bytes: 1000, deadline: Duration::from_mins(1), min_rate: 100 };
        for (case, burst, seconds, limits, want, after) in [
            ("quick enough", 100, 3, limits, Ok(103), 3),
            ("a trickle", 100, 50, limits, Err(ApiError::BodyTimeout), 6),
            ("no rate", 100, 50, BodyLimits { min_rate: 0, ..limits }, Ok(150), 50),
            (
                "the deadline",
                100,
                70,
                BodyLimits { min_rate: 1, ..limits },
                Err(ApiError::BodyTimeout),
                60,
            ),
        ] {
            let start = Instant::now();
            let read = trickle(burst, seconds).read(&limits).await.map(|body| body.len());
            assert_eq!((read, start.elapsed().as_secs()), (want, after), "{case}");
        }
    }
}
