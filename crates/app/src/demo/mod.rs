//! A recorded past with flaws planted in it, and what is found of them.

mod compare;
mod show;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_runner::{Engine, watch};
use uplift_sim::sample::{Sample, SampleConfig, generate};
use uplift_store::PageRequest;

pub(crate) use compare::{Comparison, compare};
pub(crate) use show::render;

use crate::database::{Writable, lock_for, make_folder};
use crate::import::{self, Tally, Teller};
use crate::lock::Holder;

/// The hour of the day at which the recorded past ends. Always the same, so that a seed gives the same past on any
/// day, only moved.
const LAST_HOUR: i64 = 18;

/// What the demo came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The seed of the past.
    pub(crate) seed: u64,
    /// Where it is kept.
    pub(crate) database: PathBuf,
    /// Events of the past.
    pub(crate) events: u64,
    /// Tasks of the past.
    pub(crate) tasks: i64,
    /// Days it covers.
    pub(crate) days: u32,
    /// Seconds to store it.
    pub(crate) import_s: f64,
    /// Seconds to find what is in it.
    pub(crate) detect_s: f64,
    /// Reviews held meanwhile.
    pub(crate) reviews: u64,
    /// Planted and found, side by side.
    #[serde(flatten)]
    pub(crate) comparison: Comparison,
}

/// Generates, imports, detects and compares.
pub(crate) async fn play(seed: u64, database: &Path) -> anyhow::Result<Outcome> {
    make_folder(database)?;
    let lock = lock_for(database, &Holder::this_process(None))?;
    let store = Writable::open(database, uplift_model::Policy::default(), lock)?;
    let outcome = play_in(&store.engine, seed, database).await;
    store.close().await;
    outcome
}

async fn play_in(engine: &Engine, seed: u64, database: &Path) -> anyhow::Result<Outcome> {
    let config = SampleConfig::new(seed, last_moment(engine.now().micros()));
    let sample = generate(&config);
    watch::prepare(engine).await?;
    let began = Instant::now();
    let tally = import_sample(engine, &sample).await?;
    let import_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let report = watch::settle(engine).await?;
    let detect_s = began.elapsed().as_secs_f64();
    let found =
        engine.store().opportunities(uplift_store::rows::OpportunityFilter::default(), everything()).await?.items;
    let counts = engine.store().counts().await?;
    Ok(Outcome {
        seed,
        database: database.to_owned(),
        events: tally.accepted,
        tasks: counts.tasks,
        days: config.days,
        import_s,
        detect_s,
        reviews: report.reviews,
        comparison: compare(&sample, &found),
    })
}

fn everything() -> PageRequest {
    PageRequest::first(uplift_store::page::MAX_PAGE)
}

/// The latest moment before `now_us` at which the past can end.
fn last_moment(now_us: i64) -> i64 {
    let offset = LAST_HOUR * MICROS_PER_HOUR;
    (now_us - offset).div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY + offset
}

/// Takes the sample in as if it came from a file: the same reader, the same checks.
async fn import_sample(engine: &Engine, sample: &Sample) -> anyhow::Result<Tally> {
    let text = sample.lines.join("\n");
    let mut teller = Teller::new(indicatif::ProgressBar::hidden());
    let bytes: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(text.into_bytes()));
    import::import_bytes(engine, "the sample", bytes, None, &mut teller).await?;
    teller.finish();
    Ok(teller.tally)
}

/// Where the demo keeps its database when nobody names a place: a folder of its own that stays.
pub(crate) fn own_folder() -> anyhow::Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("uplift-demo-").tempdir()?.keep().join("uplift.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_ends_at_the_same_hour_every_day() {
        let day = 20_000 * MICROS_PER_DAY;
        let evening = LAST_HOUR * MICROS_PER_HOUR;
        assert_eq!(last_moment(day + evening), day + evening);
        assert_eq!(last_moment(day + evening - 1), day + evening - MICROS_PER_DAY);
        assert_eq!(last_moment(day + evening + 5), day + evening);
    }
}
