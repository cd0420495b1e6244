use std::collections::BTreeMap;

use proptest::prelude::*;
use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{Arm, AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, TrialRecord};
use uplift_store::rows::ServedRow;

use super::*;

const START: i64 = 1_000_000;
/// Too long for what is compared without looking elsewhere.
const LONG: &str = "an-agent-with-quite-a-long-name-for-an-agent";
const AGENT: EntityKey = EntityKey::new(EntityType::Agent, 1);

fn trial(key: &str, kind: TrialKind, comparison: Comparison, stages: Vec<ShareStage>) -> TrialRecord {
    TrialRecord {
        id: 7,
        improvement_id: 3,
        entity: AGENT,
        base: RevisionId::from_stored("a"),
        candidate: RevisionId::from_stored("b"),
        trial: Trial {
            key: key.to_owned(),
            kind,
            started_us: START,
            unit: AssignmentUnit::Task,
            comparison,
            stages,
            metrics: Vec::new(),
            expected_units: 100.0,
            baseline: Baseline::default(),
            policy: TrialPolicy::default(),
        },
        running: true,
        cursor: 0,
        looked_us: START,
        verdict: None,
        ended_at: None,
        ending: None,
    }
}

fn configuration(revision: &str) -> String {
    format!("{{\"model\":\"{revision}\"}}")
}

fn row(key: EntityKey, name: &str, environment: &str, revision: &str, record: Option<TrialRecord>) -> ServedRow {
    ServedRow {
        entity: key,
        environment: environment.to_owned(),
        name: name.to_owned(),
        state: EntityState::Active,
        revision: Some(RevisionId::from_stored(revision)),
        configuration: Some(configuration(revision)),
        defaults: None,
        trial: record.map(|record| (Box::new(record), configuration("a"), configuration("b"))),
    }
}

fn stages(shares: &[(i64, f64)]) -> Vec<ShareStage> {
    shares.iter().map(|(after, share)| ShareStage { from_us: START + after, share: *share }).collect()
}

/// The first unit of which this holds.
fn unit_where(holds: impl Fn(&str) -> bool) -> String {
    (0..1_000_000).map(|number| format!("u{number}")).find(|unit| holds(unit)).unwrap_or_default()
}

#[test]
fn reasons() {
    use Comparison::{BeforeAfter, Concurrent};
    use TrialKind::{HoldBack, Trial};
    let share_of =
        |key: &str, share| unit_where(|unit| uplift_model::trial::assign(key, unit, share) == Arm::Candidate);
    let candidate = share_of("k", 0.1);
    let control = unit_where(|unit| uplift_model::trial::assign("k", unit, 0.95) == Arm::Control);
    let (candidate, control) = (Some(candidate.as_str()), Some(control.as_str()));
    let ramp: &[(i64, f64)] = &[(0, 0.1), (100, 0.5)];
    let kept: &[(i64, f64)] = &[(0, 0.95)];
    let none: Option<(i64, Arm)> = None;
    let (on_control, on_candidate) = (Some((7, Arm::Control)), Some((7, Arm::Candidate)));
    // (kind, comparison, stages, in place, state, unit, after the start) -> (served, reason, trial, exposed)
    let active = EntityState::Active;
    let table = [
        (Trial, Concurrent, ramp, "a", active, candidate, 50, "b", Reason::Trial, on_candidate, true),
        (Trial, Concurrent, ramp, "a", active, control, 50, "a", Reason::Trial, on_control, true),
        (Trial, Concurrent, ramp, "a", active, None, 50, "a", Reason::NoUnit, on_control, false),
        (Trial, Concurrent, ramp, "a", active, candidate, -1, "a", Reason::Base, on_control, false),
        (Trial, Concurrent, &[], "a", active, candidate, 50, "a", Reason::Base, on_control, false),
        (Trial, Concurrent, ramp, "c", active, candidate, 50, "c", Reason::StaleTrial, none, false),
        (Trial, Concurrent, ramp, "b", active, candidate, 50, "b", Reason::StaleTrial, none, false),
        (Trial, BeforeAfter, &[], "a", active, control, 0, "b", Reason::BeforeAfter, on_candidate, true),
        (Trial, BeforeAfter, &[], "a", active, None, 9, "b", Reason::BeforeAfter, on_candidate, true),
        (Trial, BeforeAfter, &[], "a", active, None, -1, "a", Reason::Base, on_control, false),
        (HoldBack, Concurrent, kept, "b", active, candidate, 0, "b", Reason::HoldBack, on_candidate, true),
        (HoldBack, Concurrent, kept, "b", active, control, 0, "a", Reason::HoldBack, on_control, true),
        (HoldBack, Concurrent, kept, "b", active, None, 0, "b", Reason::NoUnit, on_candidate, false),
        (HoldBack, Concurrent, kept, "a", active, control, 0, "a", Reason::StaleTrial, none, false),
        (Trial, Concurrent, ramp, "a", EntityState::Inactive, candidate, 50, "a", Reason::Inactive, none, false),
        (Trial, Concurrent, ramp, "a", EntityState::Archived, candidate, 50, "a", Reason::Inactive, none, false),
        (Trial, Concurrent, ramp, "a", EntityState::Failed, candidate, 50, "a", Reason::Inactive, none, false),
        (
            Trial,
            Concurrent,
            ramp,
            "a",
            EntityState::Deprecated,
            candidate,
            50,
            "b",
            Reason::Trial,
            on_candidate,
            true,
        ),
    ];
    for (place, case) in table.into_iter().enumerate() {
        let (kind, comparison, shares, in_place, state, unit, after, served, reason, on, exposed) = case;
        let snapshot = Snapshot::default();
        let record = trial("k", kind, comparison, stages(shares));
        snapshot.put(vec![ServedRow { state, ..row(AGENT, "x", "default", in_place, Some(record)) }]);
        let found = snapshot.resolve(None, EntityType::Agent, "x", unit, START + after).unwrap();
        assert_eq!(found.revision().id.as_str(), served, "case {place}");
        assert_eq!(found.revision().configuration.get(), configuration(served), "case {place}");
        assert_eq!((found.reason, found.trial, found.exposed), (reason, on, exposed), "case {place}");
        let exposure = found.exposure();
        assert_eq!(exposure.is_some(), exposed, "case {place}");
        if let Some(exposure) = exposure {
            assert_eq!((exposure.trial, exposure.revision.as_str()), (7, served), "case {place}");
        }
    }
    let snapshot = Snapshot::default();
    snapshot.put(vec![row(AGENT, "x", "default", "a", None)]);
    assert_eq!(snapshot.resolve_key(AGENT, candidate, START).unwrap().reason, Reason::NoTrial);
}

