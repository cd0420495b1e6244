//! Records of real agents, where they are at hand, sent as their file stands there: compressed NDJSON.

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::Method;
use common::{LATER, Server};
use uplift_model::Policy;
use uplift_store::sqlite::SqliteStore;

fn file(set: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("UPLIFT_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let bytes = std::fs::read(folder.join(set).join("events.ndjson.gz")).ok();
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
