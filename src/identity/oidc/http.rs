//! The only way to a provider: no redirects, bounded in size and time.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::{Host, Url};

/// Discovery documents and key sets are a few kilobytes, tokens seldom more.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// For connecting alone.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// For a whole exchange.
const DEADLINE: Duration = Duration::from_secs(8);
/// Connections that wait for the next request.
const IDLE: usize = 4;
/// They are closed before the provider does so (Node: five seconds): a request that meets a closing
/// connection may or may not have had its effect.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Plain http, or no http at all.
    #[error("`{0}` is not https")]
    NotHttps(String),
    /// No connection, or a broken one.
    #[error("no connection: {0}")]
    Connection(String),
    /// Too slow.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Timeout,
    /// Too much.
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// 3xx: an endpoint has one place, and a secret goes to no other.
    #[error("it redirects ({0}), which is not followed")]
    Redirect(StatusCode),
    /// 5xx, or 429: it works, but not now.
    #[error("it answered {0}")]
    Status(StatusCode),
}

/// The client. Trusts the certificates that the system trusts (`SSL_CERT_FILE` names others), and
/// Mozilla's where the system has none, as in many containers.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Development only: `http://localhost` is let through.
    plain_loopback: bool,
}

impl Http {
    pub(super) fn new(plain_loopback: bool) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_DEADLINE));
        tcp.set_nodelay(true);
        // The scheme is checked by `send`, against more than this connector knows.
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_native_roots().unwrap_or_else(|error| {
            tracing::info!(%error, "the system trusts nobody: using Mozilla's certificates");
            HttpsConnectorBuilder::new().with_webpki_roots()
        });
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_FOR)
            .build(connector);
        Self { client, plain_loopback }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; an answer of the client's own fault (4xx) is none.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        check_scheme(request.uri(), self.plain_loopback)?;
        tokio::time::timeout(DEADLINE, self.exchange(request))
            .await
            .map_err(|_| HttpError::Timeout)?
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let answer =
            self.client.request(request).await.map_err(|e| HttpError::Connection(causes(&e)))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(HttpError::Redirect(status));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpError::Status(status));
        }
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|e| {
            if e.is::<LengthLimitError>() {
                HttpError::TooLarge
            } else {
                HttpError::Connection(causes(&*e))
            }
        })?;
        Ok(HttpResponse::from_parts(parts, body.to_bytes().into()))
    }
}

/// The chain of causes: the outermost alone says no more than "client error".
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn check_scheme(uri: &Uri, plain_loopback: bool) -> Result<(), HttpError> {
    let url = Url::parse(&uri.to_string());
    match url {
        Ok(url) if is_acceptable(&url, plain_loopback) => Ok(()),
        _ => Err(HttpError::NotHttps(uri.to_string())),
    }
}

/// Whether secrets may go there: https, or in development plain http that stays on this machine.
pub(super) fn is_acceptable(url: &Url, plain_loopback: bool) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && plain_loopback && loopback
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("plain_loopback", &self.plain_loopback).finish_non_exhaustive()
    }
}

/// `Authorization` for a client that has a secret. RFC 6749 §2.3.1 wants both parts form-encoded
/// first, unlike ordinary Basic authentication.
pub(super) fn basic(client_id: &str, secret: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine_and_in_development() {
        for (url, dev, production) in [
            ("https://idp.example", true, true),
            ("https://127.0.0.1", true, true),
            ("http://localhost:9", true, false),
            ("http://127.0.0.1:9", true, false),
            ("http://127.9.9.9:9", true, false),
            ("http://[::1]:9", true, false),
            ("http://idp.example", false, false),
            ("http://localhost.evil.example", false, false),
            ("http://127.0.0.1.evil.example", false, false),
            ("http://0.0.0.0", false, false),
            ("ftp://localhost", false, false),
            ("file:///etc/passwd", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_acceptable(&url, true), dev, "{url}");
            assert_eq!(is_acceptable(&url, false), production, "{url}");
        }
    }

    #[test]
    fn basic_credentials_are_form_encoded_and_do_not_print() {
        let value = basic("a:b", "c d").unwrap();
        // base64 of `a%3Ab:c+d`
        assert_eq!(value, "Basic YSUzQWI6Yytk");
        assert_eq!(format!("{value:?}"), "Sensitive");
    }
}
