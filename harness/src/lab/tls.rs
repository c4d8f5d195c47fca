//! A certificate made on the spot for the host names of a run.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// It could not be used.
    #[error("cannot use the certificate: {0}")]
    Use(#[from] rustls::Error),
}

/// A self-signed certificate that exists in memory only. Browsers are told its public key at
/// launch, so they check everything else as they always do, and no root is installed anywhere.
#[derive(Clone)]
pub struct Certificate {
    acceptor: TlsAcceptor,
    key_pin: String,
    fingerprint: String,
}

impl Certificate {
    /// One certificate for all these host names.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn for_hosts(hosts: Vec<String>) -> Result<Self, TlsError> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(hosts)?;
        let key_pin = STANDARD.encode(Sha256::digest(signing_key.subject_public_key_info()));
        let digest = Sha256::digest(cert.der());
        let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let fingerprint = pairs.join(":");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), key_pin, fingerprint })
    }

    /// Base64 of the SHA-256 of its public key, as `--ignore-certificate-errors-spki-list` takes.
    #[must_use]
    pub fn key_pin(&self) -> &str {
        &self.key_pin
    }

    /// SHA-256 of the certificate as `AB:CD:…`, as people are shown it and Firefox stores it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Ends TLS with this certificate.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("key_pin", &self.key_pin).finish_non_exhaustive()
    }
}
