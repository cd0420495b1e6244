//! Agents whose tasks go as the style that they are told to write in makes them go.

use uplift_model::Time;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Exposure, Outcome, Source};
use uplift_model::revision::Configuration;
use uplift_model::trial::bucket;

/// An agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: EntityKey,
    /// How often its tasks succeed without any change, from 0 to 1.
    pub success: f64,
    /// Microseconds between two tasks.
    pub pace_us: i64,
    /// When the next task starts, microseconds since the Unix epoch.
    pub next_us: i64,
    /// Whether it reports at all.
    pub reports: bool,
    /// Tasks so far.
    pub serial: u64,
}

/// What is done to the reports of a task on their way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noise {
    /// The arm that is reported was never given.
    pub wrong_arm: bool,
    /// The outcome is not reported.
    pub unknown: bool,
    /// The end is not reported.
    pub unended: bool,
}

/// How an instruction names a style.
pub fn in_style(style: &str) -> String {
    format!("Write in {style} style.")
}

/// How often tasks succeed under a configuration: a style of `good..` helps, one of `bad..` harms, any other does
/// nothing. The last guideline has the last word.
pub fn success(agent: &Agent, configuration: &Configuration) -> f64 {
    let instruction = &configuration.instruction;
    let text = instruction.guidelines.last().map_or(&instruction.text, |guideline| &guideline.text);
    if text.contains(" good") {
        agent.success + 0.9 * (1.0 - agent.success)
    } else if text.contains(" bad") {
        0.2 * agent.success
    } else {
        agent.success
    }
}

/// The events of a task that started then under this configuration: its start and its end.
pub fn task(
    agent: &Agent,
    name: &str,
    at: Time,
    configuration: &Configuration,
    exposure: Option<Exposure>,
    noise: Noise,
) -> Vec<Event> {
    let succeeded = bucket("luck", name) < success(agent, configuration);
    let duration_ms = 1_000.0 + 2_000.0 * bucket("duration", name);
    let exposures: Vec<Exposure> = exposure
        .into_iter()
        .map(|exposure| match noise.wrong_arm {
            true if exposure.arm == "control" => Exposure { arm: "candidate".to_owned(), ..exposure },
            true => Exposure { arm: "control".to_owned(), ..exposure },
            false => exposure,
        })
        .collect();
    let start = Event { exposures, ..blank(agent.key, name, "start", EventKind::TaskStarted, at) };
    if noise.unended {
        return vec![start];
    }
    let outcome = if succeeded { Outcome::Success } else { Outcome::Failure };
    let end = Event {
        outcome: (!noise.unknown).then_some(outcome),
        duration_ms: Some(duration_ms),
        tokens_in: Some(1_000),
        cost_usd: Some(0.01 + 0.01 * bucket("cost", name)),
        exposures: start.exposures.clone(),
        ..blank(agent.key, name, "end", EventKind::TaskCompleted, at.plus_micros((duration_ms * 1e3) as i64))
    };
    vec![start, end]
}

fn blank(entity: EntityKey, task: &str, id: &str, kind: EventKind, ts: Time) -> Event {
    Event {
        id: id.to_owned(),
        ts,
        clock: Clock::Own,
        kind,
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        entity: EntityRef::Key(entity),
        task_id: Some(task.to_owned()),
        parent_task_id: None,
        session_id: None,
        trace_id: None,
        span_id: None,
        tool: None,
        outcome: None,
        duration_ms: None,
        tokens_in: None,
        tokens_out: None,
        tokens_cached: None,
        cost_usd: None,
        error_type: None,
        content: None,
        attributes: None,
        exposures: Vec::new(),
        source: Source::Environment,
        link: None,
    }
}
