//! tower-http. Options carry the names of its methods: a list, a text for one value, or the name of
//! what is passed (`Any`, `mirror_request`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{Empty, Full};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

use crate::{answer, lines, refused, texts};

fn parsed<T: std::str::FromStr>(value: &Value) -> Vec<T> {
    texts(value).iter().filter_map(|text| text.parse().ok()).collect()
}

fn layer(options: &Value) -> CorsLayer {
    let mut layer = CorsLayer::new();
    if let Some(origin) = options.get("allow_origin") {
        layer = match origin.as_str() {
            Some("Any") => layer.allow_origin(Any),
            Some("mirror_request") => layer.allow_origin(AllowOrigin::mirror_request()),
            Some("predicate .example.com") => layer.allow_origin(AllowOrigin::predicate(|o, _| {
                o.as_bytes().ends_with(b".example.com")
            })),
            Some(one) => layer.allow_origin(one.parse::<HeaderValue>().expect("a value")),
            None => layer.allow_origin(parsed::<HeaderValue>(origin)),
        };
    }
    if let Some(methods) = options.get("allow_methods") {
        layer = match methods.as_str() {
            Some("Any") => layer.allow_methods(Any),
            Some(_) => layer.allow_methods(AllowMethods::mirror_request()),
            None => layer.allow_methods(parsed::<Method>(methods)),
        };
    }
    if let Some(headers) = options.get("allow_headers") {
        layer = match headers.as_str() {
            Some("Any") => layer.allow_headers(Any),
            Some(_) => layer.allow_headers(AllowHeaders::mirror_request()),
            None => layer.allow_headers(parsed::<HeaderName>(headers)),
        };
    }
    if let Some(headers) = options.get("expose_headers") {
        layer = match headers.as_str() {
            Some(_) => layer.expose_headers(Any),
            None => layer.expose_headers(parsed::<HeaderName>(headers)),
        };
    }
    if options["allow_credentials"] == true {
        layer = layer.allow_credentials(true);
    }
    if options["allow_private_network"] == true {
        layer = layer.allow_private_network(true);
    }
    if let Some(seconds) = options["max_age"].as_u64() {
        layer = layer.max_age(Duration::from_secs(seconds));
    }
    layer
}

pub(crate) async fn ask(case: &BTreeMap<String, Value>) -> Value {
    let reached = Arc::new(AtomicBool::new(false));
    let (handler, seen) = (case["handler"].clone(), Arc::clone(&reached));
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        seen.store(true, Ordering::Relaxed);
        let mut response = Response::new(Full::<Bytes>::default());
        let status = handler["status"].as_u64().and_then(|s| u16::try_from(s).ok());
        *response.status_mut() = status.expect("a status").try_into().expect("a status");
        for (name, value) in lines(&handler["headers"]) {
            let name = name.parse::<HeaderName>().expect("a name");
            response.headers_mut().append(name, value.parse().expect("a value"));
        }
        let fails = handler["fails"] == true;
        std::future::ready(if fails { Err("the handler fails") } else { Ok(response) })
    });
    let made = catch_unwind(AssertUnwindSafe(|| layer(&case["options"]).layer(service)));
    let Ok(service) = made else { return refused() };
    let mut request = Request::builder().method(case["method"].as_str().expect("a method"));
    for (name, value) in lines(&case["request"]) {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new()).expect("a request");
    match service.oneshot(request).await {
        // What answers an error stands outside the layer, and knows nothing of it.
        Err(_) => answer(500, true, std::iter::empty()),
        Ok(response) => answer(
            response.status().as_u16(),
            reached.load(Ordering::Relaxed),
            response.headers().iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())),
        ),
    }
}
