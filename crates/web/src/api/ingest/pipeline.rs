//! From decoded events to durable ones: chunk by chunk, the next chunk being decoded while others are committed.

use std::collections::VecDeque;

use tokio::task::JoinHandle;
use uplift_intake::otlp::{Export, MAX_NOTES};
use uplift_intake::{Decoded, Item, Place};
use uplift_model::event::Event;
use uplift_model::policy::IntakePolicy;
use uplift_runner::{Admission, Engine};
use uplift_store::{IntakeReceipt, StoreError, StoreResult};

use crate::access::Caller;
use crate::api::body::Held;
use crate::error::{ErrorCode, NOT_YOURS, WebError, refusal_code};
use crate::state::AppState;
use crate::telemetry;
use crate::wire::ingest::{IngestReport, Rejected};

/// Chunks of one request that are committed at the same time. With one, they are committed in the order they were
/// sent, so the numbers that entities get, and which of two conflicting events stands, do not depend on chance.
const MAX_IN_FLIGHT: usize = 1;

/// A request is given up after this many events that cannot be taken: whatever it is, it is not what it should be.
const MAX_REJECTIONS: u64 = 100_000;
/// A chunk is handed on from this much text on, however few events it has, bytes.
const CHUNK_BYTES: usize = 4 << 20;
/// What an event takes of the memory for requests beside its texts, bytes: about what it takes in a body.
const EVENT_BYTES: usize = 256;
/// A chunk is not handed on for want of memory before it has so many events.
const LEAST_CHUNK: usize = 50;

fn text_bytes(event: &Event) -> usize {
    event.content.as_ref().map_or(0, String::len) + event.attributes.as_ref().map_or(0, String::len)
}

/// A chunk that is being committed: where its events stand, and the work.
type InFlight = (Vec<(Place, String)>, JoinHandle<StoreResult<IntakeReceipt>>);

/// Hands events to the engine in chunks and keeps account of what became of them.
pub(super) struct Pipeline {
    engine: Engine,
    caller: Caller,
    chunk_events: usize,
    max_reported: usize,
    chunk: Vec<Event>,
    chunk_bytes: usize,
    /// The memory of the chunk.
    held: Held,
    places: Vec<(Place, String)>,
    in_flight: VecDeque<InFlight>,
    admitted_before: bool,
    /// Events that came in saved requests.
    exported: u64,
    report: IngestReport,
    /// Everything rejected so far was not even JSON.
    all_syntax: bool,
}

impl Pipeline {
    pub(super) fn new(state: &AppState, caller: Caller, limits: &IntakePolicy) -> Self {
        Self {
            engine: state.engine.clone(),
            caller,
            chunk_events: limits.chunk_events,
            max_reported: limits.max_reported_rejections,
            chunk: Vec::new(),
            chunk_bytes: 0,
            held: Held::none_of(&state.bodies),
            places: Vec::new(),
            in_flight: VecDeque::new(),
            admitted_before: false,
            exported: 0,
            report: IngestReport::default(),
            all_syntax: true,
        }
    }

    /// Whether there is room for any event at all: asked before the body is read.
    ///
    /// # Errors
    /// When the queue is full.
    pub(super) fn check_room(&self) -> Result<(), WebError> {
        self.engine.try_admit(1)?;
        Ok(())
    }

