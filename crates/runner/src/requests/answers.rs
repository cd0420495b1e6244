//! How whoever asked hears of the verdict: every node tells those who listen to it, whichever node decided.

use std::time::Duration;

use tokio::sync::{broadcast, watch};
use uplift_model::request::Answer;
use uplift_store::StoreResult;

use crate::engine::Engine;

/// How often decisions are looked for while somebody listens.
const POLL: Duration = Duration::from_secs(1);
/// Answers told at once.
const BATCH: u32 = 500;
/// Answers that those who listen may lag behind before they have to ask.
const WAITING: usize = 256;

/// Those who listen for answers.
#[derive(Debug)]
pub struct Answers(broadcast::Sender<Answer>);

impl Default for Answers {
    fn default() -> Self {
        Self(broadcast::channel(WAITING).0)
    }
}

impl Answers {
    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Answer> {
        self.0.subscribe()
    }
}

/// Tells answers until it is stopped. What was decided while nobody listened is not told: it is there to be asked for.
pub async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let mut after = None;
    while !*stopped.borrow() {
        if let Err(error) = tell(&engine, &mut after).await {
            tracing::warn!(%error, "answers to requests could not be read; they are tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            // An error means that the sender is gone, which is as good as being told.
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Tells what was decided since the last time.
async fn tell(engine: &Engine, after: &mut Option<i64>) -> StoreResult<()> {
    let sender = &engine.answers().0;
    if sender.receiver_count() == 0 {
        *after = None;
        return Ok(());
    }
    let Some(last) = *after else {
        *after = Some(engine.store().last_decision().await?);
        return Ok(());
    };
    let newest = engine.store().last_decision().await?;
    if newest <= last {
        return Ok(());
    }
    let answers = engine.store().answers(last, BATCH).await?;
    // Where there are more than fit, the next time goes on after the last decision told; should that one answer still
    // more requests, those have to be asked for.
    let whole = answers.len() < BATCH as usize;
    *after = Some(if whole { newest } else { answers.last().map_or(newest, |answer| answer.decision) });
    for answer in answers {
        // An error means that nobody listens any more.
        drop(sender.send(answer));
    }
    Ok(())
}
