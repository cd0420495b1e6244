//! What agents may ask for.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};
use crate::access::Bound;

/// What agents may ask for. The optimizer, planning and recovery agents that come with Uplift may always ask, and so may
/// agents that have the tool `request_improvement` in their configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestsPolicy {
    /// Who else may ask, such as `agent/researcher` or `production:agent/*`.
    pub agents: Vec<Bound>,
    /// Requests that one agent may make in an hour.
    pub per_hour: u32,
    /// Requests that one agent may make in a day.
    pub per_day: u32,
    /// Requests of one agent that may wait for their answer at the same time.
    pub max_open: u32,
}

impl Default for RequestsPolicy {
    fn default() -> Self {
        Self { agents: Vec::new(), per_hour: 6, per_day: 20, max_open: 10 }
    }
}

/// Most entries of the list of agents that may ask.
const MAX_AGENTS: usize = 1_000;

impl RequestsPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let listed = self.agents.len();
        require(listed <= MAX_AGENTS, "requests.agents", "a list of at most 1000", listed)?;
        let range = 1..=100_000;
        require(range.contains(&self.per_hour), "requests.per_hour", "from 1 to 100000", self.per_hour)?;
        require(range.contains(&self.per_day), "requests.per_day", "from 1 to 100000", self.per_day)?;
        require(range.contains(&self.max_open), "requests.max_open", "from 1 to 100000", self.max_open)
    }
}
