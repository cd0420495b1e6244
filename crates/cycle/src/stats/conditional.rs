//! Conditional-Bernoulli evidence for events: given that one happened, whose was it?
//!
//! Conditioning removes every rate that both arms share, seasons and outages included (Lindon and Malek 2022); the
//! mixture is a beta distribution cut off at the hypothesis.

use serde::{Deserialize, Serialize};

use super::beta::{ln_beta, ln_upper};

/// Pseudo-events of the mixing distribution.
const CONCENTRATION: f64 = 20.0;

/// A one-sided test that the rate ratio is at most some number, prepared for many evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conditional {
    theta: f64,
    normaliser: f64,
}

impl Conditional {
    /// For a candidate with that share of the units, against "its rate is at most `ratio` times control's"; `None`
    /// unless the share is in (0, 1) and the ratio finite and above 0.
    pub fn new(share: f64, ratio: f64) -> Option<Self> {
        let usable = share > 0.0 && share < 1.0 && ratio.is_finite() && ratio > 0.0;
        usable.then(|| Self::of(share * ratio / (share * ratio + 1.0 - share)))
    }

    fn of(theta: f64) -> Self {
        let (a, b) = (CONCENTRATION * theta, CONCENTRATION * (1.0 - theta));
        Self { theta, normaliser: ln_beta(a, b) + ln_upper(theta, a, b) }
    }

    /// The same hypothesis from the other side: that the ratio is at least as large. Count control's events first.
    #[must_use]
    pub fn flipped(&self) -> Self {
        Self::of(1.0 - self.theta)
    }

    /// Natural logarithm of the evidence after `candidate` and `control` events.
    pub fn ln_evidence(&self, candidate: f64, control: f64) -> f64 {
        let usable = candidate >= 0.0 && control >= 0.0 && (candidate + control).is_finite();
        if !usable || candidate + control <= 0.0 {
            return 0.0;
        }
        let a = CONCENTRATION * self.theta + candidate;
        let b = CONCENTRATION * (1.0 - self.theta) + control;
        ln_beta(a, b) + ln_upper(self.theta, a, b)
            - self.normaliser
            - candidate * self.theta.ln()
            - control * (1.0 - self.theta).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        for (ratio, expected) in [(1.0, 2.119_514), (1.1, 1.367_213)] {
            let test = Conditional::new(0.2, ratio).unwrap();
            let evidence = test.ln_evidence(30.0, 70.0);
            assert!((evidence - expected).abs() < 5e-7, "{evidence}");
        }
    }

    #[test]
    fn is_a_martingale_at_the_hypothesis() {
        let test = Conditional::new(0.3, 1.2).unwrap();
        let now = test.ln_evidence(4.0, 9.0);
        let next =
            test.theta * test.ln_evidence(5.0, 9.0).exp() + (1.0 - test.theta) * test.ln_evidence(4.0, 10.0).exp();
        assert!((next / now.exp() - 1.0).abs() < 1e-9, "{next}");
        assert!(test.ln_evidence(0.0, 0.0).abs() < f64::EPSILON);
    }

    #[test]
    fn extremes_stay_finite() {
        let test = Conditional::new(0.5, 1.0).unwrap();
        assert!(test.ln_evidence(1e6, 0.0).is_finite());
        assert!(test.ln_evidence(0.0, 1e6).is_finite());
        assert!(test.flipped().ln_evidence(3e5, 5e5).is_finite());
        assert_eq!(Conditional::new(1.0, 1.0), None);
        assert_eq!(Conditional::new(0.5, f64::NAN), None);
    }
}
