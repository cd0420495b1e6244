//! News for others: what became of alerts, verdicts and what waits for approval goes out to the targets that operators
//! set.
//!
//! The store writes news in the commit in which something happens. Here news becomes deliveries, once to each target that
//! wants it, in one commit with the place up to which it was read; and each delivery is tried until it is made or given
//! up. A delivery is claimed for a while before it is sent, so whoever dies in between leaves it to be tried again: a
//! target is told at least once, with the same id each time.
//!
//! In reading order: `message` (from news to what is told), `form` (what a target's format makes of it), `sign`,
//! `sending` (over HTTP, to checked addresses only), [`Feed`] (the same news for those who listen), [`targets`] (what
//! operators do).

mod feed;
mod form;
mod message;
mod sending;
mod sign;
pub mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::task::JoinSet;
use uplift_model::notification::{Delivery, Target, TargetFormat};
use uplift_model::policy::NotificationsPolicy;
use uplift_model::time::MICROS_PER_DAY;
use uplift_store::writes::attention::{Attempt, NotificationWrite};
use uplift_store::{StoreError, StoreResult, Write};

use crate::engine::Engine;
use sending::{Failure, Sender};

pub use feed::Feed;

/// How often to look for news and for what is due.
const TICK: Duration = Duration::from_millis(500);
/// How long to wait where the store cannot be read or written.
const TROUBLE: Duration = Duration::from_secs(2);
/// News that becomes deliveries in one commit.
const NEWS_BATCH: u32 = 200;
/// Most deliveries to one target under way at the same time: a slow one does not keep others waiting.
const MOST_PER_TARGET: u32 = 2;
/// How much longer than a try may take a claim lasts, microseconds.
const CLAIM_BEYOND_US: i64 = 20_000_000;
/// Longest wait before a try is repeated, seconds.
const LAST_RETRY_SECONDS: u64 = 3_600;
/// How often what is old is deleted, and how much at once.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
const PRUNE_ROWS: u32 = 5_000;

/// Counts tries by format and result: delivered, failed, dead.
const TRIES: &str = "uplift_notifications_total";

/// Runs until `stop` says so. Errors are logged and tried again.
pub async fn run(engine: Engine, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut notifier = Notifier::default();
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => break,
        }
        // One node notifies: the one that steps processes.
        if engine.lease().is_none() {
            continue;
        }
        match notifier.tick(&engine).await {
            Err(StoreError::Closed) => return,
            // Where another node was faster, or what was read is old, it is read anew.
            Ok(()) | Err(StoreError::VersionConflict { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "notifications could not go on; it is tried again");
                tokio::time::sleep(TROUBLE).await;
            }
        }
    }
    // What was sent and not noted is sent again by whoever comes next.
    notifier.under_way.shutdown().await;
}

/// Turns news into deliveries and makes those that are due, until nothing is under way: for tests, and for commands that
/// end.
///
/// # Errors
/// When the store fails.
pub async fn settle(engine: &Engine) -> StoreResult<()> {
    let mut notifier = Notifier::default();
    notifier.tick(engine).await?;
    while let Some(ended) = notifier.under_way.join_next().await {
        notifier.ended(engine, ended).await?;
    }
    Ok(())
}

/// What the loop remembers.
#[derive(Default)]
struct Notifier {
    under_way: JoinSet<Tried>,
    /// How many are under way, by target.
    of_target: BTreeMap<i64, u32>,
    sender: Option<Arc<Sender>>,
    pruned_at: Option<tokio::time::Instant>,
    /// The stretch of time in which alerts were last told again.
    repeated: Option<i64>,
}

/// A try that ended.
struct Tried {
    delivery: Delivery,
    format: TargetFormat,
    result: Result<u16, Failure>,
}

