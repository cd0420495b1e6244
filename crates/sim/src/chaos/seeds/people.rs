//! People who interfere, and programs that propose.

use serde_json::{Value, json};
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::improvement::{Improvement, ImprovementStatus, ImprovementType, ProposalSource};
use uplift_model::opportunity::OpportunityStatus;
use uplift_model::policy::{ImprovementConfig, Mode};
use uplift_runner::Engine;
use uplift_runner::control::{ControlError, OwnChange, Wish};
use uplift_runner::snapshot::defaults::{self, Owner};
use uplift_store::writes::NewImprovement;
use uplift_store::{OpportunityReads, StoreError, StoreResult, Write};

use super::Course;
use crate::chaos::script::{finding, own_change, proposal};
use crate::chaos::state::State;
use crate::chaos::world::sealed;

/// Settings that people try: in range, and out of it.
const SETTINGS: [&str; 12] = [
    r#"{"test_duration_hours": 1}"#,
    r#"{"max_concurrent_improvements": 1}"#,
    r#"{"max_concurrent_improvements": 2}"#,
    r#"{"cooldown_period": "1h"}"#,
    r#"{"cooldown_period": "0s"}"#,
    r#"{"improvement_batch_size": 1, "mode": "propose"}"#,
    r#"{"mode": "auto"}"#,
    r#"{"test_duration_hours": -1}"#,
    r#"{"rollback_threshold": 0.5}"#,
    r#"{"min_confidence_score": "very"}"#,
    r#"{"max_concurrent_improvements": 1e9, "improvement_batch_size": 0}"#,
    r#"{"no_such_setting": 1}"#,
];

impl Course {
    pub(super) async fn people(&mut self) -> StoreResult<()> {
        let Some(node) = self.running().first().copied() else { return Ok(()) };
        let engine = self.world.nodes[node].engine.clone();
        let state = self.world.state().await?;
        let which = self.dice.between(0, self.world.agents.len() as u64 - 1) as usize;
        let entity = self.world.agents[which].key;
        let busy = state.improvements.iter().any(|one| one.entity == entity && one.status.is_active());
        // What waits is looked at again and again: a long queue only costs time.
        if self.dice.chance(if busy { 0.04 } else { 0.4 }) {
            self.propose(&engine, entity).await?;
        }
        if self.dice.chance(0.25) {
            self.decide(&engine, &state).await;
        }
        if self.dice.chance(0.12) {
            self.meddle(&engine, entity, &state).await;
        }
        if self.dice.chance(0.1) {
            let patch = self.dice.pick(&SETTINGS);
            let value: Value = serde_json::from_str(patch).unwrap_or_default();
            let result = engine.configure(value).await.map(drop);
            self.told(patch, result);
        }
        if state.paused && self.dice.chance(0.4) {
            let result = engine.resume("ada".to_owned()).await.map(drop);
            self.told("resume", result);
        } else if self.dice.chance(0.02) {
            let back = self.dice.chance(0.5);
            let result = engine.pause(back, "ada".to_owned()).await.map(drop);
            self.told("pause", result);
        }
        Ok(())
    }

    /// Notes how an act ended. What people do may be refused; it may not find the store in a mess.
    fn told(&mut self, what: &str, result: Result<(), ControlError>) {
        match &result {
            Ok(()) => self.tally.acts += 1,
            Err(ControlError::Store(
                error @ (StoreError::Corrupt { .. } | StoreError::Engine { .. } | StoreError::Invalid { .. }),
            )) => self.world.seen.wrong.push(("I16", format!("{what}: {error}"))),
            Err(_) => self.tally.refusals += 1,
        }
        self.world.note(|| match result {
            Ok(()) => what.to_owned(),
            Err(error) => format!("{what}: {error}"),
        });
    }

    async fn propose(&mut self, engine: &Engine, entity: EntityKey) -> StoreResult<()> {
        self.serial += 1;
        let style = format!("{}-{}", self.dice.pick(&["good", "good", "bad", "same"]), self.serial);
        match self.dice.between(0, 9) {
            0..=4 => {
                let result = engine.propose_change(own_change(entity, &style)).await.map(drop);
                self.told(&format!("a person proposes {style} for {entity}"), result);
            }
            5 => {
                let change = OwnChange { proposed_by: ProposalSource::Llm, ..own_change(entity, &style) };
                let result = engine.propose_change(change).await.map(drop);
                self.told(&format!("a model proposes {style} for {entity}"), result);
            }
            6 => {
                let wish = Wish {
                    entity,
                    improvement_type: ImprovementType::InstructionUpdate,
                    description: format!("Make it {style}."),
                    asked_by: "ada".to_owned(),
                };
                let result = engine.trigger(wish).await.map(drop);
                self.told(&format!("a person wishes {style} for {entity}"), result);
            }
            _ => {
                let result = self.answer(engine, entity, &style).await;
                self.told(&format!("a rule proposes {style} for {entity}"), result.map_err(ControlError::from));
            }
        }
        Ok(())
    }

