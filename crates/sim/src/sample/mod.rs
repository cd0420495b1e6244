//! A synthetic fleet's records with planted flaws: the same seed gives the same lines, and what was planted
//! is named, so that a test can check that it is found.
//!
//! Four agents work through the days with a daily swing: more tasks in the afternoon than at night. Three of
//! them have flaws, one is healthy. Unlike the live simulation, nothing here reacts: it is a recorded past,
//! to import, to show and to test detection on.
//!
//! In reading order:
//!
//! - `fleet`: the agents, what they are offered, and what is planted in them.
//! - `scripts`: one file an agent: how a task of it goes.
//! - `log`: a task's events while it is being played.
//! - `record`: the wire format.

mod fleet;
mod log;
mod record;
mod scripts;
#[cfg(test)]
mod tests;

use uplift_model::OpportunityKind;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};

use crate::dice::Dice;

use fleet::{Agent, FLEET};
use log::{Frame, TaskLog};
use record::Record;

/// Sessions end after this long without a new task.
const SESSION_GAP_US: i64 = MICROS_PER_HOUR / 2;
/// How likely a task that comes soon enough belongs to the session before it.
const SESSION_GOES_ON: f64 = 0.3;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleConfig {
    /// Where the generator starts; everything follows from it and the other fields.
    pub seed: u64,
    /// The last moment, microseconds since the Unix epoch, within the years 2000 to 9999. No event is later;
    /// tasks that would go on after it are left unfinished.
    pub end_us: i64,
    /// How many days of records, at least 8 for the slow tool to have the week before that it is compared with.
    pub days: u32,
    /// Tasks of the whole fleet a day; from about 100 on, every planted flaw shows within its window.
    pub tasks_per_day: u32,
}

impl SampleConfig {
    /// Nine days of 160 tasks.
    pub const fn new(seed: u64, end_us: i64) -> Self {
        Self { seed, end_us, days: 9, tasks_per_day: 160 }
    }
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// One JSON object a line, without line breaks, in the order of their times.
    pub lines: Vec<String>,
    /// The flaws in it.
    pub planted: Vec<Planted>,
    /// The agents without any.
    pub healthy: Vec<&'static str>,
}

/// The kinds of flaw that are planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedKind {
    /// One error, again and again, with other ids and numbers in its message each time.
    RecurringError,
    /// A tool that became slow in the last 24 hours.
    SlowTool,
    /// The same call with the same arguments several times within a task.
    RepeatedCalls,
    /// A tool that is offered and never called.
    UnusedTool,
    /// A context that is offered and never read.
    UnusedContext,
    /// Failing tasks that burn several times the tokens of successful ones.
    CostlyFailures,
    /// An order of two tool calls that makes failure likely.
    HarmfulOrder,
}

/// One planted flaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What is wrong.
    pub kind: PlantedKind,
    /// The agent that has it.
    pub agent: &'static str,
    /// The tool it is about, if it is about one.
    pub tool: Option<&'static str>,
    /// Words by which a finding about it is recognised: names, or parts of a message that do not vary.
    pub words: &'static [&'static str],
    /// The kind of opportunity that should be found.
    pub expected: OpportunityKind,
}

/// Generates the records of `config.days` days up to `config.end_us`.
pub fn generate(config: &SampleConfig) -> Sample {
    let mut dice = Dice::seeded(config.seed);
    let starts = starts(config, &mut dice);
    let mut sessions = Sessions::default();
    let mut records: Vec<Record> = Vec::new();
    for (number, (started_us, agent)) in starts.into_iter().enumerate() {
        let task_id = format!("{}-{number:06}", prefix(config));
        let session_id = sessions.next(agent, started_us, &task_id, &mut dice);
        let frame = Frame { task_id, session_id, started_us, slow_from_us: config.end_us - MICROS_PER_DAY };
        let mut log = TaskLog::start(agent, frame, &mut dice);
        (agent.script)(&mut log);
        records.extend(log.into_records().into_iter().filter(|record| record.ts.micros() <= config.end_us));
    }
    // A stable sort: events of one moment keep the order in which their tasks began.
    records.sort_by_key(|record| record.ts);
    Sample {
        lines: records.iter().map(Record::line).collect(),
        planted: fleet::planted(),
        healthy: FLEET.iter().filter(|agent| agent.is_healthy()).map(|agent| agent.name).collect(),
    }
}

/// Names the configuration, so that two samples never share an id and the same one imported twice is the same.
fn prefix(config: &SampleConfig) -> String {
    let SampleConfig { seed, end_us, days, tasks_per_day } = config;
    format!("sample-{seed:x}-{end_us:x}-{days}-{tasks_per_day}")
}

/// When each task begins and whose it is, in order of time.
fn starts(config: &SampleConfig, dice: &mut Dice) -> Vec<(i64, &'static Agent)> {
    let mut starts = Vec::new();
    for day in (1..=i64::from(config.days)).rev() {
        let day_start = config.end_us - day * MICROS_PER_DAY;
        for _ in 0..config.tasks_per_day {
            starts.push((day_start + arrival(day_start, dice), fleet::pick(dice)));
        }
    }
    starts.sort_by_key(|(started_us, _)| *started_us);
    starts
}

/// A moment within the day that begins at `day_start`, by rejection: four times as likely at two in the
/// afternoon (UTC) as at two in the morning.
fn arrival(day_start: i64, dice: &mut Dice) -> i64 {
    loop {
        let offset = (dice.uniform() * MICROS_PER_DAY as f64) as i64;
        let hour = (day_start + offset).rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_HOUR as f64;
        if dice.chance(0.625 + 0.375 * fleet::swing(hour)) {
            return offset;
        }
    }
}

/// The session each agent is in.
#[derive(Default)]
struct Sessions(std::collections::BTreeMap<&'static str, (String, i64)>);

impl Sessions {
    fn next(&mut self, agent: &'static Agent, now_us: i64, task_id: &str, dice: &mut Dice) -> String {
        let goes_on = dice.chance(SESSION_GOES_ON);
        let session = match self.0.get(agent.name) {
            Some((session, last_us)) if goes_on && now_us - last_us < SESSION_GAP_US => session.clone(),
            _ => format!("{task_id}-session"),
        };
        self.0.insert(agent.name, (session.clone(), now_us));
        session
    }
}
