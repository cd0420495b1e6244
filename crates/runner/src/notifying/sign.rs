//! Signatures as Standard Webhooks describes them: HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uplift_model::notification::SECRET_PREFIX;

/// Bytes of a key that is made here.
const KEY_BYTES: usize = 32;
/// Fewest and most bytes of a key that is brought along.
const LEAST_KEY_BYTES: usize = 24;
const MOST_KEY_BYTES: usize = 64;

/// The key that a secret stands for; none where it is not base64, or of the wrong length.
pub(super) fn key(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    (LEAST_KEY_BYTES..=MOST_KEY_BYTES).contains(&key.len()).then_some(key)
}

/// A new secret.
///
/// # Errors
/// When the system has no random numbers to give.
pub(super) fn new_secret() -> Result<String, getrandom::Error> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    Ok(format!("{SECRET_PREFIX}{}", STANDARD.encode(key)))
}

/// The value of `webhook-signature`.
pub(super) fn signature(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> String {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_others_work_out() {
        // Made with Python's hmac and hashlib.
        let key = key("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3").unwrap();
        assert_eq!(key, b"0123456789abcdef01234567");
        assert_eq!(
            signature(&key, "news-7", 1_767_225_600, br#"{"a":1}"#),
            "v1,fPj7we7uVa/FwhnCh05bV9g+p/BcGDSXIchOgY3ncUs="
        );
    }

    #[test]
    fn secrets_are_long_enough() {
        for bad in ["", "whsec_", "whsec_AAAA", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_!"] {
            assert_eq!(key(bad), None, "{bad}");
        }
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(a, b);
        assert_eq!(key(&a).unwrap().len(), KEY_BYTES);
    }
}
