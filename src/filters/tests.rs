use std::path::Path;

use http::StatusCode;

use super::*;
use crate::config::Config;
use crate::identity::{LocalAccounts, User};
use crate::policy::session::SessionSecret;
use crate::store::{NewSession, SessionStore as _, Store, Ticket};

const APP: &str = "http://localhost:3000";

fn app() -> Arc<App> {
    let config = Config::parse(crate::DEVELOPMENT, Path::new("development.toml")).unwrap();
    let accounts = Arc::new(LocalAccounts::single("ada", "pw", User::named("ada")).unwrap());
    Arc::new(App::new(&config, accounts))
}

#[tokio::test]
async fn even_a_panic_keeps_its_cors_headers() {
    let app = app();
    let service = chain(app, |_, _, _| async { panic!("on purpose") });
    for origin in [APP, "https://evil.example"] {
        let response = warp::test::request()
            .path("/api/auth/session")
            .header("origin", origin)
            .reply(&service)
            .await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), origin == APP);
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["code"], "internal");
        assert!(!body["detail"].as_str().unwrap().contains("on purpose"));
    }
}

#[tokio::test]
async fn a_preflight_meets_nothing_but_cors() {
    let app = app();
    let service = chain(app, |_, _, _| async { panic!("a preflight came through") });
    for (path, method, status) in [
        ("/api/auth/session", "GET", StatusCode::NO_CONTENT),
        ("/no/such/path", "PATCH", StatusCode::NO_CONTENT),
        ("/api/auth/session", "TRACE", StatusCode::FORBIDDEN),
    ] {
        let response = warp::test::request()
            .method("OPTIONS")
            .path(path)
            .header("origin", APP)
            .header("access-control-request-method", method)
            .header("cookie", "session=garbage")
            .reply(&service)
            .await;
        assert_eq!(response.status(), status, "{path} {method}");
        assert!(response.body().is_empty());
        assert!(!response.headers().contains_key("set-cookie"));
    }
}

/// The future of a whole request is ready at once where nothing has to wait: reads never leave the
/// thread they came in on.
#[test]
fn reading_a_session_never_waits() {
    let app = app();
    let Store::Memory(store) = &app.store else { panic!("memory is the default") };
    let ticket = Ticket::new(SessionSecret::from_random([7; 32]));
    let user = NewSession::of(User::named("ada"));
    let stored = store.add(ticket.key(), user, None, app.clock.now()).unwrap();
    let cookie = format!("session={}", app.store.cookie_value(&ticket, &stored));
    let service = service(app);
    for (cookie, status) in [("", 401), ("session=x", 401), (cookie.as_str(), 200)] {
        let request = warp::test::request().path("/api/auth/session").header("origin", APP);
        let mut reply = tokio_test::task::spawn(request.header("cookie", cookie).reply(&service));
        let response = tokio_test::assert_ready!(reply.poll());
        assert_eq!(response.status().as_u16(), status, "{cookie}");
    }
}
