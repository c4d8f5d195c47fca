//! What Wristband's React client does towards a backend, in a real browser: the fixture page
//! `react-client.html` does the same. Logged out, logged in, expired and with a dead provider, on one
//! site and across two: it never loops through the login, and never stays in loading.

mod provider;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headless_chrome::Tab;
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption::Png;
use http::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use withcreds::effects::{Clock, SystemClock};
use withcreds::policy::session::UnixMillis;
use withcreds::{App, Config, Fixture, LocalAccounts, Origin};
use withcreds_harness::browser::{Chromium, Launch, ThirdPartyCookies, find_binary};
use withcreds_harness::lab::Certificate;

use provider::Provider;

/// Longer than the idle timeout of these services.
const TOO_LONG: Duration = Duration::from_mins(11);
/// How long access tokens last, in seconds: less than sessions do.
const TOKEN_TTL: u64 = 300;

/// Where the page and the service are; `host:port` as the browser has to map them.
struct Place {
    name: &'static str,
    page: &'static str,
    page_at: &'static str,
    service: &'static str,
    service_at: &'static str,
    session: &'static str,
    /// Whether scripts of the page see the service's cookies.
    shares_cookies: bool,
}

/// One host, two ports: cross-origin, same-site, and one cookie jar for scripts.
const SAME_SITE: Place = Place {
    name: "same-site",
    page: "https://shop.test",
    page_at: "shop.test:443",
    service: "https://shop.test:8443",
    service_at: "shop.test:8443",
    session: "",
    shares_cookies: true,
};

const CROSS_SITE: Place = Place {
    name: "cross-site",
    page: "https://shop.test",
    page_at: "shop.test:443",
    service: "https://api.backend.test",
    service_at: "api.backend.test:443",
    session: "same_site = 'none'\ndangerous_allow_cross_site = true\n",
    shares_cookies: false,
};

/// The machine's time, moved on by the test.
#[derive(Clone, Default)]
struct MovedClock(Arc<(SystemClock, AtomicU64)>);

impl MovedClock {
    fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.0.1.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> UnixMillis {
        let ahead = Duration::from_millis(self.0.1.load(Ordering::SeqCst));
        self.0.0.now().after(ahead)
    }
}

/// What came to the service, preflights left out: `GET /api/auth/session` and the status.
#[derive(Clone, Default)]
struct Wire {
    seen: Arc<Mutex<Vec<(String, u16)>>>,
    /// What every session answer is replaced with, to see that these tests can fail.
    spoil: Arc<Mutex<Option<(StatusCode, &'static str)>>>,
}

impl Wire {
    fn take(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.seen.lock().expect("no panic"))
    }

