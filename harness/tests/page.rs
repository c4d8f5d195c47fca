//! The fixture page, used as a person would: typing, clicking, reading. Driven through
//! headless_chrome's own tab, unlike the proof.

use std::path::Path;
use std::sync::Arc;

use headless_chrome::Tab;
use headless_chrome::protocol::cdp::Page::CaptureScreenshotFormatOption::Png;
use serde_json::{Value, json};
use withcreds_harness::browser::{Chromium, Launch, find_binary};
use withcreds_harness::lab::{Asker, Certificate, Stage, Topology};

/// The value of an expression. It comes as text: the crate fetches no objects.
fn value(tab: &Tab, js: &str) -> Value {
    let text = format!("(async () => JSON.stringify(await ({js}) ?? null))()");
    let answer = tab.evaluate(&text, true).unwrap_or_else(|e| panic!("{js}: {e}")).value;
    let text = answer.as_ref().and_then(Value::as_str).unwrap_or("null");
    serde_json::from_str(text).expect("JSON")
}

/// Waits inside the page until a condition holds: one call, where asking again and again from here
/// would take a tenth of a second each.
fn eventually(tab: &Tab, condition: &str) {
    let js = format!(
        "new Promise(done => {{ const until = Date.now() + 15000; const look = setInterval(() => {{
            const holds = Boolean({condition});
            if (holds || Date.now() > until) {{ clearInterval(look); done(holds); }}
        }}, 10); }})"
    );
    assert_eq!(value(tab, &js), true, "not within 15 s: {condition}");
}

fn click(tab: &Tab, selector: &str) {
    tab.find_element(selector).expect(selector).click().expect(selector);
}

fn screenshot(tab: &Tab, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let png = tab.capture_screenshot(Png, None, None, true).expect("a picture");
    std::fs::write(folder.join(format!("page-{name}.png")), png).expect("write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_sees_what_credentials_do() {
    if let Err(error) = find_binary(None) {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    // Started from harness/, the fixture is one folder up.
    let certificate =
        Certificate::for_hosts(vec!["app.example.com".to_owned()]).expect("a certificate");
    let stage = Stage::start(Topology::SameSite, &certificate).await.expect("a stage");
    let browser = Chromium::launch(Launch::default()).await.expect("a browser");
    let url = format!("{}/?backend={}", stage.origin(Asker::Page).expect("a page"), stage.backend);
    let (username, password) = (stage.username, stage.password());
    let tab = browser.tab_api().new_tab().expect("a tab");
    tokio::task::spawn_blocking(move || use_page(&tab, &url, username, &password))
        .await
        .expect("no panic");
    browser.close().await;
}

fn use_page(tab: &Arc<Tab>, url: &str, username: &str, password: &str) {
    let state =
        |name: &str| format!("document.querySelector('#session-state').dataset.state === '{name}'");
    let idle = "document.querySelector('#log').getAttribute('aria-busy') !== 'true'";
    tab.navigate_to(url).expect("navigate");
    eventually(tab, &format!("document.documentElement.dataset.ready && {}", state("out")));
    assert_eq!(value(tab, "document.querySelector('#relation').dataset.relation"), "same-site");
    screenshot(tab, "signed-out");

    for (attempt, end) in [("wrong", "out"), (password, "in")] {
        value(
            tab,
            "document.querySelector('#username').value = document.querySelector('#password').value = ''",
        );
        click(tab, "#username");
        tab.type_str(username).expect("type");
        click(tab, "#password");
        tab.type_str(attempt).expect("type");
        click(tab, "#login");
        eventually(tab, &format!("{idle} && {}", state(end)));
    }
    for (client, credentials, status) in [
        ("fetch", "omit", 401),
        ("xhr", "include", 200),
        ("axios-defaults", "include", 200),
        ("axios-create", "same-origin", 401),
    ] {
        click(tab, &format!("input[name=client][value={client}]"));
        click(tab, &format!("input[name=credentials][value={credentials}]"));
        click(tab, "#send");
        let newest = "document.querySelector('#log article.call')";
        eventually(
            tab,
            &format!(
                "{idle} && {newest}.dataset.client === '{client}' && {newest}.dataset.credentials === '{credentials}'"
            ),
        );
        let shown = value(
            tab,
            &format!(
                "[{newest}.dataset.status, {newest}.dataset.readable,
                  [...{newest}.querySelectorAll('[data-part]')].filter(part => part.textContent.length > 20).length]"
            ),
        );
        assert_eq!(shown, json!([status.to_string(), "true", 3]), "{client} {credentials}");
    }
    click(tab, "#send-all");
    eventually(
        tab,
        "document.querySelector('#matrix td[data-client=axios-create][data-credentials=same-origin]').dataset.status === '401'",
    );
    let sent = value(
        tab,
        "document.querySelector('#matrix td[data-client=fetch][data-credentials=include]').dataset.status",
    );
    assert_eq!(sent, "200");
    screenshot(tab, "signed-in");

    click(tab, "#logout");
    eventually(tab, &state("out"));
}
