//! The headers of a request, shared by all layers.
//!
//! warp lends nobody the headers: a filter that wants to see them gets a copy. Two layers here do,
//! and the copies were a tenth of the user CPU of a small answer. So the server takes the headers
//! out of the request at the door, once, and every layer gets the same ones.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request};
use tower_service::Service;
use warp::Filter;

/// What the server took out of a request.
#[derive(Clone)]
struct Head(Arc<HeaderMap>);

/// The headers of any request: the shared ones, or, where another server runs the filter, a copy.
pub(super) fn headers()
-> impl Filter<Extract = (Arc<HeaderMap>,), Error = Infallible> + Copy + Send + Sync + 'static {
    let shared = warp::ext::get::<Head>().map(|head: Head| head.0);
    shared.or(warp::header::headers_cloned().map(Arc::new)).unify()
}

/// A service whose filters find the headers by [`headers`], and by nothing else.
#[derive(Debug, Clone)]
pub(crate) struct SharedHead<S>(pub(crate) S);

impl<S, B> Service<Request<B>> for SharedHead<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let headers = std::mem::take(request.headers_mut());
        request.extensions_mut().insert(Head(Arc::new(headers)));
        self.0.call(request)
    }
}
