//! The browser layer against a real Chromium and two tiny servers.
#![cfg(feature = "chromium")]
#![expect(clippy::unwrap_used, reason = "a test, helpers included, fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, PublicKeyData};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use withcreds_harness::browser::{BrowserError, Chromium, Launch, Page, ThirdPartyCookies};

const PAGE: &str = r#"<!doctype html><title>probe</title><script>
window.withcreds = { probe: async (c) => {
  if (c.throw) throw new Error(c.throw);
  try {
    const r = await fetch(c.url, { method: c.method ?? "GET", credentials: c.credentials,
                                   headers: c.headers ?? {} });
    return { status: r.status, body: await r.text() };
  } catch (e) { return { error: String(e) }; }
} };
</script>"#;

const FRAME: &str = r#"<!doctype html><script>
fetch("http://api.shop.test/closed?probe=PROBE", { credentials: "include" })
  .catch((e) => parent.postMessage(String(e), "*"));
</script>"#;

type Answer = Response<Full<Bytes>>;

async fn serve(answer: fn(&Request<Incoming>) -> Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let service =
                service_fn(move |r| async move { Ok::<_, std::convert::Infallible>(answer(&r)) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// `/frame?fetch=ID` asks the backend by itself, everything else is the page for probes.
fn frontend(request: &Request<Incoming>) -> Answer {
    let page = match request.uri().query().and_then(|query| query.strip_prefix("fetch=")) {
        Some(probe) => FRAME.replace("PROBE", probe),
        None => PAGE.to_owned(),
    };
    Response::builder().header("content-type", "text/html").body(page.into()).unwrap()
}

/// `/open…` grants the asking origin everything, anything else grants nothing.
fn backend(request: &Request<Incoming>) -> Answer {
    let mut response = Response::new(Full::from("hello"));
    let path = request.uri().path();
    let headers: &mut HeaderMap = response.headers_mut();
    if path.starts_with("/open")
        && let Some(origin) = request.headers().get("origin")
    {
        headers.insert("access-control-allow-origin", origin.clone());
        headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        headers.insert("access-control-allow-methods", HeaderValue::from_static("PUT"));
        headers.insert("access-control-allow-headers", HeaderValue::from_static("x-probe"));
    }
    if path.ends_with("/login") {
        for line in ["sid=s3cret; HttpOnly; Path=/", "theme=dark; Path=/", "bad=1; Secure; Path=/"]
        {
            headers.append("set-cookie", HeaderValue::from_static(line));
        }
    }
    if path.ends_with("/away") {
        headers.insert("location", HeaderValue::from_static("/open/landed"));
        *response.status_mut() = StatusCode::FOUND;
    }
    if request.method() == Method::OPTIONS {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

struct Lab {
    chromium: Chromium,
    page: Page,
}

impl Lab {
    /// `http://app.shop.test` and `http://api.shop.test`: cross-origin, same-site.
    async fn start() -> Self {
        let hosts = vec![
            ("app.shop.test:80".to_owned(), serve(frontend).await),
            ("api.shop.test:80".to_owned(), serve(backend).await),
            ("widget.other.test".to_owned(), serve(frontend).await),
        ];
        let third_party_cookies = ThirdPartyCookies::Allow;
        let launch = Launch { hosts, third_party_cookies, ..Launch::default() };
        let began = Instant::now();
        let chromium = Chromium::launch(launch).await.unwrap();
        let launched = began.elapsed();
        let page = chromium.open("http://app.shop.test/").await.unwrap();
        eprintln!("launched in {launched:?}, first page after {:?}", began.elapsed());
        Self { chromium, page }
    }
}

fn call(method: &str, path: &str, probe: &str) -> Value {
    let url = format!("http://api.shop.test{path}?probe={probe}");
    json!({"url": url, "method": method, "credentials": "include"})
}

fn nobody_uses(profile: &Path) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().all(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        !String::from_utf8_lossy(&line).contains(profile.to_str().unwrap())
            || entry.file_name().to_str() == Some(&std::process::id().to_string())
    })
}

fn assert_nothing_left(profile: &Path) {
    assert!(!profile.exists(), "{} is still there", profile.display());
    assert!(nobody_uses(profile), "a process still uses {}", profile.display());
}

fn assert_send_sync<T: Send + Sync>(_: &T) {}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_credentialed_cross_origin_fetches() {
    let Lab { chromium, page } = Lab::start().await;
    assert_send_sync(&page);
    assert_send_sync(&chromium);
    let profile = chromium.profile_path().to_owned();
    let version = chromium.version().await.unwrap();
    assert!(version.starts_with("Chrom") && version.contains('.'), "{version}");

    // Log in: one cookie line of three is refused.
    let (value, login) = page.probe(&call("GET", "/open/login", "a1"), "a1").await.unwrap();
    assert_eq!(value["status"], 200, "{value}");
    let leg = login.request.unwrap();
    assert!(login.complete && leg.sent && login.preflight.is_none() && login.failure.is_none());
    assert_eq!(leg.cookie_header, None);
    let lines =
        leg.response_headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    assert_eq!(lines.count(), 3, "{:?}", leg.response_headers);
    assert_eq!(leg.refused_set_cookies[0].line, "bad=1; Secure; Path=/");
    assert_eq!(leg.refused_set_cookies[0].reasons, ["SecureOnly"]);

    // With a preflight: the cookie is on the actual request, not on the preflight.
    let mut put = call("PUT", "/open/me", "a2");
    put["headers"] = json!({"x-probe": "1"});
    let (value, evidence) = page.probe(&put, "a2").await.unwrap();
    assert_eq!(value["body"], "hello", "{value}");
    let preflight = evidence.preflight.unwrap();
    assert!(evidence.complete && preflight.sent);
    assert_eq!((preflight.method.as_str(), preflight.status), ("OPTIONS", Some(204)));
    assert_eq!(preflight.cookie_header, None);
    let leg = evidence.request.unwrap();
    assert_eq!(leg.cookie_header.as_deref(), Some("sid=s3cret; theme=dark"));
    assert_eq!(leg.cookies.len(), 2);
    assert!(leg.cookies.iter().all(|cookie| cookie.blocked.is_empty()));

    // Sent with the cookie, but not to be read: the server grants nothing.
    let (value, evidence) = page.probe(&call("GET", "/closed", "a3"), "a3").await.unwrap();
    assert_eq!(value["error"], "TypeError: Failed to fetch");
    assert!(evidence.complete && evidence.request.as_ref().unwrap().sent);
    assert_eq!(evidence.request.unwrap().cookie_header.as_deref(), Some("sid=s3cret; theme=dark"));
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.cors_error.as_deref(), Some("MissingAllowOriginHeader"));

    // A failed preflight: the actual request is announced, but never sent.
    let (_, evidence) = page.probe(&call("PUT", "/closed", "a4"), "a4").await.unwrap();
    assert!(evidence.complete && evidence.preflight.unwrap().sent);
    assert!(!evidence.request.unwrap().sent);
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.cors_error.as_deref(), Some("PreflightMissingAllowOriginHeader"));

    // Credentials left out, although the jar has a match.
    let mut omit = call("GET", "/open/me", "a5");
    omit["credentials"] = json!("omit");
    let (_, evidence) = page.probe(&omit, "a5").await.unwrap();
    let leg = evidence.request.unwrap();
    assert!(leg.sent && leg.cookie_header.is_none() && leg.cookies.is_empty());

    // A redirect: two hops, each with its own headers.
    let (value, evidence) = page.probe(&call("GET", "/open/away", "a6"), "a6").await.unwrap();
    assert_eq!(value["status"], 200, "{value}");
    let statuses: Vec<_> = evidence.hops.iter().map(|hop| hop.status).collect();
    assert_eq!(statuses, [Some(302), Some(200)]);
    assert!(evidence.complete && evidence.hops.iter().all(|hop| hop.sent));

    // A host that is not mapped resolves nowhere.
    let url = "http://elsewhere.example/?probe=a7";
    let elsewhere = json!({"url": url, "credentials": "include"});
    let (_, evidence) = page.probe(&elsewhere, "a7").await.unwrap();
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.net_error, "net::ERR_NAME_NOT_RESOLVED");
    assert!(failure.cors_error.is_none() && !evidence.request.unwrap().sent);

    let jar = chromium.cookies().await.unwrap();
    let sid = jar.iter().find(|cookie| cookie.name == "sid").unwrap();
    assert_eq!((sid.domain.as_str(), sid.http_only), ("api.shop.test", true));
    chromium.clear_cookies().await.unwrap();
    assert!(chromium.cookies().await.unwrap().is_empty());

    let png = page.screenshot().await.unwrap();
    assert_eq!(&png[..4], b"\x89PNG");
    let began = Instant::now();
    page.close().await.unwrap();
    eprintln!("page closed in {:?}", began.elapsed());
    let began = Instant::now();
    chromium.close().await;
    eprintln!("closed in {:?}", began.elapsed());
    assert_nothing_left(&profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_probes_at_once_do_not_mix() {
    let Lab { chromium, page } = Lab::start().await;
    let profile = chromium.profile_path().to_owned();
    let other = chromium.open("http://app.shop.test/other").await.unwrap();
    let warm = page.probe(&call("GET", "/open/login", "w"), "w").await.unwrap();
    assert!(warm.1.complete);

    let mut times = Vec::new();
    for n in 0..50 {
        let id = format!("s{n}");
        let began = Instant::now();
        let (_, evidence) = page.probe(&call("PUT", "/open/me", &id), &id).await.unwrap();
        times.push(began.elapsed());
        assert!(evidence.complete && evidence.preflight.is_some());
    }
    times.sort();
    eprintln!("probe with preflight: median {:?}, slowest {:?}", times[25], times[49]);
    let mut times = Vec::new();
    for n in 0..50 {
        let id = format!("f{n}");
        let began = Instant::now();
        let (_, evidence) = page.probe(&call("PUT", "/closed", &id), &id).await.unwrap();
        times.push(began.elapsed());
        assert!(evidence.complete && evidence.failure.is_some());
    }
    times.sort();
    eprintln!("probe whose preflight fails: median {:?}, slowest {:?}", times[25], times[49]);
    let mut times = Vec::new();
    for n in 0..50 {
        let id = format!("g{n}");
        let began = Instant::now();
        let (_, evidence) = page.probe(&call("GET", "/closed", &id), &id).await.unwrap();
        times.push(began.elapsed());
        assert!(evidence.complete && evidence.request.unwrap().sent);
    }
    times.sort();
    eprintln!("probe refused by CORS: median {:?}, slowest {:?}", times[25], times[49]);

    let began = Instant::now();
    let one = |n: usize| {
        let page = if n.is_multiple_of(2) { &page } else { &other };
        async move {
            let id = format!("m{n}");
            let path = if n.is_multiple_of(3) { "/closed" } else { "/open/me" };
            let (value, evidence) = page.probe(&call("PUT", path, &id), &id).await.unwrap();
            (n, value, evidence)
        }
    };
    let results = futures_util::future::join_all((0..200).map(one)).await;
    eprintln!("200 probes on two pages: {:?}", began.elapsed());
    for (n, value, evidence) in results {
        let refused = n.is_multiple_of(3);
        assert!(evidence.complete, "{n}: {evidence:?}");
        assert!(evidence.preflight.is_some(), "{n}");
        assert_eq!(value.get("error").is_some(), refused, "{n}: {value}");
        let leg = evidence.request.unwrap();
        assert!(leg.url.ends_with(&format!("probe=m{n}")));
        assert_eq!(leg.sent, !refused, "{n}");
    }
    // Plain drop, pages last: nothing may be left all the same.
    let began = Instant::now();
    drop(chromium);
    eprintln!("dropped in {:?}", began.elapsed());
    assert_nothing_left(&profile);
    assert!(matches!(page.evaluate("1").await, Err(BrowserError::Gone)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_is_gone_at_once() {
    let Lab { chromium, page } = Lab::start().await;
    let profile = chromium.profile_path().to_owned();
    let kill = format!("kill -KILL {}", chromium.pid());
    let waiting = page.evaluate("new Promise(() => {})");
    let killing = async {
        // The script is running once this answers.
        page.evaluate("1").await.unwrap();
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        Instant::now()
    };
    let (waited, killed) = tokio::join!(waiting, killing);
    assert!(matches!(waited, Err(BrowserError::Gone)), "{waited:?}");
    assert!(matches!(page.probe(&json!({}), "x").await, Err(BrowserError::Gone)));
    assert!(matches!(page.evidence("x").await, Err(BrowserError::Gone)));
    assert!(matches!(chromium.open("about:blank").await, Err(BrowserError::Gone)));
    assert!(matches!(chromium.cookies().await, Err(BrowserError::Gone)));
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    eprintln!("all calls failed {:?} after the kill", killed.elapsed());
    let began = Instant::now();
    drop(chromium);
    eprintln!("dropped in {:?}", began.elapsed());
    assert_nothing_left(&profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_leaves_nothing_behind() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let Lab { chromium, page: _page } = Lab::start().await;
        tell.send(chromium.profile_path().to_owned()).unwrap();
        panic!("on purpose");
    });
    let profile = told.await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    assert_nothing_left(&profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_hangs_is_ended_within_a_bound() {
    let Lab { chromium, page: _page } = Lab::start().await;
    let profile = chromium.profile_path().to_owned();
    let stop = format!("kill -STOP {}", chromium.pid());
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    let began = Instant::now();
    chromium.close().await;
    eprintln!("a stopped browser was closed in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_nothing_left(&profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_fail_say_why() {
    let Lab { chromium, page } = Lab::start().await;
    let text = |outcome: Result<(), BrowserError>| outcome.unwrap_err().to_string();

    let thrown = page.probe(&json!({"throw": "out of cheese"}), "t").await.map(|_| ());
    assert!(text(thrown).contains("out of cheese"));
    let unresolved = chromium.open("http://nowhere.example/").await.map(|_| ());
    assert!(text(unresolved).contains("net::ERR_NAME_NOT_RESOLVED"));

    // Loopback works without being mapped, by all its names.
    let port = serve(frontend).await.port();
    for host in ["localhost", "app.localhost", "127.0.0.1"] {
        page.navigate(&format!("http://{host}:{port}/")).await.unwrap();
        assert_eq!(page.evaluate("location.hostname").await.unwrap(), host);
    }

    // A crash ends what is waiting, not after the deadline but at once.
    let began = Instant::now();
    let crashed = page.navigate("chrome://crash").await;
    assert!(matches!(crashed, Err(BrowserError::Page { .. })), "{crashed:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crates_tab_works_beside_the_tap() {
    let Lab { chromium, page } = Lab::start().await;
    let api = chromium.tab_api().clone();
    let title = tokio::task::spawn_blocking(move || {
        let tab = api.new_tab().unwrap();
        tab.navigate_to("http://app.shop.test/").unwrap().wait_until_navigated().unwrap();
        tab.get_title().unwrap()
    });
    assert_eq!(title.await.unwrap(), "probe");
    let (_, evidence) = page.probe(&call("PUT", "/open/me", "b1"), "b1").await.unwrap();
    assert!(evidence.complete);
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_the_crates_browser_does_not_keep_the_process() {
    let Lab { chromium, page: _page } = Lab::start().await;
    let profile = chromium.profile_path().to_owned();
    let clone = chromium.tab_api().clone();
    let tap = chromium.tap().clone();
    drop(chromium);
    assert_nothing_left(&profile);
    assert!(tap.call(None, "Browser.getVersion", json!({})).await.is_err());
    drop(clone);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_frames_are_seen_also_in_other_processes() {
    let Lab { chromium, page } = Lab::start().await;
    let embed = |frame: &str| {
        format!(
            r#"new Promise((done) => {{
                const frame = document.createElement("iframe");
                {frame}
                window.onmessage = (message) => done(message.data);
                document.body.append(frame);
            }})"#
        )
    };
    let send = |probe: &str| {
        format!(
            r#"<script>fetch("http://api.shop.test/closed?probe={probe}", {{credentials: "include"}})
               .catch((e) => parent.postMessage(String(e), "*"))</script>"#
        )
    };
    let inline = |probe: &str| json!(send(probe)).to_string().replace("</", "<\\/");
    for (probe, frame) in [
        ("f1", format!(r#"frame.sandbox = "allow-scripts"; frame.srcdoc = {}"#, inline("f1"))),
        ("f2", format!("frame.srcdoc = {}", inline("f2"))),
        ("f3", format!(r#"frame.src = "data:text/html," + encodeURIComponent({})"#, inline("f3"))),
        ("f4", r#"frame.src = "http://widget.other.test/frame?fetch=f4""#.to_owned()),
        ("f5", r#"frame.sandbox = "allow-scripts"; frame.src = "/frame?fetch=f5""#.to_owned()),
    ] {
        let failed = page.evaluate(&embed(&frame)).await.unwrap();
        assert_eq!(failed, "TypeError: Failed to fetch", "{probe}");
        let evidence = page.evidence(probe).await.unwrap();
        assert!(evidence.complete, "{probe}: {evidence:?}");
        assert!(evidence.request.unwrap().sent, "{probe}");
        let failure = evidence.failure.unwrap();
        assert_eq!(failure.cors_error.as_deref(), Some("MissingAllowOriginHeader"), "{probe}");
    }
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_only_if_its_key_is_listed() {
    let name = "app.shop.example";
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let pin = STANDARD.encode(Sha256::digest(signing_key.subject_public_key_info()));
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hosts = vec![(format!("{name}:443"), listener.local_addr().unwrap())];
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A browser that distrusts the certificate breaks off.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service =
                    service_fn(|r| async move { Ok::<_, std::convert::Infallible>(frontend(&r)) });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });

    let url = format!("https://{name}/");
    let trusting = Launch { hosts, trusted_keys: vec![pin], ..Launch::default() };
    let distrusting = Launch { trusted_keys: Vec::new(), ..trusting.clone() };
    let chromium = Chromium::launch(trusting).await.unwrap();
    let page = chromium.open(&url).await.unwrap();
    assert_eq!(
        page.evaluate("[document.title, isSecureContext]").await.unwrap(),
        json!(["probe", true])
    );
    chromium.close().await;
    let chromium = Chromium::launch(distrusting).await.unwrap();
    let failed = chromium.open(&url).await.map(|_| ()).unwrap_err().to_string();
    assert!(failed.contains("net::ERR_CERT_AUTHORITY_INVALID"), "{failed}");
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_browser_fails_fast() {
    let binary = Some("/bin/false".into());
    let began = Instant::now();
    let failed = Chromium::launch(Launch { binary, ..Launch::default() }).await;
    assert!(matches!(failed.err(), Some(BrowserError::Launch { .. })));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
