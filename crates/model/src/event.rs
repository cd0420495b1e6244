//! What agents report.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, EntityName, EntityType, UnknownName};
use crate::fingerprint::ErrorTemplate;
use crate::operation::Operation;
use crate::span::SpanLink;
use crate::time::Time;

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// An agent took up a task.
    TaskStarted,
    /// It ended the task; success unless `outcome` says otherwise.
    TaskCompleted,
    /// It ended the task without success.
    TaskFailed,
    /// A tool was called.
    ToolExecuted,
    /// A model was called.
    LlmCall,
    /// Something went wrong outside of a call.
    Error,
    /// A context document was read.
    ContextRead,
    /// Somebody or something judged the task.
    Feedback,
    /// Work went over to another agent.
    Handoff,
    /// Uplift: an agent asked for an improvement.
    ImprovementRequested,
    /// Uplift: an improvement was proposed.
    ImprovementProposed,
    /// Uplift: it passed validation.
    ImprovementValidated,
    /// Uplift: it was refused.
    ImprovementRejected,
    /// Uplift: its trial began.
    ImprovementStarted,
    /// Uplift: it was kept.
    ImprovementDeployed,
    /// Uplift: it was taken back.
    ImprovementRolledBack,
    /// Uplift: its trial ended without an answer.
    ImprovementInconclusive,
}

impl EventKind {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 17] = [
        Self::TaskStarted,
        Self::LlmCall,
        Self::ToolExecuted,
        Self::TaskCompleted,
        Self::TaskFailed,
        Self::Error,
        Self::ContextRead,
        Self::Feedback,
        Self::Handoff,
        Self::ImprovementRequested,
        Self::ImprovementProposed,
        Self::ImprovementValidated,
        Self::ImprovementRejected,
        Self::ImprovementStarted,
        Self::ImprovementDeployed,
        Self::ImprovementRolledBack,
        Self::ImprovementInconclusive,
    ];

    /// The name used on the wire and in the view `events`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskStarted => "TASK_STARTED",
            Self::TaskCompleted => "TASK_COMPLETED",
            Self::TaskFailed => "TASK_FAILED",
            Self::ToolExecuted => "TOOL_EXECUTED",
            Self::LlmCall => "LLM_CALL",
            Self::Error => "ERROR",
            Self::ContextRead => "CONTEXT_READ",
            Self::Feedback => "FEEDBACK",
            Self::Handoff => "HANDOFF",
            Self::ImprovementRequested => "IMPROVEMENT_REQUESTED",
            Self::ImprovementProposed => "IMPROVEMENT_PROPOSED",
            Self::ImprovementValidated => "IMPROVEMENT_VALIDATED",
            Self::ImprovementRejected => "IMPROVEMENT_REJECTED",
            Self::ImprovementStarted => "IMPROVEMENT_STARTED",
            Self::ImprovementDeployed => "IMPROVEMENT_DEPLOYED",
            Self::ImprovementRolledBack => "IMPROVEMENT_ROLLED_BACK",
            Self::ImprovementInconclusive => "IMPROVEMENT_INCONCLUSIVE",
        }
    }

    /// The number used in narrow tables: the place in [`ALL`](Self::ALL).
    pub fn code(self) -> i64 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(-1, |place| place as i64)
    }

    /// The kind a [`code`](Self::code) stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|place| Self::ALL.get(place).copied())
    }

    /// Whether only Uplift itself may write it.
    pub fn is_own(self) -> bool {
        self.code() >= Self::ImprovementRequested.code()
    }

    /// Whether it ends a task.
    pub const fn ends_task(self) -> bool {
        matches!(self, Self::TaskCompleted | Self::TaskFailed)
    }
}

impl FromStr for EventKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            UnknownName::new(
                text,
                "an event type (TASK_STARTED, TASK_COMPLETED, TASK_FAILED, TOOL_EXECUTED, LLM_CALL, ERROR, \
                 CONTEXT_READ, FEEDBACK, HANDOFF)",
            )
        })
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// As wanted.
    Success,
    /// It ran, but not to the wanted end.
    Failure,
    /// It broke.
    Error,
}

