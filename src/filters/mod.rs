//! The filter chain: thin layers that read facts, ask [`crate::policy`], and write headers.

mod cors;
mod door;
mod guard;
mod routes;
mod visitor;

pub use cors::cors;
pub(crate) use door::Door;

use std::convert::Infallible;
use std::sync::Arc;

use http::Method;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use warp::Filter;
use warp::reply::Response;

use crate::app::App;
use crate::call::{Body, Call, Head, Visitor};
use crate::error::ApiError;
use crate::filters::routes::Place;
use crate::handlers;

/// The whole service. Read from the bottom up, it is what a request meets, outermost first:
///
/// 1. **CORS** answers preflights alone, before anything else exists, and writes its headers on
///    every answer that comes back from inside, whatever went wrong there.
/// 2. **Errors and panics become answers** (`filters::guard`). This must stand inside CORS: an error
///    that no script can read is the most frequent "CORS bug" of all. One guard around all of the
///    steps below; none of them is a filter of its own that could be rejected past it.
/// 3. **Session** finds the secret in the cookie.
/// 4. **CSRF** stops what may not change anything, before a body is read.
/// 5. **Routes** and their handlers.
///
/// The error type is [`Infallible`]: a rejection that nobody has recovered would not compile.
pub fn service(
    app: Arc<App>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    chain(app, handlers::answer)
}

/// [`service`] with another innermost step; tests put one there that panics.
fn chain<H, Fut>(
    app: Arc<App>,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static
where
    H: Fn(Arc<App>, Visitor, Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    let policy = app.cors.clone();
    // Somebody else's filter may have taken the body; then there is none for us.
    let stream = warp::body::stream().map(Some).or(warp::any().map(|| None)).unify();
    let routes = door::head()
        .and(stream)
        .then(move |head: Arc<Head>, stream: Option<_>| {
            let (app, handler) = (Arc::clone(&app), handler.clone());
            let body = stream.filter(|_| head.method == Method::POST).map(Body::unread);
            async move {
                guard::answered(&app, &head, async {
                    let place = Place::at(head.path(), app.example);
                    let visitor = visitor::recognise(&app, Arc::clone(&head), place.as_ref());
                    visitor::check_csrf(&app, &visitor).await?;
                    let place = place.ok_or(ApiError::NotFound)?;
                    let call = routes::call(place, &head, body)?;
                    handler(Arc::clone(&app), visitor, call).await
                })
                .await
            }
        })
        .map(forbid_caching);
    cors(policy, routes)
}

/// Answers about a session belong to nobody's cache, nobody's guess at their type, and to no log
/// of another site.
fn forbid_caching(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests;
