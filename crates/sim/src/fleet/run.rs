//! How a plan goes, event by event.

use serde_json::{Map, Value, json};
use uplift_model::event::{EventKind, Outcome as EventOutcome, Source};
use uplift_model::revision::{Guard, GuardTarget};
use uplift_model::time::{MICROS_PER_HOUR, Time};

use super::agent::{Agent, Hazard, Kind, MAX_TOKENS, MODEL, TIMEOUT_MS, Tool, document_tokens};
use super::guard;
use super::guideline::Demand;
use super::plan::{self, Item, What};
use super::record::Record;
use super::{Outcome, Play, Served, TaskSeed};
use crate::dice::Dice;

const USD_PER_TOKEN_IN: f64 = 3e-6;
const USD_PER_TOKEN_OUT: f64 = 15e-6;
/// What a model call takes: to begin with, for each token read, for each token written, milliseconds.
const MODEL_MS: (f64, f64, f64) = (350.0, 0.1, 8.0);
/// Spread of the logarithm of durations and of token counts.
const SIGMA: f64 = 0.3;
/// Tokens that a model call writes.
const TOKENS_OUT: f64 = 170.0;
/// How often a call breaks for no reason of its own: too seldom to look like a recurring error.
const BROKEN: f64 = 0.0004;
/// What is left of forgotten arguments where they are checked before the call.
const FORGOTTEN_IF_CHECKED: f64 = 0.1;
/// Tokens of checking arguments, and of correcting what a guard refused.
const CHECK_TOKENS: f64 = 250.0;
/// Tokens of finding a way on after a call that broke.
const RETHINK_TOKENS: f64 = 700.0;
/// How long an agent waits before it calls once more, milliseconds.
const MOMENT_MS: f64 = 2_000.0;
/// Most retries that are honoured.
const MOST_RETRIES: u64 = 5;
/// How likely a task fails whose answers were cut off, and which part of an answer must be lost for it.
const CUT_OFF: (f64, f64) = (0.4, 0.4);
/// A memory without bounds: hours until it hurts, hours until it hurts in full, tokens it then adds to every model
/// call, and how likely a task then fails for it.
const MEMORY: (f64, f64, f64, f64) = (4.0, 1.0, 900.0, 0.22);

/// The slot of what concerns a task as a whole.
pub(super) const WHOLE: u64 = u64::MAX;

/// What a throw of the dice is for. Every purpose has dice of its own, so that a step more or less changes no other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Whether a step is taken.
    Choice = 1,
    /// Whether a habit shows.
    Habit,
    /// How long something takes and how much it says.
    Amount,
    /// The arguments of a call.
    Arguments,
    /// What goes wrong.
    Mishap,
    /// How the task ends.
    End,
}

/// The dice of a purpose in a slot of a task.
pub(super) fn dice(seed: u64, slot: u64, purpose: Purpose) -> Dice {
    let mut mixed =
        seed ^ slot.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (purpose as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    // SplitMix64's last steps: near seeds must not give near dice.
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Dice::seeded(mixed ^ (mixed >> 31))
}

/// Plays a plan to its end.
pub(super) fn run(agent: &'static Agent, served: &Served<'_>, task: &TaskSeed, plan: &[Item]) -> Play {
    let mut run = Run::start(agent, served, task);
    for item in plan {
        match item.what {
            What::Think(tokens) => run.think(tokens, item.slot),
            What::Read(name) => run.read(name, item.slot),
            What::Call { tool, checked } => run.call(tool, checked, item.slot),
        }
    }
    run.finish()
}

struct Run<'a> {
    agent: &'static Agent,
    served: &'a Served<'a>,
    task: &'a TaskSeed,
    settings: Settings,
    demands: Vec<Demand<'a>>,
    now_us: i64,
    records: Vec<Record>,
    /// Tools in the order in which they were called.
    called: Vec<&'static str>,
    /// Probability that nothing that happened so far makes the task fail.
    spared: f64,
    cut_off: bool,
    broke: bool,
    tokens: f64,
    cost_usd: f64,
}

/// What the parameters say.
struct Settings {
    model: String,
    timeout_ms: f64,
    max_tokens: f64,
    retries: u64,
    concurrency: f64,
    cache: bool,
    /// How far a memory without bounds has grown, from 0 to 1.
    memory: f64,
    /// Tokens of all documents.
    documents: f64,
}

