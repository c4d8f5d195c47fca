//! The raw websocket of a browser, DevTools or WebDriver BiDi: calls out, replies and events in, all
//! plain JSON. The two differ in what they say, hardly in how.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long [`Tap::call`] waits for a reply.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long [`Tap::connect`] waits for the handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Something the browser said unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The flattened session it belongs to; `None` for the browser itself.
    pub session: Option<String>,
    /// Its name, for example `Network.requestWillBeSent`.
    pub method: String,
    /// Its parameters as they came; `null` if there were none.
    pub params: Value,
}

/// Why a call over the tap failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// The websocket could not be opened.
    #[error("no connection to the browser at {url}")]
    Connect {
        /// The address that was tried.
        url: String,
        /// What went wrong.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// The websocket is closed: the browser ended or was killed.
    #[error("the browser is gone")]
    BrowserGone,
    /// No reply came in time. The command may still be carried out.
    #[error("no reply to {method} within {after:?}")]
    Timeout {
        /// The command.
        method: String,
        /// How long was waited.
        after: Duration,
    },
    /// The browser answered with an error.
    #[error("{method} was refused: {message} (code {code})")]
    Refused {
        /// The command.
        method: String,
        /// The error's number, as in JSON-RPC; 0 in BiDi, whose errors are words.
        code: i64,
        /// The browser's text, with its `data` if there is any.
        message: String,
    },
}

/// One connection to the browser endpoint. Clones share it.
///
/// Sessions are flattened: `Target.attachToTarget` with `flatten: true` gives a session id, which
/// goes into [`Tap::call`] and comes back in [`Event::session`].
#[derive(Debug, Clone)]
pub struct Tap {
    line: Arc<Line>,
}

impl Tap {
    /// Connects to `ws_url`, the address that the browser prints at its start. No `Origin` header
    /// is sent, since Chromium refuses the ones it was not told of.
    ///
    /// All events arrive at the returned receiver, in order; it ends when the connection does.
    /// It is not bounded, so it has to be read.
    ///
    /// # Errors
    /// [`TapError::Connect`], or [`TapError::Timeout`] after 10 s. Needs a running tokio runtime.
    pub async fn connect(ws_url: &str) -> Result<(Self, mpsc::UnboundedReceiver<Event>), TapError> {
        // Cookie jars, screenshots and long header lists come in one message each.
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let connecting = async {
            let (stream, impatience) = dial(ws_url).await?;
            let opening = tokio_tungstenite::client_async_with_config(ws_url, stream, Some(config));
            opening.await.map(|(socket, _response)| (socket, impatience))
        };
        let (socket, impatience) = timeout(CONNECT_DEADLINE, connecting)
            .await
            .map_err(|_elapsed| TapError::Timeout {
                method: format!("connecting to {ws_url}"),
                after: CONNECT_DEADLINE,
            })?
            .map_err(|source| TapError::Connect {
                url: ws_url.to_owned(),
                source: Box::new(source),
            })?;

        let (mut sink, stream) = socket.split();
        let (outgoing, mut commands) = mpsc::unbounded_channel::<Message>();
        let (events_in, events) = mpsc::unbounded_channel();
        let pending = Arc::new(Pending::default());

        let writer = {
            let pending = Arc::clone(&pending);
            tokio::spawn(async move {
                while let Some(message) = commands.recv().await {
                    if sink.send(message).await.is_err() {
                        break;
                    }
                }
                pending.close();
            })
        };
        let reader = {
            let pending = Arc::clone(&pending);
            tokio::spawn(async move {
                read(stream, &impatience, &pending, &events_in).await;
                pending.close();
            })
        };
        let line = Line {
            outgoing,
            pending,
            last_id: AtomicU64::new(0),
            tasks: [writer.abort_handle(), reader.abort_handle()],
        };
        Ok((Self { line: Arc::new(line) }, events))
    }

    /// Calls `method` and waits up to 10 s for its result.
    ///
    /// # Errors
    /// [`TapError::Refused`], [`TapError::Timeout`], or [`TapError::BrowserGone`], which comes at
    /// once, also for calls that were waiting when the connection broke.
    pub async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, TapError> {
        self.call_within(CALL_DEADLINE, session, method, params).await
    }

    /// As [`Tap::call`], with another deadline.
    ///
    /// # Errors
    /// As [`Tap::call`].
    pub async fn call_within(
        &self,
        deadline: Duration,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, TapError> {
        let id = self.line.next_id();
        let (reply_to, reply) = oneshot::channel();
        self.line.pending.insert(id, reply_to)?;
        // A caller may give up (a select, a deadline of its own): nothing is kept for it then.
        let _withdraw = Withdraw { pending: &self.line.pending, id };
        self.line.send(id, session, method, params)?;
        match timeout(deadline, reply).await {
            Err(_elapsed) => Err(TapError::Timeout { method: method.to_owned(), after: deadline }),
            Ok(Err(_sender_dropped)) => Err(TapError::BrowserGone),
            Ok(Ok(message)) => outcome(method, message),
        }
    }

    /// Sends a command and does not wait for the reply. Commands of one session are carried out
    /// in the order in which they were sent. Needs no runtime, so a `Drop` can use it.
    pub fn post(&self, session: Option<&str>, method: &str, params: Value) {
        // A browser that is gone needs no further commands.
        let _ = self.line.send(self.line.next_id(), session, method, params);
    }

    /// Closes the connection for all clones: waiting and later calls fail with
    /// [`TapError::BrowserGone`].
    pub fn close(&self) {
        self.line.close();
    }

    /// True once the connection is closed, from whichever side.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.line.pending.lock().closed
    }
}

