//! What agents ask for: who may, how often, what of it the records bear out, and what is done at once.
//!
//! In reading order: [`Asking`] and [`RequestError`], `looking` (what the step looks at), `starting` (what is done about
//! it), [`answers`] (how whoever asked hears of the verdict).

pub mod answers;
mod looking;
pub mod proposing;
mod starting;

use serde_json::Value;
use uplift_cycle::detect::requests::{Named, judge};
use uplift_cycle::validate::BUILT_IN_ENVIRONMENT;
use uplift_model::edit::Edit;
use uplift_model::entity::{Entity, EntityKey, EntityType};
use uplift_model::improvement::{ImprovementType, ProposalSource};
use uplift_model::opportunity::{ImpactLevel, Opportunity};
use uplift_model::policy::{Mode, RequestsPolicy};
use uplift_model::request::{
    AskingRecord, ImprovementRequest, MAX_DESCRIPTION_CHARS, MAX_EVIDENCE_BYTES, MAX_RATIONALE_CHARS, NewRequest,
    RequestStatus, TOOL,
};
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_model::{Policy, Time};
use uplift_store::rows::HistoryRow;
use uplift_store::writes::Write;
use uplift_store::writes::requests::RequestWrite;
use uplift_store::{StoreError, StoreResult};

use self::looking::Looked;
use crate::control::{ControlError, checked_text};
use crate::engine::Engine;
use crate::load;

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// Who asks.
    pub asker: EntityKey,
    /// What is to be improved; for agents of a fleet, themselves.
    pub about: EntityKey,
    /// The type of improvement that is asked for.
    pub improvement_type: ImprovementType,
    /// What should change, in the agent's words.
    pub description: String,
    /// Why, in the agent's words.
    pub rationale: String,
    /// What shows it: a JSON object.
    pub evidence: Value,
    /// How urgent the agent says it is.
    pub priority: ImpactLevel,
    /// A change of its own, if it brings one.
    pub edits: Vec<Edit>,
    /// Under which name it is asked.
    pub asked_by: String,
}

/// What a request became.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The request as it is on record.
    pub request: ImprovementRequest,
    /// What happens next, in a sentence or two.
    pub message: String,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// As actions of people.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The agent is not one of those that may ask.
    #[error(
        "agent `{agent}` may not ask for improvements here: list it under requests.agents in the configuration, or give \
         it the tool {TOOL}"
    )]
    NotAllowed {
        /// The agent.
        agent: String,
    },
    /// Agents of the fleet ask for themselves.
    #[error("agent `{agent}` asks for itself only: leave out `about`")]
    NotForOthers {
        /// The agent.
        agent: String,
    },
    /// It asks too often.
    #[error("agent `{agent}` has made {made} requests in the last {span}, and {most} are taken")]
    TooOften {
        /// The agent.
        agent: String,
        /// How many it has made.
        made: u64,
        /// In which time.
        span: &'static str,
        /// How many are taken.
        most: u32,
        /// When to try again, seconds.
        retry_after_s: u64,
    },
    /// Too many of its requests wait for an answer.
    #[error("{open} requests of agent `{agent}` wait for their answer, and at most {most} may")]
    TooManyOpen {
        /// The agent.
        agent: String,
        /// How many wait.
        open: u64,
        /// How many may.
        most: u32,
    },
    /// An operator has set the same aside.
    #[error("the same was asked for and set aside by an operator not long ago: it is not taken up again for now")]
    SetAside,
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Control(error.into())
    }
}

impl Engine {
    /// Takes a request of an agent: checks what it says, opens or joins an opportunity, and starts at once what is
    /// urgent and sure, or what the agent has written itself.
    ///
    /// # Errors
    /// When the agent may not ask, asks too often, or says what cannot be read; nothing is on record then.
    pub async fn request_improvement(&self, asking: Asking) -> Result<Asked, RequestError> {
        let asking = checked(asking)?;
        let (asker, about) = self.parties(&asking).await?;
        self.may_ask(&asker).await?;
        // One at a time: what the limits count, and what is the same, must not change in between.
        let _alone = self.claims().await;
        let record = self.store().asking_record(asker.key, self.now()).await?;
        within_limits(&asker.name, record, &self.policy().requests, self.now())?;
        let named = Named::of(&asking.evidence);
        let looked = Looked::at(self, &asking, &about, &named).await?;
        let judged = judge(&looked.input(self, &asking, (&asker, &about), &named, record));
        // What cannot be applied is refused before anything is on record.
        let change = self.own_change(&asking, (&asker, &about), &judged).await?;
        let opportunity = self.put_finding(&about, judged.finding).await?;
        let new = NewRequest {
            asker: asker.key,
            about: about.key,
            improvement_type: asking.improvement_type,
            description: asking.description,
            rationale: asking.rationale,
            evidence: asking.evidence,
            checked: judged.checked,
            priority: asking.priority,
            confidence: judged.confidence,
            opportunity_id: opportunity.id,
            brings_change: false,
            asked_by: asking.asked_by,
        };
        let id = self.take_up(new, &opportunity, change, judged.starts).await?;
        let request = self.store().request(id).await?;
        let message = message(&request, &opportunity, &about, &self.policy());
        Ok(Asked { request, message })
    }

