//! What every engine can do, tried in every engine that is here, against tiny servers. Each test
//! exists once for each engine: `cargo test -p withcreds-harness --test engines -- firefox`.
#![expect(clippy::unwrap_used, reason = "a test, helpers included, fails by panicking")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use withcreds_harness::browser::{
    Browser, BrowserError, Engine, JarCookie, Launch, ThirdPartyCookies, launch,
};

/// For each test; also how long a hang may last.
const DEADLINE: Duration = Duration::from_mins(2);

const PAGE: &str = r#"<!doctype html><title>probe</title><script>
window.withcreds = { probe: async (c) => {
  if (c.throw) throw new Error(c.throw);
  try {
    const r = await fetch(c.url, { method: c.method ?? "GET", credentials: "include" });
    return { status: r.status };
  } catch (e) { return { error: e.name }; }
} };
</script>"#;

/// The requests that a server got: method, target, `Cookie`.
type Log = Arc<Mutex<Vec<(String, String, String)>>>;

/// `/open…` grants the asking origin everything, anything else nothing; `/login` sets a cookie,
/// `/login/chips` a partitioned one.
fn answer(request: &Request<Incoming>, log: &Log) -> Response<Full<Bytes>> {
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

async fn serve(tls: Option<TlsAcceptor>, log: Log) -> SocketAddr {
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
struct Lab {
    launch: Launch,
    log: Log,
}

const APP: &str = "https://app.example.com/";
const API: &str = "https://api.example.net/";

impl Lab {
    async fn start() -> Self {
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

    async fn browser(&self, engine: Engine) -> Box<dyn Browser> {
        launch(engine, self.launch.clone()).await.unwrap()
    }

    fn took(&self) -> Vec<(String, String, String)> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

/// The pin of the key, and the fingerprint of the certificate.
fn pins(certified: &Certified) -> (String, String) {
    use base64::Engine as _;
    use rcgen::PublicKeyData as _;
    use sha2::{Digest as _, Sha256};
    let key = Sha256::digest(certified.signing_key.subject_public_key_info());
    let certificate = Sha256::digest(certified.cert.der());
    let pairs: Vec<_> = certificate.iter().map(|byte| format!("{byte:02X}")).collect();
    (base64::engine::general_purpose::STANDARD.encode(key), pairs.join(":"))
}

fn acceptor(certified: &Certified) -> TlsAcceptor {
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

fn call(method: &str, path: &str, probe: &str) -> Value {
    json!({"url": format!("{API}{path}?probe={probe}"), "method": method})
}

/// Processes that name a folder in their command line or environment.
fn users_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let texts = entries.flat_map(|entry| ["cmdline", "environ"].map(|f| entry.path().join(f)));
    let texts = texts.filter_map(|file| std::fs::read(file).ok());
    let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
    texts.filter(|text| text.contains(needle)).collect()
}

async fn hosts_have_their_real_names_ports_and_certificates(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    assert!(browser.version().await.unwrap().chars().any(char::is_numeric));
    let page = browser.open(APP).await.unwrap();
    assert_eq!(
        page.evaluate("[location.href, document.title, isSecureContext]").await.unwrap(),
        json!([APP, "probe", true])
    );
    for nowhere in ["https://other.example.com/", "http://app.example.com/"] {
        let failed = browser.open(nowhere).await.map(|_| ());
        assert!(matches!(failed, Err(BrowserError::Page { .. })), "{nowhere}: {failed:?}");
    }
    let port = serve(None, Log::default()).await.port();
    for host in ["localhost", "127.0.0.1"] {
        let page = browser.open(&format!("http://{host}:{port}/")).await.unwrap();
        assert_eq!(page.evaluate("location.hostname").await.unwrap(), host);
    }
    let thrown = page.probe(&json!({"throw": "out of cheese"}), "t", &|_| true).await.map(|_| ());
    assert!(thrown.unwrap_err().to_string().contains("out of cheese"));
    drop(page);
    browser.close().await;
}

async fn a_certificate_that_is_not_listed_is_refused(engine: Engine) {
    let lab = Lab::start().await;
    let distrusting =
        Launch { trusted_keys: Vec::new(), trusted_certificates: Vec::new(), ..lab.launch.clone() };
    let browser = launch(engine, distrusting).await.unwrap();
    let failed = browser.open(APP).await.map(|_| ()).unwrap_err();
    assert!(matches!(failed, BrowserError::Page { .. }), "{failed}");
    browser.close().await;
    // One that trusts some certificate still refuses the others; WebKitGTK cannot.
    if engine != Engine::WebKit {
        let other = rcgen::generate_simple_self_signed(["other.example.com".to_owned()]).unwrap();
        let (key, certificate) = pins(&other);
        let mut trusting = lab.launch.clone();
        (trusting.trusted_keys, trusting.trusted_certificates) = (vec![key], vec![certificate]);
        let browser = launch(engine, trusting).await.unwrap();
        let failed = browser.open(APP).await.map(|_| ()).unwrap_err();
        assert!(matches!(failed, BrowserError::Page { .. }), "{failed}");
        browser.close().await;
    }
}

async fn the_evidence_agrees_with_the_wire(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let page = browser.open(APP).await.unwrap();
    let ask = async |method: &str, path: &str, probe: &str| {
        page.probe(&call(method, path, probe), probe, &|_| true).await.unwrap()
    };
    ask("POST", "open/login", "a1").await;
    lab.took();

    let (value, evidence) = ask("PUT", "open/me", "a2").await;
    assert_eq!(value["status"], 200, "{value}");
    let wire = lab.took();
    let methods: Vec<_> = wire.iter().map(|(method, ..)| method.as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "PUT"]);
    let cookies: Vec<_> = wire.iter().map(|(.., cookie)| cookie.as_str()).collect();
    assert_eq!(cookies, ["", "sid=s3cret"]);
    assert_eq!(evidence.is_some(), browser.sight().requests);
    if let Some(evidence) = evidence {
        assert!(evidence.complete && evidence.failure.is_none(), "{evidence:?}");
        let (preflight, request) = (evidence.preflight.unwrap(), evidence.request.unwrap());
        assert!(preflight.sent && preflight.cookie_header.is_none());
        assert_eq!(request.cookie_header.as_deref(), Some("sid=s3cret"));
        assert_eq!(request.status, Some(200));
    }

    // Sent with the cookie, but not to be read.
    let (value, evidence) = ask("GET", "closed", "a3").await;
    assert_eq!(value["error"], "TypeError", "{value}");
    assert_eq!(lab.took().len(), 1);
    assert_eq!(evidence.is_some(), browser.sight().cors_errors);
    if let Some(evidence) = evidence {
        assert!(evidence.complete && evidence.request.unwrap().sent);
        let name = evidence.failure.unwrap().cors_error.unwrap();
        assert!(name.contains("MissingAllowOrigin"), "{name}");
    }

    // A failed preflight: the request is announced, but never sent.
    let (_, evidence) = ask("PUT", "closed", "a4").await;
    assert_eq!(lab.took().len(), 1);
    if let Some(evidence) = evidence {
        assert!(evidence.complete && evidence.preflight.unwrap().sent);
        assert!(evidence.request.is_none_or(|leg| !leg.sent && leg.cookie_header.is_none()));
        let name = evidence.failure.unwrap().cors_error.unwrap();
        assert!(name.contains("MissingAllowOrigin"), "{name}");
    }

    // A host that is not mapped: no failure of CORS.
    let elsewhere = json!({"url": "https://elsewhere.example.org/?probe=a5"});
    let (value, evidence) = page.probe(&elsewhere, "a5", &|_| true).await.unwrap();
    assert_eq!(value["error"], "TypeError", "{value}");
    if let Some(evidence) = evidence {
        assert_eq!(evidence.failure.unwrap().cors_error, None);
    }
    drop(page);
    browser.close().await;
}

async fn a_jar_is_shown_filled_emptied_and_exchanged(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let documents = [API.to_owned()];
    let page = browser.open(APP).await.unwrap();
    page.probe(&call("POST", "open/login", "a1"), "a1", &|_| true).await.unwrap();
    let shown = browser.cookies(&documents).await.unwrap();
    let [cookie] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("sid", "s3cret"));
    assert!(cookie.secure && cookie.http_only && cookie.domain == "api.example.net", "{cookie:?}");
    assert_eq!(cookie.same_site.as_deref(), Some("None"));

    browser.clear_cookies(&documents).await.unwrap();
    assert_eq!(browser.cookies(&documents).await.unwrap(), []);
    let planted = JarCookie { value: "planted".to_owned(), ..cookie.clone() };
    browser.plant(API, &planted).await.unwrap();
    assert_eq!(browser.cookies(&documents).await.unwrap(), [planted]);
    lab.took();
    page.probe(&call("GET", "open/me", "a2"), "a2", &|_| true).await.unwrap();
    assert_eq!(lab.took()[0].2, "sid=planted");

    // A fresh start has neither cookies nor a way back.
    browser.isolate().await.unwrap();
    assert_eq!(browser.cookies(&documents).await.unwrap(), []);
    let fresh = browser.open(APP).await.unwrap();
    lab.took();
    fresh.probe(&call("GET", "open/me", "a3"), "a3", &|_| true).await.unwrap();
    assert_eq!(lab.took()[0].2, "");
    browser.isolate().await.unwrap();
    assert!(fresh.evaluate("1").await.is_err(), "what was open is closed");
    drop((page, fresh));
    browser.close().await;
}

/// Whatever the engine does with cookies of other sites out of the box: one that is in the jar is
/// sent, and one that is put back to where it was is sent again.
async fn a_cookie_goes_back_to_where_it_was(engine: Engine) {
    let mut lab = Lab::start().await;
    lab.launch.third_party_cookies = ThirdPartyCookies::Default;
    let browser = lab.browser(engine).await;
    let documents = [API.to_owned()];
    let page = browser.open(APP).await.unwrap();
    let sent = async |probe: &str| {
        lab.took();
        page.probe(&call("GET", "open/me", probe), probe, &|_| true).await.unwrap();
        lab.took().remove(0).2
    };
    for login in ["open/login", "open/login/chips"] {
        page.probe(&call("POST", login, "a1"), "a1", &|_| true).await.unwrap();
        let shown = browser.cookies(&documents).await.unwrap();
        let partition = shown.first().and_then(|cookie| cookie.partition_key.as_deref());
        let want = match (engine, login) {
            // Total Cookie Protection partitions whatever another site sets.
            (Engine::Firefox, _) => Some("https://app.example.com"),
            (Engine::Chromium, "open/login/chips") => Some("https://example.com"),
            _ => None,
        };
        assert_eq!(partition, want, "{login}: {shown:?}");
        let Some(cookie) = shown.first() else {
            assert_eq!(sent("a2").await, "", "{login}");
            continue;
        };
        assert_eq!(sent("a2").await, "sid=s3cret", "{login}");
        browser.clear_cookies(&documents).await.unwrap();
        assert_eq!(sent("a3").await, "", "{login}");
        let planted = JarCookie { value: "planted".to_owned(), ..cookie.clone() };
        browser.plant(API, &planted).await.unwrap();
        assert_eq!(browser.cookies(&documents).await.unwrap(), [planted], "{login}");
        assert_eq!(sent("a4").await, "sid=planted", "{login}");
        browser.clear_cookies(&documents).await.unwrap();
    }
    drop(page);
    browser.close().await;
}

async fn third_party_cookies_are_blocked_where_asked(engine: Engine) {
    let mut lab = Lab::start().await;
    lab.launch.third_party_cookies = ThirdPartyCookies::Block;
    let browser = lab.browser(engine).await;
    let page = browser.open(APP).await.unwrap();
    page.probe(&call("POST", "open/login", "a1"), "a1", &|_| true).await.unwrap();
    lab.took();
    page.probe(&call("GET", "open/me", "a2"), "a2", &|_| true).await.unwrap();
    assert_eq!(lab.took()[0].2, "");
    assert_eq!(browser.cookies(&[API.to_owned()]).await.unwrap(), []);
    drop(page);
    browser.close().await;
}

/// Whatever way a browser ends: its processes and its profile are gone. (What an interrupted run
/// leaves, displays included, is asked in `command.rs`.)
async fn nothing_is_left_behind(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let page = browser.open(APP).await.unwrap();
    let profile = browser.profile().to_owned();
    assert!(!users_of(&profile).is_empty(), "no process names its profile");
    // Pages last: they must not keep anything.
    drop(browser);
    gone(&profile);
    assert!(page.evaluate("1").await.is_err());

    let browser = lab.browser(engine).await;
    let profile = browser.profile().to_owned();
    browser.close().await;
    gone(&profile);

    let settings = lab.launch.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let browser = launch(engine, settings).await.unwrap();
        tell.send(browser.profile().to_owned()).unwrap();
        panic!("on purpose");
    });
    let profile = told.await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    gone(&profile);
}