impl Outcome {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Error];

    /// The name used on the wire and in views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Error => "ERROR",
        }
    }

    /// The number used in narrow tables.
    pub const fn code(self) -> i64 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Error => 2,
        }
    }

    /// The outcome a [`code`](Self::code) stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

impl FromStr for Outcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "an outcome (SUCCESS, FAILURE, ERROR)"))
    }
}

/// Who says so. What an agent says of itself counts for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The agent itself.
    #[serde(rename = "self")]
    Own,
    /// The code around it, a test, an evaluator.
    #[default]
    Environment,
    /// A person.
    Human,
}

impl Source {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Environment, Self::Own, Self::Human];

    /// The name used on the wire and in views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Environment => "environment",
            Self::Human => "human",
        }
    }

    /// The number used in narrow tables.
    pub const fn code(self) -> i64 {
        match self {
            Self::Environment => 0,
            Self::Own => 1,
            Self::Human => 2,
        }
    }

    /// The source a [`code`](Self::code) stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.code() == code)
    }
}

impl FromStr for Source {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "a source (self, environment, human)"))
    }
}

/// Where an event's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The sender stamped it.
    #[default]
    Own,
    /// The sender stamped an earlier event of the same task, not this one.
    Inherited,
    /// Nobody stamped it: it bears the time of its arrival, or the one given with the import.
    Received,
}

impl Clock {
    /// The number used in narrow tables.
    pub const fn code(self) -> i64 {
        match self {
            Self::Own => 0,
            Self::Inherited => 1,
            Self::Received => 2,
        }
    }
}

/// Whom an event is about: by name as agents know it, or by key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EntityRef {
    /// By name; registers itself where that is allowed.
    Name(EntityName),
    /// By key; must exist.
    Key(EntityKey),
}

impl EntityRef {
    /// The kind of entity.
    pub const fn entity_type(&self) -> EntityType {
        match self {
            Self::Name(name) => name.entity_type,
            Self::Key(key) => key.entity_type,
        }
    }
}

/// An arm of a trial that the unit was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// The trial's number.
    pub trial: i64,
    /// `control` or `candidate`.
    pub arm: String,
    /// The revision that was served.
    pub revision: String,
}

/// One event, checked and normalised. Identity is ([`trace_key`](Self::trace_key), [`id`](Self::id)).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The sender's id, at most 128 bytes.
    pub id: String,
    /// When it happened.
    pub ts: Time,
    /// Where `ts` comes from.
    pub clock: Clock,
    /// Its kind.
    pub kind: EventKind,
    /// The environment, `default` where none is named.
    pub environment: String,
    /// Whom it is about.
    pub entity: EntityRef,
    /// The task it belongs to.
    pub task_id: Option<String>,
    /// The task that gave rise to that task.
    pub parent_task_id: Option<String>,
    /// The session of the task.
    pub session_id: Option<String>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The span within the trace.
    pub span_id: Option<String>,
    /// The tool that was called.
    pub tool: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// How long it took, milliseconds, finite and at least 0.
    pub duration_ms: Option<f64>,
    /// Tokens read, cached ones included.
    pub tokens_in: Option<u64>,
    /// Tokens written.
    pub tokens_out: Option<u64>,
    /// Tokens read from a cache.
    pub tokens_cached: Option<u64>,
    /// What it cost, US dollars, finite and at least 0.
    pub cost_usd: Option<f64>,
    /// Exception type or kind of error.
    pub error_type: Option<String>,
    /// Text: untrusted, as sent.
    pub content: Option<String>,
    /// A JSON object, as text: untrusted, as sent.
    pub attributes: Option<String>,
    /// The arms its unit was given.
    pub exposures: Vec<Exposure>,
    /// Who says so.
    pub source: Source,
    /// Where it stands in the tree of its trace, if it came as a span.
    pub link: Option<SpanLink>,
}

