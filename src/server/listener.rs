//! One listener: accepts and drains.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service;
use warp::reply::Response;

use crate::server::connection::{Connection, Protocols};
use crate::server::desk::{Desk, Place};

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
    protocols: Protocols,
    service: impl Fn(IpAddr) -> S,
    desk: Arc<Desk>,
    mut stage: watch::Receiver<Stage>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let protocols = Arc::new(protocols);
    let admit = |stream: TcpStream, peer: IpAddr, place: Place, stage: watch::Receiver<Stage>| {
        let (protocols, desk) = (Arc::clone(&protocols), Arc::clone(&desk));
        let connection = Connection { protocols, desk, stage };
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
