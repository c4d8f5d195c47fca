//! Sends one question and nothing beside it: HTTP/1.1, no cookies, no redirects, no second try.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::doctor::trust::Trust;
use crate::doctor::{Answer, Exchange, Question, TlsFault, Trouble, TrustError};
use crate::scenario::{Address, Scheme};

/// For one exchange, its connection included, until the head of the answer is there.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of the body of a 400 so much is read, and of no other body anything.
const KEPT_BODY: usize = 1 << 10;
/// For that body.
const BODY_DEADLINE: Duration = Duration::from_secs(2);
/// Status line and headers.
const MAX_HEAD: usize = 64 << 10;

/// `HOST:PORT:ADDR`: where a host is, whatever the DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    port: u16,
    address: IpAddr,
}

/// Sends questions.
#[derive(Debug, Clone)]
pub struct Client {
    trust: Trust,
    resolve: Vec<Resolve>,
    deadline: Duration,
}

/// An answer whose head is there.
struct Begun {
    head: http::response::Parts,
    body: Incoming,
    /// Carries the body; ends when this is dropped.
    _connection: JoinSet<()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Resolve {
    /// Reads `HOST:PORT:ADDR`, as curl writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").map(|(host, rest)| (format!("[{host}]"), rest))?,
            None => text.split_once(':').map(|(host, rest)| (host.to_owned(), rest))?,
        };
        let (port, address) = rest.split_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: host.to_ascii_lowercase(),
            port: port.parse().ok()?,
            address: address.parse().ok()?,
        })
        .filter(|resolve| !resolve.host.is_empty())
    }
}

impl Client {
    /// Trusts whom the system trusts and the certificates in `cacert`; with `overlooks` it goes on
    /// whatever the certificate.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn new(
        cacert: Option<&Path>,
        overlooks: bool,
        resolve: Vec<Resolve>,
    ) -> Result<Self, TrustError> {
        Ok(Self { trust: Trust::new(cacert, overlooks)?, resolve, deadline: DEADLINE })
    }

    /// With another deadline for each exchange.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Whether the caller said where this address is.
    #[must_use]
    pub fn is_told(&self, address: &Address) -> bool {
        self.told(address).is_some()
    }

    fn told(&self, address: &Address) -> Option<IpAddr> {
        let origin = address.origin();
        let mut all = self.resolve.iter();
        all.find(|r| r.host == origin.host() && r.port == origin.port()).map(|r| r.address)
    }

    /// Sends a question.
    pub async fn ask(&self, question: Question) -> Exchange {
        #[expect(clippy::disallowed_methods, reason = "measures, and decides nothing")]
        let started = std::time::Instant::now();
        let (mut peer, mut overlooked) = (None, None);
        let asking = self.exchange(&question, &mut peer, &mut overlooked);
        let result = match tokio::time::timeout(self.deadline, asking).await {
            // The head is all that a browser's checks need, and a stream of events has no end.
            Ok(Ok(begun)) => Ok(begun.answer().await),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::Timeout(self.deadline.as_secs())),
        };
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Exchange { question, result, peer, overlooked, millis }
    }

    async fn exchange(
        &self,
        question: &Question,
        peer: &mut Option<IpAddr>,
        overlooked: &mut Option<TlsFault>,
    ) -> Result<Begun, Trouble> {
        let tcp = self.connect(&question.address).await?;
        *peer = tcp.peer_addr().ok().map(|address| address.ip());
        let stream: Pin<Box<dyn Stream>> = match question.address.origin().scheme() {
            Scheme::Http => Box::pin(tcp),
            Scheme::Https => Box::pin(self.secure(tcp, &question.address, overlooked).await?),
        };
        converse(stream, question).await
    }

    async fn connect(&self, address: &Address) -> Result<TcpStream, Trouble> {
        let origin = address.origin();
        let port = origin.port();
        let peers: Vec<SocketAddr> = if let Some(ip) = self.told(address) {
            vec![SocketAddr::new(ip, port)]
        } else {
            let host = origin.host().trim_start_matches('[').trim_end_matches(']');
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|error| Trouble::Dns(error.to_string()))?.collect()
        };
        if peers.is_empty() {
            return Err(Trouble::Dns("no address".to_owned()));
        }
        let tcp = TcpStream::connect(&peers[..]).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Trouble::Refused,
            _ => Trouble::Unreachable(error.to_string()),
        })?;
        // One small request a connection: nothing to wait for.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    async fn secure(
        &self,
        tcp: TcpStream,
        address: &Address,
        overlooked: &mut Option<TlsFault>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Trouble> {
        let once = self.trust.once().map_err(|error| Trouble::Tls(error.to_string()))?;
        let host = address.origin().host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Trouble::Tls(error.to_string()))?;
        let connected = TlsConnector::from(once.config.clone()).connect(name, tcp).await;
        let fault = once.fault();
        match connected {
            Ok(stream) => {
                *overlooked = fault;
                Ok(stream)
            }
            Err(error) => Err(match (fault, error.get_ref().and_then(|e| e.downcast_ref())) {
                (Some(fault), _) => Trouble::Certificate(fault),
                (None, Some(rustls::Error::InvalidMessage(_))) => Trouble::NotTls,
                (None, Some(error)) => Trouble::Tls(error.to_string()),
                (None, None) => Trouble::Tls(error.to_string()),
            }),
        }
    }
}

/// One request over a fresh connection, until the head of its answer is there.
async fn converse(stream: Pin<Box<dyn Stream>>, question: &Question) -> Result<Begun, Trouble> {
    let handshake = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        // A line that is no header costs that line, as in a browser, and not the answer.
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = handshake.map_err(|error| trouble(&error))?;
    let mut running = JoinSet::new();
    // How it ends, the request hears as well.
    running.spawn(async { drop(connection.await) });
    let response =
        sender.send_request(request(question)?).await.map_err(|error| trouble(&error))?;
    let (head, body) = response.into_parts();
    Ok(Begun { head, body, _connection: running })
}

