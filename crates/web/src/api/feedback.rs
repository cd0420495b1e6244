//! `POST /api/feedback`: what a task was worth, said by people, tests, evaluators, or the agent itself; late, too.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use uplift_intake::{DecodeContext, Place, decode_one};
use uplift_model::Time;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityType};
use uplift_model::event::Source;
use uplift_model::metric::{DeclaredMetric, ScoreSource};
use uplift_model::task::Task;
use uplift_store::StoreError;

use super::failures::{Failures, Missing, Unacceptable};
use crate::access::Caller;
use crate::error::{ErrorCode, WebError, refusal_code};
use crate::extract::{Body, parse, text};
use crate::state::AppState;
use crate::telemetry;
use crate::wire::feedback::{FeedbackBody, FeedbackReceipt};

/// What is scored where nobody says it.
const UNNAMED: &str = "feedback";
/// Longest name of what is scored, bytes.
const MAX_NAME: usize = 200;

/// Scores a task: yes or no, a number, a comment. It becomes a FEEDBACK event; where a metric of that name is declared, the
/// score counts in trials.
#[utoipa::path(
    post, path = "/api/feedback", tag = "events", operation_id = "give_feedback", request_body = FeedbackBody,
    responses((status = 200, body = FeedbackReceipt), Failures, Missing, Unacceptable)
)]
pub(super) async fn give(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<FeedbackBody>,
) -> Result<Json<FeedbackReceipt>, WebError> {
    taken(&state, &caller, body).await.map(Json)
}

/// Stores a score, whichever way it came.
pub(crate) async fn taken(
    state: &AppState,
    caller: &Caller,
    body: FeedbackBody,
) -> Result<FeedbackReceipt, WebError> {
    let now = state.engine.now();
    let name = text("name", body.name)?.unwrap_or_else(|| UNNAMED.to_owned());
    if name.len() > MAX_NAME {
        return Err(unacceptable(format!("`name` has more than {MAX_NAME} bytes")));
    }
    let comment = body.comment.filter(|comment| !comment.trim().is_empty());
    if body.score.is_none() && comment.is_none() {
        return Err(unacceptable("feedback needs a `score` (true, false or a number), a `comment`, or both"));
    }
    let task_id = text("task_id", Some(body.task_id))?.unwrap_or_default();
    let given = Given {
        // Where a task of somebody else is, and in how many environments, is not for an agent to learn.
        environment: text("environment", body.environment)?.or_else(|| caller.environment().map(str::to_owned)),
        agent: text("agent", body.agent)?,
        source: parse("source", body.source.as_deref())?,
    };
    let task = known(state, &task_id, given.environment.as_deref()).await?;
    let judge = judge(caller, &given, task.as_ref(), &task_id)?;
    let id = match text("id", body.id)? {
        Some(id) => id,
        None => random_id()?,
    };
    let mut event = json!({
        "id": id, "event_type": "FEEDBACK", "entity_type": judge.entity_type.as_str(), "entity": judge.name,
        "environment": judge.environment, "task_id": task_id, "source": judge.source.as_str(),
        "ts": body.ts.unwrap_or_else(|| now.to_string()),
        "attributes": {"name": name, "by": caller.name()},
    });
    if let Some(score) = body.score {
        event["attributes"]["score"] = json!(score);
    }
    if let Some(comment) = comment {
        event["content"] = comment.into();
    }
    let (given_at, duplicate) = store(state, caller, &event).await?;
    let note = match body.score {
        None => Some("a comment without a score is kept, and counts for nothing".to_owned()),
        Some(_) => uncounted(&state.engine.policy().metrics, &name, judge.source, given_at, task.as_ref()),
    };
    Ok(FeedbackReceipt {
        id,
        task_id,
        task_known: task.is_some(),
        name,
        source: judge.source.as_str(),
        duplicate,
        counts: note.is_none(),
        note,
    })
}

fn unacceptable(detail: impl Into<String>) -> WebError {
    WebError::new(ErrorCode::InvalidValue, detail)
}

/// What a request says of where it belongs.
struct Given {
    environment: Option<String>,
    agent: Option<String>,
    source: Option<Source>,
}

/// Whom the event is about, and who says it.
struct Judge {
    environment: String,
    entity_type: EntityType,
    name: String,
    source: Source,
}

