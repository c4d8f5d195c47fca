//! Hosts without DNS, for engines that have no flag for it: a SOCKS5 proxy on loopback.
//!
//! A browser that is told of it leaves names to it and hands over `host:port`; the relay connects
//! to the listener that stands for it and passes bytes on, TLS included. So `https://app.example.com`
//! is served under its own name and port, without root and without a hosts file; and what is not
//! mapped does not exist, which also keeps the browser's own traffic from leaving the machine.
//!
//! Only what [RFC 1928](https://www.rfc-editor.org/rfc/rfc1928) demands of `CONNECT` is spoken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::browser::launch::Hosts;

/// A running relay; ends with all its connections when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    task: AbortHandle,
}

impl Relay {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) async fn start(hosts: Hosts) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let hosts = Arc::new(hosts);
        let task = tokio::spawn(async move {
            // Connections end with the relay, not after it.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _peer)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let hosts = Arc::clone(&hosts);
                // How a connection ends is between the browser and the origin.
                connections.spawn(async move { serve(stream, &hosts).await.ok() });
            }
        });
        Ok(Self { address, task: task.abort_handle() })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut browser: TcpStream, hosts: &Hosts) -> io::Result<()> {
    browser.set_nodelay(true)?;
    greet(&mut browser).await?;
    let (host, port) = requested(&mut browser).await?;
    let Some(address) = hosts.find(&host, port) else {
        tracing::debug!(host, port, "not mapped");
        return reply(&mut browser, HOST_UNREACHABLE).await;
    };
    let mut origin = match TcpStream::connect(address).await {
        Ok(origin) => origin,
        Err(_nobody) => return reply(&mut browser, CONNECTION_REFUSED).await,
    };
    origin.set_nodelay(true)?;
    reply(&mut browser, SUCCEEDED).await?;
    copy_bidirectional(&mut browser, &mut origin).await.map(|_bytes| ())
}

/// Version and methods; "no authentication" is all we have.
async fn greet(browser: &mut TcpStream) -> io::Result<()> {
    expect(browser.read_u8().await?, VERSION)?;
    let mut methods = vec![0; usize::from(browser.read_u8().await?)];
    browser.read_exact(&mut methods).await?;
    expect(u8::from(methods.contains(&NO_AUTHENTICATION)), 1)?;
    browser.write_all(&[VERSION, NO_AUTHENTICATION]).await
}

/// The host, as the browser spells it, and the port.
async fn requested(browser: &mut TcpStream) -> io::Result<(String, u16)> {
    let mut head = [0; 4];
    browser.read_exact(&mut head).await?;
    let [version, command, _reserved, kind] = head;
    expect(version, VERSION)?;
    if command != CONNECT {
        reply(browser, COMMAND_NOT_SUPPORTED).await?;
    }
    expect(command, CONNECT)?;
    let host = match kind {
        IPV4 => {
            let mut octets = [0; 4];
            browser.read_exact(&mut octets).await?;
            Ipv4Addr::from(octets).to_string()
        }
        IPV6 => {
            let mut octets = [0; 16];
            browser.read_exact(&mut octets).await?;
            Ipv6Addr::from(octets).to_string()
        }
        _ => {
            expect(kind, NAME)?;
            let mut name = vec![0; usize::from(browser.read_u8().await?)];
            browser.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    Ok((host, browser.read_u16().await?))
}

async fn reply(browser: &mut TcpStream, code: u8) -> io::Result<()> {
    // The bound address, which no browser looks at.
    browser.write_all(&[VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]).await
}

fn expect(got: u8, want: u8) -> io::Result<()> {
    if got == want { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const SUCCEEDED: u8 = 0;
const HOST_UNREACHABLE: u8 = 4;
const CONNECTION_REFUSED: u8 = 5;
const COMMAND_NOT_SUPPORTED: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// Speaks to a relay and gives its bytes up to the close, or the first `length`.
    async fn ask(relay: &Relay, bytes: &[u8], length: usize) -> Vec<u8> {
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match stream.read(&mut answer[filled..]).await {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        answer.truncate(filled);
        answer
    }

    fn connect(host: &str, port: u16) -> Vec<u8> {
        let mut bytes = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(host.len()).unwrap()];
        bytes.extend(host.as_bytes());
        bytes.extend(port.to_be_bytes());
        bytes
    }

    #[tokio::test]
    async fn a_mapped_name_reaches_its_listener_and_no_other_does() {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hosts = Hosts::new(vec![
            ("app.example.com:443".to_owned(), origin.local_addr().unwrap()),
            ("gone.example.com".to_owned(), nobody.local_addr().unwrap()),
        ]);
        drop(nobody);
        tokio::spawn(async move {
            loop {
                let (mut stream, _peer) = origin.accept().await.unwrap();
                stream.write_all(b"hello").await.unwrap();
            }
        });
        let relay = Relay::start(hosts).await.unwrap();
        let granted = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(ask(&relay, &connect("app.example.com", 443), 17).await, granted);
        for (host, port, code) in [
            ("app.example.com", 80, HOST_UNREACHABLE),
            ("other.example.com", 443, HOST_UNREACHABLE),
            ("gone.example.com", 1234, CONNECTION_REFUSED),
        ] {
            let refused = ask(&relay, &connect(host, port), 17).await;
            assert_eq!(refused, [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{host}:{port}");
        }
    }

    #[tokio::test]
    async fn what_is_no_socks5_is_hung_up_on() {
        let relay = Relay::start(Hosts::default()).await.unwrap();
        assert_eq!(ask(&relay, b"GET / HTTP/1.1\r\n\r\n", 10).await, b"");
        assert_eq!(ask(&relay, &[5, 1, 2], 10).await, b"", "only with a password");
        let bind = ask(&relay, &[5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80], 12).await;
        assert_eq!(bind[3], COMMAND_NOT_SUPPORTED);
    }
}
