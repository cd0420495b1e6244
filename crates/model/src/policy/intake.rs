//! Limits on what comes in, and how long it is kept.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// Limits on what comes in: everything has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntakePolicy {
    /// Longest line or array item, bytes.
    pub max_event_bytes: usize,
    /// Largest request body after decompression, bytes.
    pub max_body_bytes: u64,
    /// Events that may wait for the writer; beyond, requests are answered with 429.
    pub max_queued_events: usize,
    /// Events handed to the writer at once.
    pub chunk_events: usize,
    /// How far ahead of our clock an event may be, milliseconds.
    pub max_ahead_ms: i64,
    /// Rejected items listed in an answer; the rest is counted.
    pub max_reported_rejections: usize,
}

impl Default for IntakePolicy {
    fn default() -> Self {
        Self {
            max_event_bytes: 1 << 20,
            max_body_bytes: 1 << 30,
            max_queued_events: 20_000,
            chunk_events: 1_000,
            max_ahead_ms: 3_600_000,
            max_reported_rejections: 100,
        }
    }
}

impl IntakePolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        require(self.max_event_bytes >= 1_024, "intake.max_event_bytes", "at least 1024", self.max_event_bytes)?;
        require(self.max_body_bytes >= 1_024, "intake.max_body_bytes", "at least 1024", self.max_body_bytes)?;
        require(
            (1..=100_000).contains(&self.chunk_events),
            "intake.chunk_events",
            "from 1 to 100000",
            self.chunk_events,
        )?;
        require(
            self.max_queued_events >= self.chunk_events,
            "intake.max_queued_events",
            "at least intake.chunk_events",
            self.max_queued_events,
        )?;
        require(self.max_ahead_ms >= 0, "intake.max_ahead_ms", "at least 0", self.max_ahead_ms)
    }
}

/// How long what came in is kept, at the least. Nothing is deleted yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// Hours for which an id is recognised as a retry, at the least.
    pub dedup_window_hours: u32,
    /// Days for which raw events are kept after their arrival.
    pub raw_events_days: u32,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self { dedup_window_hours: 48, raw_events_days: 30 }
    }
}