/// The task, if it is known in that environment.
async fn known(state: &AppState, task_id: &str, environment: Option<&str>) -> Result<Option<Task>, WebError> {
    match state.engine.store().task(task_id.to_owned()).await {
        Ok(task) => Ok(Some(task).filter(|task| environment.is_none_or(|asked| asked == task.environment))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        // It is in several, of which one is named: that is enough for the event to find it.
        Err(StoreError::Ambiguous { .. }) if environment.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn judge(caller: &Caller, given: &Given, task: Option<&Task>, task_id: &str) -> Result<Judge, WebError> {
    let environment = given
        .environment
        .clone()
        .or_else(|| task.map(|task| task.environment.clone()))
        .or_else(|| caller.entities().first().and_then(|bound| bound.environment.clone()))
        .unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    let owner = task.map(|task| (task.entity.entity_type, task.entity_name.as_str()));
    let is_own =
        |caller: &Caller| owner.is_none_or(|(entity_type, name)| caller.acts_for(&environment, entity_type, name));
    let source = match (given.source, caller.is_an_agent(), is_own(caller)) {
        (None | Some(Source::Own), true, true) => Source::Own,
        (Some(asked), true, true) => {
            let detail = format!("what an agent's token says of its own task is `self`, not `{}`", asked.as_str());
            return Err(WebError::new(ErrorCode::Forbidden, detail));
        }
        (Some(Source::Human), true, false) => {
            return Err(WebError::new(ErrorCode::Forbidden, "an agent's token cannot speak for a person"));
        }
        (asked, ..) => asked.unwrap_or_default(),
    };
    let own_name = || {
        let bound = caller.entities().iter().find(|bound| {
            bound.name.is_some() && bound.environment.as_deref().is_none_or(|bound| bound == environment)
        })?;
        Some((bound.entity_type, bound.name.clone()?))
    };
    let (entity_type, name) = match (&given.agent, owner) {
        (Some(agent), _) => (EntityType::Agent, agent.clone()),
        (None, Some((entity_type, name))) if !caller.is_bound() || is_own(caller) => (entity_type, name.to_owned()),
        (None, _) => own_name().ok_or_else(|| {
            let detail = format!("there is no task `{task_id}` yet: name its `agent` to score it all the same");
            WebError::new(ErrorCode::NotFound, detail)
        })?,
    };
    caller.must_act_for(&environment, entity_type, &name)?;
    Ok(Judge { environment, entity_type, name, source })
}

/// An id for feedback that brings none.
fn random_id() -> Result<String, WebError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "there is no randomness to make an id of");
        WebError::new(ErrorCode::InternalError, "no id can be made: send one")
    })?;
    Ok(bytes.iter().fold("feedback-".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

/// Stores the event. When it was given, and whether it was stored before.
async fn store(state: &AppState, caller: &Caller, event: &Value) -> Result<(Time, bool), WebError> {
    let context = DecodeContext { received_at: state.engine.now(), at: None };
    let event = decode_one(&event.to_string(), Place::Index(0), &state.engine.policy().intake, context)
        .map_err(|rejection| unacceptable(format!("{} ({})", rejection.detail, rejection.code)))?;
    if let Some(objection) = caller.objection(&event) {
        return Err(WebError::new(ErrorCode::Forbidden, objection));
    }
    let given_at = event.ts;
    let admission = state.engine.try_admit(1)?;
    let receipt = state.engine.ingest_as(admission, vec![event], caller.stands_for()).await?;
    telemetry::events(receipt.accepted, receipt.duplicates, receipt.refused.len() as u64);
    match receipt.refused.first() {
        Some(refusal) => Err(unacceptable(format!("{} ({})", refusal.reason, refusal_code(&refusal.reason)))),
        None => Ok((given_at, receipt.duplicates > 0)),
    }
}

/// Why trials do not count a score; none where they do.
fn uncounted(
    metrics: &[DeclaredMetric],
    name: &str,
    source: Source,
    given_at: Time,
    task: Option<&Task>,
) -> Option<String> {
    let Some(metric) = metrics.iter().map(|declared| &declared.metric).find(|metric| metric.name == name) else {
        return Some(format!(
            "no metric `{name}` is declared ([[metrics]] in the settings), so trials do not count it"
        ));
    };
    let wanted = match metric.source {
        ScoreSource::Own => Source::Own,
        ScoreSource::Environment => Source::Environment,
        ScoreSource::Human => Source::Human,
    };
    if wanted != source {
        let (wanted, source) = (wanted.as_str(), source.as_str());
        return Some(format!(
            "the metric `{name}` counts what comes from `{wanted}`, and this comes from `{source}`"
        ));
    }
    let started = task.and_then(|task| task.started_at)?;
    let age_ms = (given_at.micros().saturating_sub(started.micros())) as f64 / 1e3;
    (age_ms > metric.attribution_window_ms).then(|| {
        let (age, window) = (age_ms / 1e3, metric.attribution_window_ms / 1e3);
        format!(
            "given {age:.0} s after the task began, and the metric `{name}` counts what comes within {window:.0} s"
        )
    })
}
