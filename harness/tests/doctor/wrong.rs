//! Servers that are wrongly configured, each in a way that people meet.

use crate::examples::{GOOD_CADDY, GOOD_NGINX, JSON};
use crate::server::{Server, caddy, endless, express, fastapi, nginx, raw};
use crate::support::{PAGE, doctor, examine};

/// Asks, and compares everything graver than info.
#[track_caller]
fn assert_faults(server: Option<Server>, more: &[&str], want: &[&str]) {
    let Some(server) = server else { return };
    let said = examine(server.port, more);
    assert_eq!(said.faults(), want, "{}", said.out);
    assert_eq!(said.code, Some(1));
}

#[test]
fn nginx_leaves_headers_out_of_errors() {
    let without = GOOD_NGINX.replace(" always", "");
    let want = ["warning error-response-without-cors-headers"];
    assert_faults(nginx(&without), &JSON, &want);
}

#[test]
fn nginx_sends_back_whatever_origin_asks() {
    let reflects = GOOD_NGINX
        .replace("default \"\"; http://app.example.com $http_origin;", "default $http_origin;")
        .replace("default \"\"; http://app.example.com true;", "default true;");
    assert_faults(nginx(&reflects), &JSON, &["critical foreign-origin-allowed"]);
}

#[test]
fn nginx_serves_a_file_and_knows_no_options() {
    let file = r"
server {
  listen 127.0.0.1:{port};
  add_header Access-Control-Allow-Origin http://app.example.com always;
  add_header Access-Control-Allow-Credentials true always;
  location = /items { alias {folder}/nginx.conf; }
}";
    let want = [
        "error preflight-not-routed",
        "error preflight-method-not-allowed",
        "error preflight-header-not-allowed",
    ];
    assert_faults(nginx(file), &JSON, &want);
}

#[test]
fn nginx_redirects_to_the_last_slash() {
    let redirects = GOOD_NGINX.replace(
        "location = /items {\n    if",
        "location = /items { return 301 http://$http_host/items/; }\n  location /items/ {\n    if",
    );
    let Some(server) = nginx(&redirects) else { return };
    let said = examine(server.port, &JSON);
    assert_eq!(
        said.faults(),
        [
            "error preflight-redirect",
            "error preflight-method-not-allowed",
            "error preflight-header-not-allowed"
        ],
        "{}",
        said.out
    );
    let text = said.json()["findings"][0]["text"].as_str().expect("a text").to_owned();
    assert!(text.contains("only the last slash differs, so call that"), "{text}");
    // Without a preflight the redirect is harmless here, and followed.
    let said = examine(server.port, &[]);
    assert_eq!(said.faults(), Vec::<String>::new(), "{}", said.out);
}

#[test]
fn nginx_and_the_application_write_one_header_each() {
    let doubled = r#"
server {
  listen 127.0.0.1:{port};
  add_header Access-Control-Allow-Origin http://app.example.com always;
  add_header Access-Control-Allow-Origin http://app.example.com always;
  add_header Access-Control-Allow-Credentials true always;
  add_header Access-Control-Allow-Credentials true always;
  location / { return 200 "[]"; }
}"#;
    let want = ["error acao-duplicate-header", "error acac-wrong-value"];
    let Some(server) = nginx(doubled) else { return };
    let said = examine(server.port, &[]);
    assert_eq!(said.faults(), want, "{}", said.out);
    assert!(said.out.contains("two layers write CORS headers"), "{}", said.out);
}

#[test]
fn nginx_reaches_no_application() {
    let gateway = GOOD_NGINX.replace("return 200 \"[]\";", "proxy_pass http://127.0.0.1:1;");
    // With the headers on it, the page can read the 502: no CORS fault.
    let sound = nginx(&gateway);
    if let Some(server) = sound {
        assert_eq!(examine(server.port, &[]).faults(), Vec::<String>::new());
    }
    let bare = gateway.replace(" always", "");
    assert_faults(nginx(&bare), &[], &["error error-response-without-cors-headers"]);
}

