//! A task's events while it is being played: every step takes its time and leaves its record.

use serde_json::{Value, json};
use uplift_model::event::{EventKind, Outcome, Source};
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR, Time};

use super::fleet::{Agent, swing};
use super::record::Record;
use crate::dice::Dice;

const MODEL: &str = "general-large";
const USD_PER_TOKEN_IN: f64 = 3e-6;
const USD_PER_TOKEN_OUT: f64 = 15e-6;
/// Spread of the logarithm of durations and token counts within one kind of step.
const SIGMA: f64 = 0.35;
/// How much slower everything is at the busiest hour, as a share.
const BUSY_SLOWDOWN: f64 = 0.08;
/// How often a model call meets the provider's rate limit: seldom enough never to look like a recurring error.
const RATE_LIMIT: f64 = 0.0005;

/// What is fixed before a task begins.
pub(super) struct Frame {
    pub(super) task_id: String,
    pub(super) session_id: String,
    pub(super) started_us: i64,
    /// From here on, what is planted to become slow is slow.
    pub(super) slow_from_us: i64,
}

/// A task in progress.
pub(super) struct TaskLog<'a> {
    agent: &'static Agent,
    frame: Frame,
    class: &'static str,
    now_us: i64,
    pub(super) dice: &'a mut Dice,
    records: Vec<Record>,
}

impl<'a> TaskLog<'a> {
    pub(super) fn start(agent: &'static Agent, frame: Frame, dice: &'a mut Dice) -> Self {
        let class = dice.pick(agent.classes);
        let now_us = frame.started_us;
        let mut log = Self { agent, frame, class, now_us, dice, records: Vec::new() };
        let attributes = json!({ "tools": agent.tools, "contexts": agent.contexts, "task_class": class });
        log.push(EventKind::TaskStarted, |record| record.attributes = Some(attributes));
        log
    }

    /// What kind of task this is, one of the agent's classes.
    pub(super) fn class(&self) -> &'static str {
        self.class
    }

    /// Whether what is planted to become slow is slow by now.
    pub(super) fn is_slow_day(&self) -> bool {
        self.now_us > self.frame.slow_from_us
    }

    /// A model call that reads about `tokens_in` tokens.
    pub(super) fn llm(&mut self, tokens_in: f64) {
        let duration_ms = self.spend(2_200.0);
        let tokens_in = self.dice.lognormal(tokens_in, SIGMA).round();
        let tokens_out = self.dice.lognormal(180.0, 0.5).round().max(1.0);
        let cost = tokens_in * USD_PER_TOKEN_IN + tokens_out * USD_PER_TOKEN_OUT;
        self.push(EventKind::LlmCall, |record| {
            record.outcome = Some(Outcome::Success);
            record.duration_ms = Some(duration_ms);
            record.tokens_in = Some(tokens_in as u64);
            record.tokens_out = Some(tokens_out as u64);
            record.cost_usd = Some((cost * 1e6).round() / 1e6);
            record.attributes = Some(json!({ "model": MODEL }));
        });
        if self.dice.chance(RATE_LIMIT) {
            self.rate_limited();
        }
    }

    /// A context document that is read now and then: with this probability.
    pub(super) fn context(&mut self, name: &'static str, probability: f64) {
        if self.dice.chance(probability) {
            let duration_ms = self.spend(12.0);
            self.push(EventKind::ContextRead, |record| {
                record.outcome = Some(Outcome::Success);
                record.duration_ms = Some(duration_ms);
                record.attributes = Some(json!({ "context": name }));
            });
        }
    }

    /// A tool call that works, taking about `median_ms`.
    pub(super) fn tool(&mut self, tool: &'static str, median_ms: f64, arguments: &Value, result: &str) {
        let duration_ms = self.spend(median_ms);
        self.push(EventKind::ToolExecuted, |record| {
            record.tool = Some(tool);
            record.outcome = Some(Outcome::Success);
            record.duration_ms = Some(duration_ms);
            record.content = Some(format!("{arguments} => {result}"));
        });
    }

    /// A tool call that breaks. Its content is the message alone, as tools report it.
    pub(super) fn tool_error(
        &mut self,
        tool: &'static str,
        median_ms: f64,
        arguments: &Value,
        error: (&'static str, String),
    ) {
        let duration_ms = self.spend(median_ms);
        self.push(EventKind::ToolExecuted, |record| {
            record.tool = Some(tool);
            record.outcome = Some(Outcome::Error);
            record.duration_ms = Some(duration_ms);
            record.error_type = Some(error.0);
            record.content = Some(error.1);
            record.attributes = Some(json!({ "arguments": arguments }));
        });
    }

    /// The task's end: a failure with this probability.
    pub(super) fn finish(&mut self, failure: f64) {
        let failed = self.dice.chance(failure);
        self.finish_as(failed);
    }

    /// The task's end, decided already.
    pub(super) fn finish_as(&mut self, failed: bool) {
        let (kind, outcome) = if failed {
            (EventKind::TaskFailed, Outcome::Failure)
        } else {
            (EventKind::TaskCompleted, Outcome::Success)
        };
        let duration_ms = (self.now_us - self.frame.started_us) as f64 / 1000.0;
        self.push(kind, |record| {
            record.outcome = Some(outcome);
            record.duration_ms = Some(round_ms(duration_ms));
        });
    }

    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    fn rate_limited(&mut self) {
        let seconds = self.dice.between(2, 20);
        self.push(EventKind::Error, |record| {
            record.outcome = Some(Outcome::Error);
            record.error_type = Some("RateLimitError");
            record.content = Some(format!("rate limit reached, retry in {seconds} s"));
        });
        self.now_us += seconds as i64 * 1_000_000;
    }

    /// Lets about `median_ms` pass, more at busy hours, and says how long it was.
    fn spend(&mut self, median_ms: f64) -> f64 {
        let hour = self.now_us.rem_euclid(MICROS_PER_DAY) as f64 / MICROS_PER_HOUR as f64;
        let duration_ms = round_ms(self.dice.lognormal(median_ms, SIGMA) * (1.0 + BUSY_SLOWDOWN * swing(hour)));
        self.now_us += (duration_ms * 1000.0) as i64;
        duration_ms
    }

    fn push(&mut self, event_type: EventKind, fill: impl FnOnce(&mut Record)) {
        let mut record = Record {
            id: format!("{}-{}", self.frame.task_id, self.records.len()),
            ts: Time::from_micros(self.now_us),
            event_type,
            agent: self.agent.name,
            tool: None,
            task_id: self.frame.task_id.clone(),
            session_id: self.frame.session_id.clone(),
            outcome: None,
            duration_ms: None,
            tokens_in: None,
            tokens_out: None,
            cost_usd: None,
            error_type: None,
            content: None,
            attributes: None,
            source: Source::Environment,
        };
        fill(&mut record);
        self.records.push(record);
    }
}

/// To a tenth of a millisecond: finer is not believable.
fn round_ms(duration_ms: f64) -> f64 {
    (duration_ms * 10.0).round() / 10.0
}
