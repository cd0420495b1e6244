//! Deleting what is old.

use uplift_model::Hour;

/// What is to be deleted because it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// Raw events of traces whose latest event arrived before this hour of the engine's clock; none where they stay.
    pub events_before: Option<Hour>,
    /// Tasks of traces whose raw events are gone and whose latest event arrived before this hour; none where they stay.
    pub tasks_before: Option<Hour>,
    /// About the most rows to write.
    pub rows: u32,
}

/// What was deleted in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Raw events, and spans that were none.
    pub events: u64,
    /// Their texts and attributes.
    pub texts: u64,
    /// Tasks.
    pub tasks: u64,
    /// Whether the step ended before everything old was looked at.
    pub more: bool,
}
