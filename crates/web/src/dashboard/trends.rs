//! What the fleet did lately. Working it out takes longer than a page may, so it is kept for a few seconds: whoever finds it
//! old is shown it as it is, and it is worked out anew meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use uplift_cycle::detect::health::Health;
use uplift_model::rollup::OperationDelta;
use uplift_runner::Engine;
use uplift_store::StoreResult;
use uplift_store::rows::{EntityTrend, MetricsRow};

/// How long it is good, and how long it may be shown until there is a newer one.
const GOOD: Duration = Duration::from_secs(3);
const SHOWN: Duration = Duration::from_secs(15);
/// Days that are shown.
pub(crate) const DAYS: i64 = 14;
/// Most rows of days and agents that are added up.
const MAX_ROWS: u32 = 20_000;

/// What the fleet did, and how it stands.
#[derive(Debug)]
pub(crate) struct Trends {
    made: Instant,
    pub(crate) health: Health,
    pub(crate) metrics: MetricsRow,
    /// Agent by agent, the last 24 hours of each against the 7 days before.
    pub(crate) agents: Vec<EntityTrend>,
    /// All agents together, day by day; days are since 1970-01-01 (UTC).
    pub(crate) days: Vec<(i64, OperationDelta)>,
}

/// The latest trends. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    latest: ArcSwapOption<Trends>,
    working: AtomicBool,
}

impl Kept {
    /// What the fleet did, a few seconds old at the most as long as somebody looks.
    pub(crate) async fn trends(&self, engine: &Engine) -> StoreResult<Arc<Trends>> {
        if let Some(latest) = self.0.latest.load_full().filter(|latest| latest.made.elapsed() < SHOWN) {
            if latest.made.elapsed() > GOOD && !self.0.working.swap(true, Ordering::AcqRel) {
                let (kept, engine) = (self.clone(), engine.clone());
                tokio::spawn(async move {
                    match read(&engine).await {
                        Ok(trends) => kept.0.latest.store(Some(Arc::new(trends))),
                        Err(error) => tracing::warn!(%error, "the trends of the fleet could not be read"),
                    }
                    kept.0.working.store(false, Ordering::Release);
                });
            }
            return Ok(latest);
        }
        let trends = Arc::new(read(engine).await?);
        self.0.latest.store(Some(Arc::clone(&trends)));
        Ok(trends)
    }
}

async fn read(engine: &Engine) -> StoreResult<Trends> {
    let store = engine.store();
    let health = engine.health().await?;
    let metrics = store.metrics().await?;
    let agents: Vec<EntityTrend> =
        store.entity_trends().await?.into_iter().filter(|trend| trend.recent.n + trend.before.n > 0).collect();
    let mut days: BTreeMap<i64, OperationDelta> = BTreeMap::new();
    if let Some(latest) = agents.iter().map(|trend| trend.latest).max() {
        // Whole days, so that the first is not a part of one that looks like a slump.
        let from = latest.start().day() + 1 - DAYS;
        let first = uplift_model::Hour::from_number(from * uplift_model::time::HOURS_PER_DAY);
        for row in store.tasks_by_day(None, first, latest, MAX_ROWS).await? {
            days.entry(row.day).or_default().merge(row.sums);
        }
    }
    Ok(Trends { made: Instant::now(), health, metrics, agents, days: days.into_iter().collect() })
}

/// Shares and means of sums; none where there is nothing to divide by.
pub(crate) trait Rates {
    /// Share of tasks that succeeded.
    fn success(&self) -> Option<f64>;
    /// Geometric mean of durations, milliseconds.
    fn duration_ms(&self) -> Option<f64>;
    /// Tokens a task.
    fn tokens(&self) -> Option<f64>;
    /// US dollars a task.
    fn cost(&self) -> Option<f64>;
}

fn ratio(sum: f64, n: i64) -> Option<f64> {
    (n > 0).then(|| sum / n as f64)
}

impl Rates for OperationDelta {
    fn success(&self) -> Option<f64> {
        ratio((self.n - self.errors) as f64, self.n)
    }

    fn duration_ms(&self) -> Option<f64> {
        ratio(self.sum_ln as f64 / 1e6, self.timed).map(f64::exp)
    }

    fn tokens(&self) -> Option<f64> {
        ratio(self.tokens_in as f64 + self.tokens_out as f64, self.n).filter(|tokens| *tokens > 0.0)
    }

    fn cost(&self) -> Option<f64> {
        ratio(self.cost_nano as f64 / 1e9, self.n).filter(|cost| *cost > 0.0)
    }
}
