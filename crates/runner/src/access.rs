//! Tokens as this process knows them: read again whenever the configuration in the store moves on, looked up in memory.
//!
//! A token is random, shown once, and known here and in the store by its SHA-256 only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uplift_model::Time;
use uplift_model::access::{AuditEntry, NewToken, Role, Token};
use uplift_model::time::MICROS_PER_DAY;
use uplift_store::writes::access::AccessWrite;
use uplift_store::{Store, StoreError, StoreResult, Write};

use crate::engine::Engine;

/// What every token begins with, so that scanners of repositories find lost ones.
pub const TOKEN_PREFIX: &str = "uplift_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// A use is written down at most this often for each token.
const NOTE_EVERY_US: i64 = 10 * 60 * 1_000_000;
/// How often entries of the audit log that are too old are looked for.
const PRUNE_EVERY_US: i64 = 60 * 60 * 1_000_000;
/// Most entries of the audit log that are deleted at a time.
const PRUNED_AT_ONCE: u32 = 1_000;
/// What stands for "not read yet" where the number of the configuration would.
const NEVER: i64 = i64::MIN;

/// SHA-256 of a token.
pub type Hash = [u8; 32];

/// A token in memory.
#[derive(Debug)]
pub struct Known {
    /// As stored.
    pub token: Token,
    /// SHA-256 of the token.
    pub hash: Hash,
    noted: AtomicI64,
}

/// All tokens in force.
#[derive(Debug)]
pub struct Tokens {
    by_start: ArcSwap<HashMap<u64, Vec<Arc<Known>>>>,
    seq: AtomicI64,
    any: AtomicBool,
    uses: Mutex<HashMap<i64, Time>>,
    pruned_us: AtomicI64,
    /// Held while they are read, so that the newer state wins.
    reading: tokio::sync::Mutex<()>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            by_start: ArcSwap::default(),
            seq: AtomicI64::new(NEVER),
            any: AtomicBool::new(false),
            uses: Mutex::default(),
            pruned_us: AtomicI64::new(0),
            reading: tokio::sync::Mutex::new(()),
        }
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody knows it: it was never made, or is revoked.
    Unknown,
    /// It has expired.
    Expired,
}

/// The SHA-256 of a token.
pub fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// Where a hash is looked for. An attacker who measures the time learns the start of a hash, from which no token follows.
fn start(hash: &Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(first)
}

