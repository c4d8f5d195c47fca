//! CORS headers that no browser writes, byte by byte over a real socket: each is answered or the
//! connection is closed, in time, and nothing of it comes back.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{FRONTEND, TestApp};

/// Far more than any answer takes, far less than a client would wait.
const IN_TIME: Duration = Duration::from_secs(5);

/// A preflight that is granted, with `lines` behind its usual ones.
fn preflight(lines: &[u8]) -> Vec<u8> {
    let usual = format!("Origin: {FRONTEND}\r\nAccess-Control-Request-Method: PUT\r\n");
    [b"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", usual.as_bytes(), lines, b"\r\n"]
        .concat()
}

/// A preflight of which all CORS lines are given.
fn with_lines(lines: &[u8]) -> Vec<u8> {
    [b"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", lines, b"\r\n"].concat()
}

/// Sends bytes as they are, and reads to the end.
async fn send(app: &TestApp, bytes: &[u8]) -> String {
    timeout(IN_TIME, app.raw(bytes)).await.expect("an answer or an end, in time")
}

/// `0`: closed without a word.
fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.").map_or(0, |rest| rest[2..5].parse().expect("a status"))
}

#[tokio::test]
async fn lists_of_any_size_and_spelling_get_their_answer() {
    let app = TestApp::start().await;
    let list = |value: Vec<u8>| {
        [b"Access-Control-Request-Headers: ".to_vec(), value, b"\r\n".to_vec()].concat()
    };
    let names = |n: usize| (0..n).map(|i| format!("x-{i}")).collect::<Vec<_>>();
    let lines = |n: usize| list(b"x-a".to_vec()).repeat(n);
    for (case, more, want) in [
        ("none", Vec::new(), 204),
        ("as many as allowed", list(names(100).join(",").into_bytes()), 204),
        ("one more", list(names(101).join(",").into_bytes()), 403),
        ("as long as allowed", list(vec![b'a'; 4096]), 204),
        ("one byte longer", list(vec![b'a'; 4097]), 403),
        ("as large as a head can be", list(vec![b'a'; 60_000]), 403),
        ("larger", list(vec![b'a'; 200_000]), 431),
        ("commas as far as allowed", list(vec![b','; 4096]), 204),
        ("thousands of commas", list(vec![b','; 50_000]), 403),
        ("spaces", list(vec![b' '; 50_000]), 204),
        ("over ninety lines", lines(90), 204),
        ("over more lines than hyper takes", lines(2000), 431),
        (
            "split in the middle of a list",
            [list(b"x-a,".to_vec()), list(b",x-b".to_vec())].concat(),
            204,
        ),
        (
            "split in the middle of a name",
            [list(b"x-".to_vec()), list(b"a b".to_vec())].concat(),
            403,
        ),
        ("not ASCII", list("x-\u{e9}".as_bytes().to_vec()), 403),
        ("not UTF-8", list(b"x-\xff\xfe".to_vec()), 403),
        ("quoted", list(b"\"x-a\"".to_vec()), 403),
        ("with values", list(b"x-a: 1".to_vec()), 403),
        ("a semicolon", list(b"x-a;q=1".to_vec()), 403),
    ] {
        let answer = send(&app, &preflight(&more)).await;
        assert_eq!(status(&answer), want, "{case}: {answer}");
        assert_eq!(answer.contains("access-control-allow-"), want == 204, "{case}: {answer}");
    }
}

