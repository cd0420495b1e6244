//! The way in: a stream of bytes, or one text.

use uplift_model::Time;
use uplift_model::event::Event;
use uplift_model::policy::IntakePolicy;

use crate::framer::{Frame, Framer};
use crate::interpret::Interpreter;
use crate::rejection::{Place, Rejection};

/// What is known of a stream beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeContext {
    /// When it arrived.
    pub received_at: Time,
    /// The time that was given for events without a clock, if one was.
    pub at: Option<Time>,
}

/// An event that can be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub event: Event,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are events, which a box would only slow down")]
pub enum Item {
    /// It can be stored.
    Event(Decoded),
    /// It cannot.
    Rejection(Rejection),
}

/// Something a sender should know of events that were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The field it is about.
    pub field: String,
    /// How many events it is about.
    pub count: u64,
    /// What was done, in words.
    pub detail: String,
}

impl Warning {
    pub(crate) fn unknown_field(field: &str, count: u64) -> Self {
        let detail = format!("`{field}` is no field of an event: it was kept among the attributes");
        Self { field: field.to_owned(), count, detail }
    }
}

/// Decodes a stream: a JSON array, or NDJSON.
///
/// Which of the two is told by the first byte that is not space. Memory is bounded by one item. However the
/// stream is cut into chunks, the items are the same.
#[derive(Debug)]
pub struct Decoder {
    framer: Framer,
    interpreter: Interpreter,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(limits: &IntakePolicy, context: DecodeContext) -> Self {
        Self { framer: Framer::new(limits.max_event_bytes), interpreter: Interpreter::new(limits, context) }
    }

    /// Takes the next bytes of the stream; what they complete is added to `out`, in order.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        let Self { framer, interpreter } = self;
        framer.push(bytes, &mut |frame| out.push(item(interpreter, frame)));
    }

    /// Says that the stream has ended; what was waiting for more bytes is added to `out`.
    pub fn finish(&mut self, out: &mut Vec<Item>) {
        let Self { framer, interpreter } = self;
        framer.finish(&mut |frame| out.push(item(interpreter, frame)));
    }

    /// Decodes one text that stands by itself, such as a row of `event_inbox`, as part of this stream: it can
    /// inherit a time from earlier items.
    ///
    /// # Errors
    /// When it is not an event that can be stored.
    pub fn one(&mut self, text: &str, place: Place) -> Result<Event, Rejection> {
        self.interpreter.text(place, text)
    }

    /// What the sender should know of the events that were taken so far.
    pub fn warnings(&self) -> Vec<Warning> {
        self.interpreter.warnings()
    }
}

/// Decodes one text that stands by itself.
///
/// # Errors
/// When it is not an event that can be stored.
pub fn decode_one(
    text: &str,
    place: Place,
    limits: &IntakePolicy,
    context: DecodeContext,
) -> Result<Event, Rejection> {
    Interpreter::new(limits, context).text(place, text)
}

fn item(interpreter: &mut Interpreter, frame: Frame<'_>) -> Item {
    let decoded = match frame {
        Frame::Bad(rejection) => Err(rejection),
        Frame::Item(place, bytes) => interpreter.bytes(place, bytes).map(|event| Decoded { place, event }),
    };
    match decoded {
        Ok(event) => Item::Event(event),
        Err(rejection) => Item::Rejection(rejection),
    }
}
