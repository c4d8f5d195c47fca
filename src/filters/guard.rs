//! Where panics and rejections become answers.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use warp::Rejection;
use warp::reply::Response;

use crate::app::App;
use crate::error::ApiError;

/// Runs one step of the chain: an error becomes a rejection, and so does a panic.
pub(super) async fn guarded<T>(
    step: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, Rejection> {
    // Nothing of a request survives its panic: the step owns its input, and what it shares (the
    // store) is sound after any panic.
    let result = match AssertUnwindSafe(step).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(ApiError::Internal { cause: format!("panic: {}", panic_text(&*panic)) }),
    };
    result.map_err(warp::reject::custom)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

/// The answer to a rejection, ours or warp's own.
pub(super) fn error_response(app: &App, rejection: &Rejection) -> Response {
    let error = match rejection.find::<ApiError>() {
        Some(error) => error.clone(),
        None if rejection.is_not_found() => ApiError::NotFound,
        None => {
            ApiError::Internal { cause: format!("a rejection that no rule names: {rejection:?}") }
        }
    };
    let cid = app.ids.request_id();
    if let ApiError::Internal { cause } = &error {
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
