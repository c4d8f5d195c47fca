//! Credentialed CORS around any warp filter.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, Method};
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::call::Head;
use crate::filters::door;
use crate::live::LivePolicy;
use crate::policy::cors::{CorsDecision, CorsPolicy, Refusal};

/// Wraps routes in a CORS policy. Takes a [`CorsPolicy`], or a [`LivePolicy`] to replace it later.
///
/// Preflights are answered here and never reach `routes`; every other answer of `routes` gets
/// exactly the policy's headers, and those of its own `Access-Control-*` that it had are removed.
///
/// # Order
///
/// CORS is the outermost layer. Whatever stands outside it answers without CORS headers, and a page
/// sees a network error instead of the reason: an authentication filter outside it even refuses
/// preflights, which never carry credentials. Put `.with(warp::log(..))` and the like inside.
///
/// # Errors must be recovered inside
///
/// In warp a rejection passes by every `map` on its way out, also by one that adds headers. So
/// `routes` must have turned its rejections into answers already: `.recover(..)` with a handler that
/// cannot fail. The error type says it, and what does not compile is the most frequent mistake with
/// CORS, the 404 or 401 that no script can read:
///
/// ```compile_fail
/// # let policy = withcreds::CorsPolicy::compile(&withcreds::CorsConfig::default()).unwrap();
/// use warp::Filter;
/// let routes = warp::path!("hello").map(|| "hello"); // can be rejected: 404
/// let service = withcreds::cors(policy, routes);
/// ```
///
/// With the rejection recovered inside:
///
/// ```
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
/// let service = withcreds::cors(policy, routes);
/// # drop(service);
/// # Ok(())
/// # }
/// ```
///
/// A whole program is in `docs/examples/embed.rs`.
pub fn cors<F, R>(
    policy: impl Into<LivePolicy>,
    routes: F,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
    R: Reply + Send + 'static,
{
    let policy = policy.into();
    door::head()
        .and_then(move |head: Arc<Head>| {
            // A preflight leaves the chain here, as a rejection: warp's way past everything inside.
            let policy = policy.current();
            let decision = policy.decide(&head.method, &head.headers);
            std::future::ready(match decision.preflight_status() {
                Some(_) => Err(warp::reject::custom(Preflight(policy, decision))),
                None => Ok((policy, decision)),
            })
        })
        .untuple_one()
        .and(routes)
        .map(|policy: Arc<CorsPolicy>, decision: CorsDecision, reply: R| {
            let mut response = reply.into_response();
            policy.apply(decision, response.headers_mut());
            response
        })
        .recover(|rejection: Rejection| {
            // Nothing else can be rejected here: what is inside cannot fail.
            let response =
                rejection.find().map_or_else(Response::default, |Preflight(policy, decision)| {
                    preflight_response(policy, decision.clone())
                });
            std::future::ready(Ok::<_, Infallible>(response))
        })
        .unify()
}

/// The decision about a preflight, on its way out.
#[derive(Debug)]
struct Preflight(Arc<CorsPolicy>, CorsDecision);

impl warp::reject::Reject for Preflight {}

/// The answer to a preflight, and whether it was granted; `None` if the request is none.
pub(super) fn answer_preflight(
    policy: &LivePolicy,
    method: &Method,
    headers: &HeaderMap,
) -> Option<(Response, Result<(), Refusal>)> {
    if method != Method::OPTIONS {
        return None;
    }
    let policy = policy.current();
    let decision = policy.decide(method, headers);
    decision.preflight_status()?;
    let granted = match &decision {
        CorsDecision::PreflightRefused(refusal, _) => Err(*refusal),
        _ => Ok(()),
    };
    Some((preflight_response(&policy, decision), granted))
}

fn preflight_response(policy: &CorsPolicy, decision: CorsDecision) -> Response {
    let mut response = Response::default();
    if let Some(status) = decision.preflight_status() {
        *response.status_mut() = status;
    }
    if let Some(hint) = decision.hint() {
        tracing::warn!(origin = hint.origin(), "preflight refused: {}", hint.text());
    }
    policy.apply(decision, response.headers_mut());
    response
}
