//! A fleet whose tasks go as the configuration they are served makes them go.
//!
//! Each agent works by a script: model calls, documents read, tools called. What a task leaves behind, and how it ends,
//! follows from the script, from the task's own luck and from the configuration, which is interpreted as an agent's
//! runtime would: guidelines are followed, documents cost tokens whether they are read or not, tools that are not
//! assigned cannot be called, timeouts, retries, caches and guards do what they say, attached processes spare the model
//! calls between their steps. A task's luck does not depend on its configuration, so that two configurations can be
//! compared task by task.
//!
//! Six agents have a flaw that one improvement would mend, one for each type of improvement. For four others somebody
//! proposes a change that does harm. What is true of any change is not declared but measured, by playing both
//! configurations: see [`truth`].
//!
//! Nothing here asks the time or knows who is listening: the same seed gives the same records.
//!
//! In reading order:
//!
//! - [`agent`]: what an agent is made of; `agents`: the ten of them.
//! - [`planted`]: the flaws and the harmful proposals.
//! - [`guideline`]: what guidelines are followed; [`guard`]: what guards refuse.
//! - `plan`: what the configuration makes of a script; `run`: how a plan goes, event by event.
//! - [`record`]: an event as it is sent.
//! - [`traffic`]: when tasks arrive; a past of them.
//! - [`truth`]: what a change really does.

pub mod agent;
mod agents;
pub mod guard;
pub mod guideline;
mod plan;
pub mod planted;
pub mod record;
mod run;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod truth;

use std::collections::BTreeMap;

use serde_json::Value;
use uplift_model::revision::Configuration;

pub use agent::Agent;
pub use agents::{AGENTS, agent};
pub use record::Record;

/// Steps of attached processes, by the process's name.
pub type Processes = BTreeMap<String, Vec<String>>;

/// A task before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSeed {
    /// Its id, and the unit that is assigned to an arm.
    pub task_id: String,
    /// Where its luck starts from.
    pub seed: u64,
    /// When it begins, microseconds since the Unix epoch.
    pub started_us: i64,
}

/// What a task is served.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The configuration.
    pub configuration: &'a Configuration,
    /// What its processes do; one that is not listed does nothing.
    pub processes: &'a Processes,
    /// The arms it was given, to be stamped on its events as they came.
    pub exposures: Option<&'a Value>,
    /// How long ago this configuration was first served, microseconds: some harm takes its time.
    pub age_us: i64,
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// Its events, in the order of time.
    pub records: Vec<Record>,
    /// The same in sums.
    pub outcome: Outcome,
}

/// How a task went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Whether it succeeded.
    pub success: bool,
    /// Whether it failed with an error that it did not get over.
    pub errored: bool,
    /// Milliseconds.
    pub duration_ms: f64,
    /// Tokens in and out.
    pub tokens: f64,
    /// US dollars.
    pub cost_usd: f64,
}

/// Plays a task from its first event to its last.
pub fn play(agent: &'static Agent, served: &Served<'_>, task: &TaskSeed) -> Play {
    let plan = plan::plan(agent, served, task.seed);
    run::run(agent, served, task, &plan)
}
