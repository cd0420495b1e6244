//! Which arm a unit was in: what its events claim counts if it agrees with the assignment; without a claim the
//! assignment is worked out again.

use std::collections::BTreeSet;

use uplift_model::trial::{Arm, Comparison, TrialRecord, UnitRecord, assign};

/// The arm of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// Where it counts.
    pub arm: Arm,
    /// True where it saw both arms, or claims one that it cannot have been given.
    pub crossed: bool,
}

/// The arm of a unit that started then. A claim agrees if any name of the unit (its trace, its session, its first task)
/// falls into the claimed arm at any share the trial has had: a resolver may have answered a moment before a stage
/// began.
pub fn arm_of(record: &TrialRecord, unit: &UnitRecord, started_us: i64) -> Exposed {
    let trial = &record.trial;
    if trial.comparison == Comparison::BeforeAfter {
        let arm = if started_us < trial.started_us { Arm::Control } else { Arm::Candidate };
        return Exposed { arm, crossed: false };
    }
    let claims: BTreeSet<Option<Arm>> = unit
        .exposures
        .iter()
        .filter(|exposure| exposure.trial == record.id)
        .map(|exposure| match exposure.arm.as_str() {
            "control" => Some(Arm::Control),
            "candidate" => Some(Arm::Candidate),
            _ => None,
        })
        .collect();
    let assigned = trial.arm_of(&unit.unit, started_us);
    let mut claims = claims.into_iter();
    match (claims.next(), claims.next()) {
        (None, _) => Exposed { arm: assigned, crossed: false },
        (Some(Some(Arm::Control)), Some(Some(Arm::Candidate))) if moved_by_the_ramp(record, unit, started_us) => {
            Exposed { arm: assigned, crossed: false }
        }
        (Some(Some(claimed)), None) if is_possible(record, unit, claimed) => Exposed { arm: claimed, crossed: false },
        _ => Exposed { arm: assigned, crossed: true },
    }
}

/// Whether a unit that began in control was under way when a larger share began and took it over: the resolver knows
/// no starts. It counts where it was first put; that is the trial's own doing, and no sign of a broken split.
fn moved_by_the_ramp(record: &TrialRecord, unit: &UnitRecord, started_us: i64) -> bool {
    let trial = &record.trial;
    let at_start = trial.stage_at(started_us);
    trial.arm_of(&unit.unit, started_us) == Arm::Control
        && trial
            .stages
            .iter()
            .skip(at_start + 1)
            .any(|later| assign(&trial.key, &unit.unit, later.share) == Arm::Candidate)
}

fn is_possible(record: &TrialRecord, unit: &UnitRecord, claimed: Arm) -> bool {
    let first = unit.tasks.first();
    let names = [
        Some(unit.unit.as_str()),
        first.map(|task| task.trace_key.as_str()),
        first.map(|task| task.task_id.as_str()),
        first.and_then(|task| task.session.as_deref()),
    ];
    names
        .into_iter()
        .flatten()
        .any(|name| record.trial.stages.iter().any(|stage| assign(&record.trial.key, name, stage.share) == claimed))
}

#[cfg(test)]
mod tests {
    use uplift_model::event::Exposure;
    use uplift_model::policy::trial::TrialPolicy;
    use uplift_model::revision::RevisionId;
    use uplift_model::trial::{AssignmentUnit, Baseline, ShareStage, Trial, TrialKind};
    use uplift_model::{EntityKey, EntityType};

    use super::*;

    fn record(comparison: Comparison) -> TrialRecord {
        TrialRecord {
            id: 7,
            improvement_id: 1,
            entity: EntityKey::new(EntityType::Agent, 1),
            base: RevisionId::from_stored("a"),
            candidate: RevisionId::from_stored("b"),
            trial: Trial {
                key: "k".to_owned(),
                kind: TrialKind::Trial,
                started_us: 1_000,
                unit: AssignmentUnit::Task,
                comparison,
                stages: vec![ShareStage { from_us: 1_000, share: 0.1 }, ShareStage { from_us: 2_000, share: 0.5 }],
                metrics: Vec::new(),
                expected_units: 100.0,
                baseline: Baseline::default(),
                policy: TrialPolicy::default(),
            },
            running: true,
            cursor: 0,
            looked_us: 1_000,
            verdict: None,
            ended_at: None,
            ending: None,
        }
    }

    fn unit(name: &str, claims: &[&str]) -> UnitRecord {
        let exposures = claims
            .iter()
            .map(|arm| Exposure { trial: 7, arm: (*arm).to_owned(), revision: "r".to_owned() })
            .collect();
        UnitRecord { unit: name.to_owned(), exposures, ..UnitRecord::default() }
    }

    #[test]
    fn claims_count_where_they_can_be_true() {
        let record = record(Comparison::Concurrent);
        let at = |share| move |name: &String| assign("k", name, share) == Arm::Candidate;
        let names: Vec<String> = (0..200).map(|number| format!("u{number}")).collect();
        // In the candidate arm from the start; only from the second stage on; never.
        let early = names.iter().find(|name| at(0.1)(name)).unwrap();
        let late = names.iter().find(|name| at(0.5)(name) && !at(0.1)(name)).unwrap();
        let never = names.iter().find(|name| !at(0.5)(name)).unwrap();
        let table: &[(&str, &[&str], i64, Arm, bool)] = &[
            (early, &[], 1_500, Arm::Candidate, false),
            (late, &[], 1_500, Arm::Control, false),
            (late, &["candidate"], 1_999, Arm::Candidate, false),
            (late, &["control"], 2_001, Arm::Control, false),
            (never, &["candidate"], 2_001, Arm::Control, true),
            (early, &["control"], 2_001, Arm::Candidate, true),
            (late, &["control", "candidate"], 1_999, Arm::Control, false),
            (late, &["control", "candidate"], 2_001, Arm::Candidate, true),
            (never, &["control", "candidate"], 1_999, Arm::Control, true),
            (late, &["placebo"], 2_001, Arm::Candidate, true),
        ];
        for (name, claims, started_us, arm, crossed) in table {
            let exposed = arm_of(&record, &unit(name, claims), *started_us);
            assert_eq!(exposed, Exposed { arm: *arm, crossed: *crossed }, "{name} {claims:?}");
        }
    }

    #[test]
    fn before_and_after_goes_by_the_clock() {
        let record = record(Comparison::BeforeAfter);
        assert_eq!(arm_of(&record, &unit("u", &[]), 999).arm, Arm::Control);
        assert_eq!(arm_of(&record, &unit("u", &[]), 1_000).arm, Arm::Candidate);
    }
}
