//! Servers that share a database.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// How servers that share a database stay out of each other's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodesPolicy {
    /// How long a lease lasts that is not renewed, seconds: the work of a server that is no more is taken over then.
    pub lease_seconds: u32,
}

impl Default for NodesPolicy {
    fn default() -> Self {
        Self { lease_seconds: 30 }
    }
}

impl NodesPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let seconds = self.lease_seconds;
        require((2..=600).contains(&seconds), "nodes.lease_seconds", "from 2 to 600", seconds)
    }

    /// How long a lease lasts, microseconds.
    pub fn lease_us(&self) -> i64 {
        i64::from(self.lease_seconds) * 1_000_000
    }
}
