//! Credentialed CORS around any warp filter.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use warp::Filter;
use warp::reply::{Reply, Response};

use crate::policy::cors::{CorsDecision, CorsPolicy};

/// Wraps routes in a CORS policy.
///
/// Preflights are answered here and never reach `routes`; every other answer of `routes` gets
/// exactly the policy's headers. `routes` must have recovered from its rejections already, which
/// its error type says: a layer that lets rejections pass would leave them without headers, and a
/// page could not even read why its request failed.
///
/// ```
/// use std::sync::Arc;
/// use warp::Filter;
/// use withcreds::{CorsConfig, CorsPolicy};
///
/// # fn main() -> Result<(), Vec<withcreds::CorsConfigError>> {
/// let policy = CorsPolicy::compile(&CorsConfig {
///     allow_origins: vec!["https://app.example.com".to_owned()],
///     allow_credentials: true,
///     ..CorsConfig::default()
/// })?;
/// let routes = warp::path!("hello").map(|| "hello").recover(|_| async {
///     Ok::<_, std::convert::Infallible>(warp::http::StatusCode::NOT_FOUND)
/// });
/// let service = withcreds::cors(Arc::new(policy), routes);
/// # drop(service);
/// # Ok(())
/// # }
/// ```
pub fn cors<F, R>(
    policy: Arc<CorsPolicy>,
    routes: F,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + Send + 'static,
{
    let decider = Arc::clone(&policy);
    // Only OPTIONS can be a preflight: any other method leaves this branch at once.
    let preflight =
        warp::options().and(warp::header::headers_cloned()).and_then(move |headers: HeaderMap| {
            let response = answer_preflight(&decider, &headers);
            async move { response.ok_or_else(warp::reject::not_found) }
        });
    let actual = warp::method()
        .and(warp::header::headers_cloned())
        .map({
            let policy = Arc::clone(&policy);
            move |method: Method, headers: HeaderMap| policy.decide(&method, &headers)
        })
        .and(routes)
        .map(move |decision: CorsDecision, reply: R| {
            let mut response = reply.into_response();
            policy.apply(decision, response.headers_mut());
            response
        });
    preflight.or(actual).unify()
}

fn answer_preflight(policy: &CorsPolicy, headers: &HeaderMap) -> Option<Response> {
    let decision = policy.decide(&Method::OPTIONS, headers);
    let status: StatusCode = decision.preflight_status()?;
    let mut response = Response::default();
    *response.status_mut() = status;
    policy.apply(decision, response.headers_mut());
    Some(response)
}