    /// A finding, and a rule's answer to it.
    async fn answer(&mut self, engine: &Engine, entity: EntityKey, style: &str) -> StoreResult<()> {
        let mut finding = finding(entity, self.world.now());
        finding.fingerprint = format!("script-{}", self.serial % 3);
        engine.commit(vec![Write::PutFinding { finding: Box::new(finding), quiet_since: None }]).await?;
        let claimable = self.world.inner.claimable(self.world.now(), 50).await?;
        let Some(id) = claimable.iter().find(|one| one.finding.entity == entity).map(|one| one.id) else {
            return Ok(());
        };
        let new = NewImprovement {
            entity,
            opportunity_id: Some(id),
            proposal: proposal(style, ProposalSource::Rule),
            status: ImprovementStatus::Proposed,
            process_due: Some(self.world.now()),
        };
        let writes = vec![Write::PutImprovement(Box::new(new)), Write::ClaimOpportunity { id }];
        engine.commit(writes).await.map(drop)
    }

    /// Somebody says yes or no to something, whether that makes sense or not.
    async fn decide(&mut self, engine: &Engine, state: &State) {
        let (by, reason) = ("ada".to_owned(), "because".to_owned());
        let waiting = |one: &&Improvement| one.status == ImprovementStatus::AwaitingApproval;
        if let Some(waiting) = state.improvements.iter().find(waiting) {
            let result = engine.approve(waiting.id, by.clone()).await.map(drop);
            self.told(&format!("approve {}", waiting.id), result);
        }
        if state.improvements.is_empty() || self.dice.chance(0.6) {
            return;
        }
        let last = state.improvements.len() as u64 - 1;
        let one = &state.improvements[self.dice.between(last.saturating_sub(5), last) as usize];
        let id = one.id;
        let (what, result) = match self.dice.between(0, 3) {
            0 if one.status == ImprovementStatus::NeedsProposal => {
                self.serial += 1;
                let change = own_change(one.entity, &format!("good-{}", self.serial));
                ("fill", engine.fill_proposal(id, change).await)
            }
            0 => ("approve", engine.approve(id, by).await),
            1 => ("reject", engine.reject(id, by, reason).await),
            2 => ("cancel", engine.cancel(id, by, reason).await),
            _ => ("roll back", engine.roll_back(id, by, reason).await),
        };
        self.told(&format!("{what} {id}"), result.map(drop));
    }

    /// Somebody changes something under the hands of the loop.
    async fn meddle(&mut self, engine: &Engine, entity: EntityKey, state: &State) {
        self.serial += 1;
        let retired = state.entities.iter().find(|one| one.state != EntityState::Active).map(|one| one.key);
        let (what, write) = match (self.dice.between(0, 6), retired) {
            (0..=2, Some(entity)) => {
                (format!("{entity} is active again"), Write::SetEntityState { entity, state: EntityState::Active })
            }
            (0, None) => {
                let state = self.dice.pick(&[EntityState::Archived, EntityState::Inactive, EntityState::Deprecated]);
                (format!("{entity} is {} now", state.as_str()), Write::SetEntityState { entity, state })
            }
            (1 | 2, None) => {
                let Ok(revision) = sealed(&format!("Set by hand, {}.", self.serial)) else { return };
                (format!("{entity} is set by hand"), Write::PointRevision { entity, revision: Box::new(revision) })
            }
            (3, _) => return self.new_defaults(engine, entity, state).await,
            (4, _) => {
                let open = state.opportunities.iter().find(|one| one.status == OpportunityStatus::InProgress);
                let Some(open) = open else { return };
                let result = engine.dismiss(open.id, "not now".to_owned()).await.map(drop);
                return self.told(&format!("dismiss {}", open.id), result.map_err(ControlError::from));
            }
            _ => {
                let mode = self.dice.pick(&[None, Some(Mode::Approve), Some(Mode::Observe), Some(Mode::Auto)]);
                let config = ImprovementConfig { mode, ..self.world.policy.entity.clone() };
                (format!("{entity} is in mode {mode:?}"), Write::SetEntityConfig { entity, config })
            }
        };
        let result = engine.commit(vec![write]).await.map(drop);
        self.told(&what, result.map_err(ControlError::from));
    }

    /// The code of an agent comes with another configuration.
    async fn new_defaults(&mut self, engine: &Engine, entity: EntityKey, state: &State) {
        let Some(name) = state.entity(entity).map(|entity| entity.name.clone()) else { return };
        let owner = Owner { environment: None, entity_type: entity.entity_type, id_or_name: name };
        let text = json!({"instruction": {"text": format!("From the code, {}.", self.serial / 4)}}).to_string();
        let result = defaults::settle(engine, owner, &text).await;
        self.world.note(|| format!("{entity} has new defaults: {result:?}"));
    }
}
