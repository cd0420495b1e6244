//! From a body to durable events, the same for every way.

use std::fmt::Write;
use std::time::Instant;

use bytes::Bytes;
use uplift_intake::otlp::{self, Export, OtlpContext, OtlpError};
use uplift_model::event::Event;
use uplift_model::policy::IntakePolicy;
use uplift_runner::Engine;
use uplift_store::IntakeReceipt;

use super::way::Way;
use crate::access::Caller;
use crate::api::body::{Held, Whole};
use crate::error::{ErrorCode, NOT_YOURS, WebError, refusal_code};
use crate::state::AppState;
use crate::telemetry;

/// A larger body is decoded on a thread of its own, bytes: others are answered meanwhile.
const DECODED_IN_PLACE: usize = 32 << 10;
/// A chunk is committed from this much text on, however few events it has, bytes.
const CHUNK_BYTES: usize = 4 << 20;
/// Events refused by the store that are named in an answer; the rest is counted.
const MAX_NAMED: usize = 10;
/// Longest message of an answer, bytes.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// What came of a request of which something could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Spans or log records that were refused.
    pub(super) rejected: u64,
    /// Why, and what else is to be said; may be empty.
    pub(super) message: String,
}

impl Taken {
    /// Whether there is anything to say but that all went well.
    pub(super) fn is_partial(&self) -> bool {
        self.rejected > 0 || !self.message.is_empty()
    }
}

/// Counts a request under how it ended, and passes that on.
pub(super) fn counted(way: Way, ended: Result<Taken, WebError>) -> Result<Taken, WebError> {
    let result = match &ended {
        Ok(taken) if taken.rejected > 0 => "partial",
        Ok(_) => "ok",
        Err(error) => error.code().as_str(),
    };
    telemetry::otlp_request(way, result);
    ended
}

/// Decodes a body and stores what it holds. Success means that it is durable; sending it again changes nothing.
///
/// # Errors
/// When nothing can be read, the queue is full, or the store fails; in the last case a part may have been stored.
pub(super) async fn take(state: &AppState, caller: &Caller, way: Way, body: Whole) -> Result<Taken, WebError> {
    let Whole { bytes, held } = body;
    telemetry::otlp_bytes(way, bytes.len());
    let (export, held) = decode(state, way, bytes, held).await?;
    let mut taken = Taken { rejected: export.rejected, message: export.notes.join("; ") };
    telemetry::events(0, 0, export.rejected);
    telemetry::otlp_rejected(way, "unreadable", export.rejected);
    let events = own(caller, way, export.events, &mut taken);
    store(&state.engine, (way, caller), (events, held), &mut taken).await?;
    let end = taken.message.floor_char_boundary(MAX_MESSAGE_BYTES);
    taken.message.truncate(end);
    Ok(taken)
}

/// The memory of the body goes over to the events, even where the client has left and nobody waits for them.
async fn decode(state: &AppState, way: Way, bytes: Bytes, held: Held) -> Result<(Export, Held), WebError> {
    let started = Instant::now();
    let (received_at, policy) = (state.engine.now(), state.engine.policy());
    let small = bytes.len() <= DECODED_IN_PLACE;
    let work = move || {
        let context =
            OtlpContext { received_at, policy: &policy.otlp, intake: &policy.intake, prices: &policy.prices };
        let export = otlp::decode(way.signal, way.encoding(), &bytes, &context);
        (export, held)
    };
    let ended = if small {
        Ok(work())
    } else {
        let turn = state.bodies.turn_to_decode().await;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await
    };
    telemetry::otlp_decoded(way, started.elapsed());
    match ended {
        Ok((Ok(export), held)) => Ok((export, held)),
        Ok((Err(OtlpError { detail }), _)) => Err(WebError::new(ErrorCode::MalformedOtlp, detail)),
        Err(_) => Err(WebError::new(ErrorCode::InternalError, "the server failed to read the request")),
    }
}

async fn store(
    engine: &Engine,
    (way, caller): (Way, &Caller),
    (events, mut held): (Vec<Event>, Held),
    taken: &mut Taken,
) -> Result<(), WebError> {
    let limits = engine.policy().intake.clone();
    let started = Instant::now();
    let mut events = events.into_iter().peekable();
    let (mut first, mut named) = (true, 0);
    while events.peek().is_some() {
        let chunk = next_chunk(&mut events, &limits);
        let weight = Engine::weight(&chunk);
        // A request is refused only before anything of it was taken; later it waits.
        let admission = if first { engine.try_admit(weight)? } else { engine.admit(weight).await };
        first = false;
        if events.peek().is_none() {
            // From here on the queue accounts for all of it.
            held.give_back();
        }
        let ids: Vec<String> = chunk.iter().map(|event| event.id.clone()).collect();
        let receipt = engine.ingest_as(admission, chunk, caller.stands_for()).await?;
        note(way, &receipt, &ids, &mut named, taken);
    }
    telemetry::otlp_stored(way, started.elapsed());
    Ok(())
}

/// What the caller may report; the rest is refused.
fn own(caller: &Caller, way: Way, events: Vec<Event>, taken: &mut Taken) -> Vec<Event> {
    if !caller.is_bound() {
        return events;
    }
    let (mut own, mut refused) = (Vec::with_capacity(events.len()), 0);
    for mut event in events {
        caller.take_at_its_word(&mut event);
        match caller.objection(&event) {
            None => own.push(event),
            Some(objection) => {
                refused += 1;
                if refused <= MAX_NAMED {
                    say(taken, &event.id, &objection, NOT_YOURS);
                }
            }
        }
    }
    taken.rejected += refused as u64;
    telemetry::events(0, 0, refused as u64);
    telemetry::otlp_rejected(way, NOT_YOURS, refused as u64);
    own
}

fn say(taken: &mut Taken, id: &str, why: &impl std::fmt::Display, code: &str) {
    if !taken.message.is_empty() {
        taken.message.push_str("; ");
    }
    // Writing to a String cannot fail.
    let _ = write!(taken.message, "{id}: {why} ({code})");
}

fn next_chunk(events: &mut impl Iterator<Item = Event>, limits: &IntakePolicy) -> Vec<Event> {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < limits.chunk_events && bytes < CHUNK_BYTES {
        let Some(event) = events.next() else { break };
        bytes += text(&event.content) + text(&event.attributes);
        chunk.push(event);
    }
    chunk
}

/// Counts what became of a chunk, and names the first that the store did not take.
fn note(way: Way, receipt: &IntakeReceipt, ids: &[String], named: &mut usize, taken: &mut Taken) {
    let refused = receipt.refused.len() as u64;
    telemetry::events(receipt.accepted, receipt.duplicates, refused);
    telemetry::otlp_items(way, receipt.accepted, receipt.duplicates);
    taken.rejected += refused;
    for refusal in &receipt.refused {
        let code = refusal_code(&refusal.reason);
        telemetry::otlp_rejected(way, code, 1);
        let Some(id) = ids.get(refusal.index) else { continue };
        if *named < MAX_NAMED {
            *named += 1;
            say(taken, id, &refusal.reason, code);
        }
    }
}
