//! JSON answers.

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use warp::reply::Response;

/// The headers that the layers around a handler add; room for them saves growing the map twice.
const HEADERS: usize = 14;

/// 200 with a JSON body.
pub(crate) fn json(value: &impl Serialize) -> Response {
    // Only maps with keys that are no strings fail, and no type of ours has one.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body).into());
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
