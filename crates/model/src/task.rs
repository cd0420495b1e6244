//! What an agent did once, folded from its events.
//!
//! The fold is a merge of deltas that gives the same task whatever the order and grouping: sums are of whole
//! numbers, and every claim on a single value is settled by a total order.

use serde::{Deserialize, Serialize};

use crate::entity::EntityKey;
use crate::event::{Clock, Event, EventKind, Outcome, Source};
use crate::time::Time;

/// Where an agent's tasks get their outcome from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum OutcomeRule {
    /// The event that ends the task.
    #[default]
    Status,
    /// A boolean attribute of the event that ends the task.
    Attribute {
        /// The attribute's key.
        key: String,
    },
    /// The event that ends the task, where a task that ended without an error counts as a success although its sender
    /// left the status open (as instrumentations of OpenTelemetry do).
    Completion,
    /// FEEDBACK events with this `name` attribute, but for those of the agent itself: success from a `score` of at least
    /// `at_least` on.
    Feedback {
        /// The value of the attribute `name`.
        name: String,
        /// The least score that is a success.
        at_least: f64,
    },
}

impl OutcomeRule {
    /// The outcome `event` gives its task under this rule, if any.
    pub fn outcome(&self, event: &Event) -> Option<Outcome> {
        match self {
            // A span that ends without a word on its success has none (status UNSET).
            Self::Status if event.link.is_some() && event.outcome.is_none() => None,
            Self::Status | Self::Completion => event.task_outcome(),
            Self::Attribute { key } => {
                if !event.kind.ends_task() {
                    return None;
                }
                let success = attribute(event, key)?.as_bool()?;
                Some(if success { Outcome::Success } else { Outcome::Failure })
            }
            Self::Feedback { name, at_least } => {
                // What an agent says of itself is shown, and settles nothing.
                if event.kind != EventKind::Feedback || event.source == Source::Own {
                    return None;
                }
                if attribute(event, "name")?.as_str() != Some(name) {
                    return None;
                }
                let score = attribute(event, "score")?;
                let score = score.as_f64().or_else(|| score.as_bool().map(f64::from))?;
                Some(if score >= *at_least { Outcome::Success } else { Outcome::Failure })
            }
        }
    }
}

fn attribute(event: &Event, key: &str) -> Option<serde_json::Value> {
    let attributes: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(event.attributes.as_deref()?).ok()?;
    attributes.get(key).cloned()
}

/// The order in which claims on one value are settled: time, then the sender's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimKey(pub i64, pub String);

/// Who a task belongs to, by the best claim: the event that starts it, else the one that ends it, else any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnerClaim {
    /// 0 start, 1 end, 2 any; the least wins.
    pub rank: u8,
    /// Among equal ranks the earliest wins.
    pub key: ClaimKey,
    /// The claimant.
    pub entity: EntityKey,
}

/// How a task ended; the latest claim wins (attempts of one task count once).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndClaim {
    /// The latest wins.
    pub key: ClaimKey,
    /// As reported by the end event, microseconds.
    pub duration_us: Option<i64>,
    /// Tokens read over the whole task, if the end event reports them.
    pub tokens_in: Option<i64>,
    /// Tokens written over the whole task, if the end event reports them.
    pub tokens_out: Option<i64>,
    /// Cost of the whole task in nano-dollars, if the end event reports it.
    pub cost_nano: Option<i64>,
}

/// An outcome; the latest claim wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutcomeClaim {
    /// The latest wins.
    pub key: ClaimKey,
    /// The outcome.
    pub outcome: Outcome,
}

/// What some events say of one task. [`merge`](Self::merge) is commutative and associative; the empty delta is
/// its neutral element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskDelta {
    /// Whose task it is.
    pub owner: Option<OwnerClaim>,
    /// The task that gave rise to it (the least name, should senders disagree).
    pub parent: Option<String>,
    /// Its session (the least name, should senders disagree).
    pub session: Option<String>,
    /// The first moment seen, microseconds since the Unix epoch.
    pub first_us: Option<i64>,
    /// The last moment seen, microseconds since the Unix epoch.
    pub last_us: Option<i64>,
    /// How it ended.
    pub end: Option<EndClaim>,
    /// Its outcome.
    pub outcome: Option<OutcomeClaim>,
    /// Events folded in.
    pub events: i64,
    /// Those among them without a clock.
    pub unclocked: i64,
    /// Model calls.
    pub llm_calls: i64,
    /// Tool calls.
    pub tool_calls: i64,
    /// Error events.
    pub errors: i64,
    /// Tokens read, cached ones included.
    pub tokens_in: i64,
    /// Tokens written.
    pub tokens_out: i64,
    /// Tokens read from a cache.
    pub tokens_cached: i64,
    /// Cost, nano-dollars.
    pub cost_nano: i64,
}

/// Milliseconds as whole microseconds; saturates.
pub fn micros_of_ms(ms: f64) -> i64 {
    (ms * 1_000.0).round() as i64
}

