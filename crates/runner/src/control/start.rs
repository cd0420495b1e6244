//! Starting on an opportunity by hand, without waiting for it to be claimed.

use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::opportunity::{Opportunity, OpportunityStatus};
use uplift_store::rows::ImprovementFilter;
use uplift_store::{PageRequest, StoreError, Write};

use super::{ControlError, Triggered};
use crate::engine::Engine;
use crate::processes::claim::new_improvement;
use crate::proposing;

/// Most improvements of an opportunity that are looked at.
const MAX_EARLIER: u32 = 20;

impl Engine {
    /// Makes an improvement of a pending opportunity at once, whatever the mode and however sure it is: the best proposal
    /// there is, or a place for one. Where an improvement of it is open already, that is the answer.
    ///
    /// # Errors
    /// When there is no such opportunity, or it is not pending.
    pub async fn start(&self, opportunity_id: i64) -> Result<Triggered, ControlError> {
        let _alone = self.claims().await;
        let opportunity = self.store().opportunity(opportunity_id).await?;
        match self.open_for(&opportunity).await? {
            open if !open.is_empty() => Ok(Triggered { opportunity, improvements: open }),
            _ if opportunity.status != OpportunityStatus::Pending => {
                Err(StoreError::NotOpen { id: opportunity.id, status: opportunity.status }.into())
            }
            _ => self.begin(&opportunity).await,
        }
    }

    /// Improvements that answer an opportunity and have not ended. One that was kept answered it as it was then.
    async fn open_for(&self, opportunity: &Opportunity) -> Result<Vec<Improvement>, ControlError> {
        let filter = ImprovementFilter { opportunity_id: Some(opportunity.id), ..ImprovementFilter::default() };
        let earlier = self.store().improvements(filter, PageRequest::first(MAX_EARLIER)).await?.items;
        let open = |one: &Improvement| one.status != ImprovementStatus::Deployed && !one.status.next().is_empty();
        Ok(earlier.into_iter().filter(open).collect())
    }

    async fn begin(&self, opportunity: &Opportunity) -> Result<Triggered, ControlError> {
        let best = proposing::proposals(self, opportunity).await?.into_iter().next();
        let new = new_improvement(self, opportunity, best);
        let writes = vec![Write::PutImprovement(Box::new(new)), Write::ClaimOpportunity { id: opportunity.id }];
        let receipt = self.commit(writes).await?;
        let improvement = self.first_of(&receipt.improvements).await?;
        let opportunity = self.store().opportunity(opportunity.id).await?;
        Ok(Triggered { opportunity, improvements: vec![improvement] })
    }
}
