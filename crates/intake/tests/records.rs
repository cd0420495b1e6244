//! Records of real agents, where they are at hand: all of them decode, and fast.

mod common;

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use common::DEFAULTS;
use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::Time;

/// After the last of the records.
const LATER: DecodeContext = DecodeContext { received_at: Time::from_micros(1_798_761_600_000_000), at: None };

/// How much arrives at once.
const CHUNK: usize = 64 * 1024;

fn read(set: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("UPLIFT_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let Ok(file) = std::fs::File::open(folder.join(set).join("events.ndjson.gz")) else {
        println!("skipped: no data");
        return None;
    };
    let mut bytes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(file).read_to_end(&mut bytes);
    assert!(unpacked.is_ok(), "{set}: {unpacked:?}");
    Some(bytes)
}

#[test]
fn every_record_decodes() {
    for set in ["tau2", "mini_swe", "agentdojo", "intercode", "reflexion", "tau_bench"] {
        let Some(bytes) = read(set) else { return };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        let mut decoder = Decoder::new(&DEFAULTS, LATER);
        let (mut items, mut events) = (Vec::new(), 0);
        for chunk in bytes.chunks(CHUNK) {
            decoder.push(chunk, &mut items);
            for item in items.drain(..) {
                assert!(matches!(item, Item::Event(_)), "{set}: {item:?}");
                events += 1;
            }
        }
        decoder.finish(&mut items);
        assert_eq!((events + items.len(), decoder.warnings()), (lines, vec![]), "{set}");
    }
}

/// Run with `cargo test --release -p uplift-intake --test records -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn decoding_speed() {
    for set in ["agentdojo", "tau2", "mini_swe"] {
        let Some(lines) = read(set) else { return };
        let joined = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
        let array = [b"[".as_slice(), &joined.join(b",".as_slice()), b"]".as_slice()].concat();
        for (format, bytes) in [("lines", &lines), ("array", &array)] {
            let best = (0..5).map(|_| seconds(bytes)).fold(f64::INFINITY, f64::min);
            let rate = joined.len() as f64 / best;
            let mib = bytes.len() as f64 / best / f64::from(1 << 20);
            let mean = bytes.len() / joined.len();
            println!("{set} {format}: {rate:.0} events/s, {mib:.0} MiB/s, {} events of {mean} bytes", joined.len());
        }
    }
}

fn seconds(bytes: &[u8]) -> f64 {
    let mut decoder = Decoder::new(&DEFAULTS, LATER);
    let mut items = Vec::with_capacity(1_000);
    let started = Instant::now();
    for chunk in bytes.chunks(CHUNK) {
        decoder.push(chunk, &mut items);
        items.clear();
    }
    decoder.finish(&mut items);
    started.elapsed().as_secs_f64()
}
