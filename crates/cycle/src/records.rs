//! For tests: real records, where they are at hand.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// The rows of a gzipped NDJSON file below the data directory: `UPLIFT_DATA`, else `shared/data` beside the
/// project. None, and a word about it, where the file is absent.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may read records")]
pub(crate) fn rows(file: &str) -> Option<impl Iterator<Item = serde_json::Value>> {
    let root = std::env::var("UPLIFT_DATA")
        .map_or_else(|_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let Ok(file) = std::fs::File::open(root.join(file)) else {
        println!("skipped: no data");
        return None;
    };
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    Some(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}
