//! Actions that were decided in a commit, carried out after it: at least once, and harmless if twice.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Source};
use uplift_model::process::Lease;
use uplift_store::rows::OutboxRow;
use uplift_store::{StoreError, StoreResult, Write};

use super::{Report, commit};
use crate::engine::Engine;

/// The kind of action that puts one of Uplift's own events on record.
const EVENT: &str = "event";
/// Actions carried out in a tick.
const BATCH: u32 = 500;
/// Tries before an action is given up.
const MOST_ATTEMPTS: i64 = 20;

/// One of Uplift's own events, as the outbox holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OwnEvent {
    id: String,
    ts: Time,
    kind: EventKind,
    entity: EntityKey,
    content: String,
}

/// The action that puts an event about an improvement on record. The same step gives the same id, so a second try
/// changes nothing.
pub(crate) fn event(
    kind: EventKind,
    improvement_id: i64,
    entity: EntityKey,
    now: Time,
    content: impl Into<String>,
) -> (String, Value) {
    let event = OwnEvent {
        id: format!("improvement/{improvement_id}/{}/{}", kind.as_str(), now.micros()),
        ts: now,
        kind,
        entity,
        content: content.into(),
    };
    // Texts and numbers always have a JSON form.
    (EVENT.to_owned(), serde_json::to_value(event).unwrap_or_default())
}

/// Carries out what waits.
pub(super) async fn carry_out(engine: &Engine, lease: &Lease, report: &mut Report) -> StoreResult<()> {
    let waiting = engine.store().outbox(BATCH).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let (mut events, mut writes) = (Vec::new(), Vec::new());
    for row in &waiting {
        match own_event(row) {
            Ok(event) => {
                events.push(event);
                writes.push(Write::FinishOutbox { id: row.id });
            }
            Err(reason) => {
                tracing::error!(action = row.id, reason, "an action cannot be carried out");
                let gone = row.attempts >= MOST_ATTEMPTS;
                writes.push(if gone { Write::FinishOutbox { id: row.id } } else { Write::FailOutbox { id: row.id } });
            }
        }
    }
    if !events.is_empty() {
        report.actions += events.len() as u64;
        let admission = engine.admit(events.len()).await;
        let receipt = engine.ingest(admission, events).await?;
        for refused in receipt.refused {
            tracing::warn!(reason = %refused.reason, "an own event was not taken");
        }
    }
    match commit(engine, lease, writes).await {
        // They stay in the outbox and are recognised the next time.
        Err(StoreError::StaleLease { .. }) => Ok(()),
        result => result.map(drop),
    }
}

fn own_event(row: &OutboxRow) -> Result<Event, String> {
    if row.kind != EVENT {
        return Err(format!("`{}` is no known kind of action", row.kind));
    }
    let own: OwnEvent = serde_json::from_value(row.payload.clone()).map_err(|error| error.to_string())?;
    Ok(Event {
        id: own.id,
        ts: own.ts,
        clock: Clock::Own,
        kind: own.kind,
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        entity: EntityRef::Key(own.entity),
        task_id: None,
        parent_task_id: None,
        session_id: None,
        trace_id: None,
        span_id: None,
        tool: None,
        outcome: None,
        duration_ms: None,
        tokens_in: None,
        tokens_out: None,
        tokens_cached: None,
        cost_usd: None,
        error_type: None,
        content: Some(own.content),
        attributes: None,
        exposures: Vec::new(),
        source: Source::Environment,
        link: None,
    })
}