#[test]
fn nginx_tells_no_cache_that_answers_differ() {
    let cached = GOOD_NGINX.replace(
        "  add_header Vary Origin always;\n  location",
        "  add_header Cache-Control \"public, max-age=600\";\n  location",
    );
    assert_faults(nginx(&cached), &[], &["error vary-origin-missing-cache"]);
}

#[test]
fn caddy_compares_by_a_pattern_without_ends() {
    let pattern = GOOD_CADDY
        .replace(
            "@page header Origin http://app.example.com",
            "@page header_regexp o Origin app.example.com",
        )
        .replace(
            "Access-Control-Allow-Origin http://app.example.com",
            "Access-Control-Allow-Origin {http.request.header.Origin}",
        );
    let want = [
        "critical foreign-origin-allowed",
        "critical foreign-origin-allowed",
        "warning foreign-origin-allowed",
    ];
    assert_faults(caddy(&pattern), &JSON, &want);
}

#[test]
fn caddy_lets_null_in() {
    let null = GOOD_CADDY
        .replace(
            "@page header Origin http://app.example.com",
            "@page header_regexp o Origin ^(http://app\\.example\\.com|null)$",
        )
        .replace(
            "Access-Control-Allow-Origin http://app.example.com",
            "Access-Control-Allow-Origin {http.request.header.Origin}",
        );
    assert_faults(caddy(&null), &JSON, &["critical foreign-origin-allowed"]);
}

#[test]
fn caddy_sends_a_star_with_credentials() {
    let star = GOOD_CADDY.replace(
        "header @page Access-Control-Allow-Origin http://app.example.com",
        "header Access-Control-Allow-Origin *",
    );
    assert_faults(caddy(&star), &[], &["error acao-wildcard-with-credentials"]);
    let star = caddy(&star);
    // Without credentials a star is a grant like any other.
    if let Some(server) = star {
        let said = examine(server.port, &["--credentials", "omit"]);
        assert_eq!(said.faults(), Vec::<String>::new(), "{}", said.out);
    }
}

#[test]
fn caddy_speaks_cors_in_preflights_alone() {
    let only = GOOD_CADDY
        .replace("  header @page Access-Control-Allow-Origin http://app.example.com\n", "")
        .replace("  header @page Access-Control-Allow-Credentials true\n", "")
        .replace("  handle @preflight {\n", "  handle @preflight {\n    header @page Access-Control-Allow-Origin http://app.example.com\n    header @page Access-Control-Allow-Credentials true\n");
    // PUT itself is not sent: what GET gets is a hint, and no more.
    assert_faults(caddy(&only), &JSON, &["warning cors-only-on-preflight"]);
    let said = [&JSON[..], &["--unsafe"]].concat();
    assert_faults(caddy(&only), &said, &["error cors-only-on-preflight"]);
}

#[test]
fn express_with_its_default_star() {
    let want = ["error acao-wildcard-with-credentials", "error acac-missing"];
    assert_faults(express("star"), &[], &want);
}

#[test]
fn express_sends_back_whatever_origin_asks() {
    let Some(server) = express("reflects") else { return };
    let said = examine(server.port, &[]);
    assert_eq!(said.faults(), ["critical foreign-origin-allowed"], "{}", said.out);
    // The server names itself, and gets its own mend.
    let mend = said.json()["findings"][0]["mend"].as_str().expect("a mend").to_owned();
    assert!(mend.contains("Express: cors({ origin: ["), "{mend}");
}

#[test]
fn express_compares_by_a_pattern_without_ends() {
    let want = [
        "critical foreign-origin-allowed",
        "critical foreign-origin-allowed",
        "warning foreign-origin-allowed",
    ];
    assert_faults(express("pattern"), &JSON, &want);
}

#[test]
fn express_authenticates_preflights() {
    assert_faults(express("auth-first"), &JSON, &["error preflight-auth-401"]);
}

