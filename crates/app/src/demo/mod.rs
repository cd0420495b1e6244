//! A fleet at work, with flaws planted in it and harm proposed to it, and what becomes of all that.
//!
//! Server and fleet are in one process and talk over HTTP. Time is virtual: it moves on in steps, and everything that
//! is due is done before the next one, so a seed gives the same run at any speed.
//!
//! In reading order:
//!
//! - `policy`: what the demo obeys.
//! - `world`: the fleet at work.
//! - `story`: what happens, told as it happens.
//! - `score`: what became of everything, against the truth; `show`: the same for people.

pub(crate) mod policy;
mod score;
mod show;
mod story;
mod world;

use std::future::IntoFuture;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::net::TcpListener;
use uplift_model::Time;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, processes, watch};
use uplift_sim::fleet::planted::{Harm, harms};
use uplift_sim::fleet::traffic::{self, Traffic};

pub(crate) use score::Score;
pub(crate) use show::render;

use crate::database::{Opened, Place};
use crate::import::{self, Tally, Teller};
use crate::lock::Holder;
use crate::text::{Style, count};
use story::Story;
use world::World;

/// When the demo begins, microseconds since the Unix epoch: Thursday, 1 January 2026, 06:00 UTC, and a moment, so that
/// a step ends after the look of its time. Always the same, because which task is in which arm depends on it.
const START_US: i64 = 1_767_247_200_000_000 + MOMENT_US;
const MOMENT_US: i64 = 20_000_000;
/// Days of history.
const PAST_DAYS: i64 = 7;
/// How far time moves on at once.
const STEP_US: i64 = 15 * 60_000_000;
/// A step's first tasks begin this long after it, because a trial begins a little after it was decided on.
const LEAD_US: i64 = 3_000_000;
/// How often detection has its turn.
const DETECT_EVERY_US: i64 = 6 * MICROS_PER_HOUR;
/// When the first harmful change is proposed, and how long after it each further one.
const PROPOSE_US: (i64, i64) = (MICROS_PER_HOUR / 2, MICROS_PER_HOUR / 3);

/// How fast time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As fast as it can be worked out.
    Max,
    /// Virtual hours a second, at most.
    HoursPerSecond(f64),
}

/// What to play.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where chance starts from.
    pub(crate) seed: u64,
    /// Hours to play after the history.
    pub(crate) hours: f64,
    /// How fast.
    pub(crate) pace: Pace,
    /// Tell nothing on the way.
    pub(crate) silent: bool,
    /// Go on serving when it is over.
    pub(crate) stay: bool,
    /// Where it is kept.
    pub(crate) database: Place,
}

/// What the demo came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// Where chance started from.
    pub(crate) seed: u64,
    /// Hours played.
    pub(crate) hours: f64,
    /// Tasks, those of the history included.
    pub(crate) tasks: i64,
    /// Events, those of the history included.
    pub(crate) events: u64,
    /// Seconds it took.
    pub(crate) seconds: f64,
    /// Seconds by what they went into.
    pub(crate) seconds_by: Seconds,
    /// Where it is kept.
    pub(crate) database: String,
    /// What became of everything.
    #[serde(flatten)]
    pub(crate) score: Score,
}

/// Where the time went, seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Seconds {
    /// The history: made up and stored.
    pub(crate) history: f64,
    /// Asking what to run, and playing it.
    pub(crate) work: f64,
    /// Reporting what happened.
    pub(crate) report: f64,
    /// Detection.
    pub(crate) detect: f64,
    /// Improvements and trials.
    pub(crate) improve: f64,
    /// Telling what is new.
    pub(crate) tell: f64,
}

/// Adds the time that some work takes to a sum.
async fn timed<T>(sum: &mut f64, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = work.await;
    *sum += began.elapsed().as_secs_f64();
    result
}

