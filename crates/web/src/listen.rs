//! Where a server may listen.

use std::net::SocketAddr;

/// Why a server may not listen there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Anybody on the network could write.
    #[error(
        "{address} can be reached from other machines, and there are no API tokens that would keep others out: \
         listen on 127.0.0.1:{port} (and let a proxy or an SSH tunnel bring others in), or create tokens first",
        port = .address.port()
    )]
    NeedsTokens {
        /// The address asked for.
        address: SocketAddr,
    },
}

/// Checks that a server may listen on `address`.
///
/// # Errors
/// Anywhere beyond the loopback interface while there are no tokens.
pub fn check_listen(address: SocketAddr, has_tokens: bool) -> Result<(), ListenError> {
    if has_tokens || address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(ListenError::NeedsTokens { address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tokens_only_loopback() {
        for (address, allowed) in [
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
            assert_eq!(check_listen(address, false).is_ok(), allowed, "{address}");
            assert_eq!(check_listen(address, true), Ok(()));
        }
        let error = check_listen("0.0.0.0:4318".parse().unwrap(), false).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:4318") && error.contains("tokens"), "{error}");
    }
}
