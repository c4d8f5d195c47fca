//! One origin: listens, ends TLS, writes down, hands on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;
use withcreds::Fixture;

use crate::lab::hold::{Holds, Moment};
use crate::lab::record::{self, WireExchange, WireLog};
use crate::lab::sabotage::{self, Asked, Listed, Sabotage};
use crate::lab::service::Service;
use crate::lab::sessions::Aliases;

/// A path of the harness's own on every origin: an empty document, behind which there is no service.
/// A browser that shows only the jar of the document at hand is sent there to look.
pub const BLANK: &str = "/.withcreds-harness/blank";

/// What an origin serves.
pub(super) struct Backstage {
    /// Its serialisation.
    pub(super) origin: String,
    /// Whether `/api/` is the service.
    pub(super) api: bool,
    /// Whether everything else is the fixture page.
    pub(super) page: Option<Fixture>,
    /// Name of the session cookie.
    pub(super) cookie: &'static str,
    pub(super) log: WireLog,
    /// Requests that are to wait.
    pub(super) holds: Holds,
    pub(super) behaviour: Behaviour,
    /// What [`Sabotage::AdoptedIds`] has to remember.
    pub(super) aliases: Aliases,
    /// What the policy lists, for sabotages that get just that wrong.
    pub(super) listed: Listed,
    pub(super) client: Client<HttpConnector, Full<Bytes>>,
}

/// Where the service is, and how its answers are spoiled; can change while the front runs.
#[derive(Debug, Clone)]
pub(super) struct Behaviour(Arc<Mutex<State>>);

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) service: Arc<Service>,
    pub(super) sabotage: Option<Sabotage>,
}

impl Behaviour {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn state(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running origin; ends when dropped.
#[derive(Debug)]
pub(super) struct Front(JoinHandle<()>);

impl Drop for Front {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new())
}

impl Front {
    /// Serves a listener.
    pub(super) fn start(listener: TcpListener, tls: Option<TlsAcceptor>, stage: Backstage) -> Self {
        let stage = Arc::new(stage);
        Self(tokio::spawn(async move {
            // Connections end with the front, not after it.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                // A connection that is gone before it was taken is no reason to close the origin.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let (tls, stage) = (tls.clone(), Arc::clone(&stage));
                let service = service_fn(move |request| {
                    let stage = Arc::clone(&stage);
                    async move { Ok::<_, Infallible>(stage.answer(request).await) }
                });
                connections.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    // A connection that ends badly is the browser's own business: what it means for
                    // the proof is seen in the page.
                    let http = http1::Builder::new();
                    if let Some(tls) = tls {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    } else {
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                });
            }
        }))
    }
}

impl Backstage {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == BLANK {
            return blank();
        }
        let (parts, body) = request.into_parts();
        let body =
            body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let (method, target) = (parts.method.to_string(), parts.uri.to_string());
        let request_headers = record::lines(&parts.headers);
        let response = match &self.page {
            Some(page) if !(self.api && parts.uri.path().starts_with("/api/")) => {
                self.show(page, Request::from_parts(parts, body)).await
            }
            _ => self.forward(Request::from_parts(parts, body)).await,
        };
        self.log.push(WireExchange {
            origin: self.origin.clone(),
            method,
            target,
            request_headers,
            status: response.status().as_u16(),
            response_headers: record::lines(response.headers()),
        });
        response
    }

    async fn show(&self, page: &Fixture, request: Request<Bytes>) -> Response<Full<Bytes>> {
        let Ok(response) = warp::service(page.filter()).call(request.map(Full::new)).await;
        collect(response).await
    }

    async fn forward(&self, mut request: Request<Bytes>) -> Response<Full<Bytes>> {
        let asked = Asked::of(request.method(), request.headers());
        let planned = || self.holds.take(record::probe_id(request.uri().query()?)?);
        let mut held = if asked.preflight { None } else { planned() };
        if let Some(still) = held.take() {
            held = still.wait_at(Moment::BeforeService).await;
        }
        let State { service, sabotage } = self.behaviour.state();
        if let Some(Sabotage::CsrfOff | Sabotage::CsrfHeaderOff) = sabotage
            && !asked.preflight
            && !is_safe(request.method())
        {
            let token = self.token_of(service.addr, &request).await;
            let change = match sabotage {
                Some(Sabotage::CsrfOff) => sabotage::forge,
                _ => sabotage::hand_in,
            };
            change(request.headers_mut(), token.as_deref());
        }
        let mut response = match sabotage {
            Some(sabotage) if !asked.preflight => {
                self.send_under(sabotage, &service, request).await
            }
            _ => self.send(service.addr, request).await,
        };
        if let Some(held) = held {
            held.wait_at(Moment::BeforeAnswer).await;
        }
        if let Some(sabotage) = sabotage {
            if sabotage == Sabotage::PreflightSession && asked.preflight {
                self.log_in(&service, &mut response).await;
            }
            let mut status = response.status();
            sabotage::spoil(sabotage, &asked, &self.listed, &mut status, response.headers_mut());
            *response.status_mut() = status;
        }
        response
    }

    /// The CSRF token of whoever sends this request, asked for behind their back.
    async fn token_of(&self, service: SocketAddr, request: &Request<Bytes>) -> Option<String> {
        let mut ask = Request::get("/api/auth/session?slide=false").body(Bytes::new()).ok()?;
        ask.headers_mut().insert(COOKIE, request.headers().get(COOKIE)?.clone());
        let answer = self.send(service, ask).await;
        answer.headers().get("x-csrf-token")?.to_str().ok().map(str::to_owned)
    }

    pub(super) async fn log_in(&self, service: &Service, response: &mut Response<Full<Bytes>>) {
        let request = Request::post("/api/auth/login")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Bytes::from(service.login.clone()));
        let Ok(request) = request else { return };
        let answer = self.send(service.addr, request).await;
        for line in answer.headers().get_all(SET_COOKIE) {
            response.headers_mut().append(SET_COOKIE, line.clone());
        }
    }

    pub(super) async fn send(
        &self,
        service: SocketAddr,
        mut request: Request<Bytes>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let uri = Uri::builder().scheme("http").authority(service.to_string()).path_and_query(path);
        if let Ok(uri) = uri.build() {
            *request.uri_mut() = uri;
        }
        match self.client.request(request.map(Full::new)).await {
            Ok(response) => collect(response).await,
            Err(error) => {
                // Our own service never says 502: whoever reads the log knows that it was us.
                let text = format!("the service behind {} did not answer: {error}", self.origin);
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }
}

fn blank() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("<!doctype html><title>blank</title>"));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

fn is_safe(method: &http::Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

async fn collect<B>(response: Response<B>) -> Response<Full<Bytes>>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Response::from_parts(parts, Full::new(body))
}
