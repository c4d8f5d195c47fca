//! actix-cors. Options carry the names of its methods; `true` for those without an argument.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_cors::Cors;
use actix_web::dev::Service as _;
use actix_web::error::ErrorInternalServerError;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{App, HttpRequest, HttpResponse, test, web};
use futures_util::FutureExt as _;
use serde_json::Value;

use crate::{answer, lines, refused, texts};

fn middleware(options: &Value) -> Cors {
    let on = |name: &str| options[name] == true;
    let mut cors = if on("permissive") { Cors::permissive() } else { Cors::default() };
    for origin in texts(&options["allowed_origin"]) {
        cors = cors.allowed_origin(&origin);
    }
    if on("allow_any_origin") {
        cors = cors.allow_any_origin();
    }
    if options["allowed_origin_fn"] == "ends with .example.com" {
        cors = cors.allowed_origin_fn(|origin, _| origin.as_bytes().ends_with(b".example.com"));
    }
    if options["allowed_methods"].is_array() {
        cors = cors.allowed_methods(texts(&options["allowed_methods"]).iter().map(String::as_str));
    }
    if on("allow_any_method") {
        cors = cors.allow_any_method();
    }
    if options["allowed_headers"].is_array() {
        cors = cors.allowed_headers(texts(&options["allowed_headers"]).iter().map(String::as_str));
    }
    if on("allow_any_header") {
        cors = cors.allow_any_header();
    }
    if options["expose_headers"].is_array() {
        cors = cors.expose_headers(texts(&options["expose_headers"]).iter().map(String::as_str));
    }
    if on("expose_any_header") {
        cors = cors.expose_any_header();
    }
    if on("supports_credentials") {
        cors = cors.supports_credentials();
    }
    if on("send_wildcard") {
        cors = cors.send_wildcard();
    }
    if let Some(block) = options["block_on_origin_mismatch"].as_bool() {
        cors = cors.block_on_origin_mismatch(block);
    }
    if let Some(seconds) = options["max_age"].as_u64() {
        cors = cors.max_age(usize::try_from(seconds).ok());
    }
    cors
}

pub(crate) async fn ask(case: &BTreeMap<String, Value>) -> Value {
    let reached = Arc::new(AtomicBool::new(false));
    let (handler, seen) = (case["handler"].clone(), Arc::clone(&reached));
    let made = catch_unwind(AssertUnwindSafe(|| middleware(&case["options"])));
    let Ok(cors) = made else { return refused() };
    let app = App::new().wrap(cors).default_service(web::to(move |_: HttpRequest| {
        seen.store(true, Ordering::Relaxed);
        let handler = handler.clone();
        async move {
            if handler["fails"] == true {
                return Err(ErrorInternalServerError("the handler fails"));
            }
            let status = handler["status"].as_u64().and_then(|s| u16::try_from(s).ok());
            let status = StatusCode::from_u16(status.expect("a status")).expect("a status");
            let mut response = HttpResponse::build(status);
            for (name, value) in lines(&handler["headers"]) {
                response.append_header((name, value));
            }
            Ok(response.finish())
        }
    }));
    let started = AssertUnwindSafe(test::init_service(app)).catch_unwind().await;
    let Ok(service) = started else { return refused() };
    let method = case["method"].as_str().and_then(|m| m.parse().ok()).expect("a method");
    let mut request = test::TestRequest::default().method(method);
    for (name, value) in lines(&case["request"]) {
        request = request.append_header((name, value));
    }
    let flat = |headers: &HeaderMap| {
        headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect::<Vec<_>>()
    };
    let (status, headers) = match service.call(request.to_request()).await {
        Ok(response) => (response.status(), flat(response.headers())),
        Err(error) => {
            let response = error.error_response();
            (response.status(), flat(response.headers()))
        }
    };
    answer(status.as_u16(), reached.load(Ordering::Relaxed), headers.into_iter())
}
