//! Short limits, and no sleeping: each test waits for what the service does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{FRONTEND, TestApp};

const GET: &str = "GET /api/auth/session HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn limited(limits: &str, server: &str) -> TestApp {
    let cors = format!("[server.limits]\n{limits}\n[cors]\nallow_origins = ['{FRONTEND}']");
    TestApp::start_from(&cors, server).await
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn one_answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

async fn cuts(app: &TestApp, cause: &str) -> u64 {
    app.metric(&format!("withcreds_connections_cut_total{{cause=\"{cause}\"}}")).await
}

#[tokio::test]
async fn headers_that_do_not_come_are_not_waited_for() {
    let app = limited("head = '200ms'", "").await;
    for (case, first) in [("nothing", ""), ("half a request", &GET[..30])] {
        let mut stream = TcpStream::connect(app.addr).await.expect("connect");
        stream.write_all(first.as_bytes()).await.expect("send");
        assert_eq!(to_the_end(&mut stream).await, "", "{case}");
    }
    // The second request of a connection as well, while others take their time in between.
    let mut stream = TcpStream::connect(app.addr).await.expect("connect");
    stream.write_all(GET.as_bytes()).await.expect("send");
    assert!(one_answer(&mut stream).await.starts_with("HTTP/1.1 401"));
    stream.write_all(&GET.as_bytes()[..30]).await.expect("send");
    assert_eq!(to_the_end(&mut stream).await, "");
    assert_eq!(cuts(&app, "head").await, 3);
}

/// One byte after the other, until the service has had enough.
#[tokio::test]
async fn headers_that_trickle_are_cut_off() {
    let app = limited("head = '200ms'", "").await;
    let mut stream = TcpStream::connect(app.addr).await.expect("connect");
    let (mut reader, mut writer) = stream.split();
    writer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").await.expect("send");
    let trickle = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reader.read_to_end(&mut answer) => {}
    }
    assert_eq!(cuts(&app, "head").await, 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_a_reason() {
    for (case, limits) in [
        ("the deadline", "body = '200ms'\nmin_rate = 0"),
        ("the rate", "body = '400ms'\nmin_rate = 1000000"),
    ] {
        let app = limited(limits, "").await;
        let head = format!(
            "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nOrigin: {FRONTEND}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        );
        let answer = app.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{case}: {answer}");
        assert!(answer.contains("body_timeout"), "{case}: {answer}");
        let allowed = format!("access-control-allow-origin: {FRONTEND}");
        assert!(answer.contains(&allowed), "{case}: {answer}");
    }
}

/// Asks and asks, and takes no answer.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let app = limited("write = '200ms'\nhead = '60s'\nidle = '60s'", "").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(app.addr).await.expect("connect");
    let many = GET.repeat(100);
    // Ends only because the service ends it.
    while stream.write_all(many.as_bytes()).await.is_ok() {}
    assert_eq!(cuts(&app, "write").await, 1);
    assert_eq!(app.client().session().await.status.as_u16(), 401, "others are served");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let app = limited("idle = '200ms'\nhead = '60s'", "").await;
    let mut stream = TcpStream::connect(app.addr).await.expect("connect");
    stream.write_all(GET.as_bytes()).await.expect("send");
    assert!(to_the_end(&mut stream).await.starts_with("HTTP/1.1 401"));
    assert_eq!(cuts(&app, "idle").await, 1);
    assert_eq!(app.metric("withcreds_connections_open").await, 0);
}

#[tokio::test]
async fn who_comes_when_there_is_no_room_waits_and_is_served() {
    let limits = "idle = '1h'\nhead = '400ms'";
    let app = limited(limits, "max_connections = 1").await;
    // One that is served: its body is on its way.
    let mut busy = TcpStream::connect(app.addr).await.expect("connect");
    let head = "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    busy.write_all(head.as_bytes()).await.expect("send");
    assert!(one_answer(&mut busy).await.starts_with("HTTP/1.1 100"));
    let mut waiting = TcpStream::connect(app.addr).await.expect("connect");
    waiting.write_all(GET.as_bytes()).await.expect("send");
    while app.metric("withcreds_connections_full_total").await < 1 {}
    assert_eq!(app.metric("withcreds_connections_open").await, 1);
    busy.write_all(b"{}").await.expect("send");
    // It is answered, then idle, and in the way: it would have an hour, and goes now.
    assert!(to_the_end(&mut busy).await.starts_with("HTTP/1.1 400"));
    assert!(one_answer(&mut waiting).await.starts_with("HTTP/1.1 401"));
    let waits = |route| format!("withcreds_request_wait_seconds_count{{route=\"{route}\"}}");
    assert_eq!(app.metric(&waits("login")).await, 1, "it waited for its body");
    assert_eq!(app.metric(&waits("session")).await, 0);
    assert_eq!(cuts(&app, "idle").await, 1);
}