impl Settings {
    fn of(served: &Served<'_>) -> Self {
        let parameters = &served.configuration.parameters;
        let number = |name: &str, default: f64| parameters.get(name).and_then(Value::as_f64).unwrap_or(default);
        let unbounded = parameters.get("session_memory").and_then(Value::as_str) == Some("unbounded");
        let hours = served.age_us as f64 / MICROS_PER_HOUR as f64;
        Self {
            model: served.configuration.model.clone().unwrap_or_else(|| MODEL.to_owned()),
            timeout_ms: number("timeout_ms", TIMEOUT_MS).max(1.0),
            max_tokens: number("max_tokens", MAX_TOKENS).max(1.0),
            retries: (number("retries", 0.0).max(0.0) as u64).min(MOST_RETRIES),
            concurrency: number("concurrency", 1.0).max(1.0),
            cache: parameters.get("cache").is_some_and(is_on),
            memory: if unbounded { ((hours - MEMORY.0) / MEMORY.1).clamp(0.0, 1.0) } else { 0.0 },
            documents: served.configuration.contexts.iter().map(|name| document_tokens(name)).sum(),
        }
    }
}

/// Whether a parameter switches something on, however it is written.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(word) => !matches!(word.as_str(), "" | "off" | "none" | "no" | "false"),
        Value::Object(_) => true,
        Value::Null | Value::Array(_) => false,
    }
}

impl<'a> Run<'a> {
    fn start(agent: &'static Agent, served: &'a Served<'a>, task: &'a TaskSeed) -> Self {
        let mut run = Self {
            agent,
            served,
            task,
            settings: Settings::of(served),
            demands: plan::demands(served.configuration),
            now_us: task.started_us,
            records: Vec::with_capacity(16),
            called: Vec::with_capacity(8),
            spared: 1.0 - agent.failure,
            cut_off: false,
            broke: false,
            tokens: 0.0,
            cost_usd: 0.0,
        };
        let tools: Vec<&str> = served.configuration.tools.iter().map(|tool| tool.name.as_str()).collect();
        let attributes = json!({ "tools": tools, "contexts": served.configuration.contexts });
        run.push(EventKind::TaskStarted, |record| {
            record.attributes = Some(attributes);
            record.exposures = served.exposures.cloned();
        });
        run
    }

    /// A model call. It reads every document again, asked for or not.
    fn think(&mut self, tokens: f64, slot: u64) {
        let mut dice = dice(self.task.seed, slot, Purpose::Amount);
        let grown = self.settings.memory * MEMORY.2;
        let tokens_in = (dice.lognormal(tokens, SIGMA) + self.settings.documents + grown).round();
        let wanted = dice.lognormal(TOKENS_OUT, SIGMA).round().max(1.0);
        let tokens_out = wanted.min(self.settings.max_tokens);
        self.cut_off |= tokens_out < (1.0 - CUT_OFF.1) * wanted;
        let (begin, read, write) = MODEL_MS;
        let duration_ms = self.pass(dice.lognormal(begin + read * tokens_in + write * tokens_out, SIGMA / 2.0));
        let cost = ((tokens_in * USD_PER_TOKEN_IN + tokens_out * USD_PER_TOKEN_OUT) * 1e6).round() / 1e6;
        self.tokens += tokens_in + tokens_out;
        self.cost_usd += cost;
        let attributes = json!({ "model": self.settings.model });
        self.push(EventKind::LlmCall, |record| {
            record.outcome = Some(EventOutcome::Success);
            record.duration_ms = Some(duration_ms);
            record.tokens_in = Some(tokens_in as u64);
            record.tokens_out = Some(tokens_out as u64);
            record.cost_usd = Some(cost);
            record.attributes = Some(attributes);
        });
    }

    fn read(&mut self, name: &'static str, slot: u64) {
        let duration_ms = self.pass(dice(self.task.seed, slot, Purpose::Amount).lognormal(12.0, SIGMA));
        self.push(EventKind::ContextRead, |record| {
            record.outcome = Some(EventOutcome::Success);
            record.duration_ms = Some(duration_ms);
            record.attributes = Some(json!({ "context": name }));
        });
    }

