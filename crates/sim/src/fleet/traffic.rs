//! When tasks arrive: at random, more of them in the afternoon than at night.

use std::f64::consts::TAU;

use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};

use super::agent::Agent;
use super::agents::AGENTS;
use super::record::Record;
use super::{Processes, Served, TaskSeed, play};
use crate::dice::Dice;

/// The hour of the day, UTC, with the most tasks.
const PEAK_HOUR: f64 = 14.0;
/// How much more there is at that hour, and less at night, as a share.
const SWING: f64 = 0.35;

/// A task that arrives, and whose it is.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The agent.
    pub agent: &'static Agent,
    /// The task.
    pub task: TaskSeed,
}

/// Where the tasks of a fleet come from.
#[derive(Debug)]
pub struct Traffic {
    seed: u64,
    agents: Vec<Stream>,
}

/// The tasks of one agent, with dice of its own: what others do does not change them.
#[derive(Debug)]
struct Stream {
    agent: &'static Agent,
    dice: Dice,
    next_us: i64,
    number: u64,
}

impl Traffic {
    /// Tasks from `start_us` on, microseconds since the Unix epoch.
    pub fn new(seed: u64, start_us: i64) -> Self {
        let agents = AGENTS
            .iter()
            .enumerate()
            .map(|(place, agent)| {
                let dice = Dice::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place as u64));
                let mut stream = Stream { agent, dice, next_us: start_us, number: 0 };
                stream.advance();
                stream
            })
            .collect();
        Self { seed, agents }
    }

    /// The tasks that begin before `until_us` and were not given before, in the order of their beginning.
    pub fn until(&mut self, until_us: i64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for stream in &mut self.agents {
            while stream.next_us < until_us {
                let task = TaskSeed {
                    task_id: format!("{}-{:x}-{:05}", stream.agent.name, self.seed, stream.number),
                    seed: stream.dice.whole(),
                    started_us: stream.next_us,
                };
                arrivals.push(Arrival { agent: stream.agent, task });
                stream.advance();
            }
        }
        arrivals.sort_by(|a, b| (a.task.started_us, &a.task.task_id).cmp(&(b.task.started_us, &b.task.task_id)));
        arrivals
    }
}

impl Stream {
    /// To the next task: exponential pauses at the busiest hour's rate, thinned to that of the hour.
    fn advance(&mut self) {
        let busiest = self.agent.tasks_per_hour * (1.0 + SWING);
        loop {
            let hours = -(1.0 - self.dice.uniform()).ln() / busiest;
            self.next_us += ((hours * MICROS_PER_HOUR as f64) as i64).max(1);
            self.number += 1;
            if self.dice.chance((1.0 + SWING * swing(self.next_us)) / (1.0 + SWING)) {
                return;
            }
        }
    }
}

/// From -1 in the dead of night to 1 at the busiest hour.
fn swing(at_us: i64) -> f64 {
    let hour = at_us.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_HOUR as f64;
    ((hour - PEAK_HOUR) / 24.0 * TAU).cos()
}

/// A past: every task from `start_us` to `end_us` with the configuration that its agent's code brings along, in the
/// order of time. Events after the end are left out.
pub fn past(seed: u64, start_us: i64, end_us: i64) -> Vec<Record> {
    let processes = Processes::new();
    let defaults: Vec<_> = AGENTS.iter().map(|agent| (agent.name, agent.defaults())).collect();
    let mut records = Vec::new();
    for arrival in Traffic::new(seed, start_us).until(end_us) {
        let Some((_, configuration)) = defaults.iter().find(|(name, _)| *name == arrival.agent.name) else {
            continue;
        };
        let served = Served { configuration, processes: &processes, exposures: None, age_us: 0 };
        records.extend(play(arrival.agent, &served, &arrival.task).records);
    }
    records.retain(|record| record.ts.micros() <= end_us);
    // A stable sort: events of one moment keep the order in which their tasks began.
    records.sort_by_key(|record| record.ts);
    records
}
