//! Entities with configurations of an ordinary size, some of them in trial.

use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, TrialRecord};
use uplift_runner::snapshot::Snapshot;
use uplift_store::rows::ServedRow;

/// Units that are asked for in turn.
const UNITS: usize = 1_024;
/// Length of an instruction, bytes: about what agents of recorded fleets have.
const INSTRUCTION: usize = 1_500;

/// A fleet to resolve.
pub(super) struct Fleet {
    /// What the entities are called.
    pub(super) names: Vec<String>,
    /// What units are called: as long as a trace id.
    pub(super) units: Vec<String>,
    trials: usize,
}

/// A generator that costs next to nothing, so that it does not count.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

impl Fleet {
    /// This many entities, with trials spread evenly over them.
    pub(super) fn new(entities: usize, trials: usize) -> Self {
        let names = (0..entities).map(|number| format!("research-agent-{number}")).collect();
        let units = (0..UNITS as u64).map(|number| format!("{:032x}", u128::from(number) << 64 | 0x4d)).collect();
        Self { names, units, trials }
    }

    /// Puts it in place.
    pub(super) fn put(&self, snapshot: &Snapshot) {
        let every = self.names.len() / self.trials.max(1);
        let rows = self.names.iter().enumerate().map(|(place, name)| {
            let in_trial = place % every == 0 && place / every < self.trials;
            row(place as i64 + 1, name, in_trial)
        });
        snapshot.put(rows.collect());
    }
}

fn configuration(entity: i64, arm: &str) -> String {
    let text = "x".repeat(INSTRUCTION);
    format!(r#"{{"instruction":{{"text":"{text}"}},"model":"m","parameters":{{"entity":{entity},"arm":"{arm}"}}}}"#)
}

fn row(id: i64, name: &str, in_trial: bool) -> ServedRow {
    let key = EntityKey::new(EntityType::Agent, id);
    let revision = |arm: &str| RevisionId::from_stored(format!("{arm}{id:063x}"));
    let trial = in_trial.then(|| {
        let record = TrialRecord {
            id,
            improvement_id: id,
            entity: key,
            base: revision("a"),
            candidate: revision("b"),
            trial: Trial {
                key: format!("improvement/{id}/1"),
                kind: TrialKind::Trial,
                started_us: 0,
                unit: AssignmentUnit::Task,
                comparison: Comparison::Concurrent,
                stages: vec![ShareStage { from_us: 0, share: 0.1 }, ShareStage { from_us: 1, share: 0.5 }],
                metrics: Vec::new(),
                expected_units: 1_000.0,
                baseline: Baseline::default(),
                policy: TrialPolicy::default(),
            },
            running: true,
            cursor: 0,
            looked_us: 0,
            verdict: None,
            ended_at: None,
            ending: None,
        };
        (Box::new(record), configuration(id, "control"), configuration(id, "candidate"))
    });
    ServedRow {
        entity: key,
        environment: "default".to_owned(),
        name: name.to_owned(),
        state: EntityState::Active,
        revision: Some(revision("a")),
        configuration: Some(configuration(id, "control")),
        defaults: None,
        trial,
    }
}
