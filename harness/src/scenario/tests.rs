//! Files as people write them, and the mistakes that they make.

use crate::scenario::{Client, Credentials, Engine, parse, schema};

const GOOD: &str = r#"
schema = 1
id = "omit-sends-nothing"
title = "fetch without credentials: the session cookie stays home"
page = "https://app.example.com"

[[cookie]]
host = "api.example.com"
set = "sid=1; Path=/; Secure; HttpOnly; SameSite=Lax"

[[backend]]
origin = "https://api.example.com"
[backend.preflight]
status = 204
headers = [["Access-Control-Allow-Origin", "*"]]
[[backend.route]]
path = "/x"
method = "POST"
[backend.route.actual]
set_cookie = ["sid=2; Path=/"]
redirect = "/y"

[[step]]
login = "https://api.example.com"

[[step]]
client = "xhr"
url = "https://api.example.com/api/auth/session"
credentials = "omit"
expect = { request_sent = true, cookies_sent = [], error = "" }
[step.expect_on.firefox]
request_sent = false
"#;

fn problems(name: &str, text: &str) -> Vec<String> {
    parse(name, text).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_is_read_in_both_notations_alike() {
    let toml = parse("a.toml", GOOD).expect("a scenario");
    let json = serde_json::to_string_pretty(&toml.scenario).expect("JSON");
    let again = parse("a.json", &json).expect("a scenario");
    assert_eq!(toml.scenario, again.scenario);
    let step = &toml.case.steps[1];
    assert_eq!((step.client, step.credentials), (Client::Xhr, Some(Credentials::Omit)));
    assert_eq!(toml.case.steps[0].address.text(), "https://api.example.com/api/auth/login");
    let chromium = toml.scenario.expected(1, Engine::Chromium).expect("an outcome");
    let firefox = toml.scenario.expected(1, Engine::Firefox).expect("an outcome");
    assert_eq!((chromium.request_sent, firefox.request_sent), (Some(true), Some(false)));
    assert_eq!(firefox.cookies_sent, Some(Vec::new()));
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let text = GOOD
        .replace("credentials = \"omit\"", "credentials = \"omitt\"")
        .replace("status = 204", "status = \"204\"")
        .replace("request_sent = true", "request_send = true")
        .replace("path = \"/x\"\n", "")
        .replace(
            "[[\"Access-Control-Allow-Origin\", \"*\"]]",
            "[[\"Access-Control-Allow-Origin\"]]",
        );
    assert_eq!(
        problems("a.toml", &text),
        [
            "a.toml:14:10: backend[0].preflight.status: expected a whole number, found a string",
            "a.toml:15:12: backend[0].preflight.headers[0]: expected a list of 2 values, found 1",
            "a.toml:16:1: backend[0].route[0]: the key `path` is missing",
            "a.toml:28:15: step[1].credentials: expected \"omit\", \"same-origin\" or \"include\", found \"omitt\": did you mean `omit`?",
            "a.toml:29:12: step[1].expect.request_send: unknown key: did you mean `request_sent`?",
        ]
    );
}

#[test]
fn what_makes_no_sense_is_named_too() {
    let text = GOOD
        .replace("host = \"api.example.com\"", "host = \"https://api.example.com\"")
        .replace("page = \"https://app.example.com\"", "page = \"app.example.com\"")
        .replace("login = \"https://api.example.com\"", "login = \"https://api.example.com/x\"")
        .replace(
            "client = \"xhr\"",
            "client = \"navigate\"\nmethod = \"POST\"\nmode = \"no-cors\"",
        );
    assert_eq!(
        problems("a.toml", &text),
        [
            "a.toml:5:8: page: expected an address such as https://api.example.com/path, found \"app.example.com\"",
            "a.toml:8:8: cookie[0].host: expected a host name without scheme and port, such as api.example.com, found \"https://api.example.com\"",
            "a.toml:24:9: step[0].login: expected an origin and nothing beside it, found \"https://api.example.com/x\": did you mean https://api.example.com?",
            "a.toml:28:10: step[1].method: expected GET: there is no other for this client",
            "a.toml:29:8: step[1].mode: only fetch has this mode",
        ]
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let toml = problems("a.toml", "schema = 1\nid = \n");
    assert!(toml[0].starts_with("a.toml:2:6: this is not valid TOML: "), "{toml:?}");
    assert_eq!(
        problems("a.json", "{\n  \"schema\": 1\n  \"id\": 2 }"),
        ["a.json:3:3: this is not valid JSON: expected `,` or `}`, found `\"`"]
    );
    assert_eq!(
        problems(
            "a.json",
            r#"{"schema": 2, "id": "a", "title": "t", "page": "https://a.test", "step": []}"#
        ),
        ["a.json:1:12: schema: expected a number from 1 to 1, found 2"]
    );
}

#[test]
fn the_schema_is_closed_and_documented() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().expect("properties");
    for key in ["schema", "id", "title", "page", "cookie", "backend", "step", "engines", "tags"] {
        assert!(properties[key]["description"].is_string(), "{key}");
    }
    assert_eq!(
        schema["$defs"]["Outcome"]["properties"].as_object().map(serde_json::Map::len),
        Some(18)
    );
}
