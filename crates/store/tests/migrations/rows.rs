//! Reading rows that the facade does not write (yet), and rows that nobody should have written.

use rusqlite::Connection;
use uplift_model::entity::EntityKey;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::process::Lease;
use uplift_model::{EntityType, Time};
use uplift_store::rows::{DeliveryFilter, EntityFilter, EventFilter, OpportunityFilter, TaskFilter};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample::{select, whole};
use uplift_store::{
    DetectionReads, EntityReads, EventReads, ImprovementReads, NewsReads, OpportunityReads, PageRequest,
    ProcessReads, ReviewReads, StepCommit, StoreError, SystemReads, TaskReads, TrialReads, Writes,
};

use crate::data::ROWS;
use crate::fresh;

const AGENT: EntityKey = EntityKey::new(EntityType::Agent, 1);

/// A store over a row in every table, and a connection beside it.
async fn filled() -> (SqliteStore, Connection, tempfile::TempDir) {
    let (path, folder) = fresh().await;
    let connection = Connection::open(&path).unwrap();
    for (table, insert) in ROWS {
        connection.execute(insert, []).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    (SqliteStore::open(&path).unwrap(), connection, folder)
}

#[tokio::test]
async fn improvements_and_decisions_are_read_page_by_page() {
    let (store, connection, _folder) = filled().await;
    for place in 0..5 {
        connection
            .execute(
                "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome,
                    decided_at, metrics_after) VALUES (1, 'agent', 1, 'error_prevention', ?1, ?2, '{\"n\":1}')",
                (["kept", "rolled_back", "inconclusive"][place % 3], [20, 10, 20, 30, 5][place]),
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO improvements (entity_type, entity_id, improvement_type, proposed_by, edits, rationale,
                    expected_impact, confidence, status, created_at, updated_at)
                 VALUES ('agent', 1, 'error_prevention', 'rule', '[]', '', '', 0.5, ?1, 1, 1)",
                [["queued", "awaiting_approval", "deployed"][place % 3]],
            )
            .unwrap();
    }
    let (mut seen, mut request) = (Vec::new(), PageRequest::first(2));
    loop {
        let page = store.history(Some(AGENT), request).await.unwrap();
        seen.extend(page.items.iter().map(|row| row.decided_at.micros()));
        let Some(cursor) = page.next else { break };
        request = PageRequest { limit: 2, cursor: Some(cursor) };
    }
    assert_eq!(seen, [30, 20, 20, 10, 9, 5]);
    let all = store.history(None, whole()).await.unwrap().items;
    assert_eq!((all.len(), all[0].entity_name.as_str()), (6, "a"));
    assert_eq!(all[4].metrics_before, Some(serde_json::json!({"errors": 3})));

    let first = store.active_improvements(PageRequest::first(3)).await.unwrap();
    let rest = PageRequest { limit: 3, cursor: first.next.clone() };
    let second = store.active_improvements(rest).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (3, 2, None));
    assert_eq!((first.items[0].status, first.items[0].proposal.edits.len()), (ImprovementStatus::Testing, 1));

    let decisions = store.decisions(Time::from_micros(9)).await.unwrap();
    let shown: Vec<_> = decisions.iter().map(|row| (row.decided_at.micros(), row.rolled_back_for_harm)).collect();
    // Kept at 9, 20 and 30; taken back at 10; what ended without an answer is no decision.
    assert_eq!(shown, [(9, false), (10, true), (20, false), (30, false)]);
    assert_eq!(store.analytics().await.unwrap()[0].total, 6);
    assert_eq!(store.entity_status(AGENT).await.unwrap().active_improvements, 5);
    assert_eq!(store.counts().await.unwrap().improvements_active, 5);
}