    fn spoil(&self, with: Option<(StatusCode, &'static str)>) {
        *self.spoil.lock().expect("no panic") = with;
    }

    fn note(&self, asked: &str, response: Response) -> Response {
        let spoil = *self.spoil.lock().expect("no panic");
        let response = match spoil.filter(|_| asked == "GET /api/auth/session") {
            Some((status, body)) => {
                let (mut parts, _) = response.into_parts();
                parts.status = status;
                parts.headers.remove(CONTENT_LENGTH);
                Response::from_parts(parts, Bytes::from_static(body.as_bytes()).into())
            }
            None => response,
        };
        // The browser asks for an icon by itself.
        if asked.contains(" /api/") && !asked.starts_with("OPTIONS") {
            let status = response.status().as_u16();
            self.seen.lock().expect("no panic").push((asked.to_owned(), status));
        }
        response
    }
}

/// Serves an origin over TLS until the test ends.
async fn open(tls: TlsAcceptor, filter: BoxedFilter<(Response,)>, wire: Wire) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, filter, wire) = (tls.clone(), filter.clone(), wire.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = service_fn(move |request: Request<_>| {
                    let (filter, wire) = (filter.clone(), wire.clone());
                    async move {
                        let asked = format!("{} {}", request.method(), request.uri().path());
                        let Ok(response) = warp::service(filter).call(request).await;
                        Ok::<_, Infallible>(wire.note(&asked, response))
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// The service, the page and a browser that knows both.
struct World {
    place: Place,
    clock: MovedClock,
    wire: Wire,
    browser: Chromium,
    tab: Arc<Tab>,
}

impl World {
    async fn start(place: Place, issuer: &str) -> Self {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = '{}'\n\
             [cors]\nallow_origins = ['{}']\nallow_headers = ['content-type', 'x-csrf-token']\n\
             [session]\nidle_timeout = '10m'\n{}\
             [dev]\nenabled = true\n[token]\nexpose = true\n\
             [oidc]\nissuer = '{issuer}'\nclient_id = 'shop'\n\
             client_secret = 'correct horse battery staple'\n\
             scopes = ['profile', 'offline_access']\nparams = {{ prompt = 'consent' }}",
            place.service, place.page, place.session
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
        let (clock, wire) = (MovedClock::default(), Wire::default());
        let accounts = Arc::new(LocalAccounts::none().expect("no account"));
        let app = Arc::new(App::new(&config, accounts).with_clock(clock.clone()));
        let backend: Origin = place.service.parse().expect("an origin");
        let fixture = Fixture::find(backend).expect("frontend-fixture/ is one folder up");
        let hosts = [place.page, place.service]
            .map(|origin| origin.split([':', '/']).nth(3).expect("a host").to_owned());
        let certificate = Certificate::for_hosts(hosts.to_vec()).expect("a certificate");
        let tls = || certificate.acceptor();
        let page = open(tls(), fixture.filter().boxed(), Wire::default()).await;
        let service = open(tls(), withcreds::service(app).boxed(), wire.clone()).await;
        let browser = Chromium::launch(Launch {
            hosts: vec![(place.page_at.to_owned(), page), (place.service_at.to_owned(), service)],
            trusted_keys: vec![certificate.key_pin().to_owned()],
            third_party_cookies: ThirdPartyCookies::Allow,
            ..Launch::default()
        })
        .await
        .expect("a browser");
        let tab = browser.tab_api().new_tab().expect("a tab");
        Self { place, clock, wire, browser, tab }
    }

    /// The page's address. Nothing in it is percent-encoded: the client encodes it twice, and what
    /// is decoded once comes back as another address.
    fn url(&self) -> String {
        format!(
            "{}/react-client.html?view=orders&backend={}#12",
            self.place.page, self.place.service
        )
    }

    fn staying_url(&self) -> String {
        self.url().replace("view=orders", "redirect=off")
    }

    fn shown(&self, selector: &str) {
        if let Err(error) = self.tab.wait_for_element(selector) {
            let page = self.tab.get_content().unwrap_or_default();
            let (seen, url) = (self.wire.take(), self.tab.get_url());
            panic!("{}, {selector} at {url}: {error}\n{seen:#?}\n{page}", self.place.name);
        }
    }

    fn click(&self, selector: &str) {
        self.shown(selector);
        self.tab.find_element(selector).expect(selector).click().expect(selector);
    }

    /// The value of an expression. It comes as text: headless_chrome fetches no objects.
    fn value(&self, js: &str) -> Value {
        let text = format!("(async () => JSON.stringify(await ({js}) ?? null))()");
        let answer = self.tab.evaluate(&text, true).unwrap_or_else(|e| panic!("{js}: {e}")).value;
        let text = answer.as_ref().and_then(Value::as_str).unwrap_or("null");
        serde_json::from_str(text).expect("JSON")
    }

    fn text(&self, selector: &str) -> Value {
        self.value(&format!("document.querySelector('{selector}').textContent"))
    }

    /// Goes to an address; the page may be gone again before it has loaded, so that is not awaited.
    fn go(&self, url: &str) {
        // By way of another document: from the same page with the same fragment nothing would load.
        self.tab
            .navigate_to("about:blank")
            .expect("navigate")
            .wait_until_navigated()
            .expect("load");
        self.wire.take();
        self.tab.navigate_to(url).expect("navigate");
    }

    /// Everything that came to the service, by route and status.
    #[track_caller]
    fn came(&self, want: &[(&str, u16)]) {
        let seen = self.wire.take();
        let seen: Vec<_> = seen
            .iter()
            .map(|(asked, status)| (asked.trim_start_matches("GET /api/auth/"), *status))
            .collect();
        assert_eq!(seen, want, "{}", self.place.name);
    }

    fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let png = self.tab.capture_screenshot(Png, None, None, true).expect("a picture");
        let file = format!("react-client-{}-{name}.png", self.place.name);
        std::fs::write(folder.join(file), png).expect("write");
    }
}

/// What the provider knows about the service.
fn client(place: &Place) -> Value {
    json!({
        "client_id": "shop",
        "client_secret": "correct horse battery staple",
        "redirect_uris": [format!("{}/api/auth/callback", place.service)],
        "post_logout_redirect_uris": [format!("{}/", place.page)],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

async fn from_login_to_a_dead_provider(place: Place) {
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
    provider.register(client(&place), TOKEN_TTL).await;
    let world = World::start(place, &provider.issuer).await;
    let used = tokio::task::spawn_blocking(move || {
        logged_out_then_in(&world);
        tokens(&world);
        the_page_shows_what_would_be_wrong(&world);
        expired(&world);
        Handle::current().block_on(provider.end());
        provider_dies(&world);
        signs_out(&world);
        world
    });
    used.await.expect("no panic").browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_client_works_unchanged_on_one_site() {
    from_login_to_a_dead_provider(SAME_SITE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_client_works_unchanged_across_sites() {
    from_login_to_a_dead_provider(CROSS_SITE).await;
}

fn logged_out_then_in(world: &World) {
    // Told to stay, it says so, and stays.
    world.go(&world.staying_url());
    world.shown("[data-auth=UNAUTHENTICATED]");
    assert_eq!(world.text("#error"), "UNAUTHENTICATED: [HTTP Error] Status: 401");
    world.screenshot("signed-out");
    world.came(&[("session", 401)]);

    // Left to itself it goes to the login, once, and the login leads back to the very address.
    world.go(&world.url());
    world.shown("input[name=login]");
    world.came(&[("session", 401), ("login", 302)]);
    world.click("input[name=login]");
    world.tab.type_str("ada").expect("type");
    world.click("input[name=password]");
    world.tab.type_str("any").expect("type");
    world.click("button[type=submit]");
    world.shown("input[name=prompt][value=consent]");
    world.click("button[type=submit]");
    world.shown("[data-auth=AUTHENTICATED]");
    world.came(&[("callback", 302), ("session", 200)]);
    assert_eq!(world.tab.get_url(), world.url());
    assert_eq!(world.text("#user"), "ada");
    assert_eq!(world.text("#tenant"), "default", "never blank: the client would stay in loading");
    assert!(world.text("#metadata").as_str().expect("text").contains("User ada"));
    world.screenshot("signed-in");

    // And again: there is nothing to go anywhere for. Where scripts see the CSRF cookie, it comes
    // along in a header, and the preflight lets it.
    world.go(&world.url());
    world.shown("[data-auth=AUTHENTICATED]");
    world.came(&[("session", 200)]);
    let last = world.value("JSON.parse(sessionStorage.getItem('react-client-journal')).at(-1)");
    assert_eq!(last["csrf"], world.place.shares_cookies, "{last}");
    let cookies = world.value("document.cookie");
    assert!(!cookies.as_str().expect("text").contains('%'), "{cookies}");
}

fn tokens(world: &World) {
    // All at once, and then once more: one request, and what it gave is kept.
    let tokens = "Promise.all([1, 2, 3, 4, 5].map(() => client.getToken()))";
    let tokens = world.value(tokens);
    let first = tokens[0].as_str().expect("a token");
    assert!(!first.is_empty() && tokens.as_array().expect("five").iter().all(|t| t == first));
    world.click("#get-token");
    world.shown("#token[data-state=good]");
    world.came(&[("token", 200)]);
}

/// Two answers that this service never gives, to see that the tests above would notice.
fn the_page_shows_what_would_be_wrong(world: &World) {
    world.wire.spoil(Some((StatusCode::OK, r#"{"userId":"ada","tenantId":" "}"#)));
    world.go(&world.url());
    world.shown("#problem:not([hidden])");
    assert_eq!(world.text("#status"), "LOADING", "for ever");

    world.wire.spoil(Some((StatusCode::FORBIDDEN, "{}")));
    world.go(&world.url());
    world.shown("input[name=prompt][value=consent]");
    world.came(&[("session", 403), ("login", 302)]);
    world.wire.spoil(None);
}

fn expired(world: &World) {
    world.go(&world.url());
    world.shown("[data-auth=AUTHENTICATED]");
    world.clock.advance(TOO_LONG);
    let session =
        format!("fetch('{}/api/auth/session', {{ credentials: 'include' }})", world.place.service);
    let answer =
        world.value(&format!("{session}.then(async a => [a.status, (await a.json()).code])"));
    assert_eq!(answer, json!([401, "expired"]));
    // One way through the login, where the provider still knows its user, and back.
    world.go(&world.url());
    world.shown("input[name=prompt][value=consent]");
    world.came(&[("session", 401), ("login", 302)]);
    world.click("button[type=submit]");
    world.shown("[data-auth=AUTHENTICATED]");
    world.came(&[("callback", 302), ("session", 200)]);
    assert_eq!(world.tab.get_url(), world.url());
}

/// The session is the service's own: it needs no provider. A token that is due cannot be had; three
/// attempts, an error for the caller, and the user is still signed in.
fn provider_dies(world: &World) {
    world.clock.advance(Duration::from_secs(TOKEN_TTL));
    world.go(&world.url());
    world.shown("[data-auth=AUTHENTICATED]");
    world.click("#get-token");
    world.shown("#token[data-state=bad]");
    assert_eq!(world.text("#token"), "TOKEN_FETCH_FAILED: [HTTP Error] Status: 503");
    world.came(&[("session", 200), ("token", 503), ("token", 503), ("token", 503)]);
    assert_eq!(world.text("#status"), "AUTHENTICATED");
    world.go(&world.url());
    world.shown("[data-auth=AUTHENTICATED]");
    world.came(&[("session", 200)]);
}

/// The provider is still dead: the session ends here all the same, and the way to the login ends at
/// the browser's own error page, without another turn.
fn signs_out(world: &World) {
    world.click("#logout");
    if world.place.shares_cookies {
        world.shown("#main-frame-error");
        world.came(&[("logout", 302)]);
    } else {
        // A navigation from another site ends no session (SERVICE.md §3): there a script posts.
        world.shown("body:not(:has(main))");
        world.came(&[("logout", 403)]);
        world.go(&world.url());
        world.shown("[data-auth=AUTHENTICATED]");
        let service = world.place.service;
        let post = format!(
            "fetch('{service}/api/auth/session', {{ credentials: 'include' }}).then(a => a.json()).then(({{ csrfToken }}) =>
               fetch('{service}/api/auth/logout', {{ method: 'POST', credentials: 'include', headers: {{ 'X-CSRF-TOKEN': csrfToken }} }})).then(a => a.status)"
        );
        assert_eq!(world.value(&post), 200);
    }
    world.go(&world.staying_url());
    world.shown("[data-auth=UNAUTHENTICATED]");
    world.go(&world.url());
    world.shown("#main-frame-error");
    world.came(&[("session", 401), ("login", 302)]);
}

/// The service has never reached its provider: it says so on a page of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_never_there_ends_on_a_page_not_in_a_loop() {
    if let Err(error) = find_binary(None) {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    // Bound and closed again: nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let issuer = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let world = World::start(SAME_SITE, &issuer).await;
    let used = tokio::task::spawn_blocking(move || {
        world.go(&world.url());
        world.shown("a[href='/api/auth/login']");
        assert_eq!(world.text("h1"), "Signing in did not work");
        world.came(&[("session", 401), ("login", 503)]);
        world
    });
    used.await.expect("no panic").browser.close().await;
}