fn hexadecimal(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hexadecimal(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

impl Tokens {
    /// Whether there is any token in force, expired ones included: then somebody has begun to guard this place.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The token of this hash.
    ///
    /// # Errors
    /// When there is none in force.
    pub fn find(&self, hash: &Hash, now: Time) -> Result<Arc<Known>, Refused> {
        let by_start = self.by_start.load();
        let known = by_start
            .get(&start(hash))
            .and_then(|known| known.iter().find(|known| bool::from(known.hash.ct_eq(hash))))
            .ok_or(Refused::Unknown)?;
        if !known.token.is_in_force(now) {
            return Err(Refused::Expired);
        }
        self.note(known, now);
        Ok(Arc::clone(known))
    }

    /// The token of this number, for sessions that were begun with it. It is not noted as a use.
    pub fn by_id(&self, id: i64, now: Time) -> Option<Arc<Known>> {
        let by_start = self.by_start.load();
        let known = by_start.values().flatten().find(|known| known.token.id == id)?;
        known.token.is_in_force(now).then(|| Arc::clone(known))
    }

    /// Whether a token that was looked up before is still in force: for whoever stays for long. It is not noted as a use.
    pub fn holds(&self, known: &Known, now: Time) -> bool {
        let by_start = self.by_start.load();
        let same = |one: &Arc<Known>| one.token.id == known.token.id && one.token.is_in_force(now);
        by_start.get(&start(&known.hash)).is_some_and(|all| all.iter().any(same))
    }

    fn note(&self, known: &Known, now: Time) {
        let last = known.noted.load(Ordering::Relaxed);
        if now.micros().saturating_sub(last) >= NOTE_EVERY_US {
            known.noted.store(now.micros(), Ordering::Relaxed);
            self.uses.lock().unwrap_or_else(PoisonError::into_inner).insert(known.token.id, now);
        }
    }

    /// Reads them again if the configuration has moved on since they were read.
    ///
    /// # Errors
    /// When the store does not answer; those read before stay.
    pub async fn poll(&self, store: &dyn Store) -> StoreResult<()> {
        if store.config_seq().await? == self.seq.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.load(store).await
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the store does not answer; those read before stay.
    pub async fn load(&self, store: &dyn Store) -> StoreResult<()> {
        let _reading = self.reading.lock().await;
        // The number first: what is read after it is at least as new.
        let seq = store.config_seq().await?;
        let tokens = store.tokens_in_force().await?;
        let mut by_start: HashMap<u64, Vec<Arc<Known>>> = HashMap::with_capacity(tokens.len());
        for token in tokens {
            let Some(hash) = from_hexadecimal(&token.hash) else {
                tracing::error!(token = token.id, "the hash of a token cannot be read: it opens nothing");
                continue;
            };
            let noted = AtomicI64::new(token.last_used_at.map_or(0, Time::micros));
            by_start.entry(start(&hash)).or_default().push(Arc::new(Known { token, hash, noted }));
        }
        self.any.store(!by_start.is_empty(), Ordering::Relaxed);
        self.by_start.store(Arc::new(by_start));
        self.seq.store(seq, Ordering::Relaxed);
        Ok(())
    }

    fn take_uses(&self) -> Vec<(i64, Time)> {
        let mut uses: Vec<_> = self.uses.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        uses.sort_unstable();
        uses
    }
}

/// A token that was just made: the only time it is seen.
#[derive(Debug)]
pub struct Made {
    /// What its owner presents.
    pub secret: String,
    /// As stored.
    pub token: Token,
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// Whom it stands for.
    pub entities: Vec<uplift_model::access::Bound>,
    /// When it expires.
    pub expires_at: Option<Time>,
}

impl Engine {
    /// Makes a token.
    ///
    /// # Errors
    /// When it cannot be as wanted, a token in force has its name, or the store or the system's randomness fails.
    pub async fn make_token(&self, wanted: Wanted, by: &str) -> StoreResult<Made> {
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(|error| StoreError::Engine {
            context: "making a token",
            reason: format!("the system gives no random bytes: {error}"),
        })?;
        let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let new = NewToken {
            name: wanted.name.trim().to_owned(),
            role: wanted.role,
            hash: hexadecimal(&hash(&secret)),
            entities: wanted.entities,
            created_by: by.to_owned(),
            expires_at: wanted.expires_at,
        };
        let receipt = self.commit(vec![Write::Access(AccessWrite::PutToken(new.clone()))]).await?;
        self.tokens().load(self.store()).await?;
        let token = Token {
            id: receipt.recorded.first().copied().unwrap_or_default(),
            name: new.name,
            role: new.role,
            hash: new.hash,
            entities: new.entities,
            created_at: self.now(),
            created_by: new.created_by,
            expires_at: new.expires_at,
            revoked_at: None,
            revoked_by: None,
            last_used_at: None,
        };
        Ok(Made { secret, token })
    }

    /// Revokes a token: this process does not take it any more once this returns, others within a second.
    ///
    /// # Errors
    /// When there is none of this number, or the store fails.
    pub async fn revoke_token(&self, id: i64, by: &str) -> StoreResult<()> {
        self.commit(vec![Write::Access(AccessWrite::RevokeToken { id, by: by.to_owned() })]).await?;
        self.tokens().load(self.store()).await
    }

    /// Writes down what is about to be done; durable when it returns.
    ///
    /// # Errors
    /// When the store fails: then it must not be done.
    pub async fn begin_audit(&self, entry: AuditEntry) -> StoreResult<i64> {
        let receipt = self.commit(vec![Write::Access(AccessWrite::BeginAudit(entry))]).await?;
        Ok(receipt.recorded.first().copied().unwrap_or_default())
    }

    /// Writes down how it was answered.
    ///
    /// # Errors
    /// When the store fails: the entry stays without an outcome.
    pub async fn end_audit(&self, id: i64, status: u16) -> StoreResult<()> {
        self.commit(vec![Write::Access(AccessWrite::EndAudit { id, status })]).await.map(drop)
    }

    /// Writes down which tokens were used, and deletes entries of the audit log that are too old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tend_access(&self) -> StoreResult<()> {
        let (uses, now) = (self.tokens().take_uses(), self.now());
        let mut writes = Vec::new();
        if !uses.is_empty() {
            writes.push(Write::Access(AccessWrite::NoteUse { uses }));
        }
        let pruned_us = &self.tokens().pruned_us;
        let due = now.micros().saturating_sub(pruned_us.load(Ordering::Relaxed)) >= PRUNE_EVERY_US;
        // What a clock that ran ahead made old would be gone for good.
        if due && self.trusts_clock() {
            pruned_us.store(now.micros(), Ordering::Relaxed);
            let days = i64::from(self.policy().access.audit_days);
            let before = now.plus_micros(-days.saturating_mul(MICROS_PER_DAY));
            writes.push(Write::Access(AccessWrite::PruneAudit { before, rows: PRUNED_AT_ONCE }));
        }
        if writes.is_empty() { Ok(()) } else { self.commit(writes).await.map(drop) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_and_read() {
        // From the examples of FIPS 180-4: SHA-256 of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal(&hash("abc")), abc);
        assert_eq!(from_hexadecimal(abc), Some(hash("abc")));
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(from_hexadecimal(bad), None, "{bad}");
        }
    }
}
