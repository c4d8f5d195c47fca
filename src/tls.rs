//! TLS: a certificate with its key, from files, replaced while connections are served.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// Larger ones are no certificates.
const MAX_FILE: u64 = 1 << 20;

/// Where certificate and key are, and what is spoken over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM, the server's own first.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Whether HTTP/2 is offered beside HTTP/1.1.
    pub http2: bool,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The key that names it, within `server.tls`.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not PEM, or holds nothing of the kind.
    #[error("{} holds no {what} that can be read: {source}", path.display())]
    Malformed {
        /// The key that names it, within `server.tls`.
        key: &'static str,
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong. It quotes nothing.
        source: pem::Error,
    },
    /// They do not belong together, or the key is of no kind that is known.
    #[error("certificate and key cannot be used: {source}")]
    Unusable {
        /// What is wrong.
        source: rustls::Error,
    },
}

impl TlsError {
    /// The key that is meant, within `server.tls`.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Unreadable { key, .. } | Self::Malformed { key, .. } => key,
            Self::Unusable { .. } => "key",
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "tls_unreadable",
            Self::Malformed { .. } => "tls_malformed",
            Self::Unusable { .. } => "tls_unusable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions",
            Self::Malformed { .. } => {
                "write the certificate chain in PEM into one file (-----BEGIN CERTIFICATE-----, the server's own first), and its key without a password into the other (-----BEGIN PRIVATE KEY-----)"
            }
            Self::Unusable { .. } => {
                "name the certificate and the key that was made for it; `openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` print the same if they match"
            }
        }
    }
}

/// A certificate and its key, ready to be used.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    digest: Fingerprint,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads both files and puts them together.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which says what to do about it.
    pub fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let pair = Pair::read(&files)?;
        pair.ready(files)
    }

    pub(crate) fn files(&self) -> &TlsFiles {
        &self.files
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.digest
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, self.digest) == (&other.files, other.digest)
    }
}

impl Eq for Tls {}

/// What both files held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// Both files as they are.
pub(crate) struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { cert: read("cert", &files.cert)?, key: read("key", &files.key)? })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update((self.cert.len() as u64).to_le_bytes());
        hash.update(&self.cert);
        hash.update(&self.key);
        Fingerprint(hash.finalize().into())
    }

    pub(crate) fn ready(&self, files: TlsFiles) -> Result<Tls, TlsError> {
        let malformed = |key, path: &Path, what| {
            let path = path.to_owned();
            move |source| TlsError::Malformed { key, path, what, source }
        };
        let chain = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<Vec<_>, _>>()
            .and_then(
                |chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) },
            )
            .map_err(malformed("cert", &files.cert, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(malformed(
            "key",
            &files.key,
            "private key",
        ))?;
        let server =
            server(chain, key, files.http2).map_err(|source| TlsError::Unusable { source })?;
        Ok(Tls { digest: self.fingerprint(), files, server: Arc::new(server) })
    }
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    http2: bool,
) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Whoever comes again is recognised by what it brings, not by what is remembered of it here.
    server.ticketer = ring::Ticketer::new()?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        server.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(server)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { key, path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    std::fs::read(path).map_err(unreadable)
}

/// The certificate in force. A connection keeps the one it began with.
#[derive(Debug, Clone)]
pub struct LiveTls(Arc<ArcSwap<Tls>>);

impl LiveTls {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(tls)))
    }

    pub(crate) fn current(&self) -> Arc<Tls> {
        self.0.load_full()
    }

    /// Puts another pair in force, for connections that come from now on.
    pub fn replace(&self, tls: Tls) {
        self.0.store(Arc::new(tls));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn read(cert: &str, key: &str) -> Result<Tls, TlsError> {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            http2: true,
        };
        std::fs::write(&files.cert, cert).unwrap();
        if !key.is_empty() {
            std::fs::write(&files.key, key).unwrap();
        }
        Tls::read(files)
    }

    #[test]
    fn pairs_are_checked() {
        let ((cert, key), (other_cert, other_key)) = (pair(), pair());
        assert!(read(&cert, &key).is_ok());
        assert_ne!(
            read(&cert, &key).unwrap().fingerprint(),
            read(&other_cert, &other_key).unwrap().fingerprint()
        );
        for (case, cert, key, want) in [
            ("no file", &*cert, "", ("tls_unreadable", "key")),
            ("no certificate", "nonsense", &*key, ("tls_malformed", "cert")),
            ("a key for a certificate", &*key, &*key, ("tls_malformed", "cert")),
            ("no key", &*cert, "nonsense", ("tls_malformed", "key")),
            ("another's key", &*cert, &*other_key, ("tls_unusable", "key")),
            ("too large", &*cert, &*" ".repeat((1 << 20) + 1), ("tls_unreadable", "key")),
        ] {
            let error = read(cert, key).expect_err(case);
            assert_eq!((error.code(), error.key()), want, "{case}: {error}");
        }
    }

    #[test]
    fn no_key_is_printed() {
        let (cert, key) = pair();
        let secret = key.lines().nth(1).unwrap();
        assert!(!format!("{:?}", read(&cert, &key).unwrap()).contains(secret));
        let broken = key.replace("-----END", "----END");
        assert!(!read(&cert, &broken).unwrap_err().to_string().contains(secret));
    }
}