impl Event {
    /// The first half of its identity: its trace, else its task, else a pseudo-task of its entity and day.
    pub fn trace_key(&self) -> String {
        self.trace_id.as_ref().or(self.task_id.as_ref()).cloned().unwrap_or_else(|| self.pseudo_task())
    }

    /// Whether it belongs to no task that anybody named.
    pub const fn is_outside_tasks(&self) -> bool {
        self.trace_id.is_none() && self.task_id.is_none()
    }

    fn pseudo_task(&self) -> String {
        let whom = match &self.entity {
            EntityRef::Name(name) => format!("{}/{}", name.entity_type, name.name),
            EntityRef::Key(key) => key.to_string(),
        };
        // Without an own clock the day would change between a request and its retry.
        if self.clock == Clock::Own { format!("~{whom}/{}", self.ts.day()) } else { format!("~{whom}") }
    }

    /// The task's key within the trace: none where it is the trace key itself.
    pub fn task_in_trace(&self) -> Option<&str> {
        match (&self.trace_id, &self.task_id) {
            (Some(trace), Some(task)) if trace != task => Some(task),
            _ => None,
        }
    }

    /// Whether it reports an error.
    pub fn is_error(&self) -> bool {
        self.kind == EventKind::Error || self.outcome == Some(Outcome::Error) || self.error_type.is_some()
    }

    /// The outcome it gives its task, if it ends one: what it says, else what its kind says.
    pub const fn task_outcome(&self) -> Option<Outcome> {
        match (self.kind, self.outcome) {
            (EventKind::TaskCompleted | EventKind::TaskFailed, Some(outcome)) => Some(outcome),
            (EventKind::TaskCompleted, None) => Some(Outcome::Success),
            (EventKind::TaskFailed, None) => Some(Outcome::Failure),
            _ => None,
        }
    }

    /// The operation it measures, if it measures one.
    pub fn operation(&self) -> Option<Operation> {
        match self.kind {
            EventKind::TaskCompleted | EventKind::TaskFailed => Some(Operation::Task),
            EventKind::LlmCall => Some(Operation::Llm),
            EventKind::ToolExecuted => self.tool.clone().map(Operation::Tool),
            _ => None,
        }
    }

