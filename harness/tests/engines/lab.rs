//! Tiny servers of two sites, and a browser that knows their names.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use withcreds_harness::browser::{Browser, Engine, Launch, ThirdPartyCookies, launch};

pub(crate) const PAGE: &str = r#"<!doctype html><title>probe</title><script>
window.withcreds = { probe: async (c) => {
  if (c.throw) throw new Error(c.throw);
  try {
    const r = await fetch(c.url, { method: c.method ?? "GET", credentials: "include" });
    return { status: r.status };
  } catch (e) { return { error: e.name }; }
} };
</script>"#;

/// The requests that a server got: method, target, `Cookie`.
pub(crate) type Log = Arc<Mutex<Vec<(String, String, String)>>>;

/// `/open…` grants the asking origin everything, anything else nothing; `/login` sets a cookie,
/// `/login/chips` a partitioned one.
pub(crate) fn answer(request: &Request<Incoming>, log: &Log) -> Response<Full<Bytes>> {
    let header = |name: &str| request.headers().get(name).cloned();
    let text = |value: Option<HeaderValue>| {
        value.map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let target = request.uri().to_string();
    let line = (request.method().to_string(), target.clone(), text(header("cookie")));
    log.lock().unwrap().push(line);
    let mut response = Response::new(Full::from(PAGE));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/html"));
    if target.starts_with("/open")
        && let Some(origin) = header("origin")
    {
        headers.insert("access-control-allow-origin", origin);
        headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        headers.insert("access-control-allow-methods", HeaderValue::from_static("PUT"));
    }
    if target.contains("/login") {
        let cookie = "sid=s3cret; Path=/; Secure; HttpOnly; SameSite=None";
        let partitioned = if target.contains("/chips") { "; Partitioned" } else { "" };
        let line = HeaderValue::from_str(&format!("{cookie}{partitioned}")).unwrap();
        headers.append("set-cookie", line);
    }
    if request.method() == Method::OPTIONS {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

pub(crate) async fn serve(tls: Option<TlsAcceptor>, log: Log) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let (tls, log) = (tls.clone(), Arc::clone(&log));
            let service = service_fn(move |request| {
                let response = answer(&request, &log);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let http = http1::Builder::new();
                match tls {
                    // A browser that distrusts the certificate breaks off.
                    Some(tls) => {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                    None => {
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
            });
        }
    });
    address
}

/// A page and a backend of two sites, over https on default ports.
pub(crate) struct Lab {
    pub(crate) launch: Launch,
    pub(crate) log: Log,
}

pub(crate) const APP: &str = "https://app.example.com/";
pub(crate) const API: &str = "https://api.example.net/";

impl Lab {
    pub(crate) async fn start() -> Self {
        let hosts = ["app.example.com", "api.example.net"];
        let certified = rcgen::generate_simple_self_signed(hosts.map(str::to_owned)).unwrap();
        let pins = pins(&certified);
        let log = Log::default();
        let tls = acceptor(&certified);
        let app = serve(Some(tls.clone()), Log::default()).await;
        let api = serve(Some(tls), Arc::clone(&log)).await;
        let launch = Launch {
            hosts: vec![
                ("app.example.com:443".to_owned(), app),
                ("api.example.net:443".to_owned(), api),
            ],
            trusted_keys: vec![pins.0],
            trusted_certificates: vec![pins.1],
            third_party_cookies: ThirdPartyCookies::Allow,
            ..Launch::default()
        };
        Self { launch, log }
    }

    pub(crate) async fn browser(&self, engine: Engine) -> Box<dyn Browser> {
        launch(engine, self.launch.clone()).await.unwrap()
    }

    pub(crate) fn took(&self) -> Vec<(String, String, String)> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

pub(crate) type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

/// The pin of the key, and the fingerprint of the certificate.
pub(crate) fn pins(certified: &Certified) -> (String, String) {
    use base64::Engine as _;
    use rcgen::PublicKeyData as _;
    use sha2::{Digest as _, Sha256};
    let key = Sha256::digest(certified.signing_key.subject_public_key_info());
    let certificate = Sha256::digest(certified.cert.der());
    let pairs: Vec<_> = certificate.iter().map(|byte| format!("{byte:02X}")).collect();
    (base64::engine::general_purpose::STANDARD.encode(key), pairs.join(":"))
}

pub(crate) fn acceptor(certified: &Certified) -> TlsAcceptor {
    let key = certified.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn call(method: &str, path: &str, probe: &str) -> Value {
    json!({"url": format!("{API}{path}?probe={probe}"), "method": method})
}

/// Processes that name a folder in their command line or environment.
pub(crate) fn users_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let texts = entries.flat_map(|entry| ["cmdline", "environ"].map(|f| entry.path().join(f)));
    let texts = texts.filter_map(|file| std::fs::read(file).ok());
    let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
    texts.filter(|text| text.contains(needle)).collect()
}