#[tokio::test]
async fn origins_and_methods_are_counted_and_compared_byte_by_byte() {
    let app = TestApp::start().await;
    let origin = |value: &[u8]| [b"Origin: ", value, b"\r\n"].concat();
    let asks = |value: &[u8]| [b"Access-Control-Request-Method: ", value, b"\r\n"].concat();
    let (good, put) = (origin(FRONTEND.as_bytes()), asks(b"PUT"));
    let long = [FRONTEND.as_bytes(), &vec![b'0'; 60_000]].concat();
    for (case, lines, want) in [
        ("good", [good.clone(), put.clone()].concat(), 204),
        ("the same origin fifty times", [good.repeat(50), put.clone()].concat(), 204),
        (
            "and another one",
            [good.repeat(50), origin(b"https://evil.example"), put.clone()].concat(),
            403,
        ),
        (
            "the other one first",
            [origin(b"https://evil.example"), good.clone(), put.clone()].concat(),
            403,
        ),
        (
            "spaces around",
            [origin(format!(" {FRONTEND}\t ").as_bytes()), put.clone()].concat(),
            204,
        ),
        (
            "a list of one twice",
            [origin(format!("{FRONTEND},{FRONTEND}").as_bytes()), put.clone()].concat(),
            403,
        ),
        ("huge", [origin(&long), put.clone()].concat(), 403),
        ("not UTF-8", [origin(b"http://localhost:3000\xff"), put.clone()].concat(), 403),
        (
            "look-alike",
            [origin("http://l\u{43e}calhost:3000".as_bytes()), put.clone()].concat(),
            403,
        ),
        ("empty", [origin(b""), put.clone()].concat(), 403),
        (
            "escaped line end",
            [origin(b"http://localhost:3000%0d%0aSet-Cookie:%20a=b"), put.clone()].concat(),
            403,
        ),
        ("the method twice", [good.clone(), put.repeat(2)].concat(), 403),
        ("an empty method", [good.clone(), asks(b"")].concat(), 403),
        ("two methods in one", [good.clone(), asks(b"PUT, GET")].concat(), 403),
        ("a method of 60,000 bytes", [good.clone(), asks(&vec![b'P'; 60_000])].concat(), 403),
        ("a method that is not ASCII", [good.clone(), asks(b"P\xc3\x9cT")].concat(), 403),
        ("a star", [good.clone(), asks(b"*")].concat(), 403),
    ] {
        let answer = send(&app, &with_lines(&lines)).await;
        assert_eq!(status(&answer), want, "{case}: {answer}");
        assert_eq!(answer.contains("access-control-allow-"), want == 204, "{case}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn what_breaks_the_syntax_of_http_is_refused_whole() {
    let app = TestApp::start().await;
    for (case, lines) in [
        ("a folded line", &b"Access-Control-Request-Headers: x-a\r\n ,x-b\r\n"[..]),
        ("a folded line, by a tab", b"X: y\r\n\tz\r\n"),
        ("a carriage return alone", b"Access-Control-Request-Headers: x-a\rx-b\r\n"),
        ("NUL", b"Access-Control-Request-Headers: x-a\0\r\n"),
        ("a control character", b"Access-Control-Request-Headers: x-\x01a\r\n"),
        ("DEL", b"Access-Control-Request-Headers: x-\x7fa\r\n"),
        ("a space before the colon", b"Access-Control-Request-Headers : x-a\r\n"),
        ("a name that is not ASCII", b"Acc\xe9ss: x\r\n"),
        ("no colon", b"Access-Control-Request-Headers\r\n"),
        ("no name", b": x-a\r\n"),
        ("two lengths", b"Content-Length: 0\r\nContent-Length: 5\r\n"),
        ("a negative length", b"Content-Length: -1\r\n"),
    ] {
        let answer = send(&app, &preflight(lines)).await;
        assert_eq!(status(&answer), 400, "{case}: {answer}");
        assert!(!answer.contains("access-control-"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_line_feed_alone_ends_a_line_and_smuggles_nothing() {
    let app = TestApp::start().await;
    let lines =
        b"Access-Control-Request-Headers: x-a\nSet-Cookie: a=b\nAccess-Control-Allow-Origin: *\r\n";
    let answer = send(&app, &preflight(lines)).await;
    assert_eq!(status(&answer), 204, "{answer}");
    assert!(answer.contains("access-control-allow-headers: x-a\r\n"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
    assert_eq!(answer.matches("access-control-allow-origin").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_preflight_is_one_whatever_it_asks_about() {
    let app = TestApp::start().await;
    let usual = String::from_utf8(preflight(b"")).expect("ASCII");
    for (case, request, want) in [
        ("no such path", usual.replace(" / ", " /no/such/path ?x "), 400),
        ("an odd path", usual.replace(" / ", " /%00/../..%2f?a=%zz "), 204),
        (
            "a path of 30,000 bytes",
            usual.replace(" / ", &format!(" /{} ", "a".repeat(30_000))),
            204,
        ),
        ("the whole server", usual.replace(" / ", " * "), 204),
        ("an absolute target", usual.replace(" / ", " http://other.example/ "), 204),
        ("HTTP/1.0", usual.replace("HTTP/1.1", "HTTP/1.0"), 204),
        ("HTTP/0.9", usual.replace(" HTTP/1.1", ""), 400),
        ("HTTP/3.0", usual.replace("HTTP/1.1", "HTTP/3.0"), 400),
        ("no host", usual.replace("Host: x\r\n", ""), 204),
        ("a dead cookie", usual.replace("Host: x", "Host: x\r\nCookie: session=\"; ;;"), 204),
        ("a body", usual.replace("Host: x", "Host: x\r\nContent-Length: 3") + "abc", 204),
        ("a body that never comes", usual.replace("Host: x", "Host: x\r\nContent-Length: 9"), 204),
        // `options` is another method: what it gets is an actual answer.
        ("another method", usual.replace("OPTIONS", "options"), 404),
    ] {
        let answer = send(&app, request.as_bytes()).await;
        assert_eq!(status(&answer), want, "{case}: {answer}");
        assert_eq!(
            answer.contains("access-control-allow-methods"),
            want == 204,
            "{case}: {answer}"
        );
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn each_request_of_a_connection_gets_its_own_answer() {
    let app = TestApp::start().await;
    let open = |origin: &str, lines: &str| {
        format!(
            "OPTIONS / HTTP/1.1\r\nHost: x\r\n{lines}Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
        )
    };
    let (good, evil) = (open(FRONTEND, ""), open("https://evil.example", ""));
    let last = open("null", "Connection: close\r\n");
    let all = [good.as_str(), &evil, &good, &last].concat();
    let mut stream = TcpStream::connect(app.addr).await.expect("connect");
    let mut answer = String::new();
    timeout(IN_TIME, async {
        // In pieces that never end where a request does.
        for piece in all.as_bytes().chunks(7) {
            stream.write_all(piece).await.expect("sent");
        }
        stream.read_to_string(&mut answer).await.expect("ASCII");
    })
    .await
    .expect("in time");
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|a| &a[..3]).collect();
    assert_eq!(statuses, ["204", "403", "204", "403"], "{answer}");
    assert_eq!(answer.matches("access-control-allow-origin: ").count(), 2, "{answer}");
    assert!(!answer.contains("evil"), "{answer}");
}

#[test]
fn any_damage_to_a_preflight_leaves_the_service_whole() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = runtime.block_on(TestApp::start());
    let usual = preflight(b"Access-Control-Request-Headers: x-a,x-b\r\n");
    let change = (any::<proptest::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..4));
    let changes = proptest::collection::vec(change, 1..4);
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&changes, |changes| {
            let mut request = usual.clone();
            for (at, bytes) in changes {
                let at = at.index(request.len());
                request.splice(at..=at, bytes);
            }
            // A body that was announced by accident never comes: its sender stops.
            let answer = runtime.block_on(async {
                let mut stream = TcpStream::connect(app.addr).await.expect("connect");
                let _ = stream.write_all(&request).await;
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                timeout(IN_TIME, stream.read_to_end(&mut answer)).await.map(|_| answer)
            });
            let answer = answer.map_err(|_| TestCaseError::fail("no end in time"))?;
            let answer = String::from_utf8(answer).expect("ASCII");
            let known = [0, 204, 400, 403, 404, 405, 414, 431, 505];
            prop_assert!(known.contains(&status(&answer)), "{}", answer);
            let allowed: Vec<_> = answer
                .lines()
                .filter_map(|line| line.strip_prefix("access-control-allow-origin: "))
                .collect();
            prop_assert!(allowed.is_empty() || allowed == [FRONTEND], "{}", answer);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let answer = runtime.block_on(send(&app, &usual));
    assert_eq!(status(&answer), 204, "still there: {answer}");
}
