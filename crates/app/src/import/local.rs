//! Into a database of our own: one thread reads, unpacks and decodes the next events while the writer commits those
//! before.

use std::io::Read;

use anyhow::Context;
use tokio::sync::mpsc;
use uplift_intake::{DecodeContext, Decoder, Item, Place, Rejection, Warning};
use uplift_model::Time;
use uplift_model::event::Event;
use uplift_model::policy::IntakePolicy;
use uplift_runner::Engine;
use uplift_web::error::refusal_code;

use super::saved;
use super::source::Source;
use super::tally::Teller;

/// Bytes read at once, after unpacking.
pub(super) const READ_BYTES: usize = 256 << 10;
/// Chunks decoded ahead of the writer: bounds memory.
const CHUNKS_AHEAD: usize = 2;

/// Decoded items that go to the writer together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) places: Vec<Place>,
    pub(super) events: Vec<Event>,
    rejections: Vec<Rejection>,
    /// Spans and records of saved telemetry that could not be taken, and what is to be said of them and others.
    pub(super) unreadable: u64,
    pub(super) notes: Vec<String>,
}

impl Chunk {
    fn len(&self) -> usize {
        self.events.len() + self.rejections.len()
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Event(decoded) => {
                self.places.push(decoded.place);
                self.events.push(decoded.event);
            }
            Item::Rejection(rejection) => self.rejections.push(rejection),
        }
    }
}

/// Imports one source.
pub(crate) async fn import(
    engine: &Engine,
    source: &Source,
    at: Option<Time>,
    teller: &mut Teller,
) -> anyhow::Result<()> {
    let opened = source.open(teller.progress())?;
    match opened.otlp {
        None => import_bytes(engine, &source.name(), opened.unpacked(), at, teller).await,
        Some(encoding) => {
            let (bytes, reading) = (opened.unpacked(), engine.clone());
            let decode = move |chunks: &_| saved::decode(bytes, encoding, &reading, chunks);
            take(engine, &source.name(), decode, teller).await
        }
    }
}

/// Imports what can be read from `bytes`, unpacked, under a name for people.
pub(crate) async fn import_bytes(
    engine: &Engine,
    name: &str,
    bytes: Box<dyn Read + Send>,
    at: Option<Time>,
    teller: &mut Teller,
) -> anyhow::Result<()> {
    let context = DecodeContext { received_at: engine.now(), at };
    let limits = engine.policy().intake.clone();
    take(engine, name, move |chunks| decode(bytes, &limits, context, chunks), teller).await
}

/// Stores what `decode` hands on from a thread of its own.
async fn take(
    engine: &Engine,
    name: &str,
    decode: impl FnOnce(&mpsc::Sender<Chunk>) -> std::io::Result<Vec<Warning>> + Send + 'static,
    teller: &mut Teller,
) -> anyhow::Result<()> {
    let (chunks, mut decoded) = mpsc::channel(CHUNKS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || decode(&chunks));
    while let Some(chunk) = decoded.recv().await {
        store(engine, name, chunk, teller).await?;
    }
    let warnings = reader.await.context("the reading thread ended unexpectedly")?.with_context(|| {
        format!("cannot read all of {name}: what came before is stored, and importing it again changes nothing")
    })?;
    for warning in &warnings {
        teller.warned(name, warning);
    }
    teller.tally.files += 1;
    Ok(())
}

async fn store(engine: &Engine, name: &str, chunk: Chunk, teller: &mut Teller) -> anyhow::Result<()> {
    for rejection in &chunk.rejections {
        teller.rejected(name, rejection);
    }
    teller.refused_unseen(chunk.unreadable);
    for note in &chunk.notes {
        teller.noted(name, note);
    }
    if chunk.events.is_empty() {
        return Ok(());
    }
    let admission = engine.admit(Engine::weight(&chunk.events)).await;
    let receipt = engine.ingest(admission, chunk.events).await?;
    teller.tally.accepted += receipt.accepted;
    teller.tally.already_known += receipt.duplicates;
    for refusal in receipt.refused {
        let place = chunk.places.get(refusal.index).copied().unwrap_or(Place::Index(refusal.index as u64));
        teller.refused(name, place, &refusal.reason.to_string(), refusal_code(&refusal.reason));
    }
    Ok(())
}

/// Reads and decodes to the end, or until nobody takes chunks any more.
fn decode(
    mut bytes: impl Read,
    limits: &IntakePolicy,
    context: DecodeContext,
    chunks: &mpsc::Sender<Chunk>,
) -> std::io::Result<Vec<Warning>> {
    let mut decoder = Decoder::new(limits, context);
    let mut buffer = vec![0; READ_BYTES];
    let (mut items, mut chunk) = (Vec::new(), Chunk::default());
    let mut failure = None;
    loop {
        let read = match bytes.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                failure = Some(error);
                0
            }
        };
        match read {
            // A file that cannot be read on has not come to its end: half a line in it is nobody's mistake.
            0 if failure.is_none() => decoder.finish(&mut items),
            read => decoder.push(&buffer[..read], &mut items),
        }
        for item in items.drain(..) {
            chunk.add(item);
            if chunk.len() >= limits.chunk_events && chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
                return Ok(Vec::new());
            }
        }
        if read == 0 {
            break;
        }
    }
    if chunk.len() > 0 {
        // Nobody there means that storing has failed, which the other side tells.
        drop(chunks.blocking_send(chunk));
    }
    failure.map_or_else(|| Ok(decoder.warnings()), Err)
}
