//! What every engine can do, tried in every engine that is here, against tiny servers. Each test
//! exists once for each engine: `cargo test -p withcreds-harness --test engines -- firefox`.
#![expect(clippy::unwrap_used, reason = "a test, helpers included, fails by panicking")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use withcreds_harness::browser::{
    BrowserError, Engine, JarCookie, Launch, ThirdPartyCookies, launch,
};

use crate::lab::{API, APP, Lab, Log, call, pins, serve, users_of};

mod lab;

/// For each test; also how long a hang may last.
const DEADLINE: Duration = Duration::from_mins(2);

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
