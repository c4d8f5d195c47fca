//! `cors`: what would be decided about one request.

use clap::Args;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{BAD_CONFIG, Common, Format, OK, load, report};
use crate::policy;

#[derive(Debug, Args)]
pub(super) struct CorsArgs {
    /// The method of the request; with --preflight, the one that is asked for
    #[arg(long, value_name = "M", default_value = "GET")]
    method: Method,
    /// Its `Origin`
    #[arg(long, value_name = "O")]
    origin: Option<String>,
    /// A request header; with --preflight, browsers only name it
    #[arg(long = "header", value_name = "N: V")]
    headers: Vec<String>,
    /// Ask about the preflight before the request
    #[arg(long)]
    preflight: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn cors(common: &Common, args: &CorsArgs) -> u8 {
    let config = match load(common) {
        Ok(config) => config,
        Err(errors) => {
            report(&errors);
            return BAD_CONFIG;
        }
    };
    let (method, headers) = match request(args) {
        Ok(request) => request,
        Err(bad) => {
            eprintln!("error: {bad:?} cannot be sent in a header: write --header 'Name: value'");
            return BAD_CONFIG;
        }
    };
    let explanation = config.cors.explain(&method, &headers);
    match args.format {
        Format::Json => println!("{}", serde_json::json!(explanation)),
        Format::Text => {
            let verdict = if explanation.allowed { "allowed" } else { "not allowed" };
            println!("{}: {verdict} ({})", explanation.kind.replace('_', "-"), explanation.reason);
            if let Some(status) = explanation.status {
                println!("status {status}");
            }
            for (name, value) in &explanation.headers {
                println!("{name}: {value}");
            }
        }
    }
    OK
}

/// The request that the arguments describe, or the argument that no request can hold.
fn request(args: &CorsArgs) -> Result<(Method, HeaderMap), &str> {
    let mut headers = HeaderMap::new();
    if let Some(origin) = &args.origin {
        headers.append(ORIGIN, HeaderValue::from_str(origin).map_err(|_| origin.as_str())?);
    }
    let mut names = Vec::new();
    for line in &args.headers {
        let (name, value) = line.split_once(':').ok_or(line.as_str())?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| line.as_str())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| line.as_str())?;
        let about_cors = name == ORIGIN || name.as_str().starts_with("access-control-request-");
        if args.preflight && !about_cors {
            if policy::cors::is_forbidden_header(name.as_str()) {
                eprintln!("note: no script can set {name}, so no preflight asks for it");
                continue;
            }
            names.push(name.to_string());
        } else {
            headers.append(name, value);
        }
    }
    if !args.preflight {
        return Ok((args.method.clone(), headers));
    }
    let asked = HeaderValue::from_str(args.method.as_str()).map_err(|_| args.method.as_str())?;
    headers.insert(ACCESS_CONTROL_REQUEST_METHOD, asked);
    if !names.is_empty() {
        names.sort_unstable();
        names.dedup();
        if let Ok(list) = HeaderValue::try_from(names.join(",")) {
            headers.append(ACCESS_CONTROL_REQUEST_HEADERS, list);
        }
    }
    Ok((Method::OPTIONS, headers))
}
