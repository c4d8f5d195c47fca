//! What the server does with a request before warp sees it, to spare it two detours.
//!
//! warp lends nobody the headers: a filter that wants to see them gets a copy. Two layers here do,
//! and the copies were a tenth of the user CPU of a small answer. And a preflight needs no more than
//! the policy's decision: its way through warp, in as a request and out as a rejection, cost as
//! much as all the rest. `docs/performance.md` has the figures.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Request, Uri};
use tower_service::Service;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::Response;

use crate::call::Head;
use crate::filters::cors::answer_preflight;
use crate::live::LivePolicy;

/// The head of any request: shared, or, where another server runs the filter, put together from
/// copies.
pub(super) fn head()
-> impl Filter<Extract = (Arc<Head>,), Error = Infallible> + Copy + Send + Sync + 'static {
    let copied = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::header::headers_cloned())
        .map(|method, path: FullPath, query: Option<String>, headers| {
            let target = query.map_or_else(
                || Uri::try_from(path.as_str()),
                |query| Uri::try_from(format!("{}?{query}", path.as_str())),
            );
            // It was one before it was taken apart.
            Arc::new(Head::new(method, target.unwrap_or_default(), headers, None))
        });
    warp::ext::get::<Arc<Head>>().or(copied).unify()
}

/// Around the service: answers preflights exactly as the CORS filter inside would, and hands
/// everything else on with its headers shared. Filters inside find them by [`head`] alone.
#[derive(Debug, Clone)]
pub(crate) struct Door<S> {
    service: S,
    policy: LivePolicy,
    peer: Option<IpAddr>,
}

impl<S> Door<S> {
    pub(crate) fn new(service: S, policy: LivePolicy) -> Self {
        Self { service, policy, peer: None }
    }

    /// The door for one connection.
    pub(crate) fn for_peer(&self, peer: IpAddr) -> Self
    where
        S: Clone,
    {
        Self { service: self.service.clone(), policy: self.policy.clone(), peer: Some(peer) }
    }
}

impl<S, B> Service<Request<B>> for Door<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    // Boxed: warp's future is kilobytes, and hyper moves what it gets, preflights' futures too.
    type Future = Either<Ready<Result<Response, Infallible>>, Pin<Box<S::Future>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(answer) = answer_preflight(&self.policy, request.method(), request.headers()) {
            return Either::Left(ready(Ok(answer)));
        }
        let headers = std::mem::take(request.headers_mut());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        request.extensions_mut().insert(Arc::new(Head::new(method, uri, headers, self.peer)));
        Either::Right(Box::pin(self.service.call(request)))
    }
}
