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

/// How long what came in is kept. What events were folded into (tasks of trials, hourly sums, evidence, history) stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// Hours for which an id is recognised as a retry, at the least.
    pub dedup_window_hours: u32,
    /// Days for which raw events are kept after their arrival; 0 keeps them for good.
    pub raw_events_days: u32,
    /// Size of the database from which on the oldest raw events go before their time, bytes; 0 is no limit. What is
    /// younger than the dedup window stays whatever the size.
    pub max_bytes: u64,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self { dedup_window_hours: 48, raw_events_days: 30, max_bytes: 0 }
    }
}

impl RetentionPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let hours = self.dedup_window_hours;
        require((1..=8_760).contains(&hours), "retention.dedup_window_hours", "from 1 to 8760", hours)?;
        let days = self.raw_events_days;
        require(
            days == 0 || u64::from(days) * 24 >= u64::from(hours),
            "retention.raw_events_days",
            "0 or no shorter than retention.dedup_window_hours",
            days,
        )?;
        let bytes = self.max_bytes;
        require(bytes == 0 || bytes >= 64 << 20, "retention.max_bytes", "0 or at least 67108864", bytes)
    }
}
