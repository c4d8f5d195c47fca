//! Whom the doctor trusts: whom browsers here would, and whom the caller names.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::doctor::TlsFault;

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The caller's file.
    #[error("{file}: {reason}; expected certificates in PEM (-----BEGIN CERTIFICATE-----)")]
    File {
        /// Its name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The cryptography.
    #[error("no TLS here: {0}")]
    Tls(String),
}

/// Certificates that are believed, and what happens to those that are not.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    overlooks: bool,
}

/// Settings for one connection, and where its certificate's fault is written down.
pub(super) struct Once {
    pub(super) config: Arc<ClientConfig>,
    fault: Arc<Mutex<Option<TlsFault>>>,
}

impl Trust {
    /// Those whom the system trusts, else Mozilla's list; and those in the caller's file.
    pub(super) fn new(file: Option<&Path>, overlooks: bool) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(file) = file {
            let wrong =
                |reason: String| TrustError::File { file: file.display().to_string(), reason };
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))?;
            let mut found = 0;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
                found += 1;
            }
            if found == 0 {
                return Err(wrong("no certificate is in it".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| TrustError::Tls(error.to_string()))?;
        Ok(Self { verifier, overlooks })
    }

    /// For one connection.
    pub(super) fn once(&self) -> Result<Once, TrustError> {
        let fault = Arc::new(Mutex::new(None));
        let watching = Watching {
            verifier: Arc::clone(&self.verifier),
            overlooks: self.overlooks,
            fault: Arc::clone(&fault),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(watching))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Once { config: Arc::new(config), fault })
    }
}

impl Once {
    /// What was wrong with the certificate.
    pub(super) fn fault(&self) -> Option<TlsFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Checks as ever, writes down what is wrong, and goes on only if it was told to.
#[derive(Debug)]
struct Watching {
    verifier: Arc<WebPkiServerVerifier>,
    overlooks: bool,
    fault: Arc<Mutex<Option<TlsFault>>>,
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        checked.or_else(|error| {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault(&error));
            if self.overlooks { Ok(ServerCertVerified::assertion()) } else { Err(error) }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn fault(error: &Error) -> TlsFault {
    let Error::InvalidCertificate(error) = error else { return TlsFault::Other(error.to_string()) };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::NotYet
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::OtherHost(error.to_string())
        }
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        // webpki's way of saying that a self-made certificate of today's tools is its own issuer.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsFault::UnknownIssuer
        }
        other => TlsFault::Other(other.to_string()),
    }
}