/// Dollars as whole nano-dollars; saturates.
pub fn nano_of_usd(usd: f64) -> i64 {
    (usd * 1e9).round() as i64
}

/// The rank of a claim to a task by what happened within it, the weakest.
pub const WITHIN: u8 = 2;

/// Whether events of this kind say that a task began or ended.
pub const fn bounds_a_task(kind: EventKind) -> bool {
    matches!(kind, EventKind::TaskStarted | EventKind::TaskCompleted | EventKind::TaskFailed)
}

fn least<T: Ord>(mine: &mut Option<T>, other: Option<T>) {
    if let Some(other) = other
        && mine.as_ref().is_none_or(|mine| other < *mine)
    {
        *mine = Some(other);
    }
}

fn greatest<T: Ord>(mine: &mut Option<T>, other: Option<T>) {
    if let Some(other) = other
        && mine.as_ref().is_none_or(|mine| other > *mine)
    {
        *mine = Some(other);
    }
}

fn count(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

impl TaskDelta {
    /// What one event says of its task. `entity` is whom the event is about, `rule` where outcomes come from.
    pub fn of(event: &Event, entity: EntityKey, rule: &OutcomeRule) -> Self {
        let key = || ClaimKey(event.ts.micros(), event.id.clone());
        let rank = match event.kind {
            EventKind::TaskStarted => 0,
            kind if bounds_a_task(kind) => 1,
            _ => WITHIN,
        };
        // A judge's verdict is not the judge's task.
        let claims = event.kind != EventKind::Feedback;
        let moment = (event.clock != Clock::Inherited && claims).then_some(event.ts.micros());
        let mut delta = Self {
            owner: claims.then(|| OwnerClaim { rank, key: key(), entity }),
            parent: event.parent_task_id.clone(),
            session: event.session_id.clone(),
            first_us: moment,
            last_us: moment,
            outcome: rule.outcome(event).map(|outcome| OutcomeClaim { key: key(), outcome }),
            events: 1,
            unclocked: i64::from(event.clock == Clock::Received),
            llm_calls: i64::from(event.kind == EventKind::LlmCall),
            tool_calls: i64::from(event.kind == EventKind::ToolExecuted),
            errors: i64::from(event.is_error()),
            ..Self::default()
        };
        if event.kind.ends_task() {
            delta.end = Some(EndClaim {
                key: key(),
                duration_us: event.duration_ms.map(micros_of_ms),
                tokens_in: count(event.tokens_in),
                tokens_out: count(event.tokens_out),
                cost_nano: event.cost_usd.map(nano_of_usd),
            });
        } else {
            delta.tokens_in = count(event.tokens_in).unwrap_or(0);
            delta.tokens_out = count(event.tokens_out).unwrap_or(0);
            delta.tokens_cached = count(event.tokens_cached).unwrap_or(0);
            delta.cost_nano = event.cost_usd.map_or(0, nano_of_usd);
        }
        delta
    }

    /// Adds what other events say of the same task.
    pub fn merge(&mut self, other: Self) {
        least(&mut self.owner, other.owner);
        least(&mut self.parent, other.parent);
        least(&mut self.session, other.session);
        least(&mut self.first_us, other.first_us);
        greatest(&mut self.last_us, other.last_us);
        greatest(&mut self.end, other.end);
        greatest(&mut self.outcome, other.outcome);
        self.events = self.events.saturating_add(other.events);
        self.unclocked = self.unclocked.saturating_add(other.unclocked);
        self.llm_calls = self.llm_calls.saturating_add(other.llm_calls);
        self.tool_calls = self.tool_calls.saturating_add(other.tool_calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.tokens_in = self.tokens_in.saturating_add(other.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(other.tokens_out);
        self.tokens_cached = self.tokens_cached.saturating_add(other.tokens_cached);
        self.cost_nano = self.cost_nano.saturating_add(other.cost_nano);
    }

    /// How long the task took, microseconds: as reported, else from its first to its last moment where every
    /// event bore a clock. None while it runs.
    pub fn duration_us(&self) -> Option<i64> {
        let end = self.end.as_ref()?;
        if end.duration_us.is_some() {
            return end.duration_us;
        }
        match (self.first_us, self.last_us) {
            (Some(first), Some(last)) if self.unclocked == 0 && last > first => Some(last - first),
            _ => None,
        }
    }

    /// Tokens read and written: as the end event reports them, else the sum over the calls.
    pub fn tokens(&self) -> (i64, i64) {
        let end = self.end.as_ref();
        (
            end.and_then(|end| end.tokens_in).unwrap_or(self.tokens_in),
            end.and_then(|end| end.tokens_out).unwrap_or(self.tokens_out),
        )
    }

    /// Cost in nano-dollars: as the end event reports it, else the sum over the calls.
    pub fn total_cost_nano(&self) -> i64 {
        self.end.as_ref().and_then(|end| end.cost_nano).unwrap_or(self.cost_nano)
    }
}

/// A task as read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The trace it belongs to.
    pub trace_key: String,
    /// Its id.
    pub task_id: String,
    /// The environment.
    pub environment: String,
    /// Whose task it is.
    pub entity: EntityKey,
    /// That entity's name.
    pub entity_name: String,
    /// The task that gave rise to it.
    pub parent_task_id: Option<String>,
    /// Its session.
    pub session_id: Option<String>,
    /// The first moment seen.
    pub started_at: Option<Time>,
    /// The last moment seen.
    pub last_at: Option<Time>,
    /// Whether it has ended.
    pub ended: bool,
    /// Its outcome, where known.
    pub outcome: Option<Outcome>,
    /// How long it took, milliseconds.
    pub duration_ms: Option<f64>,
    /// Events.
    pub events: i64,
    /// Model calls.
    pub llm_calls: i64,
    /// Tool calls.
    pub tool_calls: i64,
    /// Error events.
    pub errors: i64,
    /// Those of them that did not keep the task from success.
    pub errors_recovered: i64,
    /// Tokens read.
    pub tokens_in: i64,
    /// Tokens written.
    pub tokens_out: i64,
    /// Tokens read from a cache.
    pub tokens_cached: i64,
    /// Cost, US dollars.
    pub cost_usd: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::event::tests::event;

    const AGENT: EntityKey = EntityKey::new(EntityType::Agent, 1);
    const USER: EntityKey = EntityKey::new(EntityType::Agent, 2);

    fn fold(deltas: &[TaskDelta]) -> TaskDelta {
        let mut task = TaskDelta::default();
        for delta in deltas {
            task.merge(delta.clone());
        }
        task
    }

    #[test]
    fn the_agent_that_starts_a_task_owns_it_whoever_reports_first() {
        let rule = OutcomeRule::Status;
        let other = TaskDelta::of(&event("1", 1, EventKind::ToolExecuted), USER, &rule);
        let start = TaskDelta::of(&event("2", 2, EventKind::TaskStarted), AGENT, &rule);
        for order in [[&other, &start], [&start, &other]] {
            let task = fold(&order.map(Clone::clone));
            assert_eq!(task.owner.unwrap().entity, AGENT);
        }
    }

    #[test]
    fn the_last_attempt_counts_once() {
        let rule = OutcomeRule::Status;
        let failed = TaskDelta::of(&event("1", 5, EventKind::TaskFailed), AGENT, &rule);
        let succeeded = TaskDelta::of(&event("2", 9, EventKind::TaskCompleted), AGENT, &rule);
        let task = fold(&[succeeded, failed]);
        assert_eq!(task.outcome.unwrap().outcome, Outcome::Success);
    }

    #[test]
    fn totals_of_the_end_event_stand_above_sums() {
        let mut call = event("1", 1, EventKind::LlmCall);
        call.tokens_in = Some(10);
        call.cost_usd = Some(0.25);
        let mut end = event("2", 2, EventKind::TaskCompleted);
        end.tokens_in = Some(12);
        end.duration_ms = Some(1.5);
        let rule = OutcomeRule::Status;
        let task = fold(&[TaskDelta::of(&call, AGENT, &rule), TaskDelta::of(&end, AGENT, &rule)]);
        assert_eq!((task.tokens().0, task.total_cost_nano(), task.duration_us()), (12, 250_000_000, Some(1_500)));
    }

    #[test]
    fn outcome_rules() {
        let mut end = event("1", 1, EventKind::TaskCompleted);
        end.attributes = Some(r#"{"resolved":false}"#.into());
        let by_attribute = OutcomeRule::Attribute { key: "resolved".into() };
        assert_eq!(by_attribute.outcome(&end), Some(Outcome::Failure));
        assert_eq!(OutcomeRule::Status.outcome(&end), Some(Outcome::Success));
        let mut feedback = event("2", 2, EventKind::Feedback);
        feedback.attributes = Some(r#"{"name":"helpful","score":0.7}"#.into());
        let by_feedback = OutcomeRule::Feedback { name: "helpful".into(), at_least: 0.5 };
        assert_eq!(by_feedback.outcome(&feedback), Some(Outcome::Success));
        assert_eq!(by_feedback.outcome(&end), None);
        for (source, outcome) in [
            (Source::Human, Some(Outcome::Success)),
            (Source::Environment, Some(Outcome::Success)),
            (Source::Own, None),
        ] {
            feedback.source = source;
            assert_eq!(by_feedback.outcome(&feedback), outcome, "{source:?}");
        }
    }

    #[test]
    fn feedback_does_not_own_the_task_it_judges() {
        let delta = TaskDelta::of(&event("1", 1, EventKind::Feedback), USER, &OutcomeRule::Status);
        assert_eq!((delta.owner, delta.first_us), (None, None));
    }
}
