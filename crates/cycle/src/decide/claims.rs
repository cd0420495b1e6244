//! Which claims that something helped stand, over all improvements of a fleet.
//!
//! One trial in twenty is kept by chance; over a hundred trials that is five claims that are not so. e-LOND (Xu and
//! Ramdas 2024) holds the expected share of false claims among all claims, whatever the dependence between trials. It
//! is for claims only: a rollback never waits for it, and a keep that is no claim stays kept.

use uplift_model::trial::Comparison;
use uplift_model::verdict::{Decision, Verdict};

use crate::stats::combine::ln_sum;
use crate::stats::elond::{Claim, ELond};

/// Share of false claims that is usual.
pub const FALSE_CLAIMS: f64 = 0.05;

/// Natural logarithm of the evidence that an ended improvement helped: the mean of its goals' e-values against "not
/// better" at its last look. A broken comparison is evidence of nothing (minus infinity), and still one of the
/// sequence.
///
/// `None` where no claim was possible from the start, and so the improvement takes no place in the sequence: a
/// comparison before and after, or a trial without a goal.
pub fn log_helped(verdict: &Verdict, comparison: Comparison) -> Option<f64> {
    let goals: Vec<f64> = verdict
        .findings
        .metrics
        .iter()
        .filter(|finding| finding.roles.goal)
        .map(|finding| finding.evidence.better)
        .collect();
    if comparison == Comparison::BeforeAfter || goals.is_empty() {
        return None;
    }
    if verdict.decision == Decision::InvalidAllocation {
        return Some(f64::NEG_INFINITY);
    }
    let part = 1.0 / goals.len() as f64;
    Some(ln_sum(goals.iter().map(|ln| (part, *ln))))
}

/// The claims that stand at a share `alpha` of false ones, in (0, 1): one answer for each improvement, in the order
/// given, which must be the order in which they **ended** and must not depend on how they ended. Adding one at the end
/// changes no answer before it. Evidence that is no number is no claim.
pub fn standing(log_helped: impl IntoIterator<Item = f64>, alpha: f64) -> Vec<Claim> {
    let mut sequence = ELond::new(alpha);
    log_helped.into_iter().map(|ln| sequence.test(ln.exp())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_follow_the_reference_and_never_change_afterwards() {
        let e = [500.0_f64, 3.0, 2_000.0, 40.0, 800.0];
        let all = standing(e.map(f64::ln), 0.1);
        let stands: Vec<_> = all.iter().map(|claim| claim.discovery).collect();
        assert_eq!(stands, [true, false, true, false, true]);
        for length in 0..=e.len() {
            assert_eq!(standing(e.map(f64::ln).into_iter().take(length), 0.1), all[..length]);
        }
    }

    #[test]
    fn nothing_and_everything() {
        let claims = standing([f64::NEG_INFINITY, f64::NAN, 1e6], FALSE_CLAIMS);
        let stands: Vec<_> = claims.iter().map(|claim| claim.discovery).collect();
        assert_eq!(stands, [false, false, true]);
        assert!(standing([], FALSE_CLAIMS).is_empty());
    }
}