#[test]
fn express_with_cors_on_its_routes_alone() {
    let want = ["warning error-response-without-cors-headers"];
    assert_faults(express("routes-only"), &[], &want);
}

#[test]
fn express_leads_api_calls_to_its_login() {
    assert_faults(express("to-login"), &[], &["warning idp-redirect-in-fetch"]);
}

#[test]
fn express_writes_a_header_beside_the_package() {
    assert_faults(express("doubled"), &[], &["error acao-duplicate-header"]);
}

#[test]
fn express_sets_a_cookie_that_needs_secure() {
    let Some(server) = express("none-without-secure") else { return };
    let said = examine(server.port, &[]);
    assert_eq!(said.faults(), ["warning samesite-none-without-secure"], "{}", said.out);
    let engines = said.json()["findings"][0]["engines"].clone();
    assert!(engines.as_array().is_some_and(|e| e.iter().any(|e| e == "chromium")), "{engines}");
}

#[test]
fn express_by_hand_without_vary() {
    assert_faults(express("no-vary"), &[], &["error vary-origin-missing-cache"]);
}

#[test]
fn fastapi_with_the_star_of_every_tutorial() {
    assert_faults(fastapi("star"), &JSON, &["critical foreign-origin-allowed"]);
}

#[test]
fn fastapi_with_a_pattern_that_begins_with_anything() {
    assert_faults(fastapi("pattern"), &JSON, &["critical foreign-origin-allowed"]);
}

#[test]
fn fastapi_without_credentials() {
    assert_faults(fastapi("no-credentials"), &[], &["error acac-missing"]);
}

#[test]
fn fastapi_without_the_header_and_the_method() {
    // Starlette always lists Content-Type.
    let more = ["--header", "X-CSRF-Token: x"];
    let want = ["error preflight-odd-status", "error preflight-header-not-allowed"];
    assert_faults(fastapi("no-headers"), &more, &want);
    let want = ["error preflight-odd-status", "error preflight-method-not-allowed"];
    assert_faults(fastapi("no-methods"), &JSON, &want);
}

#[test]
fn fastapi_lists_the_origin_with_a_slash() {
    assert_faults(fastapi("slash"), &[], &["error acao-missing"]);
}

#[test]
fn fastapi_crashes_outside_its_cors() {
    let want = ["error error-response-without-cors-headers"];
    assert_faults(fastapi("crash"), &[], &want);
}

#[test]
fn fastapi_without_any_cors() {
    let Some(server) = fastapi("none") else { return };
    let said = examine(server.port, &[]);
    assert_eq!(said.faults(), ["error acao-missing"], "{}", said.out);
    let finding = said.json()["findings"][0].clone();
    assert_eq!(finding["engines"].as_array().map(Vec::len), Some(4));
    assert!(finding["mend"].as_str().is_some_and(|m| m.contains("FastAPI:")), "{finding}");
    assert!(finding["text"].as_str().is_some_and(|t| t.contains("No header of that answer")));
}

/// Starlette before 1.0, and others: the star becomes the origin as soon as there is a cookie.
#[test]
fn a_server_that_reflects_once_there_is_a_cookie() {
    let port = raw(|head| {
        let origin = head.lines().find_map(|line| line.strip_prefix("origin: "));
        let named = origin.filter(|_| head.contains("cookie: ")).unwrap_or("*");
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\naccess-control-allow-origin: {named}\r\n\
             access-control-allow-credentials: true\r\n\r\n"
        )
    });
    let said = examine(port, &[]);
    let want = ["critical foreign-origin-allowed", "error acao-wildcard-with-credentials"];
    assert_eq!(said.faults(), want, "{}", said.out);
    assert!(said.out.contains("as soon as the request has a cookie"), "{}", said.out);
}

