//! A running service, and a client that keeps cookies.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use withcreds::{App, Config, Server, Stopped};

/// The listed frontend.
pub(crate) const FRONTEND: &str = "http://localhost:3000";
pub(crate) const EVIL: &str = "https://evil.example";

/// One service on a free port, stopped when dropped.
pub(crate) struct TestApp {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) password: String,
    pub(crate) app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) running: tokio::task::JoinHandle<Stopped>,
}

impl TestApp {
    /// Development configuration on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more sections.
    pub(crate) async fn start_with(more: &str) -> Self {
        let cors =
            format!("allow_origins = ['{FRONTEND}']\nallow_methods = ['*']\nallow_headers = ['*']");
        Self::start_under(&cors, more).await
    }

    /// With this `[cors]`.
    pub(crate) async fn start_under(cors: &str, more: &str) -> Self {
        Self::start_from(&format!("[cors]\n{cors}\n{more}"), "").await
    }

    /// As if browsers reached it there, from this frontend.
    pub(crate) async fn start_on(public_origin: &str, frontend: &str, more: &str) -> Self {
        let cors = format!("[cors]\nallow_origins = ['{frontend}']\nallow_headers = ['*']\n{more}");
        Self::start_from(&cors, &format!("public_origin = '{public_origin}'")).await
    }

    /// From these sections, and these lines of `[server]`.
    pub(crate) async fn start_from(more: &str, server: &str) -> Self {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = ['127.0.0.1:0']\n{server}\n[dev]\nenabled = true\n{more}"
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
        let server = Server::bind(&config).await.expect("a free port");
        let addr = server.addr().expect("an address");
        let admin = server.admin_addresses()[0];
        let password = server.demo().expect("a demo account").password.expose().clone();
        let app = Arc::clone(server.app());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run_until(async {
            let _ = stopped.await;
        }));
        Self { addr, admin, password, app, stop: Some(stop), running }
    }

    /// Tells the service to stop; `running` ends when it has drained.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// A client without cookies, on the listed frontend.
    pub(crate) fn client(&self) -> Client {
        Client { addr: self.addr, origin: Some(FRONTEND), cookies: Vec::new(), csrf: None }
    }

    /// The same client, on this instance.
    pub(crate) fn at(&self, client: &Client) -> Client {
        Client { addr: self.addr, ..client.clone() }
    }

    /// A client that has logged in.
    pub(crate) async fn logged_in(&self) -> Client {
        let mut client = self.client();
        let answer = client.log_in("demo", &self.password).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        client
    }

    /// What the admin listener says.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        Client { addr: self.admin, ..self.client() }.send("GET", path, &[], "").await
    }

    /// The value of a series, labels and all.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let text = self.admin("/metrics").await.body;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let (_, value) =
            lines.find(|(name, _)| *name == series).unwrap_or_else(|| panic!("{series}: {text}"));
        value.parse().expect("a whole number")
    }

    /// Sends bytes as they are and reads until the other side closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.expect("connect");
        // The service may close half-way through what it refuses.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// An answer, body included.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("").to_owned()
    }

    /// What a browser would let a page of this origin read.
    pub(crate) fn readable_by(&self, origin: &str) -> bool {
        let origins: Vec<_> = self.headers.get_all("access-control-allow-origin").iter().collect();
        matches!(&origins[..], [one] if *one == origin)
            && self.header("access-control-allow-credentials") == "true"
    }
}

/// A browser of the poor: keeps cookies, sends an origin.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) origin: Option<&'static str>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) csrf: Option<String>,
}

impl Client {
    pub(crate) async fn log_in(&mut self, username: &str, password: &str) -> Answer {
        let body = serde_json::json!({ "username": username, "password": password }).to_string();
        let answer = self
            .send("POST", "/api/auth/login", &[("content-type", "application/json")], &body)
            .await;
        if answer.status == StatusCode::OK {
            self.csrf = answer.json()["csrfToken"].as_str().map(str::to_owned);
        }
        answer
    }

    pub(crate) async fn session(&mut self) -> Answer {
        self.send("GET", "/api/auth/session", &[], "").await
    }

    pub(crate) async fn log_out(&mut self) -> Answer {
        let token = self.csrf.clone().unwrap_or_default();
        self.send("POST", "/api/auth/logout", &[("x-csrf-token", &token)], "").await
    }

    /// `DELETE` with the session's token.
    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        let token = self.csrf.clone().unwrap_or_default();
        self.send("DELETE", path, &[("x-csrf-token", &token)], "").await
    }

    /// Handles of the user's sessions, newest first, and which one is this client's.
    pub(crate) async fn handles(&mut self) -> (Vec<String>, usize) {
        let answer = self.send("GET", "/api/auth/sessions", &[], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let json = answer.json();
        let lines = json["sessions"].as_array().expect("a list");
        let current = lines.iter().position(|line| line["current"] == true).expect("one's own");
        let handle = |line: &Value| line["handle"].as_str().expect("a handle").to_owned();
        (lines.iter().map(handle).collect(), current)
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::try_from(method).expect("a method"))
            .uri(path)
            .header("host", "localhost");
        if let Some(origin) = self.origin {
            request = request.header("origin", origin);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
        let stream = TcpStream::connect(self.addr).await.expect("connect");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("handshake");
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        self.store_cookies(&parts.headers);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    fn store_cookies(&mut self, headers: &HeaderMap) {
        for line in headers.get_all("set-cookie") {
            let cookie = cookie::Cookie::parse(line.to_str().expect("ASCII")).expect("a cookie");
            self.cookies.retain(|(name, _)| name != cookie.name());
            if cookie.max_age() != Some(cookie::time::Duration::ZERO) {
                self.cookies.push((cookie.name().to_owned(), cookie.value().to_owned()));
            }
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}
