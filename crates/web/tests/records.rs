//! Records of real agents, where they are at hand, sent as their file stands there: compressed NDJSON.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::Method;
use common::{LATER, Server};
use uplift_model::Policy;
use uplift_store::sqlite::SqliteStore;

fn data() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    std::env::var_os("UPLIFT_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from)
}

fn file(set: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(data().join(set).join("events.ndjson.gz")).ok();
    if bytes.is_none() {
        println!("skipped: no data");
    }
    bytes
}

async fn send(server: &Server, file: &[u8]) -> serde_json::Value {
    let chunks: Vec<_> = file.chunks(32 * 1024).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    let body = Body::from_stream(futures::stream::iter(chunks as Vec<Result<Bytes, std::io::Error>>));
    server.request(Method::POST, "/api/events", &[("content-encoding", "gzip")], body).await.json()
}

#[tokio::test]
async fn a_recorded_fleet_is_taken_in_and_sending_it_again_changes_nothing() {
    let Some(file) = file("tau2") else { return };
    let server = Server::at(LATER);
    let first = send(&server, &file).await;
    assert_eq!((first["accepted"].as_u64(), first["rejected_count"].as_u64()), (Some(10_652), Some(0)), "{first}");
    let again = send(&server, &file).await;
    assert_eq!((again["accepted"].as_u64(), again["duplicates"].as_u64()), (Some(0), Some(10_652)), "{again}");
    let status = server.get("/api/improvements/status").await.json();
    assert_eq!(status["counts"]["tasks"], 465, "{status}");
    let failed = server.get("/api/tasks?outcome=FAILURE&limit=5").await.json();
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn what_real_exporters_sent_is_taken_whole_in_both_forms() {
    let captured = std::fs::read_dir(data().join("otlp/captured")).into_iter().flatten().flatten();
    let files: BTreeSet<PathBuf> = captured.map(|entry| entry.path()).collect();
    let (server, mut taken) = (Server::at(LATER), 0);
    for path in &files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let form = if name.contains(".pb") { "application/x-protobuf" } else { "application/json" };
        if name == "INDEX.json" {
            continue;
        }
        let mut headers = vec![("content-type", form)];
        let packed = path.extension().is_some_and(|ending| ending == "gz");
        headers.extend(packed.then_some(("content-encoding", "gzip")));
        let body = std::fs::read(path).unwrap_or_default();
        let answer = server.request(Method::POST, "/v1/traces", &headers, Body::from(body)).await;
        assert_eq!(answer.status.as_u16(), 200, "{name}: {answer:?}");
        if form == "application/json" {
            assert_eq!(
                answer.json()["partialSuccess"].get("rejectedSpans").unwrap_or(&"0".into()),
                "0",
                "{name}: {answer:?}"
            );
        }
        taken += 1;
    }
    let events = server.get("/api/improvements/status").await.json()["counts"]["events"].as_u64();
    println!("{taken} files, {events:?} events");
    assert!(taken == 0 || events > Some(taken), "{events:?} of {taken} files");
}

/// Run with `cargo test --release -p uplift-web --test records -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_over_http() {
    let Some(file) = file("agentdojo") else { return };
    let folder = std::env::temp_dir().join(format!("uplift-web-speed-{}", std::process::id()));
    assert!(std::fs::create_dir_all(&folder).is_ok());
    let store = SqliteStore::open(Path::new(&folder.join("speed.db"))).unwrap_or_else(|error| panic!("{error}"));
    let server = Server::over(store, Policy::default());
    let started = Instant::now();
    let report = send(&server, &file).await;
    let seconds = started.elapsed().as_secs_f64();
    let accepted = report["accepted"].as_u64().unwrap_or_default();
    println!("{accepted} events accepted in {seconds:.2} s: {:.0} events/s, durable", accepted as f64 / seconds);
    server.store.close().await;
    assert!(std::fs::remove_dir_all(&folder).is_ok());
}
