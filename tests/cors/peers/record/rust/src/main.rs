//! tower-http and actix-cors, asked what stands in their tables: cases as JSON on standard input,
//! answers as JSON on standard output. Both refuse a configuration by a panic.

mod actix;
mod tower_http_layer;

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The texts of an array; none if it is absent.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// `Name: value` lines of an array.
fn lines(value: &Value) -> Vec<(String, String)> {
    let split = |line: &String| {
        let (name, value) = line.split_once(':').expect("a header line");
        (name.to_owned(), value.trim().to_owned())
    };
    texts(value).iter().map(split).collect()
}

fn answer(status: u16, reached: bool, headers: impl Iterator<Item = (String, Vec<u8>)>) -> Value {
    let about_cors = headers
        .filter(|(name, _)| name == "vary" || name.starts_with("access-control-"))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)));
    json!({ "status": status, "handler": reached, "headers": about_cors.collect::<Vec<_>>() })
}

fn refused() -> Value {
    json!({ "refused": "panics" })
}

#[actix_web::main]
async fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let name = std::env::args().nth(1).expect("the name of a library");
    let cases: Vec<BTreeMap<String, Value>> =
        serde_json::from_reader(std::io::stdin()).expect("cases");
    let mut answers = Vec::new();
    for case in &cases {
        answers.push(match name.as_str() {
            "tower-http" => tower_http_layer::ask(case).await,
            "actix-cors" => actix::ask(case).await,
            other => panic!("{other} is not here"),
        });
    }
    println!("{}", Value::Array(answers));
}
