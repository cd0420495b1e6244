//! Which proposal first: what it would gain, and how likely proposals of its kind are kept.

use uplift_model::Time;
use uplift_model::edit::Edit;
use uplift_model::history::{HistoryOutcome, TrackRecord};
use uplift_model::opportunity::OpportunityKind;
use uplift_model::time::MICROS_PER_DAY;

use super::input::Tried;

/// The prior of being kept, Beta(1, 2): before anything is known, one proposal in three is worth keeping, and three
/// decided ones outweigh that.
const PRIOR: (f64, f64) = (1.0, 2.0);
/// What a decision about another kind of opportunity counts.
const OTHER_KIND: f64 = 0.25;
/// What is left of a proposal's gain for each time that the same edits ended without an answer.
const AFTER_INCONCLUSIVE: f64 = 0.5;
/// For how long that is remembered.
const INCONCLUSIVE_DAYS: i64 = 90;
/// For how long what a check or a person refused is not proposed again.
const REFUSED_DAYS: i64 = 7;
/// Two values of a parameter that differ by less than this, relative, are the same try.
pub(super) const SAME_VALUE: f64 = 0.2;

/// How likely it is that a proposal of this proposer is kept: the mean of the Beta posterior. Only keeps count for it;
/// harm and endings without an answer count against it alike.
pub(super) fn keep_probability(records: &[TrackRecord], kind: OpportunityKind, proposer: &str) -> f64 {
    let (mut kept, mut not_kept) = PRIOR;
    for record in records.iter().filter(|record| record.proposer == proposer) {
        let weight = if record.kind == Some(kind) { 1.0 } else { OTHER_KIND };
        kept += weight * record.kept.max(0) as f64;
        not_kept += weight * (record.rolled_back.max(0) as f64 + record.inconclusive.max(0) as f64);
    }
    kept / (kept + not_kept)
}

/// What earlier tries of these edits leave of their gain, from 0 to 1; none where they may not be proposed.
pub(super) fn after_tries(edits: &[Edit], tried: &[Tried], now: Time) -> Option<f64> {
    let mut left = 1.0;
    for earlier in tried.iter().filter(|earlier| contains(edits, &earlier.edits)) {
        let days = |days: i64| now.micros_since(earlier.ended_at) < days * MICROS_PER_DAY;
        match earlier.ending {
            HistoryOutcome::RolledBack => return None,
            HistoryOutcome::Rejected if days(REFUSED_DAYS) => return None,
            HistoryOutcome::Inconclusive if days(INCONCLUSIVE_DAYS) => left *= AFTER_INCONCLUSIVE,
            _ => {}
        }
    }
    Some(left)
}

/// Whether all of `part` is among `edits`.
fn contains(edits: &[Edit], part: &[Edit]) -> bool {
    !part.is_empty() && part.iter().all(|edit| edits.iter().any(|other| same(edit, other)))
}

fn same(one: &Edit, other: &Edit) -> bool {
    match (one, other) {
        (Edit::SetParameter { name: a, value: x }, Edit::SetParameter { name: b, value: y }) => {
            let close = |x: f64, y: f64| (x - y).abs() <= SAME_VALUE * x.abs().max(y.abs());
            a == b && (x == y || x.as_f64().zip(y.as_f64()).is_some_and(|(x, y)| close(x, y)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use HistoryOutcome::{Cancelled, Inconclusive, Kept, Rejected, RolledBack};
    use serde_json::json;

    use super::*;

    fn record(kind: Option<OpportunityKind>, proposer: &str, ends: [i64; 3]) -> TrackRecord {
        let [kept, rolled_back, inconclusive] = ends;
        let proposer = proposer.to_owned();
        TrackRecord { kind, proposer, kept, rolled_back, inconclusive, mean_effectiveness: None }
    }

    #[test]
    fn what_was_kept_counts_for_its_proposer() {
        let kind = OpportunityKind::RecurringError;
        for (records, expected) in [
            (vec![], 1.0 / 3.0),
            (vec![record(Some(kind), "a", [4, 0, 0])], 5.0 / 7.0),
            (vec![record(Some(kind), "a", [0, 2, 2])], 1.0 / 7.0),
            (vec![record(Some(kind), "b", [9, 0, 0])], 1.0 / 3.0),
            (vec![record(None, "a", [4, 0, 0])], 2.0 / 4.0),
            (vec![record(Some(kind), "a", [-5, -5, -5])], 1.0 / 3.0),
        ] {
            assert!((keep_probability(&records, kind, "a") - expected).abs() < 1e-12, "{records:?}");
        }
    }

    #[test]
    fn what_did_harm_is_never_tried_again() {
        let timeout = |ms: i64| Edit::SetParameter { name: "timeout_ms".into(), value: json!(ms) };
        let other = Edit::RemoveContext { name: "x".into() };
        let now = Time::from_micros(100 * MICROS_PER_DAY);
        for (edits, before, ending, days, left) in [
            (vec![timeout(1_000)], vec![timeout(1_000)], RolledBack, 99, None),
            (vec![timeout(1_100)], vec![timeout(1_000)], RolledBack, 1, None),
            (vec![timeout(2_000)], vec![timeout(1_000)], RolledBack, 1, Some(1.0)),
            (vec![timeout(1_000), other.clone()], vec![timeout(1_000)], RolledBack, 1, None),
            (vec![timeout(1_000)], vec![timeout(1_000), other.clone()], RolledBack, 1, Some(1.0)),
            (vec![other.clone()], vec![other.clone()], Inconclusive, 1, Some(0.5)),
            (vec![other.clone()], vec![other.clone()], Inconclusive, 91, Some(1.0)),
            (vec![other.clone()], vec![other.clone()], Rejected, 1, None),
            (vec![other.clone()], vec![other.clone()], Rejected, 8, Some(1.0)),
            (vec![other.clone()], vec![other.clone()], Cancelled, 1, Some(1.0)),
            (vec![other.clone()], vec![other.clone()], Kept, 1, Some(1.0)),
            (vec![other.clone()], vec![], RolledBack, 1, Some(1.0)),
        ] {
            let ended_at = now.plus_micros(-days * MICROS_PER_DAY);
            let tried = [Tried { edits: before, ending, ended_at }];
            assert_eq!(after_tries(&edits, &tried, now), left, "{edits:?} {tried:?}");
        }
    }
}
