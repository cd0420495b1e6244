//! What is done about a request at once: the agent's own change goes on record, and what is urgent and sure is proposed
//! for.

use uplift_cycle::detect::requests::Output;
use uplift_model::entity::Entity;
use uplift_model::improvement::{ImprovementStatus, Proposal, ProposalSource};
use uplift_model::opportunity::{Opportunity, OpportunityStatus};
use uplift_model::policy::Mode;
use uplift_model::request::NewRequest;
use uplift_model::trial::Comparison;
use uplift_store::rows::ImprovementFilter;
use uplift_store::writes::{NewImprovement, Write};
use uplift_store::{PageRequest, StoreError};

use super::{Asking, RequestError};
use crate::control::OwnChange;
use crate::engine::Engine;
use crate::load;
use crate::processes::claim::new_improvement;
use crate::proposing;

/// Most earlier improvements of an opportunity that are looked at.
const MOST_EARLIER: u32 = 50;

impl Engine {
    /// The change that an agent brings, or that a missed tool amounts to; none where nobody is to write proposals.
    pub(super) async fn own_change(
        &self,
        asking: &Asking,
        (asker, about): (&Entity, &Entity),
        judged: &Output,
    ) -> Result<Option<Proposal>, RequestError> {
        let brought = !asking.edits.is_empty();
        let edits = if brought { asking.edits.clone() } else { judged.edits.clone() };
        if edits.is_empty() {
            return Ok(None);
        }
        let rationale = if brought {
            format!("Written by agent `{}`, which asked for it.", asker.name)
        } else {
            format!("Agent `{}` asked for a tool that `{}` does not have.", asker.name, about.name)
        };
        let change = OwnChange {
            entity: about.key,
            improvement_type: Some(asking.improvement_type),
            edits,
            configuration: None,
            rationale,
            proposed_by: ProposalSource::Agent,
            proposer: asker.name.clone(),
            comparison: Comparison::Concurrent,
        };
        let proposal = self.drafted(change, None).await?;
        let mode = about.improvement_config.mode_for(ProposalSource::Agent, &self.policy().engine);
        Ok((mode > Mode::Observe).then_some(Proposal { confidence: judged.confidence, ..proposal }))
    }

    /// Puts a request on record, with what is done about it at once. Its number.
    pub(super) async fn take_up(
        &self,
        new: NewRequest,
        opportunity: &Opportunity,
        change: Option<Proposal>,
        starts: bool,
    ) -> Result<i64, RequestError> {
        let filter = ImprovementFilter { opportunity_id: Some(opportunity.id), ..ImprovementFilter::default() };
        let earlier = self.store().improvements(filter, PageRequest::first(MOST_EARLIER)).await?.items;
        let under_way = |status: ImprovementStatus| {
            !status.next().is_empty()
                && status != ImprovementStatus::Deployed
                && status != ImprovementStatus::NeedsProposal
        };
        let busy = opportunity.status != OpportunityStatus::Pending
            || earlier.iter().any(|improvement| under_way(improvement.status));
        let place = earlier.iter().find(|improvement| improvement.status == ImprovementStatus::NeedsProposal);
        match (change, place) {
            (Some(proposal), Some(place)) => {
                // What waited for somebody to propose something gets it from the agent.
                let change = OwnChange {
                    entity: new.about,
                    improvement_type: Some(proposal.improvement_type),
                    edits: proposal.edits,
                    configuration: None,
                    rationale: proposal.rationale,
                    proposed_by: proposal.proposed_by,
                    proposer: proposal.proposer,
                    comparison: proposal.comparison,
                };
                self.fill_proposal(place.id, change).await?;
                Ok(self.put_request(new, Vec::new()).await?)
            }
            (Some(proposal), None) if !busy => self.with_change(new, opportunity, proposal).await,
            (None, None) if !busy && starts => self.proposed_at_once(new, opportunity).await,
            _ => Ok(self.put_request(new, Vec::new()).await?),
        }
    }

    async fn with_change(
        &self,
        new: NewRequest,
        opportunity: &Opportunity,
        proposal: Proposal,
    ) -> Result<i64, RequestError> {
        let improvement = new_improvement(self, opportunity, Some(proposal));
        self.beside(NewRequest { brings_change: true, ..new }, opportunity, improvement, true).await
    }

    /// As the tick does with what it claims, without waiting for its turn.
    async fn proposed_at_once(&self, new: NewRequest, opportunity: &Opportunity) -> Result<i64, RequestError> {
        let about = load::entity(self, new.about).await?;
        let mode = about.improvement_config.mode_for(ProposalSource::Rule, &self.policy().engine);
        if mode == Mode::Observe {
            return Ok(self.put_request(new, Vec::new()).await?);
        }
        let best = proposing::proposals(self, opportunity).await?.into_iter().next();
        let found = best.is_some();
        let improvement = new_improvement(self, opportunity, best);
        self.beside(new, opportunity, improvement, found).await
    }

    /// Puts the request on record with an improvement that answers it; without it where somebody else was faster.
    async fn beside(
        &self,
        new: NewRequest,
        opportunity: &Opportunity,
        improvement: NewImprovement,
        claims: bool,
    ) -> Result<i64, RequestError> {
        let mut writes = vec![Write::PutImprovement(Box::new(improvement))];
        if claims {
            writes.push(Write::ClaimOpportunity { id: opportunity.id });
        }
        match self.put_request(new.clone(), writes).await {
            Err(StoreError::NotOpen { .. } | StoreError::VersionConflict { .. }) => {
                Ok(self.put_request(NewRequest { brings_change: false, ..new }, Vec::new()).await?)
            }
            result => Ok(result?),
        }
    }
}