/// What the clones of a [`Tap`] share. The tasks hold only `pending`, so the last clone ends them.
#[derive(Debug)]
struct Line {
    outgoing: mpsc::UnboundedSender<Message>,
    pending: Arc<Pending>,
    last_id: AtomicU64,
    tasks: [AbortHandle; 2],
}

impl Line {
    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn send(
        &self,
        id: u64,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<(), TapError> {
        let mut message = json!({ "id": id, "method": method });
        message["params"] = params;
        if let Some(session) = session {
            message["sessionId"] = Value::from(session);
        }
        self.outgoing
            .send(Message::text(message.to_string()))
            .map_err(|_closed| TapError::BrowserGone)
    }

    fn close(&self) {
        self.pending.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

/// The calls that wait for a reply. The map and the flag share a lock: a call is either failed by
/// the closing or refused after it, never forgotten in between.
#[derive(Debug, Default)]
struct Pending(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    closed: bool,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, id: u64, reply_to: oneshot::Sender<Value>) -> Result<(), TapError> {
        let mut calls = self.lock();
        if calls.closed {
            return Err(TapError::BrowserGone);
        }
        calls.waiting.insert(id, reply_to);
        Ok(())
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Value>> {
        self.lock().waiting.remove(&id)
    }

    fn close(&self) {
        let mut calls = self.lock();
        calls.closed = true;
        // A dropped sender is what the waiting side takes for "gone".
        calls.waiting.clear();
    }
}

struct Withdraw<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.pending.take(self.id);
    }
}

/// Opens the connection that the websocket goes over. All browsers are on this machine.
async fn dial(ws_url: &str) -> Result<(TcpStream, Impatience), tungstenite::Error> {
    let url: http::Uri = ws_url.parse().map_err(tungstenite::http::Error::from)?;
    let host = url.host().unwrap_or("localhost").trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let impatience = Impatience(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, impatience))
}

/// Asks the system to acknowledge at once what has come.
///
/// Firefox writes a message in pieces and holds the next back until the last is acknowledged; Linux
/// waits up to 40 ms before it does so. Together that was four fifths of the time of a request.
#[derive(Debug)]
struct Impatience(std::net::TcpStream);

impl Impatience {
    fn acknowledge(&self) {
        // The system forgets the wish after a while, hence with every message. If it is not heard,
        // things only take longer.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&self.0).set_tcp_quickack(true);
        #[cfg(not(target_os = "linux"))]
        let _ = &self.0;
    }
}

async fn read(
    mut stream: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    impatience: &Impatience,
    pending: &Pending,
    events: &mpsc::UnboundedSender<Event>,
) {
    while let Some(Ok(message)) = stream.next().await {
        impatience.acknowledge();
        let Message::Text(text) = message else { continue };
        let Ok(mut message) = serde_json::from_str::<Value>(&text) else {
            tracing::debug!("a message of the browser was no JSON");
            continue;
        };
        if let Some(id) = message["id"].as_u64() {
            if let Some(reply_to) = pending.take(id) {
                // The caller may have gone away between the two lines.
                let _ = reply_to.send(message);
            }
        } else if let Some(method) = message["method"].as_str() {
            let event = Event {
                session: message["sessionId"].as_str().map(str::to_owned),
                method: method.to_owned(),
                params: message["params"].take(),
            };
            // An owner that does not want events has dropped the receiver: calls go on.
            let _ = events.send(event);
        }
    }
}

fn outcome(method: &str, mut message: Value) -> Result<Value, TapError> {
    let Some(error) = message.get("error") else { return Ok(message["result"].take()) };
    // BiDi has a word where DevTools has an object, and the text beside it.
    if let Some(word) = error.as_str() {
        let text = message["message"].as_str().unwrap_or("no text");
        let message = format!("{word}: {text}");
        return Err(TapError::Refused { method: method.to_owned(), code: 0, message });
    }
    let text = error["message"].as_str().unwrap_or("no text");
    let message = match error["data"].as_str() {
        Some(data) => format!("{text}: {data}"),
        None => text.to_owned(),
    };
    let code = error["code"].as_i64().unwrap_or_default();
    Err(TapError::Refused { method: method.to_owned(), code, message })
}

const MAX_MESSAGE: usize = 256 << 20;

#[cfg(test)]
mod tests;
