//! What reads about requests ask for.

use uplift_model::entity::EntityKey;

/// Which requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only of this agent.
    pub asker: Option<EntityKey>,
    /// Only for this opportunity.
    pub opportunity_id: Option<i64>,
    /// Only those whose answer is still to come.
    pub open: bool,
}
