//! Correct servers: no false alarm. And the command as its users meet it.

use std::path::Path;

use withcreds::{Config, Server};

use crate::server::{caddy, express, fastapi, nginx};
use crate::support::{doctor, examine};

/// What a page with a JSON API and a session does.
pub(crate) const JSON: [&str; 4] =
    ["--method", "PUT", "--header", "Content-Type: application/json"];

pub(crate) const GOOD_NGINX: &str = r#"
map $http_origin $cors { default ""; http://app.example.com $http_origin; }
map $cors $with { default ""; http://app.example.com true; }
server {
  listen 127.0.0.1:{port};
  add_header Access-Control-Allow-Origin $cors always;
  add_header Access-Control-Allow-Credentials $with always;
  add_header Vary Origin always;
  location / {
    if ($request_method = OPTIONS) {
      add_header Access-Control-Allow-Origin $cors always;
      add_header Access-Control-Allow-Credentials $with always;
      add_header Access-Control-Allow-Methods "GET, POST, PUT" always;
      add_header Access-Control-Allow-Headers "content-type, x-csrf-token" always;
      add_header Vary Origin always;
      return 204;
    }
    return 404;
  }
  location = /items {
    if ($request_method = OPTIONS) {
      add_header Access-Control-Allow-Origin $cors always;
      add_header Access-Control-Allow-Credentials $with always;
      add_header Access-Control-Allow-Methods "GET, POST, PUT" always;
      add_header Access-Control-Allow-Headers "content-type, x-csrf-token" always;
      add_header Vary Origin always;
      return 204;
    }
    return 200 "[]";
  }
}"#;

pub(crate) const GOOD_CADDY: &str = r#"
:{port} {
  @page header Origin http://app.example.com
  header Vary Origin
  header @page Access-Control-Allow-Origin http://app.example.com
  header @page Access-Control-Allow-Credentials true
  @preflight method OPTIONS
  handle @preflight {
    header @page Access-Control-Allow-Methods "GET, POST, PUT"
    header @page Access-Control-Allow-Headers content-type
    respond 204
  }
  handle /items {
    header Cache-Control "public, max-age=60"
    respond "[]"
  }
  respond 404
}"#;

#[track_caller]
fn assert_sound(name: &str, port: u16) {
    for more in [&[][..], &JSON, &["--unsafe", "--method", "POST"], &["--method", "HEAD"]] {
        let said = examine(port, more);
        assert_eq!(said.faults(), Vec::<String>::new(), "{name} {more:?}: {}", said.out);
        assert_eq!(said.code, Some(0), "{name}");
    }
}

#[test]
fn a_sound_nginx_has_no_fault() {
    let Some(server) = nginx(GOOD_NGINX) else { return };
    assert_sound("nginx", server.port);
}

#[test]
fn a_sound_caddy_has_no_fault() {
    let Some(server) = caddy(GOOD_CADDY) else { return };
    assert_sound("caddy", server.port);
}

#[test]
fn a_sound_express_has_no_fault() {
    let Some(server) = express("good") else { return };
    assert_sound("express", server.port);
}

#[test]
fn a_sound_fastapi_has_no_fault() {
    let Some(server) = fastapi("good") else { return };
    assert_sound("fastapi", server.port);
}

/// Our own service, as `withcreds` in development mode is.
fn service() -> u16 {
    let text = "[server]\nlisten = ['127.0.0.1:0']\nadmin_listen = []\npublic_origin = 'http://localhost:8080'\n\
                [cors]\nallow_origins = ['http://localhost:3000']\nallow_methods = ['*']\n\
                allow_headers = ['*']\n[dev]\nenabled = true\n";
    let (tell, told) = std::sync::mpsc::channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let config = Config::parse(text, Path::new("(a test)")).expect("a configuration");
            let server = Server::bind(&config).await.expect("a port");
            tell.send(server.addr().expect("an address").port()).expect("the test listens");
            server.run_until(std::future::pending()).await;
        });
    });
    told.recv().expect("a port")
}

#[test]
fn our_own_service_has_no_fault() {
    let port = service();
    for path in ["session", "login", "nowhere"] {
        let url = format!("http://localhost:{port}/api/auth/{path}");
        for more in [&[][..], &JSON, &["--cookie", "session=1; Path=/; HttpOnly; SameSite=Lax"]] {
            let mut args =
                vec![url.as_str(), "--origin", "http://localhost:3000", "--format", "json"];
            args.extend(more);
            let said = doctor(&args);
            assert_eq!(said.faults(), Vec::<String>::new(), "{path} {more:?}: {}", said.out);
            assert_eq!(said.code, Some(0));
        }
    }
}

