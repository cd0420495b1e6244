//! Saved requests of OpenTelemetry, read and decoded on a thread of its own.

use std::io::{Error, ErrorKind, Read};

use tokio::sync::mpsc;
use uplift_intake::otlp::file::FileDecoder;
use uplift_intake::otlp::{Encoding, Export, MAX_NOTES, OtlpContext, OtlpError};
use uplift_intake::{Place, Warning};
use uplift_runner::Engine;

use super::local::{Chunk, READ_BYTES};

/// Gathers what comes of requests into chunks for the writer.
struct Gathering<'a> {
    chunks: &'a mpsc::Sender<Chunk>,
    chunk: Chunk,
    chunk_events: usize,
    exported: u64,
    notes: usize,
    /// Nobody takes chunks any more: storing has failed, which the other side tells.
    alone: bool,
}

impl Gathering<'_> {
    fn add(&mut self, export: Export) {
        let Export { events, rejected, notes } = export;
        self.chunk.unreadable += rejected;
        let room = MAX_NOTES.saturating_sub(self.notes);
        self.notes += notes.len().min(room);
        self.chunk.notes.extend(notes.into_iter().take(room));
        for event in events {
            self.chunk.places.push(Place::Index(self.exported));
            self.chunk.events.push(event);
            self.exported += 1;
            if self.chunk.events.len() >= self.chunk_events {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        self.alone |= self.chunks.blocking_send(std::mem::take(&mut self.chunk)).is_err();
    }
}

/// Reads and decodes to the end, to the first request that cannot be read, or until nobody takes chunks any more.
pub(super) fn decode(
    mut bytes: impl Read,
    encoding: Encoding,
    engine: &Engine,
    chunks: &mpsc::Sender<Chunk>,
) -> std::io::Result<Vec<Warning>> {
    let policy = engine.policy();
    let context = OtlpContext {
        received_at: engine.now(),
        policy: &policy.otlp,
        intake: &policy.intake,
        prices: &policy.prices,
    };
    let chunk_events = policy.intake.chunk_events;
    let mut gathering =
        Gathering { chunks, chunk: Chunk::default(), chunk_events, exported: 0, notes: 0, alone: false };
    let mut decoder = FileDecoder::new(encoding);
    let mut buffer = vec![0; READ_BYTES];
    let ended = loop {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => break decoder.finish(&context, &mut |export| gathering.add(export)).map_err(unreadable),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        if let Err(error) = decoder.push(&buffer[..read], &context, &mut |export| gathering.add(export)) {
            break Err(unreadable(error));
        }
        if gathering.alone {
            return Ok(Vec::new());
        }
    };
    gathering.flush();
    ended.map(|()| Vec::new())
}

fn unreadable(OtlpError { detail }: OtlpError) -> Error {
    Error::new(ErrorKind::InvalidData, detail)
}
