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
use tokio::time::Instant;
use tower_service::Service;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::Response;

use crate::app::App;
use crate::call::Head;
use crate::filters::cors::answer_preflight;
use crate::live::LivePolicy;
use crate::metrics::{Metrics, Route};

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
///
/// What is counted of requests is counted here: a preflight and an answer that is ready at once cost
/// one addition, and no look at a clock.
#[derive(Debug, Clone)]
pub(crate) struct Door<S> {
    service: S,
    policy: LivePolicy,
    metrics: Arc<Metrics>,
    peer: Option<IpAddr>,
}

impl<S> Door<S> {
    pub(crate) fn new(service: S, app: &App) -> Self {
        let (policy, metrics) = (app.cors.clone(), Arc::clone(&app.metrics));
        Self { service, policy, metrics, peer: None }
    }

    /// The door for one connection.
    pub(crate) fn for_peer(&self, peer: IpAddr) -> Self
    where
        S: Clone,
    {
        Self { peer: Some(peer.to_canonical()), ..self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Door<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    // Boxed: warp's future is kilobytes, and hyper moves what it gets, preflights' futures too.
    type Future = Either<Ready<Result<Response, Infallible>>, Counted<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let preflight = answer_preflight(&self.policy, request.method(), request.headers());
        if let Some((answer, decision)) = preflight {
            self.metrics.preflight(decision);
            self.metrics.answered(Route::Preflight, answer.status());
            return Either::Left(ready(Ok(answer)));
        }
        let route = Route::of(request.uri().path());
        let headers = std::mem::take(request.headers_mut());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        request.extensions_mut().insert(Arc::new(Head::new(method, uri, headers, self.peer)));
        let (answer, metrics) = (Box::pin(self.service.call(request)), Arc::clone(&self.metrics));
        Either::Right(Counted { answer, metrics, route, waits_since: None })
    }
}

/// An answer that will be counted.
pub(crate) struct Counted<F> {
    answer: Pin<Box<F>>,
    metrics: Arc<Metrics>,
    route: Route,
    /// Since it was not ready when it was first asked for.
    waits_since: Option<Instant>,
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = self.answer.as_mut().poll(cx) else {
            self.waits_since.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        let Self { metrics, route, waits_since, .. } = &*self;
        if let Some(since) = waits_since {
            metrics.waited(*route, since.elapsed());
        }
        if let Ok(response) = &answer {
            metrics.answered(*route, response.status());
        }
        Poll::Ready(answer)
    }
}