impl Notifier {
    async fn tick(&mut self, engine: &Engine) -> StoreResult<()> {
        while let Some(ended) = self.under_way.try_join_next() {
            self.ended(engine, ended).await?;
        }
        let targets = engine.store().targets().await?;
        spread(engine, &targets).await?;
        if !targets.is_empty() {
            message::repeat(engine, &targets, &mut self.repeated).await?;
            self.begin(engine, &targets).await?;
        }
        if self.pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            let days = i64::from(engine.policy().notifications.keep_days);
            let before = engine.now().plus_micros(-days * MICROS_PER_DAY);
            let prune = NotificationWrite::Prune { before, rows: PRUNE_ROWS };
            engine.commit(vec![Write::Notifications(prune)]).await?;
            self.pruned_at = Some(tokio::time::Instant::now());
        }
        Ok(())
    }

    /// Claims what is due, as far as there is room, and begins to send it.
    async fn begin(&mut self, engine: &Engine, targets: &[Target]) -> StoreResult<()> {
        let policy = engine.policy().notifications.clone();
        let mut room = (policy.max_concurrent as usize).saturating_sub(self.under_way.len());
        if room == 0 {
            return Ok(());
        }
        let mut chosen = Vec::new();
        let mut of_target = self.of_target.clone();
        for delivery in engine.store().due_deliveries(engine.now(), MOST_PER_TARGET).await? {
            let count = of_target.entry(delivery.target_id).or_default();
            if room > 0 && *count < MOST_PER_TARGET {
                *count += 1;
                room -= 1;
                chosen.push(delivery);
            }
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let until = engine.now().plus_micros(i64::from(policy.timeout_seconds) * 1_000_000 + CLAIM_BEYOND_US);
        let ids = chosen.iter().map(|delivery| delivery.id).collect();
        let receipt = engine.commit(vec![Write::Notifications(NotificationWrite::Claim { ids, until })]).await?;
        let sender = self.sender(&policy)?;
        for delivery in chosen.into_iter().filter(|delivery| receipt.recorded.contains(&delivery.id)) {
            let Some(target) = targets.iter().find(|target| target.id == delivery.target_id) else { continue };
            *self.of_target.entry(target.id).or_default() += 1;
            let (sender, target, now) = (Arc::clone(&sender), target.clone(), engine.now());
            self.under_way.spawn(async move {
                let result = sender.send(&target.target, &delivery.message, now).await;
                Tried { delivery, format: target.target.format, result }
            });
        }
        Ok(())
    }

    /// Who sends, by the policy in force.
    fn sender(&mut self, policy: &NotificationsPolicy) -> StoreResult<Arc<Sender>> {
        if let Some(sender) = self.sender.as_ref().filter(|sender| sender.policy() == policy) {
            return Ok(Arc::clone(sender));
        }
        let sender = Arc::new(sending::sender(policy)?);
        self.sender = Some(Arc::clone(&sender));
        Ok(sender)
    }

    /// Notes how a try ended. Whatever is not noted is tried again when its claim is over.
    async fn ended(&mut self, engine: &Engine, ended: Result<Tried, tokio::task::JoinError>) -> StoreResult<()> {
        let tried = match ended {
            Ok(tried) => tried,
            Err(error) => {
                tracing::error!(%error, "a notification could not be sent");
                // Whose it was is not known: all count anew.
                self.of_target.clear();
                return Ok(());
            }
        };
        if let Some(count) = self.of_target.get_mut(&tried.delivery.target_id) {
            *count = count.saturating_sub(1);
        }
        let policy = &engine.policy().notifications;
        let (id, target) = (tried.delivery.id, tried.delivery.target.as_str());
        // The claim counted this try.
        let attempts = tried.delivery.attempts + 1;
        let (result, attempt) = match tried.result {
            Ok(status) => ("delivered", Attempt::Delivered { status }),
            Err(failure) if failure.is_final || attempts >= i64::from(policy.max_attempts) => {
                tracing::warn!(delivery = id, target, attempts, error = failure.error, "a notification was given up");
                ("dead", Attempt::Dead { status: failure.status, error: failure.error })
            }
            Err(failure) => {
                let wait = backoff(policy, attempts, id).max(failure.retry_after.unwrap_or(0));
                let due = engine.now().plus_micros(wait.min(LAST_RETRY_SECONDS) as i64 * 1_000_000);
                tracing::debug!(delivery = id, target, attempts, error = failure.error, "a notification failed");
                ("failed", Attempt::Again { status: failure.status, error: failure.error, due })
            }
        };
        counter!(TRIES, "format" => tried.format.as_str(), "result" => result).increment(1);
        engine.commit(vec![Write::Notifications(NotificationWrite::Finish { id, attempt })]).await?;
        Ok(())
    }
}

/// How long to wait after a failure, seconds: doubled each time, and a little different for each delivery, so that what
/// failed together does not come back together.
fn backoff(policy: &NotificationsPolicy, attempts: i64, id: i64) -> u64 {
    let doubled = u64::from(policy.first_retry_seconds).saturating_mul(1 << (attempts - 1).clamp(0, 20));
    let wait = doubled.min(LAST_RETRY_SECONDS);
    wait + wait * (id.unsigned_abs() % 10) / 50
}

/// Turns news into deliveries, a batch in one commit with the place up to which it was read.
async fn spread(engine: &Engine, targets: &[Target]) -> StoreResult<()> {
    loop {
        let from = engine.store().notified().await?;
        let news = engine.store().news(from, NEWS_BATCH).await?;
        let Some(last) = news.last() else { return Ok(()) };
        let mut writes = Vec::new();
        for row in &news {
            let Some(kind) = message::kind(row) else { continue };
            // Who was set later hears of what comes later.
            let wanting = |target: &&Target| target.target.wants(kind) && target.created_at <= row.at;
            let ids: Vec<i64> = targets.iter().filter(wanting).map(|target| target.id).collect();
            if ids.is_empty() {
                continue;
            }
            if let Some(message) = message::of(engine, row, kind).await? {
                let max_waiting = engine.policy().notifications.max_waiting;
                writes.push(Write::Notifications(NotificationWrite::Deliver {
                    message: Box::new(message),
                    targets: ids,
                    max_waiting,
                }));
            }
        }
        writes.push(Write::Notifications(NotificationWrite::MoveCursor { from, to: last.seq }));
        engine.commit(writes).await?;
        if news.len() < NEWS_BATCH as usize {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let policy = NotificationsPolicy::default();
        for (attempts, id, seconds) in
            [(1, 0, 5), (2, 10, 10), (3, 20, 20), (12, 0, 3_600), (50, 0, 3_600), (1, 9, 5)]
        {
            assert_eq!(backoff(&policy, attempts, id), seconds, "{attempts} {id}");
        }
        assert_eq!(backoff(&policy, 5, 5), 88);
    }
}
