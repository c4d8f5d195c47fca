use std::collections::HashMap;

use http::StatusCode;
use serde_json::json;
use url::Url;

use crate::provider::{Fault, Provider};
use crate::support::{Browser, FRONTEND, TestApp};

#[tokio::test]
async fn a_user_signs_in_and_arrives_where_they_wanted_to() {
    let claims = "[oidc.claims]\ntenant_id = 'org'\nmetadata = ['name', 'email', 'amr']";
    let oidc = "scopes = ['email', 'offline_access']\nparams = { prompt = 'consent' }\nhint_params = { idp_hint = 'kc_idp_hint' }";
    let app = TestApp::start_with(oidc, claims).await;
    app.provider.claim("org", json!("acme"));
    app.provider.claim("amr", json!(["pwd"]));
    app.provider.says("org", json!("evil"));
    let mut browser = app.browser();

    let there = "http%3A%2F%2Flocalhost%3A3000%2Fa%3Fb%3Dc";
    let login = format!(
        "/api/auth/login?return_url={there}&login_hint=ada%40example.com&idp_hint=x&tenant_name=y&other=z"
    );
    let answer = browser.get(&login).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let authorize = answer.location();
    let query: HashMap<_, _> = authorize.query_pairs().into_owned().collect();
    assert_eq!(query["redirect_uri"], "http://localhost:8080/api/auth/callback");
    assert_eq!(query["scope"], "openid email offline_access");
    assert_eq!(query["login_hint"], "ada@example.com");
    assert_eq!((&*query["prompt"], &*query["kc_idp_hint"]), ("consent", "x"));
    assert!(!authorize.as_str().contains("tenant"), "nobody asked for it: {authorize}");
    assert_eq!(browser.attempts(), 1);
    assert_eq!(browser.session().await.code(), "no_session");

    let back = app.provider.sign_in(&authorize);
    let answer = browser.visit(&back).await;
    assert_eq!(answer.header("location"), "http://localhost:3000/a?b=c");
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(browser.attempts(), 0, "used up");
    let session = browser.session().await.json();
    assert_eq!((&session["userId"], &session["tenantId"]), (&json!("user-1"), &json!("acme")));
    let metadata = json!({ "name": "Ada Lovelace", "email": "ada@example.com", "amr": ["pwd"] });
    assert_eq!(session["metadata"], metadata);

    // The same URL once more, as the back button has it: no session for a used code.
    let mut other = browser.clone();
    other.cookies.clear();
    let again = other.visit(&back).await;
    assert!(!again.sets("session"), "{again:?}");
    assert_eq!(again.location().path(), "/authorize");
}

#[tokio::test]
async fn a_login_gives_a_new_session_and_ends_the_old_one() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in().await;
    let mut before = browser.clone();
    assert_eq!(app.sign_in(&mut browser, "/api/auth/login").await.status, StatusCode::FOUND);
    assert_ne!(browser.cookies, before.cookies);
    assert_eq!(browser.session().await.status, StatusCode::OK);
    assert_eq!(before.session().await.code(), "revoked");
}

/// The way back is a navigation from another site, which brings no strict cookie along.
#[tokio::test]
async fn a_login_ends_the_old_session_though_its_cookie_stays_behind() {
    let bring_no_session = |browser: &mut Browser| {
        browser.cookies.retain(|(name, _)| name != "session");
    };
    for (same_site, retries, want) in
        [("strict", false, "revoked"), ("strict", true, "revoked"), ("lax", false, "")]
    {
        let app = TestApp::start_with("", &format!("[session]\nsame_site = '{same_site}'")).await;
        let mut browser = app.signed_in().await;
        let mut before = browser.clone();
        let secret = before.cookies.iter().find(|(name, _)| name == "session").cloned();
        let login = browser.get("/api/auth/login").await;
        bring_no_session(&mut browser);
        assert!(browser.attempts() == 1 && secret.is_some());
        assert!(!browser.cookies.iter().any(|(_, v)| v.contains(&secret.as_ref().unwrap().1)));
        let mut back = app.provider.sign_in(&login.location());
        if retries {
            app.provider.misbehave(Fault::InvalidGrant);
            back = app.provider.sign_in(&browser.visit(&back).await.location());
            app.provider.misbehave(Fault::Nothing);
            assert_eq!(before.session().await.status, StatusCode::OK, "nobody has logged in yet");
        }
        assert!(browser.visit(&back).await.sets("session"), "{same_site}");
        assert_eq!(browser.session().await.status, StatusCode::OK, "{same_site}");
        let session = before.session().await.json();
        assert_eq!(session["code"].as_str().unwrap_or(""), want, "{same_site}, retry: {retries}");
    }
}

