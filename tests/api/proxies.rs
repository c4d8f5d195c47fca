//! The service behind real proxies, with the files of `docs/deploy` but for addresses and TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixStream};

use crate::support::{Answer, Client, EVIL, FRONTEND, TestApp};

/// A running proxy: it listens on a socket in its folder, so there is no port to race for.
struct Proxy {
    folder: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both write it a moment after they have said that they run, and long before the first answer.
        let pid = std::fs::read_to_string(self.folder.path().join("pid"));
        if let Ok(pid) = pid {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

impl Proxy {
    /// Runs a command that returns when the proxy listens. Without the program the test is skipped,
    /// except in CI.
    fn start(program: &str, file: &str, text: &str, args: &[&str]) -> Option<Self> {
        if Command::new(program).arg("-h").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "{program} is missing: run .ci/setup");
            eprintln!("skipped: {program} is missing");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let place = path.to_str().expect("a plain path");
        std::fs::write(path.join(file), text.replace("{folder}", place)).expect("a file");
        let log = std::fs::File::create(path.join("log")).expect("a log");
        let started = Command::new(program)
            .args(args.iter().map(|arg| arg.replace("{folder}", place)))
            .envs(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|name| (name, place)))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .status()
            .expect("it starts");
        let said = std::fs::read_to_string(path.join("log")).unwrap_or_default();
        assert!(started.success(), "{said}");
        Some(Self { folder })
    }

    fn nginx(service: SocketAddr, api: SocketAddr) -> Option<Self> {
        let site: String = include_str!("../../docs/deploy/nginx.conf")
            .replace("listen 443 ssl", "listen unix:{folder}/socket")
            .replace("127.0.0.1:8080", &service.to_string())
            .replace("127.0.0.1:9000", &api.to_string())
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|name| format!("{name}_temp_path {{folder}}/{name};")).join(" ");
        let text = format!(
            "error_log {{folder}}/error.log; pid {{folder}}/pid; worker_processes 1; user root;\n\
             events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n"
        );
        Self::start("nginx", "nginx.conf", &text, &["-p", "{folder}", "-c", "nginx.conf"])
    }

    fn caddy(service: SocketAddr, api: SocketAddr) -> Option<Self> {
        let site = include_str!("../../docs/deploy/Caddyfile")
            .replace(
                "\napi.example.com {",
                "\nhttp://api.example.com {\n\tbind unix/{folder}/socket",
            )
            .replace("127.0.0.1:8080", &service.to_string())
            .replace("127.0.0.1:9000", &api.to_string());
        let text = format!("{{\n admin unix/{{folder}}/admin\n auto_https off\n}}\n{site}");
        let config = ["--config", "{folder}/Caddyfile", "--adapter", "caddyfile"];
        let args = [&["start", "--pidfile", "{folder}/pid"], &config[..]].concat();
        Self::start("caddy", "Caddyfile", &text, &args)
    }

    async fn send(&self, client: &Client, method: &str, headers: &[(&str, &str)]) -> Answer {
        let socket = self.folder.path().join("socket");
        let stream = UnixStream::connect(&socket).await.expect("connect");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("handshake");
        tokio::spawn(connection);
        let cookies: Vec<_> = client.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri("/api/items?page=2")
            .header("host", "api.example.com")
            .header("x-auth-user", "root")
            .header("x-cors-origin", "https://evil.example");
        if let Some(origin) = client.origin {
            request = request.header("origin", origin);
        }
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from("body"))).expect("a request");
        let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// Somebody's API, which knows nothing of CORS but to say it wrong. Tells what it was asked.
async fn api() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let answer = |request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let all = |name: &str| {
            let values = parts.headers.get_all(name).iter();
            values.map(|v| v.to_str().unwrap_or("?")).collect::<Vec<_>>().join(" and ")
        };
        let seen = serde_json::json!({
            "method": parts.method.as_str(),
            "path": parts.uri.to_string(),
            "user": all("x-auth-user"),
            "tenant": all("x-auth-tenant"),
            "body": String::from_utf8_lossy(&body),
        });
        Response::builder()
            .header("access-control-allow-origin", "*")
            .header("vary", "Accept-Language")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(seen.to_string())))
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(answer);
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    addr
}