    /// Takes what was decoded.
    ///
    /// # Errors
    /// When the queue is full and nothing of this request was admitted yet, or the store fails.
    pub(super) async fn take(&mut self, items: &mut Vec<Item>) -> Result<(), WebError> {
        for item in items.drain(..) {
            match item {
                Item::Event(mut decoded) => {
                    self.caller.take_at_its_word(&mut decoded.event);
                    if let Some(objection) = self.caller.objection(&decoded.event) {
                        self.all_syntax = false;
                        let id = Some(decoded.event.id);
                        self.reject(Rejected::new(decoded.place, id, NOT_YOURS, objection));
                        continue;
                    }
                    let bytes = text_bytes(&decoded.event);
                    if self.held.grow(EVENT_BYTES + bytes).is_err() && self.chunk.len() >= LEAST_CHUNK {
                        // Where others have all the memory, no more is gathered before it is handed on.
                        self.flush().await?;
                    }
                    self.places.push((decoded.place, decoded.event.id.clone()));
                    self.chunk_bytes += bytes;
                    self.chunk.push(decoded.event);
                    if self.chunk.len() >= self.chunk_events || self.chunk_bytes >= CHUNK_BYTES {
                        self.flush().await?;
                    }
                }
                Item::Rejection(rejection) => {
                    self.all_syntax &= rejection.code.is_syntax();
                    self.reject(rejection.into());
                    if self.report.rejected_count >= MAX_REJECTIONS {
                        let detail = format!("gave up after {MAX_REJECTIONS} events that could not be taken");
                        return Err(WebError::new(ErrorCode::TooManyRejected, detail));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what came of saved requests of OpenTelemetry.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) async fn take_exports(&mut self, exports: Vec<Export>) -> Result<(), WebError> {
        for Export { events, rejected, notes } in exports {
            let mut items = Vec::with_capacity(events.len());
            for event in events {
                let place = Place::Index(self.exported);
                self.exported += 1;
                items.push(Item::Event(Decoded { place, event }));
            }
            self.all_syntax &= rejected == 0;
            self.report.rejected_count += rejected;
            telemetry::events(0, 0, rejected);
            let room = MAX_NOTES.saturating_sub(self.report.notes.len());
            self.report.notes.extend(notes.into_iter().take(room));
            self.take(&mut items).await?;
        }
        Ok(())
    }

    /// Hands on what has been gathered.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) async fn flush(&mut self) -> Result<(), WebError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        // A body may take minutes to arrive, and a token may end meanwhile.
        if !self.caller.is_in_force(&self.engine) {
            let detail = "the token has ended while the body was being read: the rest of it is not taken";
            return Err(WebError::new(ErrorCode::Unauthorized, detail));
        }
        let admission = self.admission(Engine::weight(&self.chunk)).await?;
        while self.in_flight.len() >= MAX_IN_FLIGHT {
            self.settle().await?;
        }
        self.chunk_bytes = 0;
        self.held.give_back();
        let (events, engine) = (std::mem::take(&mut self.chunk), self.engine.clone());
        let stands_for = self.caller.stands_for();
        // A task of its own, so that it is committed while the next chunk is decoded.
        let work = tokio::spawn(async move { engine.ingest_as(admission, events, stands_for).await });
        self.in_flight.push_back((std::mem::take(&mut self.places), work));
        Ok(())
    }

    /// A request is refused only before anything of it was taken; later it waits.
    async fn admission(&mut self, events: usize) -> Result<Admission, WebError> {
        if self.admitted_before {
            return Ok(self.engine.admit(events).await);
        }
        let admission = self.engine.try_admit(events)?;
        self.admitted_before = true;
        Ok(admission)
    }

    /// Waits for the oldest chunk.
    async fn settle(&mut self) -> StoreResult<()> {
        let Some((places, work)) = self.in_flight.pop_front() else { return Ok(()) };
        let receipt = work.await.unwrap_or(Err(StoreError::Closed))?;
        telemetry::events(receipt.accepted, receipt.duplicates, 0);
        self.report.accepted += receipt.accepted;
        self.report.duplicates += receipt.duplicates;
        for refusal in receipt.refused {
            let Some((place, id)) = places.get(refusal.index) else { continue };
            let detail = refusal.reason.to_string();
            self.all_syntax = false;
            self.reject(Rejected::new(*place, Some(id.clone()), refusal_code(&refusal.reason), detail));
        }
        Ok(())
    }

    fn reject(&mut self, rejected: Rejected) {
        telemetry::events(0, 0, 1);
        self.report.rejected_count += 1;
        if self.report.rejected.len() < self.max_reported {
            self.report.rejected.push(rejected);
        }
    }

    /// Waits for everything that was handed on. Gives back the account, the first failure of the store, and whether
    /// everything rejected was not even JSON.
    pub(super) async fn finish(mut self) -> (IngestReport, Option<WebError>, bool) {
        let mut failure = None;
        while !self.in_flight.is_empty() {
            if let Err(error) = self.settle().await {
                failure.get_or_insert(WebError::Store(error));
            }
        }
        self.report.rejected.sort_by_key(Rejected::place);
        (self.report, failure, self.all_syntax)
    }
}
