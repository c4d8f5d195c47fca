//! Signing in at a certified OpenID provider in a real browser: the frontend on one origin, the
//! service on another, the provider on a third and on another site.

mod provider;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headless_chrome::Tab;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use withcreds::{Config, Server};
use withcreds_harness::browser::{Chromium, Launch, find_binary};

use provider::Provider;

/// Same site, another origin.
const APP: &str = "http://app.shop.test";
const API: &str = "http://api.shop.test";

const PAGE: &str = r#"<!doctype html><title>shop</title><p id="frontend">the shop</p><script>
window.ask = async (path, init) => {
  const answer = await fetch("http://api.shop.test" + path, init);
  return { status: answer.status, ...await answer.json() };
};
</script>"#;

/// What the provider knows about the service.
fn client(service: SocketAddr) -> Value {
    json!({
        "client_id": "shop",
        "client_secret": "correct horse battery staple",
        "redirect_uris": [format!("{API}/api/auth/callback")],
        "post_logout_redirect_uris": [format!("{APP}/")],
        "grant_types": ["authorization_code", "refresh_token"],
        "backchannel_logout_uri": format!("http://{service}/api/auth/backchannel-logout"),
        "backchannel_logout_session_required": true,
    })
}

async fn frontend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_: Request<_>| async {
                let page = Response::builder().header("content-type", "text/html");
                page.body(Full::new(Bytes::from_static(PAGE.as_bytes())))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn service(issuer: &str) -> SocketAddr {
    let text = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = '{API}'\n\
         [cors]\nallow_origins = ['{APP}']\nallow_methods = ['*']\nallow_headers = ['*']\n\
         dangerous_allow_insecure_origins = true\n\
         [dev]\nenabled = true\n[token]\nexpose = true\n\
         [oidc]\nissuer = '{issuer}'\nclient_id = 'shop'\n\
         client_secret = 'correct horse battery staple'\n\
         scopes = ['profile', 'email', 'offline_access']\nparams = {{ prompt = 'consent' }}"
    );
    let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
    let server = Server::bind(&config).await.expect("a free port");
    let address = server.addr().expect("an address");
    tokio::spawn(server.run_until(std::future::pending()));
    address
}

/// The value of an expression. It comes as text: headless_chrome fetches no objects.
fn value(tab: &Tab, js: &str) -> Value {
    let text = format!("(async () => JSON.stringify(await ({js}) ?? null))()");
    let answer = tab.evaluate(&text, true).unwrap_or_else(|e| panic!("{js}: {e}")).value;
    let text = answer.as_ref().and_then(Value::as_str).unwrap_or("null");
    serde_json::from_str(text).expect("JSON")
}

fn ask(tab: &Tab, path: &str, init: &str) -> Value {
    value(tab, &format!("ask('{path}', {init})"))
}

fn shown(tab: &Tab, selector: &str) {
    if let Err(error) = tab.wait_for_element(selector) {
        let page = tab.get_content().unwrap_or_default();
        panic!("{selector} at {}: {error}\n{page}", tab.get_url());
    }
}

