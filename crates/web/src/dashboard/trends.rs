//! What the fleet did lately.

use std::collections::BTreeMap;

use uplift_cycle::detect::health::Health;
use uplift_model::rollup::OperationDelta;
use uplift_runner::Engine;
use uplift_store::StoreResult;
use uplift_store::rows::{EntityTrend, MetricsRow};

use crate::kept::Answer;

/// Days that are shown.
pub(crate) const DAYS: i64 = 14;
/// Most rows of days and agents that are added up.
const MAX_ROWS: u32 = 20_000;

/// What the fleet did, and how it stands.
#[derive(Debug)]
pub(crate) struct Trends {
    pub(crate) health: Health,
    pub(crate) metrics: MetricsRow,
    /// Agent by agent, the last 24 hours of each against the 7 days before.
    pub(crate) agents: Vec<EntityTrend>,
    /// All agents together, day by day; days are since 1970-01-01 (UTC).
    pub(crate) days: Vec<(i64, OperationDelta)>,
}

impl Answer for Trends {
    const WHAT: &'static str = "what the fleet did";

    async fn work_out(engine: &Engine) -> StoreResult<Self> {
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
        Ok(Self { health, metrics, agents, days: days.into_iter().collect() })
    }
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
