//! The same against a provider that nobody here wrote: npm's `oidc-provider`, certified by the
//! OpenID Foundation. `.ci/setup` installs it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use url::Url;
use url::form_urlencoded::Serializer;
use withcreds::{Config, Server};

const OWN: &str = "http://localhost:8080";
const FRONTEND: &str = "http://localhost:3000";

/// The provider's process; gone with the test.
struct Certified {
    port: u16,
    _process: Child,
    input: ChildStdin,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Certified {
    /// `None`, with a word about it, where it is not installed; an error where CI says that
    /// nothing may be skipped.
    async fn start() -> Option<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
        let process = Command::new("node")
            .arg("server.js")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn();
        let installed = folder.join("node_modules/oidc-provider").is_dir();
        let (Ok(mut process), true) = (process, installed) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "oidc-provider or node is missing: run .ci/setup"
            );
            eprintln!("skipped: no oidc-provider (run .ci/setup)");
            return None;
        };
        let input = process.stdin.take()?;
        let mut lines = BufReader::new(process.stdout.take()?).lines();
        let line = lines.next_line().await.ok()?.expect("the provider says its port");
        let port = serde_json::from_str::<Value>(&line).expect("JSON")["port"].as_u64();
        let port = port.and_then(|port| u16::try_from(port).ok()).expect("a port");
        Some(Self { port, _process: process, input, lines })
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn register(&mut self, service: SocketAddr, access_token_ttl: u64) {
        let client = json!({
            "client_id": "withcreds",
            "client_secret": "correct horse battery staple",
            "redirect_uris": [format!("{OWN}/api/auth/callback")],
            "post_logout_redirect_uris": [format!("{FRONTEND}/")],
            "grant_types": ["authorization_code", "refresh_token"],
            "backchannel_logout_uri": format!("http://{service}/api/auth/backchannel-logout"),
            "backchannel_logout_session_required": true,
        });
        let line = json!({ "clients": [client], "accessTokenTtl": access_token_ttl });
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
        self.lines.next_line().await.expect("it runs").expect("it is ready");
    }
}

/// A provider, a service that is registered with it, and what a browser keeps.
struct Scene {
    provider: Certified,
    service: SocketAddr,
    /// Host and port, path, name, value.
    jar: Vec<(String, String, String, String)>,
}

struct Page {
    url: Url,
    status: StatusCode,
    body: String,
}

impl Page {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// What stands in an attribute, after the first `marker` of the page.
    fn after(&self, marker: &str) -> Option<&str> {
        self.body.split_once(marker)?.1.split('"').next()
    }
}

impl Scene {
    async fn set_up(access_token_ttl: u64) -> Option<Self> {
        let mut provider = Certified::start().await?;
        let issuer = provider.issuer();
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = '{OWN}'\n[cors]\nallow_origins = ['{FRONTEND}']\n[dev]\nenabled = true\n[token]\nexpose = true\n[oidc]\nissuer = '{issuer}'\nclient_id = 'withcreds'\nclient_secret = 'correct horse battery staple'\nscopes = ['profile', 'email', 'offline_access']\nparams = {{ prompt = 'consent' }}"
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
        let server = Server::bind(&config).await.expect("a free port");
        let service = server.addr().expect("an address");
        tokio::spawn(server.run_until(std::future::pending()));
        provider.register(service, access_token_ttl).await;
        Some(Self { provider, service, jar: Vec::new() })
    }

    async fn get(&mut self, url: &str) -> Page {
        self.go(&Url::parse(url).expect("a URL"), None).await
    }

    /// A request, and every redirect that follows, up to the frontend.
    async fn go(&mut self, url: &Url, form: Option<&str>) -> Page {
        let (mut url, mut form) = (url.clone(), form.map(str::to_owned));
        for _ in 0..12 {
            let (page, next) = self.send(&url, &[], form.take()).await;
            let Some(next) = next else { return page };
            url = next;
            if url.as_str().starts_with(FRONTEND) {
                return Page { url, status: StatusCode::OK, body: String::new() };
            }
        }
        panic!("a loop of redirects at {url}");
    }

    async fn send(
        &mut self,
        url: &Url,
        headers: &[(&str, &str)],
        form: Option<String>,
    ) -> (Page, Option<Url>) {
        let own = url.as_str().starts_with(OWN);
        let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let address = if own { self.service } else { host.parse().expect("an address") };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let sent: Vec<_> = self
            .jar
            .iter()
            .filter(|(at, below, ..)| *at == host && url.path().starts_with(below.as_str()))
            .map(|(_, _, name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder()
            .method(if form.is_some() { "POST" } else { "GET" })
            .uri(path)
            .header("host", &host)
            .header("accept", "text/html")
            .header("cookie", sent.join("; "));
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(form.unwrap_or_default()))).expect("good");
        let stream = TcpStream::connect(address).await.expect("connect");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("handshake");
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        for line in parts.headers.get_all("set-cookie") {
            let cookie = cookie::Cookie::parse(line.to_str().expect("ASCII")).expect("a cookie");
            let below = cookie.path().unwrap_or("/").to_owned();
            let name = cookie.name().to_owned();
            self.jar.retain(|(at, p, n, _)| !(*at == host && *p == below && *n == name));
            let past = cookie.expires_datetime().is_some_and(|at| at.unix_timestamp() <= 0);
            if !past && !cookie.max_age().is_some_and(cookie::time::Duration::is_zero) {
                self.jar.push((host.clone(), below, name, cookie.value().to_owned()));
            }
        }
        let location = parts.headers.get("location").and_then(|v| v.to_str().ok());
        let next = location.filter(|_| parts.status.is_redirection()).map(|to| url.join(to));
        let body = String::from_utf8_lossy(&body).into_owned();
        let page = Page { url: url.clone(), status: parts.status, body };
        (page, next.map(|next| next.expect("a URL")))
    }

