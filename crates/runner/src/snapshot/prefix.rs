//! A trial's key, ready to be hashed with a unit.

/// Longest input that is hashed in one go on the stack, bytes.
const STACK: usize = 256;

/// What is left to do for [`uplift_model::trial::bucket`] once the trial is known: the unit. Gives exactly its value.
pub(super) struct Prefix {
    /// The length of the key, and the key.
    bytes: Box<[u8]>,
}

impl Prefix {
    /// For the units of this trial.
    pub(super) fn of(trial_key: &str) -> Self {
        let mut bytes = (trial_key.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(trial_key.as_bytes());
        Self { bytes: bytes.into() }
    }

    /// Where a unit falls in [0, 1).
    pub(super) fn bucket(&self, unit: &str) -> f64 {
        let whole = self.bytes.len() + unit.len();
        let hash = if whole <= STACK {
            // One call on whole blocks costs less than a hasher, which is 2 KB, prepared or not.
            let mut input = [0_u8; STACK];
            input[..self.bytes.len()].copy_from_slice(&self.bytes);
            input[self.bytes.len()..whole].copy_from_slice(unit.as_bytes());
            blake3::hash(&input[..whole])
        } else {
            blake3::Hasher::new().update(&self.bytes).update(unit.as_bytes()).finalize()
        };
        let mut bits = [0_u8; 8];
        bits.copy_from_slice(&hash.as_bytes()[..8]);
        (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use uplift_model::trial::bucket;

    use super::*;

    #[test]
    fn it_gives_the_models_value_at_every_length() {
        for key_bytes in [0, 1, 7, 55, 56, 57, 120, 247, 248, 249, 900, 1_100] {
            let key = "k".repeat(key_bytes);
            let prefix = Prefix::of(&key);
            for unit_bytes in [0, 1, 31, 64, 128, 191, 192, 193, 512, 1_024, 3_000] {
                let unit = "\u{fc}u".repeat(unit_bytes / 3) + &"x".repeat(unit_bytes % 3);
                let (ours, models) = (prefix.bucket(&unit), bucket(&key, &unit));
                assert_eq!(ours.to_bits(), models.to_bits(), "{key_bytes} {unit_bytes}");
            }
        }
    }
}
