//! A running service with a provider, and a browser of the poor.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use url::Url;
use withcreds::effects::{Clock, SystemClock};
use withcreds::{Config, Server};

use crate::provider::{CLIENT_ID, CLIENT_SECRET, Provider};

/// The listed frontend.
pub(crate) const FRONTEND: &str = "http://localhost:3000";

/// One service, registered with one provider.
pub(crate) struct TestApp {
    addr: SocketAddr,
    pub(crate) provider: Provider,
    _stop: oneshot::Sender<()>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with("", "").await
    }

    /// With more lines in `[oidc]`, and more sections.
    pub(crate) async fn start_with(oidc: &str, more: &str) -> Self {
        Self::start_beside(Provider::start().await, oidc, more).await
    }

    pub(crate) async fn start_beside(provider: Provider, oidc: &str, more: &str) -> Self {
        Self::start_by(SystemClock::new(), provider, oidc, more).await
    }

    /// By another clock.
    pub(crate) async fn start_by(
        clock: impl Clock,
        provider: Provider,
        oidc: &str,
        more: &str,
    ) -> Self {
        let issuer = provider.issuer();
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\n[cors]\nallow_origins = ['{FRONTEND}']\n[dev]\nenabled = true\n[oidc]\nissuer = '{issuer}'\nclient_id = '{CLIENT_ID}'\nclient_secret = '{CLIENT_SECRET}'\n{oidc}\n{more}"
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
        let server = Server::bind_with_clock(&config, clock).await.expect("a free port");
        let addr = server.addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run_until(async {
            let _ = stopped.await;
        }));
        Self { addr, provider, _stop: stop }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.addr)
    }

    /// A browser whose user has signed in.
    pub(crate) async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let answer = self.sign_in(&mut browser, "/api/auth/login").await;
        assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
        let session = browser.session().await;
        assert_eq!(session.status, StatusCode::OK, "{answer:?} {session:?}");
        browser
    }

    /// From the login route to the provider and back; gives the answer of the callback.
    pub(crate) async fn sign_in(&self, browser: &mut Browser, login: &str) -> Answer {
        let answer = browser.get(login).await;
        let back = self.provider.sign_in(&answer.location());
        browser.visit(&back).await
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
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or("").to_owned()
    }

    #[track_caller]
    pub(crate) fn location(&self) -> Url {
        assert_eq!(self.status, StatusCode::FOUND, "{self:?}");
        Url::parse(self.header("location")).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Whether it is the page for people whose sign-in failed: with a request id, for nobody's
    /// cache, and without any session.
    #[track_caller]
    pub(crate) fn assert_error_page(&self, status: u16, code: &str, case: &str) {
        assert_eq!(self.status.as_u16(), status, "{case}: {self:?}");
        let text = self.text();
        assert!(self.header("content-type").starts_with("text/html"), "{case}: {self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{case}");
        assert_eq!(self.header("referrer-policy"), "no-referrer", "{case}");
        assert!(text.contains(&format!("{code}, request ")), "{case}: {text}");
        assert!(!self.sets("session"), "{case}: {self:?}");
    }

    /// Whether it gives a cookie of this name a value.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.headers.get_all("set-cookie").iter().any(|line| {
            let line = line.to_str().unwrap_or("");
            line.starts_with(&format!("{name}=")) && !line.starts_with(&format!("{name}=;"))
        })
    }
}

/// Keeps cookies, follows nothing by itself.
#[derive(Clone)]
pub(crate) struct Browser {
    addr: SocketAddr,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Browser {
    pub(crate) fn at(addr: SocketAddr) -> Self {
        Self { addr, cookies: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Goes to a URL of the service, as the provider sends browsers there.
    pub(crate) async fn visit(&mut self, url: &Url) -> Answer {
        self.get(&url[url::Position::BeforePath..url::Position::AfterQuery]).await
    }

    pub(crate) async fn session(&mut self) -> Answer {
        self.get("/api/auth/session").await
    }

    /// By script, from the frontend.
    pub(crate) async fn log_out(&mut self) -> Answer {
        let token = self.session().await.json()["csrfToken"].as_str().unwrap_or("").to_owned();
        let headers = [("origin", FRONTEND), ("x-csrf-token", token.as_str())];
        self.send("POST", "/api/auth/logout", &headers, "").await
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
        // Ends with this request, also when nobody waits for it any more.
        let _connection = Aborting(tokio::spawn(connection));
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

    pub(crate) fn names(&self) -> Vec<&str> {
        self.cookies.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// How many sign-ins are under way.
    pub(crate) fn attempts(&self) -> usize {
        self.names().iter().filter(|name| name.starts_with("login-")).count()
    }
}

struct Aborting<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