impl Begun {
    async fn answer(mut self) -> Answer {
        let mut read = Vec::new();
        // Only there words tell more than headers: a port that wants TLS says so.
        if self.head.status == http::StatusCode::BAD_REQUEST {
            let _ = tokio::time::timeout(BODY_DEADLINE, beginning(&mut self.body, &mut read)).await;
        }
        let headers = self.head.headers.iter();
        Answer {
            status: self.head.status.as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(&read).into_owned(),
        }
    }
}

async fn beginning(body: &mut Incoming, read: &mut Vec<u8>) {
    while let Some(Ok(frame)) = body.frame().await
        && read.len() < KEPT_BODY
    {
        let Ok(data) = frame.into_data() else { continue };
        read.extend(data.iter().take(KEPT_BODY - read.len()));
    }
}

/// Bytes of a header are characters up to U+00FF, as browsers take them. Those among them that
/// steer terminals mean nothing in a header.
fn text(value: &HeaderValue) -> String {
    let steers = |c: char| c.is_control() && c != '\t';
    let characters = value.as_bytes().iter().map(|byte| char::from(*byte));
    characters.map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn request(question: &Question) -> Result<Request<Empty<Bytes>>, Trouble> {
    let wrong = |error: http::Error| Trouble::Unreachable(error.to_string());
    let address = question.address.cache_key();
    // Origin form: what follows scheme, host and port.
    let target = address.splitn(4, '/').nth(3).unwrap_or_default();
    let uri = Uri::builder().path_and_query(format!("/{target}")).build().map_err(wrong)?;
    let origin = question.address.origin();
    let host = origin.text().split("://").nth(1).unwrap_or_default();
    let mut request = Request::builder()
        .method(question.method.as_str())
        .uri(uri)
        .header(http::header::HOST, host);
    for (name, value) in &question.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| wrong(e.into()))?;
        let bytes: Vec<u8> =
            value.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = HeaderValue::from_bytes(&bytes).map_err(|e| wrong(e.into()))?;
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(wrong)
}

fn trouble(error: &hyper::Error) -> Trouble {
    if error.is_parse() { Trouble::NotHttp } else { Trouble::Closed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_steer_terminals_are_not_passed_on() {
        for (bytes, want) in [
            (&b"Accept,\tOrigin"[..], "Accept,\tOrigin"),
            (b"a\x9b31mb", "a\u{fffd}31mb"),
            (b"caf\xe9", "caf\u{e9}"),
        ] {
            let value = HeaderValue::from_bytes(bytes).expect("a value");
            assert_eq!(text(&value), want);
        }
    }

    #[test]
    fn hosts_are_told_as_curl_is_told() {
        let told =
            |text: &str| Resolve::parse(text).map(|r| (r.host, r.port, r.address.to_string()));
        let is =
            |host: &str, port, address: &str| Some((host.to_owned(), port, address.to_owned()));
        for (text, want) in [
            ("Api.example.com:443:127.0.0.1", is("api.example.com", 443, "127.0.0.1")),
            ("api.example.com:443:::1", is("api.example.com", 443, "::1")),
            ("api.example.com:443:[::1]", is("api.example.com", 443, "::1")),
            ("[::1]:80:127.0.0.1", is("[::1]", 80, "127.0.0.1")),
            ("api.example.com:443", None),
            ("api.example.com:https:127.0.0.1", None),
            (":443:127.0.0.1", None),
            ("api.example.com:443:localhost", None),
        ] {
            assert_eq!(told(text), want, "{text}");
        }
    }

    /// What a server that does this with its first connection is answered to have said.
    fn asked(
        deadline: Duration,
        serve: impl FnOnce(std::net::TcpStream) -> usize + Send + 'static,
    ) -> (Exchange, std::thread::JoinHandle<usize>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
        let question = Question {
            purpose: crate::doctor::Purpose::Actual,
            hop: 0,
            method: "GET".to_owned(),
            address: Address::parse(&url).expect("an address"),
            headers: Vec::new(),
        };
        let client = Client::new(None, false, Vec::new()).expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let asking = client.with_deadline(deadline);
        let exchange = runtime.expect("a runtime").block_on(asking.ask(question));
        (exchange, server)
    }

    #[test]
    fn whoever_stalls_is_left() {
        use std::io::Read as _;
        // It reads until the client hangs up, and says nothing.
        let (exchange, server) = asked(Duration::from_millis(50), |mut stream| {
            stream.read_to_end(&mut Vec::new()).unwrap_or_default()
        });
        assert_eq!(exchange.result, Err(Trouble::Timeout(0)));
        assert!(u128::from(exchange.millis) < DEADLINE.as_millis(), "{} ms", exchange.millis);
        assert!(server.join().expect("it was left") > 0, "nothing was asked");
    }

    #[test]
    fn of_a_body_that_never_ends_little_is_read() {
        use std::io::{Read as _, Write as _};
        const OFFERED: usize = 1 << 30;
        let (exchange, server) = asked(Duration::from_mins(1), |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {OFFERED}\r\n\r\n");
            let chunk = vec![b'x'; 1 << 16];
            let mut written = 0;
            let mut go = stream.write_all(head.as_bytes()).is_ok();
            while go && written < OFFERED {
                go = stream.write_all(&chunk).is_ok();
                written += chunk.len();
            }
            written
        });
        let answer = exchange.result.expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (400, KEPT_BODY));
        // What the kernel holds on the way counts as written.
        let written = server.join().expect("it was left");
        assert!(written < OFFERED / 8, "{written}");
    }
}
