//! Which kept improvements may be said to have helped: what was read of the history once and then added to gives the
//! same answers as reading all of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use serde_json::json;
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityName, EntityType};
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::{ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::trial::Comparison;
use uplift_model::verdict::Verdict;
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, watch};
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::{NewImprovement, Write};

fn verdict(ln: f64) -> Verdict {
    let interval = json!({"estimate": 0.0, "low": 0.0, "high": 0.0});
    let goal = json!({
        "name": "success", "roles": {"goal": true, "guardrail": true, "cost": false}, "summary": "rate", "n": [100, 100],
        "control": 0.5, "candidate": 0.6, "effect": interval, "margin": 0.1, "inside_margin": true, "weight": 1.0,
        "evidence": {"harm": 0.0, "better": ln, "not_worse": 0.0, "not_much_worse": 0.0}, "evidence_share": 0.0,
        "fixed": null, "units_needed": null, "what_would_change": "",
    });
    serde_json::from_value(json!({
        "decision": "keep", "strength": "proven", "next": "keep", "reasons": ["goal_better"], "deciding": ["success"],
        "text": "", "units_needed": null,
        "findings": {
            "at_us": 0, "method": "live", "phase": "first_horizon", "last": false, "may_prove": true, "watch_only": false,
            "matured": [100, 100], "immature": 0, "late": 0,
            "allocation": {"assigned": [100, 100], "log_evidence": 0.0, "crossover": 0.0},
            "coverage": {"known": [1.0, 1.0], "log_evidence": 0.0},
            "combined": {"log_evidence": 0.0, "log_evidence_without_costs": 0.0, "log_threshold": 2.6},
            "effectiveness": interval, "balance": 0.0, "metrics": [goal], "interference": false,
        },
    }))
    .unwrap()
}

struct Fleet {
    engine: Engine,
    store: Arc<SqliteStore>,
    entity: EntityKey,
}

impl Fleet {
    async fn new() -> Self {
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let engine = engine_over(&store);
        watch::prepare(&engine).await.unwrap();
        let name = EntityName {
            environment: "default".to_owned(),
            entity_type: EntityType::Agent,
            name: "support".to_owned(),
        };
        let declare = Write::DeclareEntity { name, config: Policy::default().entity };
        let entity = engine.commit(vec![declare]).await.unwrap().entities[0];
        Self { engine, store, entity }
    }

    async fn propose(&self) -> i64 {
        let proposal = Proposal {
            improvement_type: ImprovementType::InstructionUpdate,
            proposed_by: ProposalSource::Operator,
            proposer: "ada".to_owned(),
            edits: vec![Edit::AppendGuideline { text: "Be brief.".to_owned() }],
            processes: Vec::new(),
            rationale: "why".to_owned(),
            expected_impact: String::new(),
            expected_gain: 0.1,
            confidence: 0.9,
            comparison: Comparison::Concurrent,
        };
        let new = NewImprovement {
            entity: self.entity,
            opportunity_id: None,
            proposal,
            status: ImprovementStatus::Proposed,
            process_due: None,
        };
        self.engine.commit(vec![Write::PutImprovement(Box::new(new))]).await.unwrap().improvements[0]
    }

    async fn decide(&self, improvement_id: i64, outcome: HistoryOutcome, minute: i64, ln: Option<f64>) {
        let entry = HistoryEntry {
            improvement_id,
            entity: self.entity,
            improvement_type: ImprovementType::InstructionUpdate,
            outcome,
            reason: "why".to_owned(),
            started_at: Some(at(0)),
            decided_at: at(minute),
            metrics_before: None,
            metrics_after: None,
            effectiveness: None,
            rollback_revision: None,
            verdict: ln.map(verdict),
            report: "# Report".to_owned(),
        };
        self.engine.commit(vec![Write::RecordHistory(Box::new(entry))]).await.unwrap();
    }
}

fn at(minute: i64) -> Time {
    let start: Time = "2026-03-01T00:00:00Z".parse().unwrap();
    start.plus_micros(minute * 60_000_000)
}

fn engine_over(store: &Arc<SqliteStore>) -> Engine {
    Engine::new(store.clone(), Policy::default(), Arc::new(ManualClock::at(at(0))))
}

#[tokio::test]
async fn reading_on_is_the_same_as_reading_anew() {
    let fleet = Fleet::new().await;
    assert!(fleet.engine.what_helped().await.unwrap().improvements.is_empty());
    let mut last = 0;
    // Of one minute, of several, many at once (more than a short page), one of earlier than what was read, one taken back.
    for (minute, count) in [(1, 1), (1, 2), (2, 1), (5, 45), (3, 1), (9, 1), (9, 0)] {
        for place in 0..count {
            last = fleet.propose().await;
            let (outcome, ln) = if place % 3 == 2 {
                (HistoryOutcome::RolledBack, None)
            } else {
                (HistoryOutcome::Kept, Some(4.0 + f64::from(place)))
            };
            fleet.decide(last, outcome, minute, ln).await;
        }
        if count == 0 {
            fleet.decide(last, HistoryOutcome::RolledBack, minute, None).await;
        }
        let read_on = fleet.engine.what_helped().await.unwrap();
        assert_eq!(read_on, engine_over(&fleet.store).what_helped().await.unwrap(), "minute {minute}");
    }
    let helped = fleet.engine.what_helped().await.unwrap();
    assert!(helped.standing() > 10 && helped.by_type["instruction_update"] as usize == helped.standing());
    assert!(helped.improvements[&last].withdrawn, "{:?}", helped.improvements[&last]);
}

#[tokio::test]
async fn the_share_of_false_claims_is_the_setting() {
    let fleet = Fleet::new().await;
    let id = fleet.propose().await;
    // Between what the first place asks at .1 (187) and at .05 (374).
    fleet.decide(id, HistoryOutcome::Kept, 1, Some(250.0_f64.ln())).await;
    assert!(fleet.engine.what_helped().await.unwrap().improvements[&id].stands);
    fleet.engine.configure(json!({"false_claims": 0.05})).await.unwrap();
    assert!(!fleet.engine.what_helped().await.unwrap().improvements[&id].stands);
    for bad in [json!(0), json!(0.6), json!(-1), json!("x")] {
        assert!(fleet.engine.configure(json!({"false_claims": bad})).await.is_err(), "{bad}");
    }
}
