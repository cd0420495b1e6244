//! What a request comes to: events, what was refused, and a few words on it.

use std::borrow::Cow;

use uplift_model::event::Event;

use super::keys::Field;
use super::log;
use super::origin::Origin;
use super::price::Prices;
use super::read::Writer;
use super::span::{Remark, SpanClock, map};
use super::text::clip;
use super::view::{Attributes, Limits, Record, Scope, Span};
use super::{Export, MAX_NOTE_BYTES, MAX_NOTES, OtlpContext};

/// Longest name of an item repeated in a note, bytes.
const MAX_SHOWN_BYTES: usize = 48;

/// What the mapping of one item works with.
pub(super) struct Mapping<'m, 'p> {
    pub(super) origin: &'m Origin,
    pub(super) writer: &'m mut Writer,
    pub(super) marks: &'m mut Vec<(u64, Option<Field>)>,
    pub(super) prices: &'m mut Prices<'p>,
    pub(super) remarks: &'m mut Vec<Remark>,
    pub(super) clock: SpanClock,
    /// Longest content, and longest attributes, bytes.
    pub(super) most_bytes: usize,
}

/// One kind of thing to say, and of how many items.
struct Note {
    what: Cow<'static, str>,
    count: u64,
    first: String,
}

/// Takes items one after the other.
pub(super) struct Collector<'c> {
    context: &'c OtlpContext<'c>,
    limits: Limits,
    clock: SpanClock,
    origin: Origin,
    prices: Prices<'c>,
    writer: Writer,
    marks: Vec<(u64, Option<Field>)>,
    remarks: Vec<Remark>,
    notes: Vec<Note>,
    events: Vec<Event>,
    items: usize,
    rejected: u64,
}

impl<'c> Collector<'c> {
    pub(super) fn new(context: &'c OtlpContext<'c>) -> Self {
        let most_bytes = context.intake.max_event_bytes / 2;
        let policy = context.policy;
        Self {
            context,
            limits: Limits {
                attributes: policy.max_attributes,
                entries: policy.max_attributes,
                depth: policy.max_depth,
                bytes: most_bytes,
            },
            clock: SpanClock { received_at: context.received_at, max_ahead_ms: context.intake.max_ahead_ms },
            origin: Origin::default(),
            prices: Prices::new(context.prices),
            writer: Writer::default(),
            marks: Vec::new(),
            remarks: Vec::new(),
            notes: Vec::new(),
            events: Vec::new(),
            items: 0,
            rejected: 0,
        }
    }

    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Says where the items that follow come from.
    pub(super) fn resource(&mut self, resource: &Attributes<'_>) {
        self.origin = Origin::of(resource);
    }

    /// Says which library made the items that follow.
    pub(super) fn scope(&mut self, scope: &Scope<'_>) {
        self.origin.scope(scope);
    }

    /// Counts an item, and says whether there is room for it.
    pub(super) fn room(&mut self) -> bool {
        if self.items >= self.context.policy.max_items {
            self.refuse("the request holds more items than otlp.max_items: send smaller batches".into(), "");
            return false;
        }
        self.items += 1;
        true
    }

    pub(super) fn span(&mut self, span: &Span<'_>) {
        let mapped = map(span, &mut self.mapping());
        self.settle(mapped.map(Some), &span.name, span.attributes.left_out);
    }

    pub(super) fn record(&mut self, record: &Record<'_>) {
        let mapped = log::map(record, &mut self.mapping());
        self.settle(mapped, &record.event_name, record.attributes.left_out);
    }

    fn mapping(&mut self) -> Mapping<'_, 'c> {
        Mapping {
            origin: &self.origin,
            writer: &mut self.writer,
            marks: &mut self.marks,
            prices: &mut self.prices,
            remarks: &mut self.remarks,
            clock: self.clock,
            most_bytes: self.limits.bytes,
        }
    }

    fn settle(&mut self, mapped: Result<Option<Event>, Cow<'static, str>>, name: &str, left_out: u64) {
        let mut remarks = std::mem::take(&mut self.remarks);
        match mapped {
            Ok(Some(event)) => {
                self.events.push(event);
                for remark in &remarks {
                    self.note(remark.words().into(), name);
                }
                if left_out + std::mem::take(&mut self.writer.left_out) > 0 {
                    let what = "has more or longer attributes than otlp.max_attributes, otlp.max_depth and \
                                intake.max_event_bytes allow: those beyond were left out";
                    self.note(what.into(), name);
                }
            }
            // Nothing of it is wanted.
            Ok(None) => {}
            Err(reason) => self.refuse(reason, name),
        }
        remarks.clear();
        self.remarks = remarks;
    }

    /// Refuses an item that could not be read.
    pub(super) fn refuse_unreadable(&mut self, why: &str) {
        self.refuse(format!("it cannot be read: {}", clip(why, MAX_NOTE_BYTES / 2)).into(), "");
    }

    fn refuse(&mut self, reason: Cow<'static, str>, name: &str) {
        self.rejected += 1;
        self.note(reason, name);
    }

    fn note(&mut self, what: Cow<'static, str>, first: &str) {
        if let Some(note) = self.notes.iter_mut().find(|note| note.what == what) {
            note.count += 1;
        } else if self.notes.len() < MAX_NOTES {
            let first = clip(first, MAX_SHOWN_BYTES).chars().filter(|c| !c.is_control()).collect();
            self.notes.push(Note { what, count: 1, first });
        }
    }

    /// What it came to.
    pub(super) fn finish(self) -> Export {
        let words = |note: Note| {
            let first = if note.first.is_empty() { String::new() } else { format!(" (first: {})", note.first) };
            let text = format!("{} of {}{first}: {}", note.count, self.items, note.what);
            clip(&text, MAX_NOTE_BYTES).to_owned()
        };
        Export { rejected: self.rejected, notes: self.notes.into_iter().map(words).collect(), events: self.events }
    }
}