    /// Through the provider's own pages: who are you, and may they know it.
    async fn sign_in(&mut self, login: &str) -> Page {
        let mut page = self.get(&format!("{OWN}{login}")).await;
        for _ in 0..3 {
            let (Some(action), Some(prompt)) =
                (page.after("action=\""), page.after("name=\"prompt\" value=\""))
            else {
                break;
            };
            let action = page.url.join(action).expect("a URL");
            let form = Serializer::new(String::new())
                .extend_pairs([("prompt", prompt), ("login", "ada"), ("password", "x")])
                .finish();
            page = self.go(&action, Some(&form)).await;
        }
        page
    }

    async fn session(&mut self) -> Page {
        self.get(&format!("{OWN}/api/auth/session")).await
    }

    /// The provider's page that asks whether to end the session there, answered with yes.
    async fn confirm(&mut self, page: &Page) -> Page {
        let action = page.after("action=\"").unwrap_or_else(|| panic!("no form: {}", page.body));
        let xsrf = page.after("name=\"xsrf\" value=\"").expect("a token");
        let form = Serializer::new(String::new())
            .extend_pairs([("xsrf", xsrf), ("logout", "yes")])
            .finish();
        let action = page.url.join(action).expect("a URL");
        self.go(&action, Some(&form)).await
    }
}

#[tokio::test]
async fn sign_in_refresh_and_log_out() {
    let Some(mut scene) = Scene::set_up(30).await else { return };
    let page = scene.sign_in("/api/auth/login?return_url=http%3A%2F%2Flocalhost%3A3000%2Fa").await;
    assert_eq!(page.url.as_str(), "http://localhost:3000/a", "{} {}", page.status, page.body);
    let session = scene.session().await.json();
    assert_eq!(session["userId"], "ada");
    let metadata =
        json!({ "name": "User ada", "email": "ada@example.com", "email_verified": true });
    assert_eq!(session["metadata"], metadata);

    // Each token lives for half of the buffer, so each request refreshes; the provider rotates its
    // refresh tokens and would take a second use of one for a theft.
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let page = scene.get(&format!("{OWN}/api/auth/token")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        tokens.push(page.json()["accessToken"].as_str().expect("a token").to_owned());
    }
    assert_eq!(tokens.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    let me = Url::parse(&format!("{}/me", scene.provider.issuer())).expect("a URL");
    let bearer = format!("Bearer {}", tokens[2]);
    let (page, _) = scene.send(&me, &[("authorization", &bearer)], None).await;
    assert_eq!(page.json()["sub"], "ada", "the token is good for the provider's own API");

    let question = scene.get(&format!("{OWN}/api/auth/logout")).await;
    assert_eq!(question.url.path(), "/session/end", "{}", question.body);
    let page = scene.confirm(&question).await;
    assert_eq!(page.url.as_str(), format!("{FRONTEND}/"));
    assert_eq!(scene.session().await.json()["code"], "no_session");
    // The refresh token went back, and its grant with it.
    let (page, _) = scene.send(&me, &[("authorization", &bearer)], None).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{}", page.body);
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    let Some(mut scene) = Scene::set_up(3600).await else { return };
    let page = scene.sign_in("/api/auth/login").await;
    assert_eq!(page.url.as_str(), format!("{FRONTEND}/"), "{} {}", page.status, page.body);
    assert_eq!(scene.session().await.status, StatusCode::OK);
    let question = scene.get(&format!("{}/session/end", scene.provider.issuer())).await;
    let page = scene.confirm(&question).await;
    assert!(page.status.is_success(), "{} {}", page.status, page.body);
    assert_eq!(scene.session().await.json()["code"], "revoked");
}

#[tokio::test]
async fn a_user_who_says_no_comes_back_to_a_page() {
    let Some(mut scene) = Scene::set_up(3600).await else { return };
    let page = scene.get(&format!("{OWN}/api/auth/login")).await;
    let abort = format!("{}/abort", page.url);
    let page = scene.get(&abort).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert!(page.body.contains("login_denied, request "), "{}", page.body);
    let query: HashMap<_, _> = page.url.query_pairs().into_owned().collect();
    assert_eq!(query["error"], "access_denied");
    assert_eq!(scene.session().await.json()["code"], "no_session");
}