/// The first example of the help is about our own service.
#[test]
fn the_examples_of_the_help_work() {
    let help = doctor(&["--help"]);
    assert_eq!(help.code, Some(0));
    let joined = help.out.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|l| l.trim().strip_prefix("withcreds-harness doctor "));
    let port = service();
    let mut run = 0;
    for line in lines {
        // Their hosts are other people's: here all of them are our service.
        let line = line
            .replace("http://localhost:8080", &format!("http://localhost:{port}"))
            .replace("https://api.example.com", &format!("http://api.example.com:{port}"))
            .replace("api.example.com:443:", &format!("api.example.com:{port}:"))
            .replace("https://app.example.com", "http://localhost:3000");
        let mut args = words(&line);
        args.push("--resolve".to_owned());
        args.push(format!("api.example.com:{port}:127.0.0.1"));
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let said = doctor(&args);
        assert_eq!(said.code, Some(0), "{line}\n{}{}", said.out, said.err);
        run += 1;
    }
    assert_eq!(run, 4);
}

/// A command line, as a shell would split it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn it_says_first_what_it_will_send_and_sends_nothing_else() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&heard);
    let port = crate::server::raw(move |head| {
        log.lock().expect("a log").push(head.to_owned());
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: sid=topsecret; Path=/\r\n\r\nok"
            .to_owned()
    });
    let more = ["--method", "DELETE", "--header", "Authorization: Bearer topsecret"];
    let said = examine(port, &more);
    let announced = said.err.lines().filter(|line| line.starts_with("  ")).count();
    let heard = heard.lock().expect("a log");
    assert_eq!(heard.len(), announced, "{}", said.err);
    assert!(said.err.starts_with(&format!("sends {announced} requests")), "{}", said.err);
    for head in heard.iter() {
        assert!(head.starts_with("GET ") || head.starts_with("OPTIONS "), "{head}");
        let secret = head.contains("Bearer topsecret");
        let the_call =
            head.starts_with("GET /items ") && head.contains("origin: http://app.example.com\r\n");
        assert!(!secret || the_call, "{head}");
        let cookie = head.lines().find(|line| line.starts_with("cookie:"));
        assert!(cookie.is_none_or(|line| line == "cookie: withcreds-doctor=1"), "{head}");
    }
    let preflight = heard.first().expect("a preflight");
    assert_eq!(
        *preflight,
        format!(
            "OPTIONS /items HTTP/1.1\r\nhost: api.example.com:{port}\r\naccept: */*\r\n\
             access-control-request-method: DELETE\r\naccess-control-request-headers: authorization\r\n\
             origin: http://app.example.com\r\n\r\n"
        )
    );
    assert!(!said.out.contains("topsecret") && !said.err.contains("topsecret"), "{}", said.out);
    assert!(said.out.contains("sid=***"), "{}", said.out);
    drop(heard);
}

#[test]
fn leave_sends_the_method_that_was_asked_for() {
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&heard);
    let port = crate::server::raw(move |head| {
        log.lock().expect("a log").push(head.split(' ').next().unwrap_or_default().to_owned());
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
    });
    examine(port, &["--method", "DELETE", "--unsafe"]);
    let heard = heard.lock().expect("a log");
    let count = |method: &str| heard.iter().filter(|m| *m == method).count();
    assert_eq!((count("DELETE"), count("PROPFIND"), count("POST")), (1, 1, 0), "{heard:?}");
}

#[test]
fn usage_errors_exit_2_and_say_why() {
    let url = "http://api.example.com/";
    for (args, says) in [
        (&["api.example.com", "--origin", url][..], "expected an address such as https://"),
        (&[url, "--origin", "app"], "--origin: expected an address"),
        (&[url], "--origin"),
        (&["http://u:p@api.example.com/", "--origin", url], "a user name or password"),
        (&[url, "--origin", url, "--header", "x"], "expected \"Name: value\""),
        (&[url, "--origin", url, "--header", "Cookie: a=1"], "--cookie names the cookie"),
        (&[url, "--origin", url, "--header", "Origin: a"], "browsers let no script set Origin"),
        (&[url, "--origin", url, "--header", "a b: 1"], "cannot be sent"),
        (&[url, "--origin", url, "--method", "TRACE"], "no script can send `TRACE`"),
        (&[url, "--origin", url, "--resolve", "x:1"], "expected HOST:PORT:ADDR"),
        (&[url, "--origin", url, "--cacert", "/nowhere.pem"], "--cacert: /nowhere.pem"),
        (&[url, "--origin", url, "--cookie", ""], "--cookie"),
        (&[url, "--origin", url, "--engine", "gecko"], "gecko"),
    ] {
        let said = doctor(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(said.err.contains(says), "{args:?}: {}", said.err);
    }
}