#[test]
fn names_ids_and_environments() {
    let key = |id| EntityKey::new(EntityType::Agent, id);
    let tool = EntityKey::new(EntityType::Tool, 1);
    let snapshot = Snapshot::default();
    snapshot.put(vec![
        row(key(1), "both", "staging", "s", None),
        row(key(2), "both", "production", "p", None),
        row(key(3), "three", "production", "p", None),
        row(key(4), "three", "default", "d", None),
        row(key(5), "three", "staging", "s", None),
        row(key(6), "one", "staging", "s", None),
        row(tool, "one", "default", "t", None),
        row(key(10), LONG, "production", "l", None),
        row(key(11), LONG, "staging", "m", None),
        ServedRow { revision: None, configuration: None, ..row(key(8), "bare", "default", "x", None) },
        ServedRow { configuration: Some("{".to_owned()), ..row(key(9), "torn", "default", "x", None) },
    ]);
    assert_eq!(snapshot.len(), 9);
    let table = [
        (None, "both", None),
        (Some("staging"), "both", Some("s")),
        (Some("production"), "both", Some("p")),
        (Some("default"), "both", None),
        (None, "three", Some("d")),
        (None, "one", Some("s")),
        (Some("default"), "one", None),
        (Some("production"), LONG, Some("l")),
        (Some("staging"), LONG, Some("m")),
        (None, LONG, None),
        (None, "4", Some("d")),
        (Some("staging"), "4", Some("d")),
        (None, "77", None),
        (None, "99999999999999999999", None),
        (None, "", None),
        (None, "bare", None),
        (None, "torn", None),
    ];
    for (environment, name, expected) in table {
        let found = snapshot.resolve(environment, EntityType::Agent, name, None, 0);
        assert_eq!(found.as_ref().map(|found| found.revision().id.as_str()), expected, "{environment:?} {name}");
    }
    let tool = snapshot.resolve(None, EntityType::Tool, "one", None, 0).unwrap();
    assert_eq!(tool.revision().id.as_str(), "t");
}

