//! From an item as written to a checked event.

use std::collections::BTreeMap;

use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, Exposure};
use uplift_model::policy::IntakePolicy;

use crate::attributes::{attributes, clip};
use crate::clocks::Clocks;
use crate::decoder::{DecodeContext, Warning};
use crate::fields;
use crate::rejection::{Fault, Place, Rejection, RejectionCode};
use crate::scalar::Scalar;
use crate::wire::{Field, Wire};

/// Most arms an event may claim.
const MAX_EXPOSURES: usize = 64;
/// Longest text in an exposure, in bytes.
const MAX_EXPOSURE_BYTES: usize = 128;
/// Unknown fields that are warned of by name.
const MAX_WARNINGS: usize = 50;
/// What counts further ones together.
const OTHER_FIELDS: &str = "(others)";

/// Turns items into events, and remembers what later items of the stream need.
#[derive(Debug)]
pub(crate) struct Interpreter {
    context: DecodeContext,
    max_event_bytes: usize,
    max_ahead_ms: i64,
    clocks: Clocks,
    unknown: BTreeMap<String, u64>,
}

impl Interpreter {
    pub(crate) fn new(limits: &IntakePolicy, context: DecodeContext) -> Self {
        Self {
            context,
            max_event_bytes: limits.max_event_bytes,
            max_ahead_ms: limits.max_ahead_ms,
            clocks: Clocks::default(),
            unknown: BTreeMap::new(),
        }
    }

    /// The event that stands at `place`.
    pub(crate) fn bytes(&mut self, place: Place, bytes: &[u8]) -> Result<Event, Rejection> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(place, text),
            Err(error) => Err(bad_encoding(bytes, error.valid_up_to()).at(place, None)),
        }
    }

    /// The event that stands at `place`.
    pub(crate) fn text(&mut self, place: Place, text: &str) -> Result<Event, Rejection> {
        if text.len() > self.max_event_bytes {
            return Err(too_large(self.max_event_bytes).at(place, None));
        }
        let mut wire = Wire::default();
        wire.read(text).and_then(|()| self.event(&wire)).map_err(|fault| fault.at(place, wire.id()))
    }

    /// Unknown fields that were kept, with how often.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        self.unknown.iter().map(|(field, count)| Warning::unknown_field(field, *count)).collect()
    }

    fn event(&mut self, wire: &Wire<'_>) -> Result<Event, Fault> {
        if let Some(name) = wire.duplicate {
            let detail = format!("the field `{name}` stands there twice: send it once");
            return Err(Fault::new(RejectionCode::DuplicateKey, detail));
        }
        let id = fields::event_id(wire)?.to_owned();
        let kind = fields::event_kind(wire)?;
        let environment = fields::name(wire, Field::Environment)?.unwrap_or(DEFAULT_ENVIRONMENT);
        let entity = entity(wire, environment)?;
        let own = fields::time(wire, self.context.received_at, self.max_ahead_ms)?;
        let mut event = Event {
            id,
            ts: self.context.received_at,
            clock: Clock::Received,
            kind,
            environment: environment.to_owned(),
            entity,
            task_id: fields::other_id(wire, Field::TaskId)?,
            parent_task_id: fields::other_id(wire, Field::ParentTaskId)?,
            session_id: fields::other_id(wire, Field::SessionId)?,
            trace_id: fields::other_id(wire, Field::TraceId)?,
            span_id: fields::other_id(wire, Field::SpanId)?,
            tool: fields::name(wire, Field::Tool)?.map(str::to_owned),
            outcome: fields::word(wire, Field::Outcome)?,
            duration_ms: fields::duration_ms(wire)?,
            tokens_in: fields::tokens(wire, Field::TokensIn)?,
            tokens_out: fields::tokens(wire, Field::TokensOut)?,
            tokens_cached: fields::tokens(wire, Field::TokensCached)?,
            cost_usd: fields::cost_usd(wire)?,
            error_type: fields::error_type(wire)?,
            content: fields::content(wire)?,
            attributes: attributes(wire.attributes, &wire.unknown)?,
            exposures: exposures(wire)?,
            source: fields::word(wire, Field::Source)?.unwrap_or_default(),
            link: None,
        };
        self.settle_time(&mut event, own);
        self.count_unknown(wire);
        Ok(event)
    }

    /// Only events that are taken set the clock of their task.
    fn settle_time(&mut self, event: &mut Event, own: Option<uplift_model::Time>) {
        let task = event.task_id.as_deref().or(event.trace_id.as_deref());
        if let Some(time) = own {
            (event.ts, event.clock) = (time, Clock::Own);
            if let Some(task) = task {
                self.clocks.saw(task, time);
            }
        } else if let Some(time) = task.and_then(|task| self.clocks.latest(task)) {
            (event.ts, event.clock) = (time, Clock::Inherited);
        } else {
            event.ts = self.context.at.unwrap_or(self.context.received_at);
        }
    }

    fn count_unknown(&mut self, wire: &Wire<'_>) {
        for (name, _) in &wire.unknown {
            let name = clip(name);
            let room = self.unknown.len() < MAX_WARNINGS || self.unknown.contains_key(&name);
            *self.unknown.entry(if room { name } else { OTHER_FIELDS.to_owned() }).or_default() += 1;
        }
    }
}