#[tokio::test]
async fn return_urls_lead_to_listed_places_only() {
    let more = "[return_url]\ndefault = '/home'\nallowed_origins = ['http://localhost:3000']";
    let app = TestApp::start_with("", more).await;
    for (asked, want) in [
        ("", "/home"),
        ("?return_url=%2Fa%2520b", "/a%20b"),
        // As the stock client sends a page with a blank: encoded twice, decoded once.
        ("?return_url=http%3A%2F%2Flocalhost%3A3000%2Fa%2520b", "http://localhost:3000/a%20b"),
        ("?return_url=http%253A%252F%252Flocalhost%253A3000%252F", "/home"),
        ("?return_url=https%3A%2F%2Fevil.example", "/home"),
        ("?return_url=%2F%2Fevil.example", "/home"),
        ("?return_url=%2F%5Cevil.example", "/home"),
        ("?return_url=javascript%3Aalert(1)", "/home"),
        ("?return_url=%2Fapi%2Fauth%2Flogout", "/home"),
        (&format!("?return_url=%2F{}", "a".repeat(5000)), "/home"),
    ] {
        let answer = app.sign_in(&mut app.browser(), &format!("/api/auth/login{asked}")).await;
        assert_eq!(answer.header("location"), want, "{asked}");
        assert!(answer.sets("session"), "{asked}: the login went on");
    }
    for twice in
        ["return_url=/&return_url=/", "login_hint=a&login_hint=a", "login_hint=a&x&login%5Fhint=b"]
    {
        let answer = app.browser().get(&format!("/api/auth/login?{twice}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (400, "invalid_query"), "{twice}");
    }
}

#[tokio::test]
async fn an_answer_for_another_browser_signs_nobody_in() {
    let app = TestApp::start().await;
    let mut attacker = app.browser();
    let login = attacker.get("/api/auth/login").await;
    let back = app.provider.sign_in(&login.location());

    // The victim follows the attacker's link, with and without an attempt of their own.
    let mut victim = app.browser();
    for _ in 0..2 {
        let answer = victim.visit(&back).await;
        assert!(!answer.sets("session"), "{answer:?}");
        assert_eq!(victim.session().await.code(), "no_session");
    }
    assert_eq!(app.provider.hits("/token"), 0, "the code is not even looked at");
    assert!(attacker.visit(&back).await.sets("session"), "it was good");
}

#[tokio::test]
async fn one_retry_and_never_a_loop() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let login = browser.get("/api/auth/login?return_url=%2Fthere").await;
    let back = app.provider.sign_in(&login.location());
    app.provider.misbehave(Fault::InvalidGrant);
    let answer = browser.visit(&back).await;
    let again = app.provider.sign_in(&answer.location());
    assert_eq!(browser.attempts(), 1, "the first is used up");

    let mut unlucky = browser.clone();
    unlucky.visit(&again).await.assert_error_page(400, "login_stale", "twice");
    assert_eq!(unlucky.attempts(), 0);
    app.provider.misbehave(Fault::Nothing);
    let answer = browser.visit(&again).await;
    assert_eq!(answer.header("location"), "/there", "the second attempt knows where to go");
    assert!(answer.sets("session"));

    // A browser that keeps no cookies: the count comes along in the state.
    let mut forgetful = app.browser();
    let mut visits = 0;
    let mut answer = forgetful.get("/api/auth/login").await;
    while answer.status == StatusCode::FOUND {
        visits += 1;
        assert!(visits < 5, "a loop");
        forgetful.cookies.clear();
        let back = app.provider.sign_in(&answer.location());
        answer = forgetful.visit(&back).await;
    }
    answer.assert_error_page(400, "login_stale", "no cookies");
    assert_eq!(visits, 2);
}

#[tokio::test]
async fn what_comes_back_instead_of_a_code() {
    let app = TestApp::start().await;
    let answers = |browser: &Browser, authorize: &Url, error: &str| {
        let (mut back, mut browser) = (app.provider.sign_in(authorize), browser.clone());
        let state = back.query_pairs().find(|(name, _)| name == "state").expect("a state");
        let state = state.1.into_owned();
        back.query_pairs_mut().clear().append_pair("error", error).append_pair("state", &state);
        async move {
            let answer = browser.visit(&back).await;
            (browser, answer)
        }
    };
    for (error, recoverable, status, code) in [
        ("access_denied", false, 403, "login_denied"),
        ("invalid_scope", false, 502, "provider_failed"),
        ("<script>", false, 502, "provider_failed"),
        ("login_required", true, 503, "provider_unreachable"),
        ("temporarily_unavailable", true, 503, "provider_unreachable"),
    ] {
        let mut browser = app.browser();
        let login = browser.get("/api/auth/login").await;
        let (mut browser, mut answer) = answers(&browser, &login.location(), error).await;
        if recoverable {
            (browser, answer) = answers(&browser, &answer.location(), error).await;
        }
        answer.assert_error_page(status, code, error);
        assert!(!answer.text().contains("<script>"));
        assert_eq!(browser.attempts(), 0, "{error}");
    }
    for (case, path) in [
        ("nothing", "/api/auth/callback"),
        ("no state", "/api/auth/callback?code=c"),
        ("a foreign state", "/api/auth/callback?code=c&state=x"),
        ("a hostile state", "/api/auth/callback?code=c&state=%0d%0aSet-Cookie%3a+a%3db"),
    ] {
        app.browser().get(path).await.assert_error_page(400, "login_stale", case);
    }
    let twice = app.browser().get("/api/auth/callback?state=a&state=b").await;
    assert_eq!((twice.status.as_u16(), &*twice.code()), (400, "invalid_query"));
    let posted = app.browser().send("POST", "/api/auth/callback", &[], "").await;
    assert_eq!((posted.status.as_u16(), posted.header("allow")), (405, "GET"));
}

/// RFC 9207: whoever answers says who they are.
#[tokio::test]
async fn an_answer_of_another_provider_is_refused() {
    let app = TestApp::start().await;
    for iss in [None, Some("https://evil.example"), Some("")] {
        let mut browser = app.browser();
        let login = browser.get("/api/auth/login").await;
        let back = app.provider.sign_in(&login.location());
        let kept: Vec<_> = back
            .query_pairs()
            .filter(|(name, _)| name != "iss")
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect();
        let mut forged = back.clone();
        forged.query_pairs_mut().clear().extend_pairs(kept);
        if let Some(iss) = iss {
            forged.query_pairs_mut().append_pair("iss", iss);
        }
        browser.visit(&forged).await.assert_error_page(502, "provider_failed", "iss");
    }
    assert_eq!(app.provider.hits("/token"), 0, "no code was sent anywhere");
}

#[tokio::test]
async fn three_tabs_may_sign_in_at_once() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let mut backs = Vec::new();
    for n in 0..5 {
        let login = browser.get(&format!("/api/auth/login?return_url=%2F{n}")).await;
        backs.push(app.provider.sign_in(&login.location()));
        assert_eq!(browser.attempts(), (n + 1).min(3));
    }
    // Not in the order in which they began.
    for n in [4, 2, 3] {
        let answer = browser.visit(&backs[n]).await;
        assert_eq!(answer.header("location"), format!("/{n}"));
    }
    assert!(!browser.visit(&backs[0]).await.sets("session"), "pushed out");
}

