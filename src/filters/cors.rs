//! Credentialed CORS around any warp filter.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Method};
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

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
    let (decider, answerer) = (Arc::clone(&policy), Arc::clone(&policy));
    warp::method()
        .and(warp::header::headers_cloned())
        .and_then(move |method: Method, headers: HeaderMap| {
            // A preflight leaves the chain here, as a rejection: warp's way past everything inside.
            let decision = decider.decide(&method, &headers);
            let is_preflight = decision.preflight_status().is_some();
            let next = if is_preflight {
                Err(warp::reject::custom(Preflight(decision)))
            } else {
                Ok(decision)
            };
            std::future::ready(next)
        })
        .and(routes)
        .map(move |decision: CorsDecision, reply: R| {
            let mut response = reply.into_response();
            policy.apply(decision, response.headers_mut());
            response
        })
        .recover(move |rejection: Rejection| {
            std::future::ready(Ok::<_, Infallible>(answer_preflight(&answerer, &rejection)))
        })
        .unify()
}

/// The decision about a preflight, on its way out.
#[derive(Debug)]
struct Preflight(CorsDecision);

impl warp::reject::Reject for Preflight {}

fn answer_preflight(policy: &CorsPolicy, rejection: &Rejection) -> Response {
    let mut response = Response::default();
    // Nothing else can be rejected here: what is inside cannot fail.
    let Some(Preflight(decision)) = rejection.find() else { return response };
    if let Some(status) = decision.preflight_status() {
        *response.status_mut() = status;
    }
    policy.apply(decision.clone(), response.headers_mut());
    response
}
