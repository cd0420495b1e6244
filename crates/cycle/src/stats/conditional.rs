//! Conditional-Bernoulli evidence for events: given that one happened, whose was it?
//!
//! Conditioning removes every rate that both arms share, seasons and outages included (Lindon and Malek 2022); the
//! mixture is a beta distribution cut off at the hypothesis.

use serde::{Deserialize, Serialize};

use super::beta::{ln_beta, ln_upper};

/// Pseudo-events of the plain mixing distribution.
const CONCENTRATION: f64 = 20.0;
/// Standard errors at the focus that separate the mean of a focused mixing distribution from the hypothesis.
const REACH: f64 = 2.1;
/// Rate ratio beyond which no focused mixing distribution has its mean: where few events are expected, harm that shows
/// in so few would be found anyway.
const MOST: f64 = 1.4;

/// A one-sided test that the rate ratio is at most some number, prepared for many evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conditional {
    theta: f64,
    /// Parameters of the beta distribution: candidate, control.
    prior: [f64; 2],
    normaliser: f64,
}

impl Conditional {
    /// For a candidate with that share of the units, against "its rate is at most `ratio` times control's"; `None`
    /// unless the share is in (0, 1) and the ratio finite and above 0.
    pub fn new(share: f64, ratio: f64) -> Option<Self> {
        let usable = share > 0.0 && share < 1.0 && ratio.is_finite() && ratio > 0.0;
        usable.then(|| Self::of(share * ratio / (share * ratio + 1.0 - share)))
    }

    /// Against "the candidate's rate is at most control's", most sensitive to the excess that `events` events of both
    /// arms together can show; `events` must be known before the first of them. `None` unless the share is in (0, 1).
    ///
    /// The mixing distribution has its mean where the candidate's part of the events lies [`REACH`] standard errors
    /// above its share, but no higher than where it would be at a rate ratio of [`MOST`]; its standard deviation is that
    /// distance, and it is cut off at the hypothesis.
    pub fn focused(share: f64, events: f64) -> Option<Self> {
        let theta = Self::new(share, 1.0)?.theta;
        let expected = if events.is_finite() { events.max(1.0) } else { 1.0 };
        let at_most = theta * MOST / (theta * MOST + 1.0 - theta) - theta;
        let distance = (REACH * (theta * (1.0 - theta) / expected).sqrt()).min(at_most);
        let centre = theta + distance;
        let concentration = (centre * (1.0 - centre) / (distance * distance) - 1.0).max(1.0);
        Some(Self::mixed(theta, [concentration * centre, concentration * (1.0 - centre)]))
    }

    fn mixed(theta: f64, [a, b]: [f64; 2]) -> Self {
        Self { theta, prior: [a, b], normaliser: ln_beta(a, b) + ln_upper(theta, a, b) }
    }

    fn of(theta: f64) -> Self {
        Self::mixed(theta, [CONCENTRATION * theta, CONCENTRATION * (1.0 - theta)])
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
        let a = self.prior[0] + candidate;
        let b = self.prior[1] + control;
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
        let tests = [Conditional::new(0.3, 1.2), Conditional::focused(0.2, 300.0), Conditional::focused(0.5, 5.0)];
        for test in tests.into_iter().flatten() {
            let now = test.ln_evidence(4.0, 9.0);
            let next = test.theta * test.ln_evidence(5.0, 9.0).exp()
                + (1.0 - test.theta) * test.ln_evidence(4.0, 10.0).exp();
            assert!((next / now.exp() - 1.0).abs() < 1e-9, "{next}");
            assert!(test.ln_evidence(0.0, 0.0).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn a_focus_finds_the_harm_it_is_set_to_sooner() {
        // Half as many errors again, and a fifth more, at a share of a fifth: 82 of 300 events, 231 of 1,000.
        let plain = Conditional::new(0.2, 1.0).unwrap();
        let focused = Conditional::focused(0.2, 300.0).unwrap();
        for (candidate, control) in [(82.0, 218.0), (231.0, 769.0)] {
            let (before, after) = (plain.ln_evidence(candidate, control), focused.ln_evidence(candidate, control));
            assert!(after > before + 0.1, "{candidate} {before} {after}");
        }
    }

    #[test]
    fn extremes_stay_finite() {
        let test = Conditional::new(0.5, 1.0).unwrap();
        assert!(test.ln_evidence(1e6, 0.0).is_finite());
        assert!(test.ln_evidence(0.0, 1e6).is_finite());
        assert!(test.flipped().ln_evidence(3e5, 5e5).is_finite());
        assert_eq!(Conditional::new(1.0, 1.0), None);
        assert_eq!(Conditional::new(0.5, f64::NAN), None);
        assert_eq!(Conditional::focused(f64::NAN, 10.0), None);
        assert!(Conditional::focused(0.05, f64::NAN).unwrap().ln_evidence(1e6, 3.0).is_finite());
        assert!(Conditional::focused(0.99, 1e12).unwrap().ln_evidence(1e6, 3.0).is_finite());
    }
}