    /// A hash of everything the sender said, 8 bytes: tells a retry from another event under the same identity.
    /// A time that the sender did not give is left out, because it changes from one try to the next.
    pub fn digest(&self) -> i64 {
        let mut hasher = blake3::Hasher::new();
        let mut text = |tag: u8, value: Option<&str>| {
            if let Some(value) = value {
                hasher.update(&[tag]).update(&(value.len() as u64).to_le_bytes()).update(value.as_bytes());
            }
        };
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let real = |value: Option<f64>| value.map(|value| value.to_bits().to_string());
        let whom = match &self.entity {
            EntityRef::Name(name) => format!("{}/{}", name.entity_type, name.name),
            EntityRef::Key(key) => key.to_string(),
        };
        let time = (self.clock == Clock::Own).then(|| self.ts.micros().to_string());
        text(1, time.as_deref());
        text(2, Some(self.kind.as_str()));
        text(3, Some(&whom));
        text(4, self.task_id.as_deref());
        text(5, self.parent_task_id.as_deref());
        text(6, self.session_id.as_deref());
        text(7, self.span_id.as_deref());
        text(8, self.tool.as_deref());
        text(9, self.outcome.map(Outcome::as_str));
        text(10, real(self.duration_ms).as_deref());
        text(11, number(self.tokens_in).as_deref());
        text(12, number(self.tokens_out).as_deref());
        text(13, number(self.tokens_cached).as_deref());
        text(14, real(self.cost_usd).as_deref());
        text(15, self.error_type.as_deref());
        text(16, self.content.as_deref());
        text(17, self.attributes.as_deref());
        text(18, Some(self.source.as_str()));
        for exposure in &self.exposures {
            text(19, Some(&format!("{}/{}/{}", exposure.trial, exposure.arm, exposure.revision)));
        }
        if let Some(link) = &self.link {
            text(20, Some(link.parent.as_deref().unwrap_or_default()));
            text(21, Some(if link.names_entity { "named" } else { "" }));
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        i64::from_le_bytes(first)
    }

    /// A hash of the tool and the arguments of a tool call, where the arguments are known: equal calls have equal
    /// hashes. Arguments are the attribute `gen_ai.tool.call.arguments` or `arguments`, else what stands before
    /// ` => ` in the content.
    pub fn call_hash(&self) -> Option<i64> {
        if self.kind != EventKind::ToolExecuted {
            return None;
        }
        let arguments = self.arguments()?;
        let tool = self.tool.as_deref().unwrap_or_default();
        let hash = blake3::Hasher::new().update(tool.as_bytes()).update(&[0]).update(arguments.as_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Some(i64::from_le_bytes(first))
    }

    fn arguments(&self) -> Option<String> {
        if let Some(attributes) = self.attributes.as_deref().filter(|text| text.contains("arguments\""))
            && let Ok(serde_json::Value::Object(map)) = serde_json::from_str(attributes)
            && let Some(value) = map.get("gen_ai.tool.call.arguments").or_else(|| map.get("arguments"))
        {
            return Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let (arguments, _result) = self.content.as_deref()?.split_once(" => ")?;
        Some(arguments.trim().to_owned())
    }
}

/// An event with everything the store needs that is worked out outside of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedEvent {
    /// The event.
    pub event: Event,
    /// Its [`digest`](Event::digest).
    pub digest: i64,
    /// Its [`call_hash`](Event::call_hash).
    pub call_hash: Option<i64>,
    /// The group of errors it belongs to, if it is one.
    pub error: Option<ErrorTemplate>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(id: &str, ts: i64, kind: EventKind) -> Event {
        Event {
            id: id.to_owned(),
            ts: Time::from_micros(ts),
            clock: Clock::Own,
            kind,
            environment: crate::entity::DEFAULT_ENVIRONMENT.to_owned(),
            entity: EntityRef::Name(EntityName {
                environment: crate::entity::DEFAULT_ENVIRONMENT.to_owned(),
                entity_type: EntityType::Agent,
                name: "a".to_owned(),
            }),
            task_id: Some("t".to_owned()),
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

    #[test]
    fn names_and_codes_are_inverse() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(EventKind::from_code(kind.code()), Some(kind));
        }
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        for source in Source::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
            assert_eq!(Source::from_code(source.code()), Some(source));
        }
        assert!(EventKind::ImprovementDeployed.is_own() && !EventKind::Handoff.is_own());
    }

    #[test]
    fn identity_falls_back_from_trace_to_task_to_entity_and_day() {
        let mut event = event("1", 90_000_000_000, EventKind::Error);
        event.trace_id = Some("trace".into());
        assert_eq!((event.trace_key().as_str(), event.task_in_trace()), ("trace", Some("t")));
        event.trace_id = None;
        assert_eq!((event.trace_key().as_str(), event.task_in_trace()), ("t", None));
        event.task_id = None;
        assert_eq!(event.trace_key(), "~agent/a/1");
        event.clock = Clock::Received;
        assert_eq!(event.trace_key(), "~agent/a");
    }

    #[test]
    fn a_retry_has_the_same_digest_even_without_a_clock() {
        let mut first = event("1", 1, EventKind::Error);
        first.clock = Clock::Received;
        let mut retry = first.clone();
        retry.ts = Time::from_micros(2);
        assert_eq!(first.digest(), retry.digest());
        retry.content = Some("other".into());
        assert_ne!(first.digest(), retry.digest());
    }

    #[test]
    fn equal_calls_have_equal_hashes_whatever_they_returned() {
        let mut call = event("1", 1, EventKind::ToolExecuted);
        call.tool = Some("search".into());
        assert_eq!(call.call_hash(), None);
        call.content = Some("{\"q\":1} => nothing".into());
        let first = call.call_hash();
        assert!(first.is_some());
        call.content = Some("{\"q\":1} => something".into());
        assert_eq!(call.call_hash(), first);
        call.attributes = Some(r#"{"arguments":{"q":2}}"#.into());
        assert_ne!(call.call_hash(), first);
    }
}