    /// A call with everything around it: arguments, guards, retries, repetitions.
    fn call(&mut self, tool: &'static Tool, checked: bool, slot: u64) {
        let (mut arguments, forgotten) = self.arguments(tool, checked, slot);
        if checked {
            self.think(CHECK_TOKENS, correction(slot));
        }
        if !self.guards_pass(tool, GuardTarget::Arguments, &arguments) {
            self.think(CHECK_TOKENS, correction(slot));
            if let Some((name, value)) = forgotten {
                arguments.insert(name.to_owned(), value);
            }
            if !self.guards_pass(tool, GuardTarget::Arguments, &arguments) {
                return self.lose(
                    tool,
                    "GuardError",
                    format!("a guard refused the arguments of {} again", tool.name),
                );
            }
        }
        let missing = tool.slip.map(|(name, _)| name).filter(|name| !arguments.contains_key(*name));
        let arguments = Value::Object(arguments);
        self.called.push(tool.name);
        let result = json!({ "ok": true });
        if let Some(name) = missing {
            let message = format!("missing required argument: {name}");
            let duration_ms = dice(self.task.seed, slot, Purpose::Amount).lognormal(tool.median_ms, SIGMA);
            self.report(tool, duration_ms, &arguments, Err(("ArgumentError", message)));
            self.think(RETHINK_TOKENS, correction(slot));
            self.lost(tool);
        } else if !self.attempts(tool, slot, &arguments, &result) {
            self.lost(tool);
        } else if !self.guards_pass(tool, GuardTarget::Result, result.as_object().unwrap_or(&Map::new())) {
            self.lose(tool, "GuardError", format!("a guard refused the result of {}", tool.name));
        }
    }

