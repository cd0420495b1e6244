//! e-LOND: claims that something helped, over many improvements, with the false-discovery rate held (Xu and Ramdas
//! 2024). For claims only, never to delay a rollback.

use serde::{Deserialize, Serialize};

/// The sequence so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ELond {
    alpha: f64,
    tested: u64,
    discoveries: u64,
}

/// The answer to one test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// True when the claim may be made.
    pub discovery: bool,
    /// Its level: the claim needs evidence of one over this.
    pub level: f64,
}

impl ELond {
    /// A fresh sequence at false-discovery rate `alpha`, in (0, 1).
    pub fn new(alpha: f64) -> Self {
        Self { alpha, tested: 0, discoveries: 0 }
    }

    /// Tests the next e-value: a discovery if `e >= 1 / (alpha gamma_t (D + 1))`. A value that is no number is none.
    pub fn test(&mut self, e: f64) -> Claim {
        self.tested += 1;
        let level = self.alpha * gamma(self.tested) * (self.discoveries + 1) as f64;
        let discovery = e >= 1.0 / level;
        self.discoveries += u64::from(discovery);
        Claim { discovery, level }
    }
}

/// The summable sequence of Javanmard and Montanari (2018): `C ln(max(t, 2)) / (t exp(sqrt(ln t)))`.
fn gamma(t: u64) -> f64 {
    const C: f64 = 0.077_208_38;
    let t = t as f64;
    C * t.max(2.0).ln() / (t * t.ln().sqrt().exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        let mut sequence = ELond::new(0.1);
        let expected = [
            (500.0, true, 0.005_351_68),
            (3.0, false, 0.002_327_64),
            (2_000.0, true, 0.001_982_5),
            (40.0, false, 0.002_473_08),
            (800.0, true, 0.002_096_66),
        ];
        for (e, discovery, level) in expected {
            let claim = sequence.test(e);
            assert_eq!(claim.discovery, discovery, "{e}");
            assert!((claim.level - level).abs() < 5e-9, "{} {level}", claim.level);
        }
        assert!(!sequence.test(f64::NAN).discovery);
    }
}