#[test]
fn what_is_no_cors_problem_is_told_apart() {
    let silent = raw(|_| String::new());
    let odd = raw(|_| "SSH-2.0-OpenSSH_9.6\r\n".to_owned());
    let wants_tls = raw(|_| {
        let body = "Client sent an HTTP request to an HTTPS server.\n";
        format!("HTTP/1.0 400 Bad Request\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refusing = closed.local_addr().expect("an address").port();
    drop(closed);
    for (port, says) in [
        (silent, "hangs up without an answer"),
        (odd, "does not speak HTTP"),
        (wants_tls, "says that the port wants https"),
        (refusing, "nothing listens"),
    ] {
        let said = examine(port, &[]);
        let first = said.json()["findings"][0].clone();
        assert_eq!(first["code"], "connection-refused-wrong-port", "{}", said.out);
        assert_eq!((&first["severity"], &first["not_cors"]), (&"error".into(), &true.into()));
        assert!(first["text"].as_str().is_some_and(|t| t.contains(says)), "{says}: {first}");
        assert_eq!(said.code, Some(1));
    }
    let said = doctor(&[
        "http://withcreds-doctor.invalid/",
        "--origin",
        "http://app.example.com",
        "--format",
        "json",
    ]);
    assert_eq!(said.faults(), ["error dns-failure-or-bad-port"], "{}", said.out);
}

#[test]
fn an_https_page_and_an_http_backend() {
    let port = raw(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned());
    let resolve = format!("api.example.com:{port}:127.0.0.1");
    let url = format!("http://api.example.com:{port}/");
    let args =
        [&url, "--origin", "https://app.example.com", "--resolve", &resolve, "--format", "json"];
    let said = doctor(&args);
    assert_eq!(said.faults(), ["error mixed-content"], "{}", said.out);
}

/// What a page at [`PAGE`] needs to read an answer; for nobody else.
fn grant(head: &str) -> String {
    let page = head.lines().any(|line| line == format!("origin: {PAGE}"));
    let granted = format!(
        "access-control-allow-origin: {PAGE}\r\naccess-control-allow-credentials: true\r\n\
         access-control-allow-headers: content-type\r\n"
    );
    format!("vary: Origin\r\n{}", if page { granted } else { String::new() })
}

#[test]
fn a_stream_of_events_has_no_end_and_is_an_answer() {
    let port = endless(|head| {
        let grant = grant(head);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
             {grant}\r\ndata: 1\n\n"
        )
    });
    let said = examine(port, &[]);
    assert_eq!(said.faults(), Vec::<String>::new(), "{}", said.out);
    assert_eq!(said.code, Some(0));
}

#[test]
fn a_line_that_is_no_header_spoils_no_answer() {
    let port = raw(|head| {
        let grant = grant(head);
        format!(
            "HTTP/1.1 200 OK\r\nthis is no header\r\nX-A : 1\r\n{grant}content-length: 0\r\n\r\n"
        )
    });
    let said = examine(port, &[]);
    assert_eq!(said.faults(), Vec::<String>::new(), "{}", said.out);
}

#[test]
fn a_limit_that_sets_in_is_no_all_clear() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let port = raw(move |head| {
        if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 4 {
            return "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n".to_owned();
        }
        format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", grant(head))
    });
    let (url, resolve) =
        (format!("http://api.example.com:{port}/"), format!("api.example.com:{port}:127.0.0.1"));
    let said = doctor(&[&url, "--origin", PAGE, "--resolve", &resolve]);
    assert!(!said.out.contains("Nothing is wrong"), "{}", said.out);
    assert!(said.out.contains("who else may read is not known"), "{}", said.out);
}

#[test]
fn no_secret_is_printed() {
    let port = raw(|head| {
        let grant = grant(head);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let next = if path.starts_with("/login") {
            ""
        } else {
            "location: /login?code=s3cret#token=s3cret\r\n"
        };
        let status = if next.is_empty() { "200 OK" } else { "302 Found" };
        format!(
            "HTTP/1.1 {status}\r\n{next}{grant}set-cookie: sid=s3cret; Path=/\r\ncontent-length: 0\r\n\r\n"
        )
    });
    let url = format!("http://api.example.com:{port}/items?api_key=s3cret#s3cret");
    let resolve = format!("api.example.com:{port}:127.0.0.1");
    for (format, method) in [("human", "GET"), ("json", "GET"), ("human", "PUT"), ("json", "PUT")] {
        let args = [&url, "--origin", PAGE, "--resolve", &resolve, "--format", format];
        let more = ["--method", method, "--header", "X-Tenant: s3cret"];
        let said = doctor(&[&args[..], &more[..]].concat());
        assert!(said.out.contains("/login?code=***"), "{}", said.out);
        assert!(said.err.contains("/items?api_key=***"), "{}", said.err);
        for text in [&said.out, &said.err] {
            assert!(!text.contains("s3cret"), "{format} {method}: {text}");
        }
    }
}

#[test]
fn redirects_go_on_for_ever_and_the_doctor_does_not() {
    let port = raw(|head| {
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {path}x\r\ncontent-length: 0\r\n\
             access-control-allow-origin: http://app.example.com\r\n\
             access-control-allow-credentials: true\r\n\r\n"
        )
    });
    let said = examine(port, &[]);
    assert_eq!(said.faults(), ["warning redirect-loop"], "{}", said.out);
    let hops = said.json()["exchanges"]
        .as_array()
        .map(|all| all.iter().filter(|e| e["purpose"] == "the call").count());
    assert_eq!(hops, Some(6));
}

