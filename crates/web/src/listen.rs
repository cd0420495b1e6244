//! Where a server may listen.

use std::net::SocketAddr;

/// What keeps others out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// There are tokens.
    pub tokens: bool,
    /// What is said cannot be overheard: the server speaks TLS, or a proxy before it does.
    pub sealed: bool,
}

/// Why a server may not listen there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Anybody on the network could write.
    #[error(
        "{address} can be reached from other machines, and there are no API tokens that would keep others out: \
         listen on 127.0.0.1:{port} (and let a proxy or an SSH tunnel bring others in), or create tokens first: \
         uplift token create admin --role admin",
        port = .address.port()
    )]
    NeedsTokens {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anybody on the network could read tokens.
    #[error(
        "{address} can be reached from other machines, and tokens would cross the network in the clear: name a \
         certificate with --tls-cert and --tls-key, or say with --behind-proxy that a proxy before the server speaks TLS"
    )]
    NeedsTls {
        /// The address asked for.
        address: SocketAddr,
    },
}

/// Whether an address can be reached from this machine only.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Checks that a server may listen on `address`.
///
/// # Errors
/// Anywhere beyond the loopback interface while there are no tokens, or while they could be overheard.
pub fn check_listen(address: SocketAddr, kept: Kept) -> Result<(), ListenError> {
    match kept {
        _ if is_loopback(address) => Ok(()),
        Kept { tokens: false, .. } => Err(ListenError::NeedsTokens { address }),
        Kept { sealed: false, .. } => Err(ListenError::NeedsTls { address }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_only_with_tokens_and_tls() {
        let kept = |tokens, sealed| Kept { tokens, sealed };
        for (address, loopback) in [
            ("127.0.0.1:8080", true),
            ("127.8.9.10:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.168.0.2:8080", false),
            ("[::ffff:10.0.0.1]:80", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(check_listen(address, kept(false, false)).is_ok(), loopback, "{address}");
            assert_eq!(check_listen(address, kept(true, false)).is_ok(), loopback, "{address}");
            assert_eq!(check_listen(address, kept(false, true)).is_ok(), loopback, "{address}");
            assert_eq!(check_listen(address, kept(true, true)), Ok(()));
        }
        let address = "0.0.0.0:4318".parse().unwrap();
        let error = check_listen(address, kept(false, true)).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:4318") && error.contains("token create"), "{error}");
        let error = check_listen(address, kept(true, false)).unwrap_err().to_string();
        assert!(error.contains("--tls-cert") && error.contains("--behind-proxy"), "{error}");
    }
}
