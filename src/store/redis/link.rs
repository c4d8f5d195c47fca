//! The way to the server: one connection for all requests, made when it is first needed and again
//! whenever it breaks.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::OnceCell;

use crate::store::StoreError;

/// A request waits no longer for the store, reconnecting included.
const PATIENCE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(50);

/// Why an address is none. Never holds the address: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the URL of a Redis or Valkey server")]
pub struct RedisUrlError;

/// A server, or a cluster of which one is known.
#[derive(Clone)]
enum Target {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
}

#[derive(Clone)]
enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) enum Ask<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

/// What to do when the connection breaks and nobody knows whether the server has heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfLost {
    /// Asking twice does no harm.
    AskAgain,
    /// The caller is told.
    Tell,
}

pub(super) struct Link {
    target: Target,
    connection: OnceCell<Connection>,
}

impl Link {
    /// Connects to nobody yet.
    pub(super) fn new(url: &str, cluster: bool) -> Result<Self, RedisUrlError> {
        install_cryptography();
        let target = if cluster {
            let client = ClusterClient::builder([url])
                .connection_timeout(CONNECT)
                .response_timeout(PATIENCE)
                .retries(2)
                .build();
            Target::Cluster(Box::new(client.map_err(|_| RedisUrlError)?))
        } else {
            Target::Single(Box::new(Client::open(url).map_err(|_| RedisUrlError)?))
        };
        Ok(Self { target, connection: OnceCell::new() })
    }

    async fn connection(&self) -> RedisResult<Connection> {
        let connect = async || match &self.target {
            Target::Single(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(1)
                    .set_min_delay(RETRY)
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(PATIENCE));
                ConnectionManager::new_lazy_with_config((**client).clone(), config)
                    .map(Connection::Single)
            }
            Target::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        };
        self.connection.get_or_try_init(connect).await.cloned()
    }

    /// Asks until there is an answer. [`within`] is what ends it.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        ask: Ask<'_>,
        if_lost: IfLost,
    ) -> Result<T, StoreError> {
        loop {
            let answer = match self.connection().await {
                Ok(mut connection) => connection.ask(ask).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if is_worth_another(&error, if_lost) => {
                    tracing::debug!(%error, "asking the session store again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) if error.code() == Some("OOM") => return Err(StoreError::Full),
                Err(error) => return Err(StoreError::Unavailable { cause: error.to_string() }),
            }
        }
    }
}

impl Connection {
    async fn ask<T: FromRedisValue>(&mut self, ask: Ask<'_>) -> RedisResult<T> {
        match (self, ask) {
            (Self::Single(c), Ask::Script(script)) => script.invoke_async(c).await,
            (Self::Single(c), Ask::Command(command)) => command.query_async(c).await,
            (Self::Cluster(c), Ask::Script(script)) => script.invoke_async(c).await,
            (Self::Cluster(c), Ask::Command(command)) => command.query_async(c).await,
        }
    }
}

fn is_worth_another(error: &RedisError, if_lost: IfLost) -> bool {
    // Nobody was there, or somebody who was not ready: nothing has happened.
    let unheard = error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN"));
    let lost = error.is_io_error() || error.is_unrecoverable_error();
    unheard || lost && if_lost == IfLost::AskAgain
}

/// Gives an operation its time, all its questions together.
pub(super) async fn within<T>(
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, operation).await.unwrap_or_else(|_| {
        Err(StoreError::Unavailable { cause: format!("no answer within {PATIENCE:?}") })
    })
}

/// rediss:// needs to be told which cryptography to use, once a process.
fn install_cryptography() {
    // An error says that somebody has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
