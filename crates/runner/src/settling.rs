//! Settles traces that have been quiet for a while: spans of theirs that still wait for others are counted without
//! them.

use uplift_store::writes::IntakeBatch;
use uplift_store::{StoreError, StoreResult};

use crate::engine::Engine;

/// Commits in a row, so that other work has its turn.
const MAX_COMMITS: usize = 20;
/// Microseconds in a second.
const SECOND_US: i64 = 1_000_000;

/// Settles what has been quiet for as long as the policy says. Returns how many traces.
///
/// # Errors
/// When the store fails.
pub(crate) async fn settle_quiet(engine: &Engine) -> StoreResult<u64> {
    let quiet_us = i64::from(engine.policy().otlp.settle_seconds) * SECOND_US;
    let mut settled = 0;
    for _ in 0..MAX_COMMITS {
        let now = engine.now();
        let batch = IntakeBatch {
            events: Vec::new(),
            received_at: now,
            inbox: Vec::new(),
            auto_register: engine.policy().engine.auto_register,
            defaults: engine.policy().entity.clone(),
            review: engine.policy().review,
            settle_before: Some(now.plus_micros(-quiet_us)),
            stands_for: Vec::new(),
        };
        let (store, work) = (engine.clone(), batch);
        // To its end, even if the caller is stopped.
        let receipt = tokio::spawn(async move { store.store().commit_intake(work).await });
        let receipt = receipt.await.unwrap_or(Err(StoreError::Closed))?;
        engine.touched().add(receipt.touched.iter().copied());
        settled += receipt.settled;
        if receipt.settled == 0 {
            break;
        }
    }
    Ok(settled)
}