async fn guards_an_api(proxy: impl FnOnce(SocketAddr, SocketAddr) -> Option<Proxy>) {
    let mut app = TestApp::start_with("").await;
    let Some(proxy) = proxy(app.addr, api().await) else { return };
    let (user, nobody) = (app.logged_in().await, app.client());

    // Nobody: refused by the service itself, so that the page can read why.
    let answer = proxy.send(&nobody, "GET", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "no_session"));
    assert!(answer.readable_by(FRONTEND), "{answer:?}");

    // The user: the API learns who it is from the service alone.
    let answer = proxy.send(&user, "GET", &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "method": "GET",
            "path": "/api/items?page=2",
            "user": "demo",
            "tenant": "default",
            "body": "body",
        })
    );
    assert!(answer.readable_by(FRONTEND), "{answer:?}");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert!(vary.contains(&&http::HeaderValue::from_static("Origin")), "{vary:?}");
    assert!(vary.contains(&&http::HeaderValue::from_static("Accept-Language")), "{vary:?}");

    // What changes something has to prove itself, by the method of the request that the proxy holds.
    let from_page = ("sec-fetch-site", "same-site");
    for lie in [("x-other", ""), ("x-forwarded-method", "GET"), ("x-original-method", "GET")] {
        let answer = proxy.send(&user, "POST", &[from_page, lie]).await;
        let got = (answer.status, answer.code());
        assert_eq!(got, (StatusCode::FORBIDDEN, "csrf_failed".to_owned()), "{lie:?}");
        assert!(answer.readable_by(FRONTEND), "{answer:?}");
    }
    let token = user.csrf.clone().expect("a token");
    let answer = proxy.send(&user, "POST", &[from_page, ("x-csrf-token", &token)]).await;
    assert_eq!((answer.status, answer.json()["body"].as_str()), (StatusCode::OK, Some("body")));

    // A foreign page: nothing is for it to read, and nothing for it to change.
    let foreign = Client { origin: Some(EVIL), ..user.clone() };
    let answer = proxy.send(&foreign, "GET", &[]).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    let answer = proxy.send(&foreign, "POST", &[("x-csrf-token", &token)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    // Preflights: by the policy, without a session, for a path that the service does not have.
    let asks = [("access-control-request-method", "DELETE")];
    for (client, want) in [(&nobody, 204), (&foreign, 403)] {
        assert_eq!(proxy.send(client, "OPTIONS", &asks).await.status.as_u16(), want);
    }

    // The service gone: no access, whatever else.
    app.stop();
    (&mut app.running).await.expect("it stops");
    let answer = proxy.send(&user, "GET", &[]).await;
    assert!(answer.status.is_server_error(), "{answer:?}");
    assert!(!String::from_utf8_lossy(&answer.body).contains("demo"));
}

#[tokio::test]
async fn nginx_asks_before_it_lets_through() {
    guards_an_api(Proxy::nginx).await;
}

#[tokio::test]
async fn caddy_asks_before_it_lets_through() {
    guards_an_api(Proxy::caddy).await;
}

#[tokio::test]
async fn who_may_pass() {
    let app = TestApp::start().await;
    let mut user = app.logged_in().await;
    let token = user.csrf.clone().expect("a token");
    let verify = "/api/auth/verify";
    let (site, proof) = (("sec-fetch-site", "same-site"), ("x-csrf-token", token.as_str()));
    for (headers, want) in [
        (&[][..], 204),
        (&[("x-forwarded-method", "HEAD")], 204),
        (&[site, ("x-forwarded-method", "POST")], 403),
        (&[site, ("x-original-method", "DELETE")], 403),
        (&[site, ("x-original-method", "get")], 403),
        (&[site, ("x-forwarded-method", "GET"), ("x-original-method", "POST")], 403),
        (&[site, proof, ("x-forwarded-method", "POST")], 204),
    ] {
        let answer = user.send("GET", verify, headers, "").await;
        assert_eq!(answer.status.as_u16(), want, "{headers:?}: {answer:?}");
        let named = (answer.header("x-auth-user"), answer.header("x-auth-tenant"));
        assert_eq!(named, if want == 204 { ("demo", "default") } else { ("", "") });
    }
    assert_eq!(app.client().send("GET", verify, &[], "").await.code(), "no_session");
    assert_eq!(user.send("POST", verify, &[site, proof], "").await.status.as_u16(), 405);
}

/// The files that people copy stand beside each other in one page.
#[test]
fn docs_name_every_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy");
    let page = std::fs::read_to_string(folder.join("README.md")).expect("the page");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        assert!(name == "README.md" || page.contains(&format!("({name})")), "{name}");
    }
}
