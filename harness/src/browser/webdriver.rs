//! A client of [WebDriver](https://www.w3.org/TR/webdriver2/): JSON over HTTP, one command at a time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::browser::BrowserError;

/// A driver that listens somewhere.
#[derive(Debug, Clone)]
pub(crate) struct WebDriver {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl WebDriver {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { client, address }
    }

    /// Whether it answers, and takes a session: it has none.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = timeout(CALL_DEADLINE, self.send(Method::GET, "/status", None)).await;
        asked.is_ok_and(|answer| answer.is_ok_and(|status| status["ready"] == true))
    }

    /// Starts a session and gives its path, under which its commands are, and what it can do.
    pub(crate) async fn session(
        &self,
        capabilities: Value,
        deadline: Duration,
    ) -> Result<(String, Value), BrowserError> {
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let mut started = self.command(Method::POST, "/session", Some(body), deadline).await?;
        let id = started["sessionId"].as_str().unwrap_or_default();
        Ok((format!("/session/{id}"), started["capabilities"].take()))
    }

    /// Sends a command and gives its value.
    ///
    /// # Errors
    /// [`BrowserError::Driver`] with the driver's word and text, [`BrowserError::Timeout`], and
    /// [`BrowserError::Gone`] if there is no driver any more.
    pub(crate) async fn command(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        deadline: Duration,
    ) -> Result<Value, BrowserError> {
        let what = format!("{method} {path}");
        let late = |_elapsed| BrowserError::Timeout { what: what.clone(), after: deadline };
        timeout(deadline, self.send(method, path, body)).await.map_err(late)?
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, BrowserError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| BrowserError::Gone)?;
        let response = self.client.request(request).await.map_err(|_| BrowserError::Gone)?;
        let succeeded = response.status().is_success();
        let body = response.into_body().collect().await.map_err(|_| BrowserError::Gone)?;
        let mut reply: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let mut value = reply["value"].take();
        if succeeded {
            return Ok(value);
        }
        // The driver outlives its browser, and says no more about its end than this.
        if value["error"] == "invalid session id" {
            return Err(BrowserError::Gone);
        }
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        Err(BrowserError::Driver {
            error: text(value["error"].take()),
            message: text(value["message"].take()),
        })
    }
}

/// How long a command that does nothing to speak of may take.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn driver(status: &'static str, body: &'static str) -> WebDriver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        });
        WebDriver::at(address)
    }

    #[tokio::test]
    async fn a_session_has_a_path() {
        let body = r#"{"value":{"sessionId":"s1","capabilities":{"browserVersion":"2.50"}}}"#;
        let driver = driver("200 OK", body).await;
        let (path, capabilities) = driver.session(json!({}), CALL_DEADLINE).await.unwrap();
        assert_eq!(
            (path.as_str(), &capabilities["browserVersion"]),
            ("/session/s1", &json!("2.50"))
        );
    }

    #[tokio::test]
    async fn an_error_keeps_word_and_text() {
        let body = r#"{"value":{"error":"no such window","message":"gone","stacktrace":""}}"#;
        let driver = driver("404 Not Found", body).await;
        let failed = driver.command(Method::GET, "/x", None, CALL_DEADLINE).await.unwrap_err();
        assert_eq!(failed.to_string(), "the driver answered \"no such window\": gone");
    }

    #[tokio::test]
    async fn a_driver_that_is_gone_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let driver = WebDriver::at(listener.local_addr().unwrap());
        drop(listener);
        assert!(!driver.is_ready().await);
        let failed = driver.command(Method::GET, "/x", None, CALL_DEADLINE).await;
        assert!(matches!(failed, Err(BrowserError::Gone)), "{failed:?}");
    }
}
