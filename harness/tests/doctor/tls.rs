//! Certificates that browsers do not take.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::support::{Said, doctor};

/// Answers every request over TLS; port, and its certificate in PEM.
fn serve(host: &str, expired: bool) -> (u16, String) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
    if expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (tell, told) = std::sync::mpsc::channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").port()).expect("the test listens");
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nvary: origin\r\n\
                              access-control-allow-origin: https://app.example.com\r\n\
                              access-control-allow-credentials: true\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
    });
    (told.recv().expect("a port"), certificate.pem())
}

fn examine(port: u16, more: &[&str]) -> Said {
    let url = format!("https://api.example.com:{port}/items");
    let resolve = format!("api.example.com:{port}:127.0.0.1");
    let mut args = vec![url.as_str(), "--origin", "https://app.example.com"];
    args.extend(["--resolve", &resolve, "--format", "json"]);
    args.extend(more);
    doctor(&args)
}

#[test]
fn a_certificate_that_nobody_trusts_is_the_first_finding() {
    for (host, expired, says) in [
        ("api.example.com", false, "its issuer is not known"),
        ("api.example.com", true, "expired"),
        ("other.example.com", false, "another host"),
    ] {
        let (port, pem) = serve(host, expired);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).expect("a file");
        // Its issuer is trusted: what else is wrong shows.
        let issuer = ["--cacert", file.to_str().expect("a path")];
        let trusted = expired || host != "api.example.com";
        let said = examine(port, if trusted { &issuer } else { &[] });
        assert_eq!(said.faults(), ["error tls-untrusted-certificate"], "{}", said.out);
        let document = said.json();
        let finding = &document["findings"][0];
        assert!(finding["text"].as_str().is_some_and(|t| t.contains(says)), "{says}: {finding}");
        assert_eq!(finding["not_cors"], true);
        // Nothing was sent to whoever that is.
        assert_eq!(document["exchanges"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn whom_the_caller_trusts_is_asked() {
    let (port, pem) = serve("api.example.com", false);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).expect("a file");
    let said = examine(port, &["--cacert", file.to_str().expect("a path")]);
    assert_eq!((said.code, said.faults()), (Some(0), Vec::new()), "{}", said.out);
    assert!(!said.out.contains("tls-untrusted-certificate"), "{}", said.out);
    let said = examine(port, &["--insecure-tls"]);
    assert_eq!((said.code, said.faults()), (Some(0), Vec::new()), "{}", said.out);
    assert!(said.out.contains("it was overlooked here"), "{}", said.out);
    std::fs::write(&file, "no certificate").expect("a file");
    let said = examine(port, &["--cacert", file.to_str().expect("a path")]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("no certificate is in it"), "{}", said.err);
}
