//! What agents that improve others do: propose changes, and order the work.

use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::opportunity::OpportunityStatus;
use uplift_store::rows::ImprovementFilter;
use uplift_store::writes::Write;
use uplift_store::writes::requests::RequestWrite;
use uplift_store::{PageRequest, StoreError};

use crate::control::{ControlError, OwnChange};
use crate::engine::Engine;
use crate::processes::claim::new_improvement;

/// Most earlier improvements of an opportunity that are looked at.
const MOST_EARLIER: u32 = 50;
/// Most opportunities that are put in order.
pub const MAX_ORDER: usize = 100;

impl Engine {
    /// Puts a change on record that answers an opportunity: in the place that waits for one, else as a new improvement.
    ///
    /// # Errors
    /// When there is no such opportunity, it is closed or being worked on, or the change cannot be applied.
    pub async fn propose_for(&self, opportunity: i64, change: OwnChange) -> Result<Improvement, ControlError> {
        let _alone = self.claims().await;
        let opportunity = self.store().opportunity(opportunity).await?;
        if opportunity.finding.entity != change.entity {
            let reason = format!("opportunity {} is not about {}", opportunity.id, change.entity);
            return Err(ControlError::Invalid { reason });
        }
        let filter = ImprovementFilter { opportunity_id: Some(opportunity.id), ..ImprovementFilter::default() };
        let earlier = self.store().improvements(filter, PageRequest::first(MOST_EARLIER)).await?.items;
        if let Some(place) = earlier.iter().find(|one| one.status == ImprovementStatus::NeedsProposal) {
            return self.fill_proposal(place.id, change).await;
        }
        if opportunity.status != OpportunityStatus::Pending {
            return Err(StoreError::NotOpen { id: opportunity.id, status: opportunity.status }.into());
        }
        let asked = Some(opportunity.improvement_type);
        let proposal = self.drafted(change, asked).await?;
        let new = new_improvement(self, &opportunity, Some(proposal));
        let writes = vec![Write::PutImprovement(Box::new(new)), Write::ClaimOpportunity { id: opportunity.id }];
        let receipt = self.commit(writes).await?;
        let id = receipt.improvements.first().copied().unwrap_or_default();
        Ok(self.store().improvement(id).await?)
    }

    /// Puts open opportunities in the order in which they are to be worked on, before all others.
    ///
    /// # Errors
    /// When one of them is not open, is named twice, or there are too many.
    pub async fn order_backlog(&self, order: Vec<i64>) -> Result<(), ControlError> {
        let mut seen = std::collections::BTreeSet::new();
        if order.len() > MAX_ORDER || !order.iter().all(|id| seen.insert(*id)) {
            let reason = format!("name at most {MAX_ORDER} opportunities, each once");
            return Err(ControlError::Invalid { reason });
        }
        self.commit(vec![Write::Requests(RequestWrite::Plan { order })]).await?;
        Ok(())
    }
}
