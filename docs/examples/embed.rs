//! Credentialed CORS around somebody else's warp routes: `cargo run --example embed`.
//!
//! A page on `http://localhost:3000` may read every answer with its cookies sent along, also the
//! errors: `fetch("http://localhost:8081/orders/7", { credentials: "include" })`.

use std::convert::Infallible;

use warp::http::StatusCode;
use warp::{Filter, Rejection, Reply};
use withcreds::{CorsConfig, CorsPolicy};

/// Routes as any warp service has them: they know nothing of CORS.
fn routes() -> impl Filter<Extract = (impl Reply,), Error = Rejection> + Clone + Send + Sync {
    let order = warp::path!("orders" / u32).and(warp::get()).map(|id| format!("order {id}\n"));
    let cancel = warp::path!("orders" / u32).and(warp::delete()).map(|_| StatusCode::NO_CONTENT);
    order.or(cancel)
}

/// Every rejection becomes an answer *inside* CORS, so that the page can read why it failed.
async fn recover(rejection: Rejection) -> Result<impl Reply, Infallible> {
    let (status, text) = if rejection.is_not_found() {
        (StatusCode::NOT_FOUND, "no such order\n")
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        (StatusCode::METHOD_NOT_ALLOWED, "orders are read or cancelled\n")
    } else {
        (StatusCode::BAD_REQUEST, "not a request for an order\n")
    };
    Ok(warp::reply::with_status(text, status))
}

#[tokio::main]
async fn main() {
    let policy = CorsPolicy::compile(&CorsConfig {
        allow_origins: vec!["http://localhost:3000".to_owned()],
        allow_credentials: true,
        allow_methods: vec!["*".to_owned()],
        allow_headers: vec!["*".to_owned()],
        ..CorsConfig::default()
    })
    .unwrap_or_else(|errors| panic!("{errors:#?}"));
    let service = withcreds::cors(policy, routes().recover(recover));
    println!("listening on http://localhost:8081/orders/7");
    warp::serve(service).run(([127, 0, 0, 1], 8081)).await;
}