/// What a third host hears to which the call is redirected, by what it grants in its preflight.
fn heard_by_a_third_host(grants: &'static str) -> String {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let log = std::sync::Arc::clone(&heard);
    let other = raw(move |head| {
        log.lock().expect("a log").push_str(head);
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{grants}\r\n")
    });
    let port = raw(move |head| {
        let grant = "access-control-allow-origin: http://app.example.com\r\n\
                     access-control-allow-credentials: true\r\n\
                     access-control-allow-headers: authorization, x-key\r\n";
        if head.starts_with("OPTIONS") {
            return format!("HTTP/1.1 204 No Content\r\n{grant}\r\n");
        }
        format!(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{other}/\r\n{grant}content-length: 0\r\n\r\n"
        )
    });
    let more = ["--header", "Authorization: Bearer topsecret", "--header", "X-Key: mykey"];
    let said = examine(port, &more);
    let heard = heard.lock().expect("a log").clone();
    assert!(heard.contains("origin: null") && heard.starts_with("OPTIONS"), "{heard}");
    assert!(!heard.contains("topsecret"), "{heard}");
    if !heard.contains("mykey") {
        assert!(said.faults()[0].starts_with("error "), "{}", said.out);
    }
    heard
}

#[test]
fn a_redirect_to_another_host_takes_no_secret_along() {
    for grants in [
        "",
        // Somebody else's grant, and grants that lack something. (The page's own would do for
        // WebKit, whose preflights name the page even here.)
        "access-control-allow-origin: http://else.example.com\r\n\
         access-control-allow-credentials: true\r\n\
         access-control-allow-headers: authorization, x-key\r\n",
        "access-control-allow-origin: null\r\naccess-control-allow-headers: authorization, x-key\r\n",
        "access-control-allow-origin: null\r\naccess-control-allow-credentials: true\r\n",
        "access-control-allow-origin: *\r\naccess-control-allow-headers: *\r\n",
    ] {
        let heard = heard_by_a_third_host(grants);
        assert!(!heard.contains("mykey"), "{grants}: {heard}");
    }
    // A browser sends the rest to whoever grants it, and never the other host's Authorization.
    let heard = heard_by_a_third_host(
        "access-control-allow-origin: null\r\naccess-control-allow-credentials: true\r\n\
         access-control-allow-headers: authorization, x-key\r\n",
    );
    assert!(heard.contains("x-key: mykey"), "{heard}");
}
