//! What the optimizer, planning and recovery agents do: look at what could be better, propose changes, order the work.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use uplift_cycle::validate::BUILT_IN_ENVIRONMENT;
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::{Improvement, ProposalSource};
use uplift_model::opportunity::{Opportunity, OpportunityStatus};
use uplift_model::revision::RevisionId;
use uplift_model::trial::Comparison;
use uplift_runner::control::OwnChange;
use uplift_store::PageRequest;
use uplift_store::rows::{EntitySelector, ImprovementFilter, OpportunityFilter};

use super::calls::unwrapped;
use super::seat::{Client, Seat};
use crate::api::{actions, requests};
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// Opportunities that are listed, at most and where nobody says.
const MOST_LISTED: u32 = 20;
const USUALLY_LISTED: u32 = 10;
/// Decisions that are looked through for harm.
const MOST_DECISIONS: u32 = 500;
/// Earlier improvements of an opportunity that are told.
const MOST_TRIED: u32 = 5;
/// Requests for an opportunity that are told.
const MOST_ASKED: u32 = 5;
/// Longest rationale, characters.
const MAX_RATIONALE_CHARS: usize = 4_000;

/// Which opportunities.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    of: Option<String>,
    limit: Option<u32>,
}

/// Lists what is open.
pub(super) async fn list(state: &AppState, client: &Client, arguments: ListArguments) -> Result<Value, WebError> {
    let limit = arguments.limit.unwrap_or(USUALLY_LISTED).clamp(1, MOST_LISTED);
    let entity = match &arguments.of {
        Some(name) => Some(requests::named(state, name).await?.key),
        None => None,
    };
    let found = if client.seat == Seat::Recovery {
        let mut harmed = harmed(state).await?;
        harmed.retain(|opportunity| entity.is_none_or(|entity| opportunity.finding.entity == entity));
        harmed.truncate(limit as usize);
        harmed
    } else {
        let status = vec![OpportunityStatus::Pending, OpportunityStatus::InProgress];
        let filter = OpportunityFilter { entity, status, ..OpportunityFilter::default() };
        state.engine.store().opportunities(filter, PageRequest::first(limit)).await?.items
    };
    Ok(json!({ "opportunities": found.iter().map(line).collect::<Vec<_>>() }))
}

/// Open opportunities whose last decided improvement was taken back for harm, the latest first.
async fn harmed(state: &AppState) -> Result<Vec<Opportunity>, WebError> {
    let store = state.engine.store();
    let decided = store.history(None, PageRequest::first(MOST_DECISIONS)).await?.items;
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for row in decided {
        let Some(id) = store.improvement(row.improvement_id).await?.opportunity_id else { continue };
        if !seen.insert(id) || row.outcome != HistoryOutcome::RolledBack.as_str() {
            continue;
        }
        let opportunity = store.opportunity(id).await?;
        if opportunity.status == OpportunityStatus::Pending {
            found.push(opportunity);
        }
        if found.len() >= MOST_LISTED as usize {
            break;
        }
    }
    Ok(found)
}

fn line(opportunity: &Opportunity) -> Value {
    let finding = &opportunity.finding;
    json!({
        "opportunity_id": opportunity.id, "entity": format!("{}/{}", finding.entity.entity_type, opportunity.entity_name),
        "environment": opportunity.environment, "kind": finding.kind, "impact": finding.impact.level,
        "confidence": finding.confidence, "status": opportunity.status, "suggested_type": opportunity.improvement_type,
        "description": finding.description,
    })
}

/// One opportunity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceArguments {
    opportunity_id: i64,
}