#[tokio::test]
async fn a_lease_in_force_is_accepted() {
    let (store, _connection, _folder) = filled().await;
    let commit = |holder: &str, epoch| StepCommit {
        lease: Some(Lease { name: "ImprovementProcess/1".into(), holder: holder.into(), epoch }),
        ..StepCommit::default()
    };
    store.commit_step(commit("w", 3)).await.unwrap();
    for stale in [commit("w", 2), commit("w", 4), commit("other", 3)] {
        assert!(matches!(store.commit_step(stale).await, Err(StoreError::StaleLease { .. })));
    }
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list of damages")]
async fn a_row_that_cannot_be_read_is_reported_and_nothing_breaks() {
    let damages = [
        "UPDATE entities SET state = 'asleep' WHERE name = 'a'",
        "UPDATE entities SET improvement_config = '{\"max_rollback_rate\":\"x\"}' WHERE name = 'a'",
        "UPDATE event_rows SET kind = 99",
        "UPDATE event_rows SET exposures = '[{}]'",
        "UPDATE attribute_sets SET attributes = '{'",
        "UPDATE event_rows SET ts = 'noon'",
        "UPDATE task_rows SET outcome = 9",
        "UPDATE task_rows SET entity_type = 7",
        "UPDATE optimization_opportunities SET kind = 'mood'",
        "UPDATE optimization_opportunities SET evidence = '[1]'",
        "UPDATE rolling_review_counters SET due = 'soon'",
        "UPDATE improvements SET edits = '[{\"edit\":\"nothing\"}]'",
        "UPDATE improvement_history SET metrics_before = '{'",
        "UPDATE improvement_alerts SET kind = 'mood'",
        "UPDATE news SET kind = 'gossip'",
        "UPDATE notification_targets SET format = 'pigeon'",
        "UPDATE notification_deliveries SET message = '{}'",
        "UPDATE settings SET value = '{'",
        "UPDATE error_groups SET fingerprint = 'not hex'; UPDATE rollup_errors SET fingerprint = 'not hex'",
        "UPDATE revisions SET configuration = '[]'",
        "UPDATE improvements SET checks = '[1]'",
        "UPDATE improvements SET comparison = 'guess'",
        "UPDATE improvement_history SET verdict = '{'",
        "UPDATE trials SET trial = '{}'",
        "UPDATE trials SET verdict = '{}'",
        "UPDATE trials SET state = '{'",
        "UPDATE trial_looks SET summary = '{'",
        "UPDATE event_rows SET kind = 7, source = 9",
        "UPDATE process_instances SET wake_at = 'noon'",
        "UPDATE process_steps SET at = 'noon'",
        "UPDATE outbox SET payload = '{'",
    ];
    for damage in damages {
        let (store, connection, _folder) = filled().await;
        let sql = format!("DROP TRIGGER revisions_are_immutable; PRAGMA ignore_check_constraints = ON; {damage}");
        connection.execute_batch(&sql).unwrap();
        let revision = uplift_model::revision::RevisionId::from_stored(format!("{:064}", 7));
        let mut errors = Vec::new();
        let mut note = |error: Option<StoreError>| errors.extend(error);
        note(store.entities(EntityFilter::default(), whole()).await.err());
        note(store.entity(select(EntityType::Agent, "a")).await.err());
        note(store.events(EventFilter::default(), whole()).await.err());
        note(store.tasks(TaskFilter::default(), whole()).await.err());
        note(store.entity_window(AGENT, 7, 10).await.err());
        note(store.error_history(AGENT, "00000000000000ff".into()).await.err());
        note(store.error_history(AGENT, "not hex".into()).await.err());
        note(store.opportunities(OpportunityFilter::default(), whole()).await.err());
        note(store.review_queue(false, whole()).await.err());
        note(store.active_improvements(whole()).await.err());
        note(store.history(None, whole()).await.err());
        note(store.alerts(false, whole()).await.err());
        note(store.alert(1).await.err());
        note(store.news(0, 10).await.err());
        note(store.targets().await.err());
        note(store.deliveries(DeliveryFilter::default(), whole()).await.err());
        note(store.setting("policy".into()).await.err());
        note(store.revision(revision).await.err());
        note(store.improvement(1).await.err());
        note(store.history_of(1).await.err());
        note(store.trial(1).await.err());
        note(store.trial_state(1).await.err());
        note(store.looks(1).await.err());
        note(store.served(None, whole()).await.err());
        note(store.changed_units(1, 0, 10).await.err());
        note(store.processes_of("improvement/1".into()).await.err());
        note(store.outbox(10).await.err());
        errors.retain(|error| !matches!(error, StoreError::NotFound { .. }));
        assert!(!errors.is_empty(), "{damage} goes unnoticed");
        for error in errors {
            assert!(matches!(error, StoreError::Corrupt { .. }), "{damage}: {error}");
        }
    }
}
