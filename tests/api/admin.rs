use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use withcreds::{Config, Server};

use crate::support::{Client, EVIL, FRONTEND, TestApp};

#[tokio::test]
async fn health_and_metrics_are_for_operators_only() {
    let app = TestApp::start().await;
    for (path, status, content_type, body) in [
        ("/healthz", 200, "text/plain; charset=utf-8", "alive"),
        ("/readyz", 200, "application/json", r#"{"ready":true}"#),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "withcreds_build_info"),
        ("/", 404, "application/json", "not_found"),
        ("/api/auth/session", 404, "application/json", "not_found"),
    ] {
        let answer = app.admin(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains(body), "{path}: {answer:?}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
        if status == 200 {
            let answer = app.client().send("GET", path, &[], "").await;
            assert_eq!(answer.code(), "not_found", "{path} for users");
        }
    }
    let answer = Client { addr: app.admin, ..app.client() }.send("POST", "/readyz", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"));
}

/// `name → (type, labels)`.
type Table = BTreeMap<String, (String, BTreeSet<String>)>;

/// As the service itself says it.
fn served(text: &str) -> Table {
    let mut table = Table::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            table.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((series, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|name| table.contains_key(*name))
                .unwrap_or(name);
            let (_, known) = table.get_mut(family).unwrap_or_else(|| panic!("no type: {line}"));
            let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|l| l.0);
            known.extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    table
}

/// As the documentation says it.
fn documented(text: &str) -> Table {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    text.lines()
        .filter(|line| line.starts_with("| `withcreds_"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(cell).collect();
            let labels = cells[3].split(',').map(cell).filter(|label| !label.is_empty());
            (cells[1].clone(), (cells[2].clone(), labels.collect()))
        })
        .collect()
}

#[tokio::test]
async fn what_is_served_is_documented_and_the_other_way_round() {
    let app = TestApp::start().await;
    let served = served(&String::from_utf8_lossy(&app.admin("/metrics").await.body));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(file).expect("the table");
    assert!(served.len() > 15 && served.keys().all(|name| name.starts_with("withcreds_")));
    assert_eq!(served, documented(&text));
    // Each value of each label is explained there, too.
    let metrics = app.admin("/metrics").await.body;
    let metrics = String::from_utf8_lossy(&metrics);
    let values = metrics.split('"').skip(1).step_by(2);
    let names = values.filter(|v| v.parse::<f64>().is_err() && *v != "+Inf");
    for value in names.filter(|v| *v != env!("CARGO_PKG_VERSION")) {
        assert!(text.contains(&format!("`{value}`")), "{value} is not explained");
    }
}

#[tokio::test]
async fn events_are_counted() {
    let limit =
        "[rate_limit]\nlogin_attempts = 1\nlogin_window = '24h'\n[auth]\nlogin_page = '/in'";
    let app = TestApp::start_with(limit).await;
    let mut client = app.logged_in().await;
    let mut stranger = app.client();
    assert_eq!(stranger.log_in("demo", "wrong").await.code(), "invalid_credentials");
    assert_eq!(stranger.log_in("demo", "wrong").await.code(), "rate_limited");
    assert_eq!(client.session().await.status.as_u16(), 200);
    assert_eq!(stranger.session().await.status.as_u16(), 401);
    assert_eq!(client.send("POST", "/api/auth/logout", &[], "").await.code(), "csrf_failed");
    let forged = [("x-csrf-token", "forged")];
    assert_eq!(client.send("POST", "/api/auth/logout", &forged, "").await.code(), "csrf_failed");
    let foreign = Client { origin: Some(EVIL), ..client.clone() }
        .send("POST", "/api/auth/logout", &[], "")
        .await;
    assert_eq!(foreign.code(), "csrf_failed");
    let asks = [("access-control-request-method", "PUT")];
    for origin in [FRONTEND, EVIL] {
        stranger.origin = Some(origin);
        stranger.send("OPTIONS", "/", &asks, "").await;
    }
    stranger.send("GET", "/api/auth/login?return_url=https%3A%2F%2Fevil.example", &[], "").await;
    assert_eq!(app.metric("withcreds_sessions_live").await, 1);
    assert!(app.metric("withcreds_sessions_bytes").await > 100);
    assert_eq!(client.log_out().await.status.as_u16(), 200);

    for (series, want) in [
        (r#"withcreds_logins_total{by="password",outcome="ok"}"#, 1),
        (r#"withcreds_logins_total{by="password",outcome="failed"}"#, 1),
        (r#"withcreds_logins_total{by="password",outcome="limited"}"#, 1),
        (r#"withcreds_requests_total{route="session",status="2xx"}"#, 1),
        (r#"withcreds_requests_total{route="session",status="4xx"}"#, 1),
        (r#"withcreds_requests_total{route="logout",status="4xx"}"#, 3),
        (r#"withcreds_requests_total{route="logout",status="2xx"}"#, 1),
        (r#"withcreds_requests_total{route="preflight",status="2xx"}"#, 1),
        (r#"withcreds_requests_total{route="login",status="3xx"}"#, 1),
        (r#"withcreds_preflights_total{outcome="granted"}"#, 1),
        (r#"withcreds_preflights_total{outcome="origin_not_allowed"}"#, 1),
        (r#"withcreds_csrf_failures_total{reason="token_missing"}"#, 1),
        (r#"withcreds_csrf_failures_total{reason="token_invalid"}"#, 1),
        (r#"withcreds_csrf_failures_total{reason="foreign_origin"}"#, 1),
        (r#"withcreds_sessions_ended_total{cause="logout"}"#, 1),
        ("withcreds_return_urls_refused_total", 1),
        ("withcreds_sessions_live", 0),
        ("withcreds_panics_total", 0),
        ("withcreds_ready", 1),
        // A look-up in memory waits for nothing.
        (r#"withcreds_request_wait_seconds_count{route="session"}"#, 0),
        // Each request here has a connection of its own.
        ("withcreds_connections_accepted_total", 12),
    ] {
        assert_eq!(app.metric(series).await, want, "{series}");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_service_that_cannot_serve() {
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let redis = format!("[session]\nstore = 'redis'\n[redis]\nurl = 'redis://{address}'\n");
    let provider = format!("[oidc]\nissuer = 'http://{address}'\nclient_id = 'x'\n");
    let accounts = tempfile::tempdir().expect("a folder");
    let users = accounts.path().join("users.toml");
    std::fs::write(&users, "").expect("write");
    for (case, sections, why) in [
        ("no store", redis, "store_never_reached"),
        ("no provider", provider, "provider_never_reached"),
    ] {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = ['127.0.0.1:0']\n[dev]\nenabled = true\n[cors]\nallow_origins = ['{FRONTEND}']\n{sections}"
        );
        let config = Config::parse(&text, Path::new("test.toml")).expect("a good configuration");
        let server = Server::bind(&config).await.expect("free ports");
        let admin = server.admin_addresses()[0];
        let running = tokio::spawn(server.run_until(std::future::pending()));
        let mut operator = Client { addr: admin, origin: None, cookies: Vec::new(), csrf: None };
        let answer = operator.send("GET", "/readyz", &[], "").await;
        assert_eq!(answer.status.as_u16(), 503, "{case}: {answer:?}");
        assert_eq!(answer.json(), serde_json::json!({ "ready": false, "why": [why] }), "{case}");
        let answer = operator.send("GET", "/healthz", &[], "").await;
        assert_eq!(answer.status.as_u16(), 200, "{case}: it lives all the same");
        running.abort();
    }
}

#[tokio::test]
async fn a_taken_admin_port_stops_production_only() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let server = format!("[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = ['{address}']\n");
    let dev = format!("{server}[dev]\nenabled = true\n[cors]\nallow_origins = ['{FRONTEND}']\n");
    let config = Config::parse(&dev, Path::new("test.toml")).expect("a good configuration");
    let started = Server::bind(&config).await.expect("development goes on");
    let missing = started.admin_missing().expect("and says so").to_string();
    assert!(missing.contains(&address.to_string()) && missing.contains("mend:"), "{missing}");

    let production = format!(
        "{server}public_origin = 'https://api.example.com'\n[cors]\nallow_origins = ['https://app.example.com']\n[auth]\nusers_file = 'peers-users.toml'\n"
    );
    let config = Config::parse(&production, Path::new("tests/benches/withcreds.toml"));
    let error = Server::bind(&config.expect("a good configuration")).await.expect_err("taken");
    assert!(error.to_string().contains("server.admin_listen"), "{error}");
}
