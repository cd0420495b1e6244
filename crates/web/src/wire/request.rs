//! What agents ask for, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uplift_model::Time;
use uplift_model::request::{Answer as ModelAnswer, CheckedItem, ImprovementRequest};
use uplift_runner::requests::Asked as ModelAsked;
use utoipa::ToSchema;

use super::improvement::Decided;

/// What an agent asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestBody {
    /// Who asks: an agent's name or id. May be left out by a token that stands for one agent only.
    pub(crate) agent: Option<String>,
    /// The agent's environment, for a name that is in several.
    pub(crate) environment: Option<String>,
    /// Another agent that is to be improved, as `name` or `environment:name`: for the optimizer, planning and recovery
    /// agents only.
    pub(crate) about: Option<String>,
    /// One of the six types.
    pub(crate) improvement_type: String,
    /// What should change; at most 2000 characters.
    pub(crate) description: String,
    /// Why; at most 4000 characters.
    pub(crate) rationale: String,
    /// What shows it: `failed_tasks` and `tasks` (lists of ids), `events` (objects with `trace_id` and `id`), `tool` (one
    /// that is missed), and anything else; at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub(crate) evidence: Option<Value>,
    /// `low`, `medium` (also where it is missing) or `high`.
    pub(crate) priority: Option<String>,
    /// A change of the agent's own, such as `{"edit": "append_guideline", "text": "..."}`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) edits: Option<Vec<Value>>,
}

/// One thing that an agent said, and what was found of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checked {
    /// `failed_task`, `task`, `event`, `tool`, `time_wasted` or `other`.
    claim: String,
    /// Of what, as the agent gave it.
    subject: String,
    /// `confirmed`, `wrong` or `unchecked`.
    found: &'static str,
    /// In a sentence.
    detail: String,
}

/// What a request became.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Asked {
    /// Its number.
    request_id: i64,
    /// How far it has come.
    status: &'static str,
    /// How much weight it has, from 0 to 1.
    confidence: f64,
    /// The opportunity that it opened or joined.
    opportunity_id: i64,
    /// The improvement that answers it, if there is one.
    improvement_id: Option<i64>,
    /// What was found of what the agent said.
    evidence: Vec<Checked>,
    /// What happens next.
    message: String,
}

/// A request on record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Request {
    /// Its number.
    request_id: i64,
    /// Who asked.
    agent: String,
    /// Their environment.
    environment: String,
    /// What is to be improved.
    about: String,
    /// One of the six types.
    improvement_type: &'static str,
    /// What should change, in the agent's words.
    description: String,
    /// Why, in the agent's words.
    rationale: String,
    /// What was found of what the agent said.
    evidence: Vec<Checked>,
    /// `low`, `medium` or `high`.
    priority: &'static str,
    /// How much weight it had, from 0 to 1.
    confidence: f64,
    /// The opportunity.
    opportunity_id: i64,
    /// The improvement that answers it, if there is one.
    improvement_id: Option<i64>,
    /// `pending`, `in_progress`, `completed` or `dismissed` as its opportunity; or as its improvement: `needs_proposal`,
    /// `proposed`, `awaiting_approval`, `queued`, `validated`, `testing`, `deployed`, `rolled_back`, `rejected`,
    /// `cancelled`.
    status: &'static str,
    /// Under which name it was asked.
    asked_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The decision, once there is one. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Decided>,
}

/// A request was answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer {
    /// The request.
    request_id: i64,
    /// Who asked.
    agent: String,
    /// Their environment.
    environment: String,
    /// The improvement that was decided.
    improvement_id: i64,
    /// `kept`, `rolled_back`, `inconclusive`, `rejected` or `cancelled`.
    outcome: &'static str,
    /// How much better, from -1 to 1, where that was measured.
    effectiveness: Option<f64>,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    decided_at: Time,
}

impl From<CheckedItem> for Checked {
    fn from(item: CheckedItem) -> Self {
        Self { claim: item.claim, subject: item.subject, found: item.found.as_str(), detail: item.detail }
    }
}

impl From<ModelAsked> for Asked {
    fn from(asked: ModelAsked) -> Self {
        let request = asked.request;
        Self {
            request_id: request.id,
            status: request.status.as_str(),
            confidence: request.confidence,
            opportunity_id: request.opportunity_id,
            improvement_id: request.improvement_id,
            evidence: request.checked.into_iter().map(Into::into).collect(),
            message: asked.message,
        }
    }
}

impl From<ImprovementRequest> for Request {
    fn from(request: ImprovementRequest) -> Self {
        Self {
            request_id: request.id,
            agent: request.asker_name,
            environment: request.environment,
            about: request.about_name,
            improvement_type: request.improvement_type.as_str(),
            description: request.description,
            rationale: request.rationale,
            evidence: request.checked.into_iter().map(Into::into).collect(),
            priority: request.priority.as_str(),
            confidence: request.confidence,
            opportunity_id: request.opportunity_id,
            improvement_id: request.improvement_id,
            status: request.status.as_str(),
            asked_by: request.asked_by,
            at: request.at,
            verdict: None,
        }
    }
}

impl Request {
    /// With the decision, where there is one.
    pub(crate) fn with(self, verdict: Option<Decided>) -> Self {
        Self { verdict, ..self }
    }
}

impl From<ModelAnswer> for Answer {
    fn from(answer: ModelAnswer) -> Self {
        Self {
            request_id: answer.request_id,
            agent: answer.asker_name,
            environment: answer.environment,
            improvement_id: answer.improvement_id,
            outcome: answer.outcome.as_str(),
            effectiveness: answer.effectiveness,
            decided_at: answer.at,
        }
    }
}