fn click(tab: &Tab, selector: &str) {
    shown(tab, selector);
    tab.find_element(selector).expect(selector).click().expect(selector);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_another_site_and_the_frontend_has_a_session() {
    if let Err(error) = find_binary(None) {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let Some(mut provider) = Provider::start().await else {
        assert!(std::env::var_os("CI").is_none(), "no node or no oidc-provider: run .ci/setup");
        eprintln!("skipped: no node or no oidc-provider (run .ci/setup)");
        return;
    };
    let service = service(&provider.issuer).await;
    provider.register(client(service), 30).await;
    let hosts = vec![
        ("app.shop.test:80".to_owned(), frontend().await),
        ("api.shop.test:80".to_owned(), service),
    ];
    let browser = Chromium::launch(Launch { hosts, ..Launch::default() }).await.expect("a browser");
    let tab = browser.tab_api().new_tab().expect("a tab");
    let issuer = provider.issuer.clone();
    let used = {
        let tab = Arc::clone(&tab);
        tokio::task::spawn_blocking(move || sign_in(&tab, &issuer)).await
    };
    used.expect("no panic");
    let names: Vec<_> =
        browser.cookies().await.expect("cookies").into_iter().map(|cookie| cookie.name).collect();
    assert!(names.contains(&"session".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("login-")), "used up: {names:?}");
    let used = tokio::task::spawn_blocking(move || log_out(&tab)).await;
    used.expect("no panic");
    let cookies = browser.cookies().await.expect("cookies");
    assert!(!cookies.iter().any(|cookie| cookie.name == "session"), "{cookies:?}");
    browser.close().await;
}

fn sign_in(tab: &Tab, issuer: &str) {
    tab.navigate_to(&format!("{APP}/")).expect("navigate");
    shown(tab, "#frontend");
    let answer = ask(tab, "/api/auth/session", "{ credentials: 'include' }");
    assert_eq!((&answer["status"], &answer["code"]), (&json!(401), &json!("no_session")));

    // The page sends the browser away, as a frontend does when it reads that 401.
    let back = "encodeURIComponent('http://app.shop.test/welcome?a=b')";
    let login = format!("'{API}/api/auth/login?login_hint=ada&return_url=' + {back}");
    tab.evaluate(&format!("void (location.href = {login})"), false).expect("go");
    shown(tab, "input[name=login]");
    assert!(tab.get_url().starts_with(issuer), "{}", tab.get_url());
    tab.find_element("input[name=login]").expect("a field").click().expect("click");
    value(tab, "document.querySelector('input[name=login]').value = ''");
    tab.type_str("ada").expect("type");
    tab.find_element("input[name=password]").expect("a field").click().expect("click");
    tab.type_str("any").expect("type");
    click(tab, "button[type=submit]");
    shown(tab, "input[name=prompt][value=consent]");
    click(tab, "button[type=submit]");

    // Back from another site: the cookies of the attempt came along, SameSite or not.
    shown(tab, "#frontend");
    assert_eq!(tab.get_url(), format!("{APP}/welcome?a=b"));
    let session = ask(tab, "/api/auth/session", "{ credentials: 'include' }");
    assert_eq!((&session["status"], &session["userId"]), (&json!(200), &json!("ada")));
    assert_eq!(session["metadata"]["name"], "User ada");
    for init in ["{ credentials: 'omit' }", "{}"] {
        assert_eq!(ask(tab, "/api/auth/session", init)["status"], 401, "{init}");
    }

    // Ten at once while each is due: one refresh at a time, or the provider would see a theft.
    let token = "ask('/api/auth/token', { credentials: 'include' })";
    let statuses = value(
        tab,
        &format!("Promise.all(Array.from({{ length: 10 }}, () => {token}.then(t => t.status)))"),
    );
    assert_eq!(statuses, json!(vec![200; 10]));
    assert!(value(tab, token)["accessToken"].is_string());
    assert_eq!(value(tab, "document.cookie"), "", "another host's cookies");
}

fn log_out(tab: &Tab) {
    let init = "{ method: 'POST', credentials: 'include', headers: { 'X-CSRF-TOKEN': token } }";
    let logout = format!(
        "ask('/api/auth/session', {{ credentials: 'include' }}).then(({{ csrfToken: token }}) => ask('/api/auth/logout', {init}))"
    );
    let answer = value(tab, &logout);
    assert_eq!(answer["status"], 200, "{answer}");
    let url = answer["logoutUrl"].as_str().expect("a URL");
    tab.evaluate(&format!("void (location.href = {url:?})"), false).expect("go");
    // The provider asks whether to end the session there, too.
    click(tab, "button[name=logout][value=yes]");
    shown(tab, "#frontend");
    assert_eq!(tab.get_url(), format!("{APP}/"));
    let answer = ask(tab, "/api/auth/session", "{ credentials: 'include' }");
    assert_eq!((&answer["status"], &answer["code"]), (&json!(401), &json!("no_session")));
}

/// Without a provider, the same address shows a form that needs nothing from anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_with_the_plain_form() {
    if let Err(error) = find_binary(None) {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let text = format!(
        "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = '{API}'\n\
         [cors]\nallow_origins = ['{APP}']\ndangerous_allow_insecure_origins = true\n\
         [dev]\nenabled = true"
    );
    let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
    let server = Server::bind(&config).await.expect("a free port");
    let password = server.demo().expect("a demo account").password.expose().clone();
    let hosts = vec![
        ("app.shop.test:80".to_owned(), frontend().await),
        ("api.shop.test:80".to_owned(), server.addr().expect("an address")),
    ];
    tokio::spawn(server.run_until(std::future::pending()));
    let browser = Chromium::launch(Launch { hosts, ..Launch::default() }).await.expect("a browser");
    let tab = browser.tab_api().new_tab().expect("a tab");
    let used = tokio::task::spawn_blocking(move || use_form(&tab, &password)).await;
    used.expect("no panic");
    browser.close().await;
}

fn use_form(tab: &Tab, password: &str) {
    tab.navigate_to(&format!("{API}/api/auth/login?return_url=http%3A%2F%2Fapp.shop.test%2Fa"))
        .expect("navigate");
    for (attempt, then) in [("wrong", "output:not(:empty)"), (password, "#frontend")] {
        shown(tab, "input[name=password]");
        value(tab, "document.querySelector('form').reset()");
        click(tab, "input[name=username]");
        tab.type_str("demo").expect("type");
        click(tab, "input[name=password]");
        tab.type_str(attempt).expect("type");
        click(tab, "button");
        shown(tab, then);
    }
    assert_eq!(tab.get_url(), format!("{APP}/a"));
    assert_eq!(ask(tab, "/api/auth/session", "{ credentials: 'include' }")["userId"], "demo");
}
