use crate::support::TestApp;

fn get(lines: &str) -> Vec<u8> {
    format!("GET /api/auth/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
        .into_bytes()
}

#[tokio::test]
async fn broken_origins_are_simply_unlisted() {
    let app = TestApp::start().await;
    let long = format!("Origin: https://{}.example\r\n", "a".repeat(400));
    for (case, lines) in [
        ("empty", "Origin:\r\n".as_bytes().to_vec()),
        ("garbage", b"Origin: ]]]://\r\n".to_vec()),
        ("not UTF-8", b"Origin: http://\xff\xfe\r\n".to_vec()),
        ("long", long.into_bytes()),
        ("two", b"Origin: http://localhost:3000\r\nOrigin: https://evil.example\r\n".to_vec()),
        ("a list", b"Origin: http://localhost:3000, https://evil.example\r\n".to_vec()),
        ("null", b"Origin: null\r\n".to_vec()),
    ] {
        let mut request = get("");
        request.truncate(request.len() - 2);
        request.extend_from_slice(&lines);
        request.extend_from_slice(b"\r\n");
        let answer = app.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{case}: {answer}");
        assert!(!answer.contains("access-control-"), "{case}: {answer}");
        assert!(answer.contains("vary: Origin"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn broken_cookies_are_no_session() {
    let app = TestApp::start().await;
    for (case, line) in [
        ("empty", String::new()),
        ("garbage", ";;=;=\"; \u{7f}".to_owned()),
        ("short", "session=abc".to_owned()),
        ("percent", "session=%00%ff".to_owned()),
        ("thousands", "a=b; ".repeat(5000)),
        ("huge", format!("session={}", "A".repeat(30_000))),
    ] {
        let answer = app.raw(&get(&format!("Cookie: {line}\r\n"))).await;
        // A control character is refused by hyper, before any filter runs.
        let want = if line.contains('\u{7f}') { "HTTP/1.1 400" } else { "HTTP/1.1 401" };
        assert!(answer.starts_with(want), "{case}: {answer}");
    }
}

#[tokio::test]
async fn preflights_with_absurd_lists_are_refused() {
    let app = TestApp::start().await;
    for (case, list, status) in [
        ("commas", ",".repeat(4000), "204"),
        ("more commas", ",".repeat(5000), "403"),
        ("names", "a,".repeat(101), "403"),
        ("a newline cannot get in", "a\r\n b".to_owned(), "400"),
    ] {
        let request = format!(
            "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://localhost:3000\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: {list}\r\n\r\n"
        );
        let answer = app.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_body_of_any_size_gets_its_answer_or_an_end() {
    let app = TestApp::start().await;
    let head = |length: usize| {
        format!("POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://localhost:3000\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    };
    // All of it is sent before the answer is read, as browsers do.
    let mut request = head(500_000);
    request.extend(std::iter::repeat_n(b'x', 500_000));
    let answer = app.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("access-control-allow-origin: http://localhost:3000"), "{answer}");
    // Deep nesting where a string belongs: refused at its first bracket.
    let deep = format!("{{\"username\":{}", "[".repeat(15_000));
    let mut request = head(deep.len());
    request.extend_from_slice(deep.as_bytes());
    assert!(app.raw(&request).await.contains("invalid_body"));
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let app = TestApp::start().await;
    assert!(app.raw(b"\x16\x03\x01 TLS?\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let answer = app.raw(&get(&format!("X: {}\r\n", "y".repeat(1_000_000)))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
