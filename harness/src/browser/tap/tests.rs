use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::*;

type Socket = WebSocketStream<TcpStream>;

/// A server for one connection, played by `script`.
async fn server<F, S>(script: S) -> String
where
    S: FnOnce(Socket) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/devtools/browser/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        script(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    url
}

async fn command(socket: &mut Socket) -> Value {
    serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap()
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

#[tokio::test]
async fn replies_are_matched_by_id_and_events_kept() {
    let url = server(|mut socket| async move {
        let first = command(&mut socket).await;
        let second = command(&mut socket).await;
        say(&mut socket, json!({"method": "A.b", "sessionId": "S", "params": {"x": 1}})).await;
        say(&mut socket, json!({"method": "A.bare"})).await;
        for asked in [second, first] {
            let result = json!({"of": asked["method"], "session": asked["sessionId"]});
            say(&mut socket, json!({"id": asked["id"], "result": result})).await;
        }
        let _ = socket.next().await;
    })
    .await;
    let (tap, mut events) = Tap::connect(&url).await.unwrap();
    let (one, two) =
        tokio::join!(tap.call(None, "X.one", json!({})), tap.call(Some("S"), "X.two", json!({})));
    assert_eq!(one.unwrap(), json!({"of": "X.one", "session": null}));
    assert_eq!(two.unwrap(), json!({"of": "X.two", "session": "S"}));
    let event = |session: Option<&str>, method: &str, params| Event {
        session: session.map(str::to_owned),
        method: method.to_owned(),
        params,
    };
    assert_eq!(events.recv().await, Some(event(Some("S"), "A.b", json!({"x": 1}))));
    assert_eq!(events.recv().await, Some(event(None, "A.bare", Value::Null)));
}

#[tokio::test]
async fn an_error_reply_keeps_method_code_and_text() {
    let url = server(|mut socket| async move {
        let id = command(&mut socket).await["id"].clone();
        let error = json!({"code": -32601, "message": "not found", "data": "no X"});
        say(&mut socket, json!({"id": id, "error": error})).await;
        let _ = socket.next().await;
    })
    .await;
    let (tap, _events) = Tap::connect(&url).await.unwrap();
    match tap.call(None, "X.y", json!({})).await {
        Err(TapError::Refused { method, code, message }) => {
            assert_eq!((method.as_str(), code), ("X.y", -32601));
            assert_eq!(message, "not found: no X");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_error_reply_of_bidi_keeps_word_and_text() {
    let url = server(|mut socket| async move {
        let id = command(&mut socket).await["id"].clone();
        let reply = json!({"type": "error", "id": id, "error": "no such frame",
            "message": "gone", "stacktrace": ""});
        say(&mut socket, reply).await;
        let _ = socket.next().await;
    })
    .await;
    let (tap, _events) = Tap::connect(&url).await.unwrap();
    let refused = tap.call(None, "x.y", json!({})).await.unwrap_err().to_string();
    assert!(refused.contains("no such frame: gone"), "{refused}");
}

#[tokio::test]
async fn a_closing_socket_fails_waiting_and_later_calls_at_once() {
    let url = server(|mut socket| async move {
        command(&mut socket).await;
    })
    .await;
    let (tap, mut events) = Tap::connect(&url).await.unwrap();
    let waiting = timeout(Duration::from_secs(2), tap.call(None, "X.y", json!({}))).await;
    assert!(matches!(waiting.unwrap(), Err(TapError::BrowserGone)));
    assert!(tap.is_closed());
    let later = timeout(Duration::from_secs(1), tap.call(None, "X.z", json!({}))).await;
    assert!(matches!(later.unwrap(), Err(TapError::BrowserGone)));
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn closing_one_clone_closes_all() {
    let url = server(|mut socket| async move { while socket.next().await.is_some() {} }).await;
    let (tap, _events) = Tap::connect(&url).await.unwrap();
    let other = tap.clone();
    let waiting = tokio::spawn(async move { other.call(None, "X.y", json!({})).await });
    // Not before the call is on its way.
    while tap.line.pending.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    tap.close();
    assert!(matches!(waiting.await.unwrap(), Err(TapError::BrowserGone)));
}

#[tokio::test]
async fn a_missing_reply_ends_at_the_deadline_and_leaves_nothing_behind() {
    let url = server(|mut socket| async move { while socket.next().await.is_some() {} }).await;
    let (tap, _events) = Tap::connect(&url).await.unwrap();
    let short = Duration::from_millis(20);
    let outcome = tap.call_within(short, None, "X.y", json!({})).await;
    assert!(matches!(outcome, Err(TapError::Timeout { after, .. }) if after == short));
    assert!(tap.line.pending.lock().waiting.is_empty());
}

#[tokio::test]
async fn nonsense_from_the_other_side_is_skipped() {
    let url = server(|mut socket| async move {
        let id = command(&mut socket).await["id"].clone();
        socket.send(Message::text("{no json")).await.unwrap();
        socket.send(Message::binary(vec![1, 2])).await.unwrap();
        say(&mut socket, json!(["an array"])).await;
        say(&mut socket, json!({"id": 4711, "result": {}})).await;
        say(&mut socket, json!({"id": id, "result": true})).await;
        let _ = socket.next().await;
    })
    .await;
    let (tap, _events) = Tap::connect(&url).await.unwrap();
    assert_eq!(tap.call(None, "X.y", json!({})).await.unwrap(), json!(true));
}

#[tokio::test]
async fn nobody_listening_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(Tap::connect(&url).await, Err(TapError::Connect { .. })));
}

#[tokio::test]
async fn no_origin_header_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        let mut origin = None;
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            origin = Some(request.headers().contains_key("origin"));
            Ok(response)
        };
        tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        origin
    });
    let _tap = Tap::connect(&url).await.unwrap();
    assert_eq!(seen.await.unwrap(), Some(false));
}