/// Everything that a proposal can rest on.
pub(super) async fn evidence(state: &AppState, arguments: EvidenceArguments) -> Result<Value, WebError> {
    let store = state.engine.store();
    let opportunity = store.opportunity(arguments.opportunity_id).await?;
    let mut told = line(&opportunity);
    told["evidence"] = serde_json::to_value(&opportunity.finding.evidence).unwrap_or_default();
    told["expected_gain"] = opportunity.finding.impact.expected_gain.clone().into();
    let filter = ImprovementFilter { opportunity_id: Some(opportunity.id), ..ImprovementFilter::default() };
    let mut tried = Vec::new();
    for improvement in store.improvements(filter, PageRequest::first(MOST_TRIED)).await?.items {
        tried.push(attempt(state, &improvement).await?);
    }
    told["tried"] = tried.into();
    let key = opportunity.finding.entity;
    let who =
        EntitySelector { entity_type: key.entity_type, id_or_name: key.entity_id.to_string(), environment: None };
    if let Some(revision) = store.entity(who).await?.revision {
        let configuration = store.revision(RevisionId::from_stored(revision)).await?;
        told["configuration"] = serde_json::to_value(configuration).unwrap_or_default();
    }
    let asked = requests::asked_for(state, opportunity.id, MOST_ASKED).await?;
    if !asked.is_empty() {
        told["untrusted"] = json!({ "asked": asked });
    }
    Ok(told)
}

async fn attempt(state: &AppState, improvement: &Improvement) -> Result<Value, WebError> {
    let last = state.engine.store().history_of(improvement.id).await?.pop();
    let mut told = json!({
        "improvement_id": improvement.id, "status": improvement.status, "proposer": improvement.proposal.proposer,
        "edits": improvement.proposal.edits,
    });
    if let Some(last) = last {
        told["outcome"] = last.outcome.into();
        told["reason"] = last.reason.into();
        told["effectiveness"] = last.effectiveness.into();
    }
    Ok(told)
}

/// A change for an opportunity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposeArguments {
    opportunity_id: i64,
    improvement_type: Option<String>,
    edits: Value,
    rationale: String,
}

/// Puts a change on record, as one that a language model wrote.
pub(super) async fn propose(
    state: &AppState,
    client: &Client,
    arguments: ProposeArguments,
) -> Result<Value, WebError> {
    let rationale = arguments.rationale.trim().to_owned();
    if rationale.is_empty() || rationale.chars().count() > MAX_RATIONALE_CHARS {
        let detail = format!("`rationale` must have from 1 to {MAX_RATIONALE_CHARS} characters");
        return Err(WebError::new(ErrorCode::InvalidValue, detail));
    }
    let Value::Array(edits) = unwrapped(arguments.edits) else {
        return Err(WebError::new(ErrorCode::InvalidEdit, "`edits` must be a list of objects"));
    };
    let improvement_type = match arguments.improvement_type.as_deref() {
        Some(name) => Some(requests::known("improvement_type", name)?),
        None => None,
    };
    let opportunity = state.engine.store().opportunity(arguments.opportunity_id).await?;
    let change = OwnChange {
        entity: opportunity.finding.entity,
        improvement_type,
        edits: actions::edits(edits)?,
        configuration: None,
        rationale,
        proposed_by: ProposalSource::Llm,
        proposer: proposer(client),
        comparison: Comparison::Concurrent,
    };
    let improvement = state.engine.propose_for(opportunity.id, change).await?;
    Ok(json!({
        "improvement_id": improvement.id, "status": improvement.status,
        "message": "It is being checked; get_evidence tells what became of it.",
    }))
}

/// By what name track records are kept: the agent's, else that of whoever acts.
fn proposer(client: &Client) -> String {
    match (&client.agent, client.seat) {
        (Some((name, _)), Seat::Optimizer | Seat::Planning | Seat::Recovery) => {
            format!("{BUILT_IN_ENVIRONMENT}/{name}")
        }
        _ => client.caller.name().to_owned(),
    }
}

/// The order of work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderArguments {
    opportunity_ids: Vec<i64>,
}

/// Says what is worked on first.
pub(super) async fn order(state: &AppState, _client: &Client, arguments: OrderArguments) -> Result<Value, WebError> {
    let count = arguments.opportunity_ids.len();
    state.engine.order_backlog(arguments.opportunity_ids).await?;
    Ok(json!({ "ordered": count }))
}