#[test]
fn every_change_is_told_once_and_equal_rows_change_nothing() {
    let snapshot = Snapshot::default();
    let mut changes = snapshot.changes();
    let record = |stages| trial("k", TrialKind::Trial, Comparison::Concurrent, stages);
    let steps = [
        (row(AGENT, "x", "default", "a", None), Some(ChangeKind::Revision)),
        (row(AGENT, "x", "default", "a", None), None),
        (row(AGENT, "x", "default", "a", Some(record(stages(&[(0, 0.1)])))), Some(ChangeKind::Trial)),
        (row(AGENT, "x", "default", "a", Some(record(stages(&[(0, 0.1)])))), None),
        (row(AGENT, "x", "default", "a", Some(record(stages(&[(0, 0.1), (9, 0.5)])))), Some(ChangeKind::Trial)),
        (row(AGENT, "x", "default", "b", None), Some(ChangeKind::Revision)),
        (
            ServedRow { state: EntityState::Archived, ..row(AGENT, "x", "default", "b", None) },
            Some(ChangeKind::State),
        ),
        (row(AGENT, "y", "default", "b", None), Some(ChangeKind::State)),
        (ServedRow { revision: None, ..row(AGENT, "y", "default", "b", None) }, Some(ChangeKind::State)),
    ];
    for (place, (row, expected)) in steps.into_iter().enumerate() {
        snapshot.put(vec![row]);
        assert_eq!(changes.try_recv().ok().map(|change| change.kind), expected, "step {place}");
    }
    assert!(snapshot.is_empty() && snapshot.resolve(None, EntityType::Agent, "x", None, 0).is_none());
}

#[test]
fn a_large_fleet_is_found_whole_and_changed_one_by_one() {
    let snapshot = Snapshot::default();
    let name = |id: i64| format!("agent-{id}");
    let key = |id| EntityKey::new(EntityType::Agent, id);
    let all = |revision: &str| (1..=5_000).map(|id| row(key(id), &name(id), "default", revision, None)).collect();
    snapshot.put(all("a"));
    snapshot.put(vec![row(key(77), &name(77), "default", "b", None)]);
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for id in 1..=5_000 {
        let found = snapshot.resolve(Some("default"), EntityType::Agent, &name(id), None, 0).unwrap();
        assert_eq!(found.served.key, key(id));
        *served.entry(found.revision().id.to_string()).or_default() += 1;
    }
    assert_eq!(served, BTreeMap::from([("a".to_owned(), 4_999), ("b".to_owned(), 1)]));
}

proptest! {
    #[test]
    fn it_agrees_with_the_model(
        key in "\\PC{0,80}",
        unit in "\\PC{1,300}",
        shares in prop::collection::vec((0_i64..1_000, 0.0_f64..1.0), 1..6),
        after in 0_i64..1_200,
    ) {
        let mut shares = shares;
        shares[0].0 = 0;
        shares.sort_by_key(|(from, _)| *from);
        let record = trial(&key, TrialKind::Trial, Comparison::Concurrent, stages(&shares));
        let expected = record.trial.arm_of(&unit, START + after);
        let snapshot = Snapshot::default();
        snapshot.put(vec![row(AGENT, "x", "default", "a", Some(record))]);
        let found = snapshot.resolve_key(AGENT, Some(&unit), START + after).unwrap();
        prop_assert_eq!(found.trial, Some((7, expected)));
        prop_assert!(found.exposed);
    }
}

#[test]
fn a_sweep_begins_again_for_what_changed_behind_it() {
    let at = |order: &Order| order.sweep().map(|page| page.cursor.unwrap_or_else(|| "start".to_owned()));
    let mut order = Order::default();
    order.begin_load(5);
    order.whole = true;
    assert_eq!(at(&order), None);
    order.refreshed(5);
    assert_eq!(at(&order), None, "nothing moved");
    order.refreshed(7);
    assert_eq!(at(&order).as_deref(), Some("start"));
    order.swept(Some("1000".to_owned()));
    assert_eq!(at(&order).as_deref(), Some("1000"));
    order.refreshed(8);
    order.swept(Some("2000".to_owned()));
    order.swept(None);
    assert_eq!(at(&order).as_deref(), Some("start"), "once more");
    order.swept(None);
    assert_eq!(at(&order), None);
}

#[test]
fn a_cut_off_resolver_serves_the_base_of_every_trial() {
    use TrialKind::{HoldBack, Trial};
    for (kind, comparison, in_place) in [
        (Trial, Comparison::Concurrent, "a"),
        (Trial, Comparison::BeforeAfter, "a"),
        (HoldBack, Comparison::Concurrent, "b"),
    ] {
        let snapshot = Snapshot::default();
        let record = trial("k", kind, comparison, stages(&[(0, 1.0)]));
        snapshot.put(vec![row(AGENT, "x", "default", in_place, Some(record))]);
        let served = || {
            let found = snapshot.resolve_key(AGENT, Some("u"), START).unwrap();
            (found.revision().id.to_string(), found.exposed)
        };
        assert_eq!(served(), ("b".to_owned(), true), "{kind:?} {comparison:?}");
        snapshot.cut_off.store(true, Ordering::Relaxed);
        assert_eq!(served(), ("a".to_owned(), false), "{kind:?} {comparison:?}");
        assert_eq!(snapshot.resolve_key(AGENT, Some("u"), START).unwrap().reason, Reason::Base);
    }
}
