//! One listener: accepts, serves, drains.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service;
use warp::reply::Response;

use crate::metrics::Cut;
use crate::server::desk::{Desk, Place};
use crate::server::pulse::{Beating, Counted, Pulse};

/// Beyond these, whoever is still in the system's queue when the service stops is turned away.
const LAST_GUESTS: usize = 4096;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not begun.
    Open,
    /// Nobody is accepted any more; every answer is the last one of its connection.
    Draining,
    /// Who asks nothing now goes; who is served is served.
    Closing,
    /// Everybody goes.
    Gone,
}

/// Serves one listener until the stage is no longer `Open`. Each connection gets a service for the one
/// at its other end; it outlives this function, and holds a receiver of the stage as long as it lives.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    service: impl Fn(IpAddr) -> S,
    desk: Arc<Desk>,
    mut stage: watch::Receiver<Stage>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let mut http = http1::Builder::new();
    // Answers are small: one buffer and one plain write cost less than gathering two.
    http.max_buf_size(desk.limits.head_bytes).writev(false);
    let admit = |stream: TcpStream, peer: IpAddr, place: Place, stage: watch::Receiver<Stage>| {
        let connection = Connection { http: http.clone(), desk: Arc::clone(&desk), stage };
        tokio::spawn(connection.serve(stream, service(peer), place));
    };
    loop {
        let (stream, peer) = tokio::select! {
            _ = stage.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // Most likely out of file descriptors: those who are served will free some.
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let place = tokio::select! {
            biased;
            place = desk.room() => place,
            // Accepted is accepted.
            _ = stage.changed() => {
                admit(stream, peer, desk.standing_room(), stage.clone());
                break;
            }
        };
        admit(stream, peer, place, stage.clone());
    }
    // Whoever has connected believes to be served: the system's queue is emptied before it is closed.
    // Asked directly, because the runtime may not have heard of the latest yet.
    let Ok(listener) = listener.into_std() else { return };
    for (stream, peer) in std::iter::from_fn(|| listener.accept().ok()).take(LAST_GUESTS) {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            admit(stream, peer.ip(), desk.standing_room(), stage.clone());
        }
    }
}

struct Connection {
    http: http1::Builder,
    desk: Arc<Desk>,
    stage: watch::Receiver<Stage>,
}

impl Connection {
    async fn serve<S>(mut self, stream: TcpStream, service: S, mut place: Place)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        self.desk.accepted(&mut place);
        // Small answers go out at once instead of waiting for more to say.
        let _ = stream.set_nodelay(true);
        let pulse = Arc::new(Pulse::default());
        let io = TokioIo::new(Counted::new(stream, Arc::clone(&pulse)));
        let service = Beating::new(service, Arc::clone(&pulse), Arc::clone(&self.desk));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let mut cut = pin!(pulse.wait_for_cut(&self.desk));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    break;
                }
                why = cut.as_mut() => {
                    self.desk.cut(why);
                    tracing::debug!(?why, "cut a connection off");
                    break;
                }
                changed = self.stage.changed() => {
                    let stage = *self.stage.borrow_and_update();
                    match stage {
                        Stage::Open | Stage::Draining if changed.is_ok() => {}
                        Stage::Closing if !pulse.is_untouched() => {
                            connection.as_mut().graceful_shutdown();
                        }
                        Stage::Closing => break,
                        // Or the server is gone without a word.
                        Stage::Open | Stage::Draining | Stage::Gone => {
                            self.desk.cut(Cut::Stop);
                            break;
                        }
                    }
                }
            }
        }
        drop(place);
    }
}
