//! TLS and HTTP/2: what holds without them holds with them.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use withcreds::Stopped;

use crate::support::TestApp;

const FRONTEND: &str = "https://localhost:3000";

/// A service with a certificate of its own.
struct Secure {
    app: TestApp,
    folder: tempfile::TempDir,
}

impl Secure {
    async fn start(limits: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        renew(folder.path());
        let [cert, key] = files(folder.path()).map(|path| path.display().to_string());
        let server = format!(
            "public_origin = 'https://localhost'\ntls.cert = '{cert}'\ntls.key = '{key}'\n{limits}"
        );
        let cors = format!("[cors]\nallow_origins = ['{FRONTEND}']\nallow_headers = ['*']");
        Self { app: TestApp::start_from(&cors, &server).await, folder }
    }

    /// Shakes hands, and trusts what is in the file at the moment.
    async fn connect(&self, alpn: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let [cert, _] = files(self.folder.path());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(cert).expect("a certificate")).expect("a root");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.app.addr).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn h2<B>(&self) -> http2::SendRequest<B>
    where
        B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let io = TokioIo::new(self.connect("h2").await.expect("a handshake"));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("a connection");
        tokio::spawn(connection);
        sender
    }

    async fn cuts(&self, cause: &str) -> u64 {
        let series = format!("withcreds_connections_cut_total{{cause=\"{cause}\"}}");
        self.app.metric(&series).await
    }

    async fn handshakes(&self, outcome: &str) -> u64 {
        let series = format!("withcreds_tls_handshakes_total{{outcome=\"{outcome}\"}}");
        self.app.metric(&series).await
    }

    async fn reloads(&self, outcome: &str) -> u64 {
        self.app.metric(&format!("withcreds_tls_reloads_total{{outcome=\"{outcome}\"}}")).await
    }
}

fn files(folder: &Path) -> [std::path::PathBuf; 2] {
    [folder.join("cert.pem"), folder.join("key.pem")]
}

/// Writes a fresh certificate, and the key that belongs to it.
fn renew(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    let [cert, key] = files(folder);
    std::fs::write(key, made.signing_key.serialize_pem()).expect("write");
    std::fs::write(cert, made.cert.pem()).expect("write");
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
    headers
        .iter()
        .fold(request.header("origin", FRONTEND), |r, (name, value)| r.header(*name, *value))
}

fn log_in(app: &TestApp) -> String {
    serde_json::json!({ "username": "demo", "password": app.password }).to_string()
}

#[tokio::test]
async fn both_protocols_serve_the_same() {
    let secure = Secure::start("").await;
    let mut h2 = secure.h2().await;
    let io = TokioIo::new(secure.connect("http/1.1").await.expect("a handshake"));
    let (mut h1, connection) = http1::handshake(io).await.expect("a connection");
    tokio::spawn(connection);
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let mut answers: Vec<(StatusCode, HeaderMap, Bytes)> = Vec::new();
        let preflight = [("access-control-request-method", "PUT"), ("host", "localhost")];
        let json = [("content-type", "application/json"), ("host", "localhost")];
        for (method, path, headers, body) in [
            ("OPTIONS", "/api/auth/session", preflight, String::new()),
            ("GET", "/api/auth/session", json, String::new()),
            ("POST", "/api/auth/login", json, log_in(&secure.app)),
        ] {
            let request =
                request(method, path, &headers).body(Full::from(body)).expect("a request");
            let answer = if version == Version::HTTP_2 {
                h2.send_request(request).await
            } else {
                h1.send_request(request).await
            };
            let (parts, body) = answer.expect("an answer").into_parts();
            assert_eq!(parts.version, version);
            let body = body.collect().await.expect("a body").to_bytes();
            answers.push((parts.status, parts.headers, body));
        }
        let statuses: Vec<_> = answers.iter().map(|(status, ..)| status.as_u16()).collect();
        assert_eq!(statuses, [403, 401, 200], "{version:?}");
        let (_, headers, _) = &answers[2];
        assert_eq!(headers["access-control-allow-origin"], FRONTEND, "{version:?}");
        let cookie = headers["set-cookie"].to_str().expect("ASCII");
        assert!(cookie.starts_with("__Host-session=") && cookie.contains("Secure"), "{cookie}");
        // HTTP/2 clients may cut the cookie header into crumbs.
        let pair = cookie.split(';').next().expect("a pair");
        let crumbs = [("cookie", "other=1"), ("cookie", pair), ("host", "localhost")];
        let request =
            request("GET", "/api/auth/session", &crumbs).body(Full::default()).expect("a request");
        let answer = if version == Version::HTTP_2 {
            h2.send_request(request).await
        } else {
            h1.send_request(request).await
        };
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK, "{version:?}");
    }
    assert_eq!(secure.handshakes("ok").await, 2);
    assert_eq!(
        secure.app.metric("withcreds_preflights_total{outcome=\"method_not_allowed\"}").await,
        2
    );
}