/// Says that an item is too long.
pub(crate) fn too_large(most: usize) -> Fault {
    let detail = format!(
        "it is longer than the {most} bytes one event may have (intake.max_event_bytes): shorten its content or \
         attributes"
    );
    Fault::new(RejectionCode::EventTooLarge, detail)
}

fn bad_encoding(bytes: &[u8], at: usize) -> Fault {
    let detail = if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        "it is UTF-16: send UTF-8".to_owned()
    } else if bytes.starts_with(&[0x1F, 0x8B]) {
        "it is gzip: say so with `Content-Encoding: gzip`, or unpack it first".to_owned()
    } else {
        format!("it is not UTF-8 at byte offset {at}: encode the text as UTF-8")
    };
    Fault::new(RejectionCode::InvalidEncoding, detail)
}

fn entity(wire: &Wire<'_>, environment: &str) -> Result<EntityRef, Fault> {
    let given = |field| !matches!(wire.get(field), Scalar::Absent | Scalar::Null);
    if !given(Field::Agent) {
        if !given(Field::Entity) && !given(Field::EntityType) {
            return Err(fields::missing("agent", "\"agent\": \"researcher\" (or `entity_type` and `entity`)"));
        }
        let entity_type: Option<EntityType> = fields::word(wire, Field::EntityType)?;
        let entity_type =
            entity_type.ok_or_else(|| fields::missing("entity_type", "\"entity_type\": \"tool\" beside `entity`"))?;
        return by_name_or_id(wire, Field::Entity, entity_type, environment);
    }
    if given(Field::Entity) || given(Field::EntityType) {
        let detail = "`agent` is short for `entity_type` and `entity`: send one or the other";
        return Err(Fault::new(RejectionCode::ConflictingFields, detail));
    }
    by_name_or_id(wire, Field::Agent, EntityType::Agent, environment)
}

fn by_name_or_id(
    wire: &Wire<'_>,
    field: Field,
    entity_type: EntityType,
    environment: &str,
) -> Result<EntityRef, Fault> {
    if let Scalar::Integer(id) = wire.get(field) {
        if *id < 1 {
            let detail = format!("`{}` must be a name or an id from 1, not {id}", field.name());
            return Err(Fault::new(RejectionCode::NumberOutOfRange, detail));
        }
        return Ok(EntityRef::Key(EntityKey::new(entity_type, *id)));
    }
    let name = fields::name(wire, field)?.ok_or_else(|| fields::missing(field.name(), "\"entity\": \"search\""))?;
    Ok(EntityRef::Name(EntityName { environment: environment.to_owned(), entity_type, name: name.to_owned() }))
}

fn exposures(wire: &Wire<'_>) -> Result<Vec<Exposure>, Fault> {
    let Some(raw) = wire.exposures.map(serde_json::value::RawValue::get).filter(|raw| *raw != "null") else {
        return Ok(Vec::new());
    };
    let wrong = |reason: String| {
        let detail = format!(
            "`exposures` must be an array of {{\"trial\": 1, \"arm\": \"control\" or \"candidate\", \
             \"revision\": \"...\"}}, as resolve answered: {reason}"
        );
        Fault::new(RejectionCode::WrongType, detail)
    };
    let exposures: Vec<Exposure> = serde_json::from_str(raw)
        .map_err(|error| wrong(error.to_string().split(" at line ").next().unwrap_or_default().to_owned()))?;
    if exposures.len() > MAX_EXPOSURES {
        return Err(wrong(format!("{} are more than the {MAX_EXPOSURES} one event may have", exposures.len())));
    }
    for exposure in &exposures {
        if !matches!(exposure.arm.as_str(), "control" | "candidate") {
            return Err(wrong(format!("`{}` is not an arm", clip(&exposure.arm))));
        }
        let revision = &exposure.revision;
        if revision.is_empty() || revision.len() > MAX_EXPOSURE_BYTES || revision.chars().any(char::is_control) {
            return Err(wrong("a revision has from 1 to 128 bytes and no control characters".to_owned()));
        }
    }
    Ok(exposures)
}
