//! TLS: the certificate and its key, read again when they are renewed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use arc_swap::ArcSwap;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_mins(1);
/// Largest file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file holds no certificate or no key.
    #[error("{path} holds no {what} in PEM form")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key do not go together, or cannot be used.
    #[error("the certificate in {certificate} cannot be used with the key in {key}: {reason}")]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What the library said.
        reason: String,
    },
}

/// A certificate that is read again when its file changes.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads a certificate, with those that lead to its root, and its key, both in PEM form.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = read(certificate, key)?;
        let current = Arc::new(Current(ArcSwap::from_pointee(current)));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// What accepts connections with whatever certificate is current.
    ///
    /// # Errors
    /// When the library has no protocol version in common with itself.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let unusable = |reason: String| TlsError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            reason,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again whenever they change, for ever. A certificate that cannot be used changes nothing, and is
    /// said so in the log.
    pub async fn keep_current(self) {
        let mut seen = self.changed();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.changed();
            if now == seen {
                continue;
            }
            seen = now;
            match read(&self.certificate, &self.key) {
                Ok(renewed) => {
                    self.current.0.store(Arc::new(renewed));
                    tracing::info!(certificate = %self.certificate.display(), "the certificate was renewed");
                }
                Err(error) => tracing::error!(%error, "a new certificate cannot be used: the old one stays"),
            }
        }
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
    }
}

fn text(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(failed(format!("it has {size} bytes, which is no certificate and no key")));
    }
    fs::read(path).map_err(|error| failed(error.to_string()))
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text(certificate)?).collect();
    let empty = |path: &Path, what| TlsError::Empty { path: path.to_owned(), what };
    let chain = chain.map_err(|_| empty(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(empty(certificate, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|_| empty(key, "private key"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        reason: error.to_string(),
    })
}
