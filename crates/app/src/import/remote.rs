//! To a server: files go out as they are, gzip or not, a little at a time.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::Method;
use bytes::Bytes;
use reqwest::Body;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use tokio::sync::mpsc;
use uplift_intake::otlp::Encoding;
use uplift_intake::{Place, Warning};
use uplift_model::Time;

use super::source::{Opened, Source};
use super::tally::Teller;
use crate::api::{Client, Endpoint};

/// Bytes of a file that are read at once.
const SLICE: usize = 64 << 10;
/// Slices read ahead of the network.
const SLICES_AHEAD: usize = 8;
/// How often a request is repeated when the server asks for patience.
const MAX_TRIES: u32 = 60;
/// How long to wait where the server does not say.
const DEFAULT_PAUSE_S: u64 = 1;

/// What the server says became of a body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    accepted: u64,
    duplicates: u64,
    rejected: Vec<Rejected>,
    rejected_count: u64,
    warnings: Vec<Remark>,
    notes: Vec<String>,
    detail: Option<String>,
    remedy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    index: Option<u64>,
    line: Option<u64>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Remark {
    field: String,
    count: u64,
    detail: String,
}

/// What became of one request.
enum Sent {
    /// The body was read to its end.
    Whole(Report),
    /// The server is busy: again after so many seconds.
    Busy(u64),
}

/// Sends one source.
pub(crate) async fn import(
    client: &Client,
    source: &Source,
    at: Option<Time>,
    teller: &mut Teller,
) -> anyhow::Result<()> {
    let name = source.name();
    for _ in 0..MAX_TRIES {
        match send(client, source, at, teller).await? {
            Sent::Whole(report) => {
                note(&name, report, teller);
                teller.tally.files += 1;
                return Ok(());
            }
            Sent::Busy(_) if source.is_stdin() => {
                bail!("the server is busy and standard input cannot be read twice: import from a file")
            }
            Sent::Busy(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
    }
    bail!("the server stayed busy for {MAX_TRIES} attempts at sending {name}: try again later")
}

async fn send(client: &Client, source: &Source, at: Option<Time>, teller: &mut Teller) -> anyhow::Result<Sent> {
    // Where a repeated attempt begins, the bar does too.
    let before = teller.progress().position();
    let opened = source.open(teller.progress())?;
    let gzip = opened.gzip;
    let (path, media_type) = match opened.otlp {
        None => (Endpoint::new(["api", "events"]).with("at", at), "application/x-ndjson"),
        Some(Encoding::Json) => (Endpoint::new(["api", "events", "otlp"]), "application/json"),
        Some(Encoding::Protobuf) => (Endpoint::new(["api", "events", "otlp"]), "application/x-protobuf"),
    };
    let mut request =
        client.request(Method::POST, &path)?.header(CONTENT_TYPE, media_type).body(Body::wrap_stream(stream(opened)));
    if gzip {
        request = request.header(CONTENT_ENCODING, "gzip");
    }
    let answer = client.raw(request).await.with_context(|| format!("{} could not be sent", source.name()))?;
    let status = answer.status();
    if status == reqwest::StatusCode::TOO_MANY_REQUESTS {
        teller.progress().set_position(before);
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Ok(Sent::Busy(seconds.unwrap_or(DEFAULT_PAUSE_S)));
    }
    let report: Report = answer.json().await.context("the server's answer cannot be read: is it uplift?")?;
    let all_refused = status.is_client_error() && report.rejected_count > 0;
    if status.is_success() || all_refused {
        return Ok(Sent::Whole(report));
    }
    let Report { detail, remedy, accepted, duplicates, .. } = report;
    let said = crate::text::clean(&detail.unwrap_or_else(|| status.to_string()));
    let remedy = crate::text::clean(&remedy.unwrap_or_default());
    let name = source.name();
    bail!(
        "the server could not take all of {name}: {said} ({accepted} accepted, {duplicates} known already). {remedy}"
    )
}

fn note(name: &str, report: Report, teller: &mut Teller) {
    teller.tally.accepted += report.accepted;
    teller.tally.already_known += report.duplicates;
    let listed = report.rejected.len() as u64;
    for rejected in report.rejected {
        let place = rejected.line.map_or(Place::Index(rejected.index.unwrap_or_default()), Place::Line);
        teller.refused(name, place, &rejected.detail, &rejected.code);
    }
    teller.refused_unseen(report.rejected_count.saturating_sub(listed));
    for text in report.notes {
        teller.noted(name, &text);
    }
    for remark in report.warnings {
        teller.warned(name, &Warning { field: remark.field, count: remark.count, detail: remark.detail });
    }
}

/// The bytes of a source as a stream, read on a thread of its own, never far ahead of the network.
fn stream(opened: Opened) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let (slices, ready) = mpsc::channel(SLICES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut bytes = opened.bytes;
        loop {
            let mut slice = vec![0; SLICE];
            let next = match bytes.read(&mut slice) {
                Ok(0) => return,
                Ok(read) => {
                    slice.truncate(read);
                    Ok(Bytes::from(slice))
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = next.is_err();
            // Nobody there means that the request has ended.
            if slices.blocking_send(next).is_err() || failed {
                return;
            }
        }
    });
    futures::stream::unfold(ready, |mut ready| async { ready.recv().await.map(|slice| (slice, ready)) })
}