    /// The arguments of a call; one that was forgotten, apart.
    fn arguments(
        &self,
        tool: &Tool,
        checked: bool,
        slot: u64,
    ) -> (Map<String, Value>, Option<(&'static str, Value)>) {
        let mut dice = dice(self.task.seed, slot, Purpose::Arguments);
        let slip = tool.slip.map(|(name, share)| (name, if checked { share * FORGOTTEN_IF_CHECKED } else { share }));
        let slips = slip.filter(|(_, share)| dice.chance(*share)).map(|(name, _)| name);
        let mut given = Map::new();
        let mut forgotten = None;
        for argument in tool.arguments {
            let value = match argument.kind {
                Kind::Number(low, high) => json!(dice.between(low, high)),
                Kind::Word(start) => json!(format!("{start}{}", dice.between(1, 99_999))),
            };
            if slips == Some(argument.name) {
                forgotten = Some((argument.name, value));
            } else {
                given.insert(argument.name.to_owned(), value);
            }
        }
        (given, forgotten)
    }

    fn guards_pass(&self, tool: &Tool, target: GuardTarget, fields: &Map<String, Value>) -> bool {
        let concerns = |guard: &&Guard| guard.tool == tool.name && guard.target == target;
        let mut guards = self.served.configuration.guards.iter().filter(concerns).peekable();
        if guards.peek().is_none() {
            return true;
        }
        let fields = Value::Object(fields.clone());
        guards.all(|guard| guard::passes(&guard.check, &fields))
    }

    /// Tries a call as often as the parameters allow, and repeats what worked where that is its way. Says whether it
    /// worked.
    fn attempts(&mut self, tool: &'static Tool, slot: u64, arguments: &Value, result: &Value) -> bool {
        let mut amounts = dice(self.task.seed, slot, Purpose::Amount);
        let mut mishaps = dice(self.task.seed, slot, Purpose::Mishap);
        let mut once_more = 0;
        let mut tried = 0;
        while tried <= self.settings.retries + once_more {
            tried += 1;
            let duration_ms = amounts.lognormal(tool.median_ms, SIGMA);
            let breaks = mishaps.chance(BROKEN);
            let error = if duration_ms > self.settings.timeout_ms {
                let message = format!("{} gave no answer within {} ms", tool.name, self.settings.timeout_ms);
                Some(("TimeoutError", message))
            } else {
                breaks.then(|| ("ConnectionError", "connection reset".to_owned()))
            };
            let Some(error) = error else {
                self.report(tool, duration_ms, arguments, Ok(result));
                self.repeat(tool, &mut amounts, arguments, result);
                return true;
            };
            let asked = Demand::OnceMore { tool: tool.name, error_type: error.0 };
            if once_more == 0 && self.demands.contains(&asked) {
                once_more = 1;
                self.pass(MOMENT_MS);
            }
            self.report(tool, duration_ms.min(self.settings.timeout_ms), arguments, Err(error));
        }
        false
    }

    /// The same call again and again, unless a cache answers. Several at a time take less time.
    fn repeat(&mut self, tool: &'static Tool, amounts: &mut Dice, arguments: &Value, result: &Value) {
        let Some((share, most)) = tool.repeats else { return };
        let again = if amounts.chance(share) { amounts.between(3, most - 1) } else { 0 };
        if self.settings.cache || self.demands.contains(&Demand::NoRepeats { tool: tool.name }) {
            return;
        }
        for _ in 0..again {
            let duration_ms = amounts.lognormal(tool.median_ms, SIGMA) / self.settings.concurrency.min(again as f64);
            self.report(tool, duration_ms, arguments, Ok(result));
        }
    }

    /// A call that was carried out. The content of a broken one is the message alone, as tools report it.
    fn report(
        &mut self,
        tool: &'static Tool,
        duration_ms: f64,
        arguments: &Value,
        ended: Result<&Value, (&'static str, String)>,
    ) {
        let duration_ms = self.pass(duration_ms);
        self.cost_usd += tool.usd;
        self.broke |= ended.is_err();
        self.push(EventKind::ToolExecuted, |record| {
            record.tool = Some(tool.name);
            record.duration_ms = Some(duration_ms);
            record.cost_usd = (tool.usd > 0.0).then_some(tool.usd);
            match ended {
                Ok(result) => {
                    record.outcome = Some(EventOutcome::Success);
                    record.content = Some(format!("{arguments} => {result}"));
                }
                Err((kind, message)) => {
                    record.outcome = Some(EventOutcome::Error);
                    record.error_type = Some(kind);
                    record.content = Some(message);
                    record.attributes = Some(json!({ "arguments": arguments }));
                }
            }
        });
    }

    /// A call that never was, or whose result is of no use.
    fn lose(&mut self, tool: &'static Tool, kind: &'static str, message: String) {
        self.broke = true;
        self.push(EventKind::Error, |record| {
            record.tool = Some(tool.name);
            record.outcome = Some(EventOutcome::Error);
            record.error_type = Some(kind);
            record.content = Some(message);
        });
        self.lost(tool);
    }

    fn lost(&mut self, tool: &Tool) {
        self.spared *= 1.0 - tool.loss;
    }

    fn finish(mut self) -> Play {
        for hazard in self.agent.hazards {
            let place = |tool: &str| self.called.iter().position(|called| *called == tool);
            let failure = match *hazard {
                Hazard::Order { early, late, failure } => {
                    let wrong = place(late).zip(place(early)).is_some_and(|(late, early)| late < early);
                    if wrong { failure } else { 0.0 }
                }
                Hazard::Without { tool, failure } => {
                    if place(tool).is_none() {
                        failure
                    } else {
                        0.0
                    }
                }
            };
            self.spared *= 1.0 - failure;
        }
        self.spared *= 1.0 - self.settings.memory * MEMORY.3;
        if self.cut_off {
            self.spared *= 1.0 - CUT_OFF.0;
        }
        let failed = !dice(self.task.seed, WHOLE, Purpose::End).chance(self.spared);
        let duration_ms = round_ms((self.now_us - self.task.started_us) as f64 / 1_000.0);
        let (kind, outcome) = if failed {
            (EventKind::TaskFailed, EventOutcome::Failure)
        } else {
            (EventKind::TaskCompleted, EventOutcome::Success)
        };
        let exposures = self.served.exposures.cloned();
        self.push(kind, |record| {
            record.outcome = Some(outcome);
            record.duration_ms = Some(duration_ms);
            record.exposures = exposures;
        });
        let outcome = Outcome {
            success: !failed,
            errored: failed && self.broke,
            duration_ms,
            tokens: self.tokens,
            cost_usd: self.cost_usd,
        };
        Play { records: self.records, outcome }
    }

    /// Lets time pass, and says how much it was.
    fn pass(&mut self, duration_ms: f64) -> f64 {
        let duration_ms = round_ms(duration_ms);
        self.now_us += (duration_ms * 1_000.0) as i64;
        duration_ms
    }

    fn push(&mut self, event_type: EventKind, fill: impl FnOnce(&mut Record)) {
        let mut record = Record {
            id: self.records.len().to_string(),
            ts: Time::from_micros(self.now_us),
            event_type,
            agent: self.agent.name,
            tool: None,
            task_id: self.task.task_id.clone(),
            outcome: None,
            duration_ms: None,
            tokens_in: None,
            tokens_out: None,
            cost_usd: None,
            error_type: None,
            content: None,
            attributes: None,
            exposures: None,
            source: Source::Environment,
        };
        fill(&mut record);
        self.records.push(record);
    }
}

/// The slot of what is done about a call before it can be made: none of the script's.
fn correction(slot: u64) -> u64 {
    WHOLE - 1 - slot
}

/// To a tenth of a millisecond: finer is not believable.
fn round_ms(duration_ms: f64) -> f64 {
    (duration_ms * 10.0).round() / 10.0
}
