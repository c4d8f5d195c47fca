//! Request bodies, read within bounds of size and time.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A body beyond the limit is read and dropped up to here, so that a browser, which sends all of
/// it before it looks at the answer, gets to see the 413 instead of a broken connection.
const DRAIN_BYTES: usize = 1 << 20;
/// From the first byte to the last.
const DEADLINE: Duration = Duration::from_secs(10);

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

    /// Reads a JSON object of at most `limit` bytes. The content type must say that it is JSON:
    /// this is what keeps a foreign page's plain form from getting here without a preflight.
    ///
    /// # Errors
    ///
    /// The [`ApiError`] that names what is wrong; never with a value of the body in it.
    pub(crate) async fn json<T: DeserializeOwned>(
        self,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<T, ApiError> {
        let bytes = self.read(limit).await;
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

    /// Reads a form of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub(crate) async fn form(self, headers: &HeaderMap, limit: usize) -> Result<Vec<u8>, ApiError> {
        let bytes = self.read(limit).await;
        if !is(headers, b"application/x-www-form-urlencoded") {
            let expected = "application/x-www-form-urlencoded";
            return Err(ApiError::UnsupportedMediaType { expected });
        }
        bytes
    }

    async fn read(self, limit: usize) -> Result<Vec<u8>, ApiError> {
        tokio::time::timeout(DEADLINE, self.collect(limit))
            .await
            .map_err(|_| ApiError::BodyTimeout)?
    }

    async fn collect(mut self, limit: usize) -> Result<Vec<u8>, ApiError> {
        let (mut kept, mut seen) = (Vec::new(), 0usize);
        while let Some(chunk) = self.0.next().await {
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
