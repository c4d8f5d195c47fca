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

use http::HeaderValue;
use http::header::{CACHE_CONTROL, PRAGMA, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::app::App;
use crate::call::{Call, Visitor};
use crate::error::ApiError;
use crate::handlers;
use crate::live::LivePolicy;

/// The whole service. Read from the bottom up, it is what a request meets, outermost first:
///
/// 1. **CORS** answers preflights alone, before anything else exists, and writes its headers on
///    every answer that comes back from inside, whatever went wrong there.
/// 2. **Recover** turns every rejection into a JSON answer. It must stand inside CORS: an error
///    that no script can read is the most frequent "CORS bug" of all.
/// 3. **Catch panics**: each step below runs guarded (`filters::guard`), so a panic is a rejection
///    like any other, and keeps its CORS headers. (warp seals the futures of its filters; the
///    steps are the places where code of ours runs.)
/// 4. **Session** finds the secret in the cookie.
/// 5. **CSRF** stops what may not change anything, before a body is read.
/// 6. **Routes** and their handlers.
///
/// The error type is [`Infallible`]: without step 2 this would not compile.
pub fn service(
    app: Arc<App>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let policy = app.cors.clone();
    let routes = routes::call(app.example);
    chain(policy, app, routes, handlers::answer)
}

/// [`service`] with another innermost step; tests put one there that panics.
fn chain<R, H, Fut>(
    policy: LivePolicy,
    app: Arc<App>,
    routes: R,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static
where
    R: Filter<Extract = (Call,), Error = Rejection> + Clone + Send + Sync + 'static,
    R::Future: Send,
    H: Fn(Arc<App>, Visitor, Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    let (session, csrf, inner, errors) =
        (Arc::clone(&app), Arc::clone(&app), Arc::clone(&app), app);

    let visitor = visitor::exchange()
        .and_then(move |exchange| {
            guard::guarded(visitor::recognise(Arc::clone(&session), exchange))
        })
        .and_then(move |visitor| guard::guarded(visitor::check_csrf(Arc::clone(&csrf), visitor)));
    let answered = visitor
        .and(routes)
        .and_then(move |visitor, call| guard::guarded(handler(Arc::clone(&inner), visitor, call)));
    let recovered = answered
        .recover(move |rejection: Rejection| {
            let response = guard::error_response(&errors, &rejection);
            async move { Ok::<_, Infallible>(response) }
        })
        .unify()
        .map(forbid_caching);
    cors(policy, recovered)
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
