//! Events that other programs left in `event_inbox`.

use uplift_intake::{DecodeContext, Place, decode_one};
use uplift_store::{StoreResult, Write};

use crate::engine::Engine;
use crate::watch::Report;

/// Rows taken in one commit.
const BATCH: u32 = 1_000;

/// Empties the inbox: events are stored and their rows deleted in one commit; what cannot be taken moves aside, with
/// the reason.
///
/// # Errors
/// When the store fails.
pub async fn empty(engine: &Engine, report: &mut Report) -> StoreResult<()> {
    loop {
        let rows = engine.store().inbox(BATCH).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let policy = engine.policy();
        let context = DecodeContext { received_at: engine.now(), at: None };
        let (mut events, mut taken, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            match decode_one(&row.event, Place::InboxRow(row.seq), &policy.intake, context) {
                Ok(event) => {
                    events.push(event);
                    taken.push(row.seq);
                }
                Err(rejection) => rejected.push(Write::RejectInbox { seq: row.seq, reason: rejection.detail }),
            }
        }
        report.inbox_rejected += rejected.len() as u64;
        if !rejected.is_empty() {
            engine.commit(rejected).await?;
        }
        if !events.is_empty() {
            let admission = engine.admit(events.len()).await;
            let receipt = engine.ingest_with(admission, events, taken).await?;
            report.inbox += receipt.accepted;
            report.inbox_rejected += receipt.refused.len() as u64;
        }
    }
}