    /// The decision about a request, if there is one: the last word on its improvement.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verdict_of(&self, request: &ImprovementRequest) -> StoreResult<Option<HistoryRow>> {
        let Some(id) = request.improvement_id else { return Ok(None) };
        Ok(self.store().history_of(id).await?.pop())
    }

    async fn parties(&self, asking: &Asking) -> Result<(Entity, Entity), RequestError> {
        let asker = load::entity(self, asking.asker).await?;
        if asker.key.entity_type != EntityType::Agent {
            let reason = format!("only agents ask for improvements, and {} is none", asker.key);
            return Err(ControlError::Invalid { reason }.into());
        }
        if asking.about == asking.asker {
            return Ok((asker.clone(), asker));
        }
        if asker.environment != BUILT_IN_ENVIRONMENT {
            return Err(RequestError::NotForOthers { agent: asker.name });
        }
        Ok((asker, load::entity(self, asking.about).await?))
    }

    async fn may_ask(&self, asker: &Entity) -> Result<(), RequestError> {
        let policy = self.policy();
        let listed = |bound: &uplift_model::access::Bound| {
            bound.covers(&asker.environment, asker.key.entity_type, &asker.name)
        };
        if asker.environment == BUILT_IN_ENVIRONMENT || policy.requests.agents.iter().any(listed) {
            return Ok(());
        }
        let configuration = looking::configuration(self, asker).await?;
        if configuration.is_some_and(|configuration| configuration.tools.iter().any(|tool| tool.name == TOOL)) {
            return Ok(());
        }
        Err(RequestError::NotAllowed { agent: asker.name.clone() })
    }

    /// Opens the opportunity, or brings the open one up to date.
    async fn put_finding(&self, about: &Entity, finding: uplift_model::Finding) -> Result<Opportunity, RequestError> {
        let quiet_us = i64::from(self.policy().detection.dismissed_quiet_days) * MICROS_PER_DAY;
        let fingerprint = finding.fingerprint.clone();
        let quiet_since = Some(self.now().plus_micros(-quiet_us));
        self.commit(vec![Write::PutFinding { finding: Box::new(finding), quiet_since }]).await?;
        looking::open(self, about.key, &fingerprint).await?.ok_or(RequestError::SetAside)
    }

    async fn put_request(&self, new: NewRequest, mut before: Vec<Write>) -> StoreResult<i64> {
        before.push(Write::Requests(RequestWrite::Put(Box::new(new))));
        let receipt = self.commit(before).await?;
        receipt.recorded.last().copied().ok_or_else(|| StoreError::Engine {
            context: "putting a request on record",
            reason: "it has no number".to_owned(),
        })
    }
}

/// The same with its texts within their bounds.
fn checked(mut asking: Asking) -> Result<Asking, RequestError> {
    let invalid = |reason: String| RequestError::Control(ControlError::Invalid { reason });
    for (name, text, most) in [
        ("description", &mut asking.description, MAX_DESCRIPTION_CHARS),
        ("rationale", &mut asking.rationale, MAX_RATIONALE_CHARS),
    ] {
        *text = checked_text(name, text)?;
        let length = text.chars().count();
        if length == 0 || length > most {
            return Err(invalid(format!("`{name}` has {length} characters; from 1 to {most} are taken")));
        }
    }
    let bytes = asking.evidence.to_string().len();
    if !asking.evidence.is_object() || bytes > MAX_EVIDENCE_BYTES {
        let detail = format!("`evidence` must be a JSON object of at most {MAX_EVIDENCE_BYTES} bytes");
        return Err(invalid(detail));
    }
    Ok(asking)
}

fn within_limits(agent: &str, record: AskingRecord, policy: &RequestsPolicy, now: Time) -> Result<(), RequestError> {
    for (made, first, most, span, span_us) in [
        (record.in_hour, record.first_in_hour, policy.per_hour, "hour", MICROS_PER_HOUR),
        (record.in_day, record.first_in_day, policy.per_day, "day", MICROS_PER_DAY),
    ] {
        if made >= u64::from(most) {
            let free_us = first.map_or(span_us, |first| first.plus_micros(span_us).micros() - now.micros());
            let retry_after_s = u64::try_from(free_us / 1_000_000).unwrap_or_default() + 1;
            return Err(RequestError::TooOften { agent: agent.to_owned(), made, span, most, retry_after_s });
        }
    }
    if record.open >= u64::from(policy.max_open) {
        let (open, most) = (record.open, policy.max_open);
        return Err(RequestError::TooManyOpen { agent: agent.to_owned(), open, most });
    }
    Ok(())
}

/// What happens next.
fn message(request: &ImprovementRequest, opportunity: &Opportunity, about: &Entity, policy: &Policy) -> String {
    let least = about.improvement_config.min_confidence(&policy.engine);
    let mode = about.improvement_config.mode_for(ProposalSource::Rule, &policy.engine);
    let times = opportunity.finding.evidence.count;
    let joined = if times > 1 {
        format!(
            "It joins what was asked for {} before. ",
            if times == 2 { "once".to_owned() } else { format!("{} times", times - 1) }
        )
    } else {
        String::new()
    };
    let next = match request.status {
        RequestStatus::Pending if mode == Mode::Observe => {
            "This entity is only observed: it waits for an operator.".to_owned()
        }
        RequestStatus::Pending if opportunity.finding.confidence < least => format!(
            "Its confidence of {:.2} is below the {least:.2} from which on something is done by itself: name failed tasks \
             that show it, or wait for an operator.",
            opportunity.finding.confidence
        ),
        RequestStatus::Pending => "It is taken up when its turn comes.".to_owned(),
        RequestStatus::NeedsProposal => {
            "No rule can turn it into a change: it waits until somebody proposes one.".to_owned()
        }
        RequestStatus::Proposed | RequestStatus::Queued | RequestStatus::Validated => {
            "A change is written and being checked; ask for its status later.".to_owned()
        }
        RequestStatus::AwaitingApproval => "A change is written; an operator has to say yes.".to_owned(),
        RequestStatus::Testing => "A change is being tried already.".to_owned(),
        _ => "It is being worked on.".to_owned(),
    };
    format!("{joined}{next}")
}
