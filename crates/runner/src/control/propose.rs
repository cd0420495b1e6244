//! Changes that people write or wish for.

use uplift_model::difference::{between, type_of};
use uplift_model::edit::{apply, check_type};
use uplift_model::entity::EntityKey;
use uplift_model::improvement::{Improvement, ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::opportunity::{
    Evidence, Finding, Impact, Opportunity, OpportunityKind, OpportunitySource, OpportunityStatus,
};
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::revision::RevisionId;
use uplift_model::trial::unit_key;
use uplift_store::PageRequest;
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::{ImprovementFilter, OpportunityFilter};
use uplift_store::writes::{ASKED_TYPE, ImprovementChange, NewImprovement, Write};

use super::{ControlError, OwnChange, Triggered, Wish, checked_text, wrong};
use crate::engine::Engine;
use crate::processes::claim::new_improvement;
use crate::processes::ending::load_revision;
use crate::processes::improve::VALIDATE;
use crate::processes::subject;
use crate::proposing;

impl Engine {
    /// Puts a person's own change on record and starts its process.
    ///
    /// # Errors
    /// When the entity has no configuration to change, or the change cannot be applied to it.
    pub async fn propose_change(&self, change: OwnChange) -> Result<Improvement, ControlError> {
        let entity = change.entity;
        let proposal = self.drafted(change, None).await?;
        let new = NewImprovement {
            entity,
            opportunity_id: None,
            proposal,
            status: ImprovementStatus::Proposed,
            process_due: Some(self.now()),
        };
        let receipt = self.commit(vec![Write::PutImprovement(Box::new(new))]).await?;
        self.first_of(&receipt.improvements).await
    }

    /// Fills an improvement that waits for a proposal, and starts its process. The change has to be of its entity.
    ///
    /// # Errors
    /// When there is no such improvement, it does not wait for a proposal, its opportunity was closed, or the change
    /// cannot be applied.
    pub async fn fill_proposal(&self, id: i64, change: OwnChange) -> Result<Improvement, ControlError> {
        let improvement = self.store().improvement(id).await?;
        if improvement.status != ImprovementStatus::NeedsProposal {
            let remedy = "only what waits for a proposal can be filled: propose a change of its own";
            return Err(wrong(&improvement, "filled", remedy));
        }
        if improvement.entity != change.entity {
            let reason = format!("improvement {id} is about {}, not about {}", improvement.entity, change.entity);
            return Err(ControlError::Invalid { reason });
        }
        let proposal = self.drafted(change, Some(improvement.proposal.improvement_type)).await?;
        let filled = ImprovementChange {
            status: Some(ImprovementStatus::Proposed),
            proposal: Some(Box::new(proposal)),
            ..ImprovementChange::default()
        };
        let mut writes = vec![
            Write::ChangeImprovement { id, expected_version: improvement.version, change: Box::new(filled) },
            Write::StartProcess {
                name: IMPROVEMENT_PROCESS.to_owned(),
                subject: subject(id),
                state: VALIDATE.to_owned(),
                wake_at: self.now(),
            },
        ];
        if let Some(id) = improvement.opportunity_id
            && self.store().opportunity(id).await?.status != OpportunityStatus::InProgress
        {
            // One that was closed is refused by the store: what nobody wants any more is not tried.
            writes.push(Write::ClaimOpportunity { id });
        }
        self.commit(writes).await?;
        Ok(self.store().improvement(id).await?)
    }

    /// The proposal that a change makes on the revision in place. `asked` is the type that somebody asked for, which it
    /// is of where it can be and says nothing else.
    pub(crate) async fn drafted(
        &self,
        change: OwnChange,
        asked: Option<ImprovementType>,
    ) -> Result<Proposal, ControlError> {
        let rationale = checked_text("rationale", &change.rationale)?;
        let entity = self.entity_of(change.entity).await?;
        let Some(in_place) = &entity.revision else {
            return Err(ControlError::Invalid {
                reason: format!(
                    "{} `{}` has no configuration yet: declare one, or let it resolve once with its defaults",
                    entity.key.entity_type, entity.name
                ),
            });
        };
        let base = load_revision(self, &RevisionId::from_stored(in_place.clone())).await?;
        let edits = match (change.configuration, change.edits) {
            (Some(_), edits) if !edits.is_empty() => {
                return Err(ControlError::Invalid { reason: "give edits or a configuration, not both".to_owned() });
            }
            (Some(configuration), _) => between(base.configuration(), &configuration)
                .map_err(|error| ControlError::Invalid { reason: error.to_string() })?,
            (None, edits) => edits,
        };
        apply(&base, &edits)?;
        let asked = asked.filter(|asked| check_type(*asked, &edits).is_ok());
        let improvement_type = match change.improvement_type.or(asked) {
            Some(wanted) => wanted,
            None => type_of(&edits)
                .or_else(|| edits.first().and_then(|first| type_of(std::slice::from_ref(first))))
                .unwrap_or(ImprovementType::InstructionUpdate),
        };
        if change.proposed_by != ProposalSource::Operator || change.improvement_type.is_some() {
            check_type(improvement_type, &edits)?;
        }
        Ok(Proposal {
            improvement_type,
            proposed_by: change.proposed_by,
            proposer: checked_text("proposer", &change.proposer)?,
            edits,
            processes: Vec::new(),
            expected_impact: "to be measured".to_owned(),
            expected_gain: 0.0,
            confidence: 1.0,
            rationale,
            comparison: change.comparison,
        })
    }

    /// Makes an opportunity of what a person wants, and improvements of what proposers make of it.
    ///
    /// # Errors
    /// When the entity is unknown, or the text is empty or too long.
    pub async fn trigger(&self, wish: Wish) -> Result<Triggered, ControlError> {
        let description = checked_text("description", &wish.description)?;
        if description.is_empty() {
            return Err(ControlError::Invalid { reason: "`description` must say what should change".to_owned() });
        }
        let now = self.now();
        let fingerprint = format!("{}:{:016x}", wish.improvement_type, unit_key(&description));
        let mut evidence = Evidence { rule: "trigger_improvement".to_owned(), count: 1, ..Evidence::default() };
        evidence.labels.insert(ASKED_TYPE.to_owned(), wish.improvement_type.to_string());
        evidence.labels.insert("asked_by".to_owned(), checked_text("asked_by", &wish.asked_by)?);
        let finding = Finding {
            entity: wish.entity,
            kind: OpportunityKind::Request,
            fingerprint: fingerprint.clone(),
            source: OpportunitySource::Operator,
            description,
            confidence: 1.0,
            impact: Impact::from_share(0.0, "not known before it is tried"),
            evidence,
            last_seen_at: now,
        };
        let _alone = self.claims().await;
        self.commit(vec![Write::PutFinding { finding: Box::new(finding), quiet_since: None }]).await?;
        let opportunity = self.request(wish.entity, &fingerprint).await?;
        let filter = ImprovementFilter { opportunity_id: Some(opportunity.id), ..ImprovementFilter::default() };
        let earlier = self.store().improvements(filter, PageRequest::first(20)).await?.items;
        let open: Vec<Improvement> = earlier.into_iter().filter(|one| !one.status.next().is_empty()).collect();
        if !open.is_empty() {
            return Ok(Triggered { opportunity, improvements: open });
        }
        let best = proposing::proposals(self, &opportunity).await?.into_iter().next();
        let new = new_improvement(self, &opportunity, best);
        let writes = vec![Write::PutImprovement(Box::new(new)), Write::ClaimOpportunity { id: opportunity.id }];
        let receipt = self.commit(writes).await?;
        let improvement = self.first_of(&receipt.improvements).await?;
        let opportunity = self.store().opportunity(opportunity.id).await?;
        Ok(Triggered { opportunity, improvements: vec![improvement] })
    }

    async fn request(&self, entity: EntityKey, fingerprint: &str) -> Result<Opportunity, ControlError> {
        let filter = OpportunityFilter {
            entity: Some(entity),
            kind: Some(OpportunityKind::Request),
            status: vec![OpportunityStatus::Pending, OpportunityStatus::InProgress],
            ..OpportunityFilter::default()
        };
        let open = self.store().opportunities(filter, PageRequest::first(MAX_PAGE)).await?;
        let found = open.items.into_iter().find(|one| one.finding.fingerprint == fingerprint);
        found.ok_or_else(|| ControlError::Invalid {
            reason: format!("more than {MAX_PAGE} requests are open for {entity}: dismiss some of them first"),
        })
    }
}