/// A page's process may be killed, for want of memory say. Nothing waits for its answer then.
async fn a_page_whose_process_dies_is_noticed(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let page = browser.open(APP).await.unwrap();
    assert_eq!(page.evaluate("window.mark = 1").await.unwrap(), 1);
    let killing = async {
        // Until it waits in the page; several processes may be there in reserve.
        while page.evaluate("window.waits").await.is_ok_and(|waits| waits != true) {}
        for pid in page_processes(engine, browser.profile()) {
            let kill = std::process::Command::new("kill").args(["-9", &pid.to_string()]).output();
            assert!(kill.unwrap().status.success());
        }
        std::future::pending::<()>().await;
    };
    let asked = page.evaluate("(window.waits = true, new Promise(() => {}))");
    let answer = tokio::select! {
        answer = timeout(Duration::from_secs(15), asked) => answer.expect("noticed in time"),
        () = killing => unreachable!(),
    };
    assert!(matches!(answer, Err(BrowserError::Page { .. } | BrowserError::Gone)), "{answer:?}");
    assert!(page.evaluate("1").await.is_err());
    drop(page);
    browser.close().await;
}

fn page_processes(engine: Engine, profile: &Path) -> Vec<u32> {
    let is_page = |line: &str| match engine {
        Engine::Chromium => line.contains("--type=renderer"),
        Engine::Firefox => {
            line.contains("-contentproc") && line.trim_end_matches('\0').ends_with("tab")
        }
        Engine::WebKit => line.contains("WebKitWebProcess"),
    };
    let needle = profile.to_str().unwrap();
    let read = |pid: u32, file: &str| {
        let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |pid: &u32| {
        read(*pid, "cmdline").contains(needle) || read(*pid, "environ").contains(needle)
    };
    pids.filter(|pid| is_page(&read(*pid, "cmdline")) && ours(pid)).collect()
}

async fn a_script_whose_page_is_replaced_is_not_waited_for(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let page = browser.open(APP).await.unwrap();
    let asked =
        page.evaluate("(setTimeout(() => location.replace('/other')), new Promise(() => {}))");
    let answer = timeout(Duration::from_secs(15), asked).await.expect("noticed in time");
    assert!(matches!(answer, Err(BrowserError::Page { .. })), "{answer:?}");
    assert_eq!(page.evaluate("location.pathname").await.unwrap(), "/other");
    drop(page);
    browser.close().await;
}

async fn a_dropped_tab_is_closed(engine: Engine) {
    let lab = Lab::start().await;
    let browser = lab.browser(engine).await;
    let (one, other) = (browser.open(APP).await.unwrap(), browser.open(APP).await.unwrap());
    let listen = "void (window.c = new BroadcastChannel('c'), \
                  c.onmessage = (e) => e.data === 'ping' && c.postMessage('pong'))";
    one.evaluate(listen).await.unwrap();
    let answers = async || {
        let ask = "new Promise((told) => { const c = new BroadcastChannel('c'); \
                   c.onmessage = () => told(true); c.postMessage('ping'); setTimeout(told, 500, false); })";
        other.evaluate(ask).await.unwrap() == true
    };
    assert!(answers().await);
    drop(one);
    while answers().await {}
    drop(other);
    browser.close().await;
}

fn gone(profile: &Path) {
    assert!(!profile.exists(), "{}", profile.display());
    assert_eq!(users_of(profile), [] as [&str; 0], "{}", profile.display());
}

async fn a_program_that_is_no_browser_fails_fast(engine: Engine) {
    let binary = Some("/bin/false".into());
    let failed = launch(engine, Launch { binary, ..Launch::default() }).await.map(|_| ());
    let failed = failed.unwrap_err();
    assert!(matches!(failed, BrowserError::Launch { .. }), "{failed}");
    assert!(failed.to_string().contains("/bin/false"), "{failed}");
}

/// One test for each engine; without the engine it is skipped, unless it is demanded.
macro_rules! in_every_engine {
    ($($test:ident)*) => {
        in_every_engine!(@engine chromium Chromium: $($test)*);
        in_every_engine!(@engine firefox Firefox: $($test)*);
        in_every_engine!(@engine webkit WebKit: $($test)*);
    };
    (@engine $name:ident $engine:ident: $($test:ident)*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let _turn = TURN.lock().await;
                    if let Err(error) = Engine::$engine.check(None) {
                        assert!(!Engine::$engine.is_demanded(), "{error}");
                        eprintln!("skipped: {error}");
                        return;
                    }
                    timeout(DEADLINE, super::$test(Engine::$engine)).await.unwrap();
                }
            )*
        }
    };
}

/// One browser at a time: what is left behind could not be told apart otherwise.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

in_every_engine! {
    hosts_have_their_real_names_ports_and_certificates
    a_certificate_that_is_not_listed_is_refused
    the_evidence_agrees_with_the_wire
    a_jar_is_shown_filled_emptied_and_exchanged
    a_cookie_goes_back_to_where_it_was
    third_party_cookies_are_blocked_where_asked
    a_page_whose_process_dies_is_noticed
    a_script_whose_page_is_replaced_is_not_waited_for
    a_dropped_tab_is_closed
    nothing_is_left_behind
    a_program_that_is_no_browser_fails_fast
}