/// Plays the demo, and tells what came of it. Where it stays, it goes on serving after that, until SIGINT or SIGTERM, with
/// time standing still: the fleet is not at work any more, and by a clock that runs it would all be long ago.
pub(crate) async fn play(
    options: &Options,
    style: Style,
    tell: impl FnOnce(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback interface")?;
    let url = format!("http://{}", listener.local_addr()?);
    let clock = Arc::new(ManualClock::at(Time::from_micros(START_US)));
    let us = Holder::this_process(Some(url.clone()));
    let store = match options.database.open_at(&us, || Ok(policy::policy()), clock.clone()).await? {
        Opened::Ours(store) => store,
        Opened::Held(holder) => bail!("{} is being written by {holder}: name another", options.database),
    };
    let engine = store.engine.clone();
    if engine.store().task_counts().await?.events > 0 {
        bail!("{} holds events already: name an empty database", options.database);
    }
    let server = tokio::spawn(axum::serve(listener, crate::serve::router(engine.clone())).into_future());
    let mut stage = Stage {
        world: World::new(url.clone())?,
        story: Story::new(START_US, style, options.silent),
        seconds: Seconds::default(),
        engine,
        clock,
    };
    let finished = stage.all(options, &url, began, tell).await;
    server.abort();
    store.close().await;
    finished
}

/// Everything that takes part.
struct Stage {
    engine: Engine,
    clock: Arc<ManualClock>,
    world: World,
    story: Story,
    seconds: Seconds,
}

impl Stage {
    async fn all(
        &mut self,
        options: &Options,
        url: &str,
        began: Instant,
        tell: impl FnOnce(&Outcome) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outcome> {
        let history = self.play(options, url).await?;
        let outcome = self.finish(options, history, began).await?;
        tell(&outcome)?;
        if options.stay {
            crate::serve::go_on(&self.engine, url, &options.database).await?;
        }
        Ok(outcome)
    }

    async fn play(&mut self, options: &Options, url: &str) -> anyhow::Result<Tally> {
        watch::prepare(&self.engine).await?;
        let (seed, hours) = (options.seed, options.hours);
        self.story
            .say(&format!("Ten agents, a week of their history (seed {seed}), and then {hours:.0} hours at work."))?;
        self.story.say(&policy::in_words(&self.engine.policy()))?;
        self.story.say(&format!("The server is at {url}.\n"))?;
        let history = timed(&mut self.seconds.history, import_past(&self.engine, options.seed)).await?;
        self.world.introduce().await?;
        timed(&mut self.seconds.detect, watch::settle(&self.engine)).await?;
        self.story.say(&format!("{} events of history are in.", count(history.accepted as i64)))?;
        self.story.tell(&self.engine).await?;
        self.live(options).await?;
        Ok(history)
    }

    /// Hour after hour, in small steps.
    async fn live(&mut self, options: &Options) -> anyhow::Result<()> {
        let end_us = START_US + (options.hours * MICROS_PER_HOUR as f64) as i64;
        let mut traffic = Traffic::new(options.seed.wrapping_add(1), START_US);
        let mut harms = harms().into_iter().enumerate().map(due).peekable();
        let mut detect_us = START_US + DETECT_EVERY_US;
        let began = Instant::now();
        let mut now_us = START_US;
        while now_us < end_us {
            let next_us = (now_us + STEP_US).min(end_us);
            self.clock.set(Time::from_micros(now_us + LEAD_US));
            let work = self.world.work(traffic.until(next_us), now_us + LEAD_US);
            timed(&mut self.seconds.work, work).await?;
            now_us = next_us;
            self.clock.set(Time::from_micros(now_us));
            timed(&mut self.seconds.report, self.world.report(now_us)).await?;
            while let Some((_, harm)) = harms.next_if(|(due_us, _)| *due_us <= now_us) {
                self.world.propose(&harm).await?;
            }
            if now_us >= detect_us {
                timed(&mut self.seconds.detect, watch::settle(&self.engine)).await?;
                detect_us += DETECT_EVERY_US;
            }
            timed(&mut self.seconds.improve, processes::tick(&self.engine)).await?;
            timed(&mut self.seconds.tell, self.story.tell(&self.engine)).await?;
            if let Pace::HoursPerSecond(pace) = options.pace {
                let hours = (now_us - START_US) as f64 / MICROS_PER_HOUR as f64;
                let due = Duration::from_secs_f64(hours / pace);
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
        Ok(())
    }

    async fn finish(&mut self, options: &Options, history: Tally, began: Instant) -> anyhow::Result<Outcome> {
        let score = score::score(&self.engine, self.world.processes()).await?;
        Ok(Outcome {
            seed: options.seed,
            hours: options.hours,
            tasks: self.engine.store().task_counts().await?.tasks,
            events: history.accepted + self.world.events,
            seconds: began.elapsed().as_secs_f64(),
            seconds_by: self.seconds,
            database: options.database.to_string(),
            score,
        })
    }
}

/// A harmful change with the moment at which it is proposed.
fn due((place, harm): (usize, Harm)) -> (i64, Harm) {
    let (first, each) = PROPOSE_US;
    (START_US + first + each * place as i64, harm)
}

/// Takes the past in as if it came from a file: the same reader, the same checks.
async fn import_past(engine: &Engine, seed: u64) -> anyhow::Result<Tally> {
    let lines: Vec<String> = traffic::past(seed, START_US - PAST_DAYS * MICROS_PER_DAY, START_US)
        .iter()
        .map(uplift_sim::fleet::Record::line)
        .collect();
    let mut teller = Teller::new(indicatif::ProgressBar::hidden());
    let bytes: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(lines.join("\n").into_bytes()));
    import::import_bytes(engine, "the past", bytes, None, &mut teller).await?;
    teller.finish();
    Ok(teller.tally)
}

/// Where the demo keeps its database when nobody names a place: a folder of its own that stays.
pub(crate) fn own_folder() -> anyhow::Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("uplift-demo-").tempdir()?.keep().join("uplift.db"))
}

/// Removes a folder that [`own_folder`] made.
pub(crate) fn remove(database: &Path) {
    if let Some(folder) = database.parent() {
        // What cannot be removed from a temporary folder is removed with it.
        let _ = std::fs::remove_dir_all(folder);
    }
}
