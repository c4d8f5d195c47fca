//! Where panics and errors become answers.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use uuid::Uuid;
use warp::reply::Response;

use crate::app::App;
use crate::call::Head;
use crate::error::ApiError;

/// Runs what answers a request: an error becomes an answer, and so does a panic.
pub(super) async fn answered(
    app: &App,
    head: &Head,
    answer: impl Future<Output = Result<Response, ApiError>>,
) -> Response {
    // Nothing of a request survives its panic: the future owns its input, and what it shares (the
    // store) is sound after any panic.
    let result = match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(ApiError::Panic { text: panic_text(&*panic).to_owned() }),
    };
    result.unwrap_or_else(|error| error_response(app, head.cid(app), error))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

fn error_response(app: &App, cid: Uuid, error: ApiError) -> Response {
    app.metrics.failed(&error);
    if let ApiError::Panic { text } = &error {
        tracing::error!(%cid, text, "a request panicked");
    } else if let ApiError::Internal { cause } = &error {
        // The id that the user reports leads here.
        tracing::error!(%cid, cause, "a request failed");
    } else if let ApiError::StoreUnavailable { cause } = &error {
        tracing::warn!(%cid, cause, "the session store cannot be reached");
    } else {
        let status = error.status().as_u16();
        tracing::debug!(%cid, code = error.code(), status, "refused");
    }
    error.into_response(cid)
}
