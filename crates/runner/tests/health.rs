//! Health by the formula and health by the view are the same.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rusqlite::Connection;
use uplift_model::Policy;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, watch};
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::attention::{AlertWrite, HealthWrite};
use uplift_store::{SystemReads, Write};

/// A state of the whole.
#[derive(Debug, Clone)]
struct State {
    /// Outcome (0 kept, 1 taken back, 2 no answer), days ago, effectiveness.
    decisions: Vec<(u8, i64, f64)>,
    pending: usize,
    success: Option<f64>,
    duration: Option<f64>,
    alerts: Vec<usize>,
    rollback_points: f64,
    cut_offs: [f64; 3],
}

fn state() -> impl Strategy<Value = State> {
    (
        vec((0_u8..3, 0_i64..60, -1.0_f64..1.0), 0..30),
        0_usize..80,
        option::of(-1.0_f64..1.0),
        option::of(-0.9_f64..3.0),
        vec(0..AlertKind::ALL.len(), 0..3),
        0.0_f64..100.0,
        [0.0_f64..100.0, 0.0_f64..100.0, 0.0_f64..100.0],
    )
        .prop_map(|(decisions, pending, success, duration, alerts, rollback_points, mut cut_offs)| {
            cut_offs.sort_by(f64::total_cmp);
            State { decisions, pending, success, duration, alerts, rollback_points, cut_offs }
        })
}

async fn compare(state: &State) -> ((String, f64), (String, f64)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let clock = Arc::new(ManualClock::at("2026-03-01T00:00:00Z".parse().unwrap()));
    let mut policy = Policy::default();
    policy.health.rollback_points = state.rollback_points;
    [policy.health.needs_attention_below, policy.health.fair_below, policy.health.excellent_from] = state.cut_offs;
    let engine = Engine::new(store.clone(), policy, clock);
    watch::prepare(&engine).await.unwrap();
    {
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for (outcome, days, effectiveness) in &state.decisions {
            let outcome = ["kept", "rolled_back", "inconclusive"][usize::from(*outcome)];
            let at = engine.now().micros() - days * 86_400_000_000;
            let insert = "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type,
                outcome, decided_at, effectiveness) VALUES (1, 'agent', 1, 'error_prevention', ?1, ?2, ?3)";
            connection.execute(insert, (outcome, at, effectiveness)).unwrap();
        }
        for number in 0..state.pending {
            let insert = "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source,
                improvement_type, created_at, updated_at, last_seen_at)
                VALUES ('agent', 1, 'token_waste', ?1, 'monitor', 'context_optimization', 1, 1, 1)";
            connection.execute(insert, [number.to_string()]).unwrap();
        }
    }
    let trends = HealthWrite::Trends { success_change: state.success, duration_change: state.duration };
    let mut writes = vec![Write::Health(trends), Write::Tick];
    for place in &state.alerts {
        writes.push(Write::Alerts(AlertWrite::Raise(AlertFinding {
            kind: AlertKind::ALL[*place],
            entity: None,
            fingerprint: String::new(),
            message: String::new(),
            value: 2.0,
            threshold: 1.0,
            at: engine.now(),
        })));
    }
    engine.commit(writes).await.unwrap();
    let (formula, view) = (engine.health().await.unwrap(), store.system_status().await.unwrap());
    ((formula.status.to_string(), formula.score), (view.health.to_string(), view.score))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_view_and_the_formula_agree(state in state()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (formula, view) = runtime.block_on(compare(&state));
        // A score that is a cut-off but for the last bit may fall on either side of it.
        prop_assume!(state.cut_offs.iter().all(|cut_off| (formula.1 - cut_off).abs() > 1e-9));
        prop_assert!((formula.1 - view.1).abs() < 1e-9, "{formula:?} {view:?}");
        prop_assert_eq!(formula.0, view.0);
    }
}
