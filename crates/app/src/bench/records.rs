//! Events to send: recorded ones, repeated under fresh task ids, so that every repetition is new to the server.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use uplift_sim::sample::{SampleConfig, generate};

/// The sets taken from the folder of recorded events.
const SETS: [&str; 2] = ["agentdojo", "tau2"];
/// Keys whose values name a task or trace. Within a string of JSON their quotes would be escaped, so these only match
/// where they are keys.
const TASK_KEYS: [&str; 3] = ["\"task_id\":\"", "\"trace_id\":\"", "\"parent_task_id\":\""];
/// The last moment of the sample that stands in for records: fixed, so that runs can be compared.
const SAMPLE_END_US: i64 = 1_767_225_600_000_000;

/// Lines, each cut where a repetition's prefix goes.
pub(super) struct Records {
    lines: Vec<Vec<Box<str>>>,
    origin: String,
    bytes: u64,
}

/// Reads the recorded events under `folder`, or generates a sample where there are none.
pub(super) fn load(folder: &Path) -> anyhow::Result<Records> {
    let files: Vec<_> =
        SETS.iter().map(|set| folder.join(set).join("events.ndjson.gz")).filter(|file| file.is_file()).collect();
    let mut records = Records { lines: Vec::new(), origin: SETS.join(" and "), bytes: 0 };
    for file in &files {
        let reader = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        for line in BufReader::new(MultiGzDecoder::new(reader)).lines() {
            records.add(&line.with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    if files.is_empty() {
        records.origin = format!("a generated sample (no records in {})", folder.display());
        generate(&SampleConfig::new(1, SAMPLE_END_US)).lines.iter().for_each(|line| records.add(line));
    }
    Ok(records)
}

impl Records {
    fn add(&mut self, line: &str) {
        self.bytes += line.len() as u64;
        self.lines.push(cut(line));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What they are, in words.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Mean length of a line.
    pub(super) fn mean_bytes(&self) -> f64 {
        self.bytes as f64 / self.lines.len().max(1) as f64
    }

    /// Writes the events `from..to` of the endless repetition as NDJSON.
    pub(super) fn write(&self, from: u64, to: u64, body: &mut Vec<u8>) {
        body.clear();
        let own = self.lines.len().max(1) as u64;
        for number in from..to {
            let prefix = format!("r{}-", number / own);
            let Some(line) = self.lines.get((number % own) as usize) else { return };
            for (place, part) in line.iter().enumerate() {
                if place > 0 {
                    body.extend_from_slice(prefix.as_bytes());
                }
                body.extend_from_slice(part.as_bytes());
            }
            body.push(b'\n');
        }
    }
}

fn cut(line: &str) -> Vec<Box<str>> {
    let mut cuts: Vec<usize> =
        TASK_KEYS.iter().flat_map(|key| line.match_indices(key).map(|(at, key)| at + key.len())).collect();
    cuts.sort_unstable();
    let mut parts = Vec::with_capacity(cuts.len() + 1);
    let mut from = 0;
    for at in cuts {
        parts.push(line[from..at].into());
        from = at;
    }
    parts.push(line[from..].into());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_differ_in_their_task_ids_only() {
        let mut records = Records { lines: Vec::new(), origin: String::new(), bytes: 0 };
        records.add(r#"{"id":"1","task_id":"a","parent_task_id":"b","content":"\"task_id\":\"c\""}"#);
        records.add(r#"{"id":"2","agent":"x"}"#);
        let mut body = Vec::new();
        records.write(1, 3, &mut body);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            concat!(
                "{\"id\":\"2\",\"agent\":\"x\"}\n",
                r#"{"id":"1","task_id":"r1-a","parent_task_id":"r1-b","content":"\"task_id\":\"c\""}"#,
                "\n"
            )
        );
    }
}