#[tokio::test]
async fn keys_roll_over_and_made_up_tokens_do_not_hammer_the_provider() {
    let app = TestApp::start().await;
    app.signed_in().await;
    app.signed_in().await;
    assert_eq!(
        (app.provider.hits("/jwks"), app.provider.hits("/.well-known/openid-configuration")),
        (1, 1)
    );
    app.provider.roll_over("second");
    app.signed_in().await;
    app.signed_in().await;
    assert_eq!(app.provider.hits("/jwks"), 2);

    app.provider.misbehave(Fault::ForeignKey);
    for _ in 0..5 {
        let answer = app.sign_in(&mut app.browser(), "/api/auth/login").await;
        answer.assert_error_page(502, "provider_failed", "a foreign key");
    }
    assert_eq!(app.provider.hits("/jwks"), 2, "looked for new keys a moment ago");
}

/// Under the same name there may be another key: a provider that restarts with fresh ones.
#[tokio::test]
async fn a_key_that_changed_under_its_name_is_read_again() {
    let app = TestApp::start().await;
    app.signed_in().await;
    app.provider.roll_over("first");
    app.signed_in().await;
    assert_eq!(app.provider.hits("/jwks"), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_stops_logins_and_nothing_else() {
    let gone = Provider::start().await;
    let mut elsewhere = gone.clone();
    // A port where nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    elsewhere.addr = listener.local_addr().expect("an address");
    drop(listener);
    let app = TestApp::start_beside(elsewhere, "", "").await;
    let answer = app.browser().get("/api/auth/login").await;
    answer.assert_error_page(503, "provider_unreachable", "down");
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(app.browser().session().await.code(), "no_session");
}

#[tokio::test]
async fn endpoints_can_be_written_out() {
    let provider = Provider::start().await;
    let issuer = provider.issuer();
    let oidc = format!(
        "authorize_url = '{issuer}/authorize'\ntoken_url = '{issuer}/token'\njwks_url = '{issuer}/jwks'"
    );
    let app = TestApp::start_beside(provider, &oidc, "").await;
    app.signed_in().await;
    assert_eq!(app.provider.hits("/.well-known/openid-configuration"), 0);
    assert_eq!(app.provider.hits("/userinfo"), 0);
}

#[tokio::test]
async fn without_a_provider_there_is_a_form_or_a_page() {
    let start = async |more: &str| {
        let text = format!(
            "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\n[cors]\nallow_origins = ['{FRONTEND}']\n[dev]\nenabled = true\n{more}"
        );
        let config =
            withcreds::Config::parse(&text, std::path::Path::new("test.toml")).expect("good");
        let server = withcreds::Server::bind(&config).await.expect("a free port");
        let addr = server.addr().expect("an address");
        tokio::spawn(server.run_until(std::future::pending()));
        crate::support::Browser::at(addr)
    };
    let mut browser = start("").await;
    let form = browser.get("/api/auth/login?return_url=%2F%22%3E%3Cscript%3E").await;
    assert_eq!(form.status, StatusCode::OK);
    let (policy, page) = (form.header("content-security-policy"), form.text());
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(page.contains("data-return-to=\"/%22%3E%3Cscript%3E\""), "{page}");
    assert_eq!(form.header("cache-control"), "no-store");
    for path in ["/api/auth/callback?code=a&state=b", "/api/auth/token"] {
        assert_eq!(browser.get(path).await.code(), "not_found", "{path}");
    }
    let answer = browser.send("POST", "/api/auth/backchannel-logout", &[], "").await;
    assert_eq!(answer.code(), "not_found");

    let mut browser = start("[auth]\nlogin_page = 'http://localhost:3000/login?x=1#y'").await;
    for (query, want) in [
        ("", "http://localhost:3000/login?x=1#y"),
        ("?return_url=%2Fa%26b", "http://localhost:3000/login?x=1&return_url=%2Fa%26b#y"),
        (
            "?return_url=https%3A%2F%2Fevil.example",
            "http://localhost:3000/login?x=1&return_url=http%3A%2F%2Flocalhost%3A3000%2F#y",
        ),
    ] {
        let answer = browser.get(&format!("/api/auth/login{query}")).await;
        assert_eq!(answer.location(), Url::parse(want).expect("a URL"), "{query}");
    }
}

#[tokio::test]
async fn a_full_store_is_said_on_a_page() {
    let app = TestApp::start_with("", "[session]\nmax_sessions = 1").await;
    app.signed_in().await;
    let mut browser = app.browser();
    let answer = app.sign_in(&mut browser, "/api/auth/login").await;
    answer.assert_error_page(503, "store_full", "no room");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(browser.attempts(), 0);
}