#[tokio::test]
async fn a_certificate_is_replaced_by_a_good_one_only() {
    let secure = Secure::start("").await;
    let mut old = secure.h2().await;
    let [cert, key] = files(secure.folder.path());
    renew(secure.folder.path());
    while secure.reloads("ok").await < 1 {}
    secure.connect("h2").await.expect("the new certificate");
    let good = std::fs::read(&key).expect("the key");
    let failed = secure.reloads("failed").await;
    // Another pair's key: what is in force stays.
    let kept = std::fs::read(&cert).expect("the certificate");
    renew(secure.folder.path());
    std::fs::write(&cert, &kept).expect("write");
    while secure.reloads("failed").await == failed {}
    secure.connect("h2").await.expect("still the certificate that was good");
    std::fs::write(&key, good).expect("write");
    let request = request("GET", "/api/auth/session", &[]).body(Full::default());
    let answer = old.send_request(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "who was connected stays connected");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let secure = Secure::start("limits.head = '200ms'").await;
    let hello = [0x16, 3, 1, 2, 0, 1];
    for first in [&[][..], &hello] {
        let mut stream = TcpStream::connect(secure.app.addr).await.expect("connect");
        stream.write_all(first).await.expect("send");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!((secure.cuts("head").await, secure.handshakes("failed").await), (2, 2));
    // Nor the first request after it.
    for alpn in ["h2", "http/1.1"] {
        let mut stream = secure.connect(alpn).await.expect("a handshake");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(secure.cuts("head").await, 4);
    // Who does not speak TLS at all is told so, in TLS.
    assert!(!secure.app.raw(b"GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP"));
}

#[tokio::test]
async fn idle_connections_of_http2_are_closed() {
    let secure = Secure::start("limits.idle = '200ms'\nlimits.head = '60s'").await;
    let mut client = secure.h2().await;
    let request = request("GET", "/api/auth/session", &[]).body(Full::default());
    let answer = client.send_request(request.expect("a request")).await.expect("an answer");
    answer.into_body().collect().await.expect("a body");
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(secure.cuts("idle").await, 1);
    assert_eq!(secure.app.metric("withcreds_connections_open").await, 0);
}

/// Asks and asks over TLS, and takes no answer.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let secure = Secure::start("limits.write = '200ms'\nlimits.head = '60s'").await;
    let mut stream = secure.connect("http/1.1").await.expect("a handshake");
    let many = "GET /api/auth/session HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    while stream.write_all(many.as_bytes()).await.is_ok() {}
    assert_eq!(secure.cuts("write").await, 1);
}

type Parts = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A body that comes as it is sent.
fn stream(parts: mpsc::Receiver<Bytes>) -> Parts {
    Box::pin(futures_util::stream::unfold(parts, |mut parts| async {
        let part = parts.recv().await?;
        Some((Ok(Frame::data(part)), parts))
    }))
}

#[tokio::test]
async fn a_stop_finishes_what_runs_on_http2() {
    let mut secure = Secure::start("").await;
    let (parts, body) = mpsc::channel(1);
    let mut client = secure.h2().await;
    let json = [("content-type", "application/json")];
    let late = request("POST", "/api/auth/login", &json).body(StreamBody::new(stream(body)));
    let answer = tokio::spawn(client.send_request(late.expect("a request")));
    let text = log_in(&secure.app);
    let (first, rest) = text.split_at(5);
    parts.send(Bytes::copy_from_slice(first.as_bytes())).await.expect("send");
    // It runs when its body is asked for, and this one comes after it on the same connection.
    let second =
        request("GET", "/api/auth/session", &[]).body(StreamBody::new(stream(mpsc::channel(1).1)));
    let second = client.send_request(second.expect("a request")).await.expect("an answer");
    assert_eq!(second.status(), StatusCode::UNAUTHORIZED);
    secure.app.stop();
    while TcpStream::connect(secure.app.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    parts.send(Bytes::copy_from_slice(rest.as_bytes())).await.expect("send");
    drop(parts);
    let answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("connection"), "HTTP/2 has none");
    answer.into_body().collect().await.expect("a body");
    assert_eq!(secure.app.running.await.expect("a clean end"), Stopped::Drained);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /` on this stream, and at once its end by the client.
fn asked_and_reset(stream: u32) -> Vec<u8> {
    // Static entries of HPACK: GET, https, /.
    let mut frames = vec![0, 0, 3, 1, 5];
    frames.extend(stream.to_be_bytes());
    frames.extend([0x82, 0x87, 0x84, 0, 0, 4, 3, 0]);
    frames.extend(stream.to_be_bytes());
    frames.extend(8_u32.to_be_bytes());
    frames
}

/// Frames as type and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((head[3], payload.to_vec()));
        bytes = rest;
    }
    frames
}

/// CVE-2023-44487: requests that are taken back at once cost the client nothing.
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let secure = Secure::start("http2.max_streams = 7\nhttp2.max_resets = 10").await;
    let mut stream = secure.connect("h2").await.expect("a handshake");
    let mut flood = PREFACE.to_vec();
    for n in 0..2000 {
        flood.extend(asked_and_reset(2 * n + 1));
    }
    let _ = stream.write_all(&flood).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let frames = frames(&answer);
    let (_, settings) = frames.iter().find(|(kind, _)| *kind == 4).expect("SETTINGS");
    assert!(settings.chunks(6).any(|s| s == [0, 3, 0, 0, 0, 7]), "{settings:?}");
    let (_, goaway) = frames.iter().find(|(kind, _)| *kind == 7).expect("GOAWAY");
    assert_eq!(goaway[4..8], 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
    secure.connect("h2").await.expect("others are served");
}

#[tokio::test]
async fn http2_without_tls_is_for_those_who_ask_for_it() {
    for (asked, want) in [(false, "HTTP/1.1 400"), (true, "")] {
        let more = format!("http2.prior_knowledge = {asked}\nlimits.idle = '1h'");
        let app =
            TestApp::start_from("[cors]\nallow_origins = ['http://localhost:3000']", &more).await;
        if asked {
            let io = TokioIo::new(TcpStream::connect(app.addr).await.expect("connect"));
            let (mut client, connection) =
                http2::handshake(TokioExecutor::new(), io).await.expect("a connection");
            tokio::spawn(connection);
            let request = Request::get("http://localhost/api/auth/session");
            let request = request.body(Full::<Bytes>::default()).expect("a request");
            let answer = client.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(app.client().session().await.status, StatusCode::UNAUTHORIZED);
        } else {
            let answer = app.raw(PREFACE).await;
            assert!(answer.starts_with(want) || answer.is_empty(), "{answer}");
        }
    }
}
