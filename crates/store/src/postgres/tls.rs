//! TLS to the server: whom it is trusted to be, and how a connection is made.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::address::Address;
use crate::error::{StoreError, StoreResult};

/// What is named where TLS begins without a word of PostgreSQL before it.
const PROTOCOL: &[u8] = b"postgresql";

/// Where the certificates are that others are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// With the operating system.
    Platform,
    /// In a file, in PEM.
    File(PathBuf),
}

/// What a server has to show, where there is TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any certificate: nobody can listen, but nobody knows to whom.
    Anybody,
    /// A certificate that these vouch for, whatever its name.
    Chain(Roots),
    /// A certificate that these vouch for, for the name of the host.
    Name(Roots),
}

/// A server that can be connected to, again and again.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    place: String,
}

/// A connection, which somebody has to drive.
pub(super) type Driven = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Server {
    /// What an address says, with the certificates that it names. Reads files; reaches nobody.
    pub(crate) fn read(address: &str) -> StoreResult<Self> {
        let address = Address::read(address)?;
        let place = address.name();
        let tls = client(&address).map_err(|reason| StoreError::Open { place: place.clone(), reason })?;
        Ok(Self { config: address.config, tls: MakeRustlsConnect::new(tls), place })
    }

    /// How to name the database without giving the password away.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<(Client, Driven), tokio_postgres::Error> {
        match self.config.connect(self.tls.clone()).await {
            Err(error) if self.config.get_ssl_mode() == SslMode::Prefer && is_of_tls(&error) => {
                // The server speaks another TLS than we do, or lets us in without only. Who insists on it says so.
                tracing::debug!(place = self.place, "no TLS: the server and we do not agree on it");
                let mut config = self.config.clone();
                config.ssl_mode(SslMode::Disable);
                config.connect(self.tls.clone()).await
            }
            connected => connected,
        }
    }
}

/// Whether two sides did not agree on TLS, or the server has no rule for those who come with it.
fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    if error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) {
        return true;
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.and_then(std::io::Error::get_ref).is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>)
}

fn client(address: &Address) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let (roots, named) = match &address.trust {
        _ if address.config.get_ssl_mode() == SslMode::Disable => (None, false),
        Trust::Anybody => (None, false),
        Trust::Chain(roots) => (Some(read_roots(roots)?), false),
        Trust::Name(roots) => (Some(read_roots(roots)?), true),
    };
    let verifier = Verifier { provider: Arc::clone(&provider), roots, named };
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut client = versions
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    if address.config.get_ssl_negotiation() == SslNegotiation::Direct {
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
    }
    Ok(client)
}

fn read_roots(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Platform => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
                return Err(format!(
                    "the system has no certificates to judge others by{reasons}: name some by sslrootcert"
                ));
            }
        }
        Roots::File(path) => {
            let shown = path.display();
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let certificates: Vec<_> = certificates.map_err(|error| format!("sslrootcert {shown}: {error}"))?;
            for certificate in certificates {
                store.add(certificate).map_err(|error| format!("sslrootcert {shown}: {error}"))?;
            }
            if store.is_empty() {
                return Err(format!("sslrootcert {shown}: there is no certificate in it"));
            }
        }
    }
    Ok(store)
}

/// Judges the certificate of a server.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where any certificate will do.
    roots: Option<RootCertStore>,
    /// Whether the name counts, too.
    named: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        if self.named {
            verify_server_name(&certificate, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
