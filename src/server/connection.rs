//! One connection: which protocol it speaks, and when it ends.

use std::convert::Infallible;
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use warp::reply::Response;

use crate::config::{Http2Config, ServerLimits};
use crate::metrics::Cut;
use crate::server::desk::{Desk, Place};
use crate::server::listener::Stage;
use crate::server::pulse::{Beating, Counted, Pulse};
use crate::tls::LiveTls;

/// What is kept of one request that came by HTTP/2 until its handler wants it. Bodies are small here.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same for all of one connection.
const CONNECTION_WINDOW: u32 = 256 << 10;
/// What is kept of answers to a client that does not take them.
const SEND_BUFFER: usize = 64 << 10;

/// What a listener speaks.
#[derive(Debug)]
pub(crate) struct Protocols {
    tls: Option<LiveTls>,
    http1: http1::Builder,
    http2: auto::Builder<TokioExecutor>,
    /// Without TLS, and only if asked for: whichever the client begins with.
    either: Option<auto::Builder<TokioExecutor>>,
}

impl Protocols {
    pub(crate) fn new(tls: Option<LiveTls>, config: &Http2Config, limits: &ServerLimits) -> Self {
        let mut http1 = http1::Builder::new();
        // Answers are small: one buffer and one plain write cost less than gathering two.
        http1.max_buf_size(limits.head_bytes).writev(false);
        let either = either(config, limits);
        let http2 = either.clone().http2_only();
        Self { tls, http1, http2, either: config.prior_knowledge.then_some(either) }
    }

    /// For pages and for operators.
    pub(crate) fn plain(limits: &ServerLimits) -> Self {
        Self::new(None, &Http2Config::default(), limits)
    }
}

/// Of each stream's headers, however much `head_bytes` allows a whole HTTP/1 connection: a hundred
/// streams hold as many lists at once, and HPACK lets a sender say them in few bytes.
const MAX_LIST: usize = 16 << 10;

fn either(config: &Http2Config, limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut either = auto::Builder::new(TokioExecutor::new());
    either.http1().max_buf_size(limits.head_bytes).writev(false);
    either
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_pending_accept_reset_streams(config.max_resets)
        .max_header_list_size(u32::try_from(limits.head_bytes.min(MAX_LIST)).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.idle / 2)
        .keep_alive_timeout(limits.head);
    either
}

/// One client, until it or the server has had enough.
pub(crate) struct Connection {
    pub(crate) protocols: Arc<Protocols>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) stage: watch::Receiver<Stage>,
}

impl Connection {
    pub(crate) async fn serve<S>(mut self, stream: TcpStream, service: S, mut place: Place)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.desk.accepted(&mut place);
        // Small answers go out at once instead of waiting for more to say.
        let _ = stream.set_nodelay(true);
        let (pulse, protocols) = (Arc::new(Pulse::default()), Arc::clone(&self.protocols));
        let io = Counted::new(stream, Arc::clone(&pulse));
        let service = Beating::new(service, Arc::clone(&pulse), Arc::clone(&self.desk));
        // Plain HTTP/1 is what most connections speak: the others shall not make its task larger.
        if let Some(tls) = &protocols.tls {
            Box::pin(self.serve_tls(tls, io, service, &pulse)).await;
        } else if let Some(either) = &protocols.either {
            let connection = either.serve_connection(TokioIo::new(io), service);
            Box::pin(self.drive(connection, &pulse)).await;
        } else {
            let connection = protocols.http1.serve_connection(TokioIo::new(io), service);
            self.drive(connection, &pulse).await;
        }
        drop(place);
    }

    async fn serve_tls<S>(
        &mut self,
        tls: &LiveTls,
        io: Counted<TcpStream>,
        service: Beating<S>,
        pulse: &Pulse,
    ) where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let handshake = TlsAcceptor::from(tls.current().server()).accept(io);
        let stream = tokio::select! {
            biased;
            stream = handshake => Ok(stream),
            why = pulse.wait_for_cut(&self.desk) => Err(why),
            // Who shakes hands wants to be served.
            _ = self.stage.wait_for(|stage| *stage == Stage::Gone) => Err(Cut::Stop),
        };
        self.desk.shook_hands(matches!(stream, Ok(Ok(_))));
        let stream = match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
            Err(why) => return self.cut(why),
        };
        pulse.all_heard();
        // The end may have begun meanwhile.
        self.stage.mark_changed();
        let protocols = Arc::clone(&self.protocols);
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let connection = protocols.http2.serve_connection(TokioIo::new(stream), service);
            self.drive(connection, pulse).await;
        } else {
            let connection = protocols.http1.serve_connection(TokioIo::new(stream), service);
            self.drive(connection, pulse).await;
        }
    }

    async fn drive<C>(&mut self, connection: C, pulse: &Pulse)
    where
        C: GracefulConnection<Error: Display>,
    {
        let mut connection = pin!(connection);
        let desk = Arc::clone(&self.desk);
        let mut cut = pin!(pulse.wait_for_cut(&desk));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    break;
                }
                why = cut.as_mut() => return self.cut(why),
                changed = self.stage.changed() => {
                    let stage = *self.stage.borrow_and_update();
                    match stage {
                        // HTTP/2 tells the client where it stops listening, and loses nothing.
                        Stage::Draining if pulse.is_shared() => {
                            connection.as_mut().graceful_shutdown();
                        }
                        Stage::Open | Stage::Draining if changed.is_ok() => {}
                        Stage::Closing if !pulse.is_untouched() => {
                            connection.as_mut().graceful_shutdown();
                        }
                        Stage::Closing => break,
                        // Or the server is gone without a word.
                        Stage::Open | Stage::Draining | Stage::Gone => return self.cut(Cut::Stop),
                    }
                }
            }
        }
    }

    fn cut(&self, why: Cut) {
        self.desk.cut(why);
        tracing::debug!(?why, "cut a connection off");
    }
}
