//! Durable processes: rows that a worker claims by lease, steps, and commits.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// The process that validates and deploys an improvement.
pub const IMPROVEMENT_PROCESS: &str = "ImprovementProcess";
/// The process that watches a deployed improvement and decides on it.
pub const IMPROVEMENT_MONITORING_PROCESS: &str = "ImprovementMonitoringProcess";

/// Proof that a worker holds a lease; every write names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Counts up with every change of hands; a write with an older epoch is refused.
    pub epoch: i64,
}

/// A running instance of a registered process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessInstance {
    /// Its number.
    pub id: i64,
    /// The registered process.
    pub name: String,
    /// What it is about, such as `improvement/12`.
    pub subject: String,
    /// The state it will go on from.
    pub state: String,
    /// When it is due; none once it has ended.
    pub wake_at: Option<Time>,
    /// Failed attempts at the current step.
    pub attempts: i64,
    /// The last failure.
    pub last_error: Option<String>,
}
