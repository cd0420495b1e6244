//! What a span adds to a task: as an event does, with what only spans know.

use crate::sql::Connection;
use uplift_model::event::{Event, EventKind, Outcome};
use uplift_model::task::{OutcomeRule, TaskDelta, micros_of_ms};

use super::row::{self, SpanRow};
use crate::logic::dictionary::KnownEntity;
use crate::logic::fault::Fault;
use crate::logic::task_row::{self, TaskFold};

/// Whether a span is measured as an operation of its entity: a model call inside another that reports its tokens is
/// that same call once more.
pub(super) fn is_measured(event: &Event, inside_call: bool) -> bool {
    !(inside_call && event.kind == EventKind::LlmCall)
}

/// What a span says of its task.
pub(super) fn fold(
    event: &Event,
    entity: &KnownEntity,
    session: Option<&str>,
    inside_call: bool,
    attributes_no: Option<i64>,
) -> TaskFold {
    let rule = entity.config.outcome.as_ref().unwrap_or(&OutcomeRule::Status);
    let mut delta = TaskDelta::of(event, entity.key, rule);
    delta.session = session.map(str::to_owned);
    if let (Some(first), Some(ms)) = (delta.first_us, event.duration_ms) {
        // A span's time is that of its end.
        delta.first_us = Some(first.saturating_sub(micros_of_ms(ms)));
    }
    if !is_measured(event, inside_call) {
        delta.llm_calls = 0;
        (delta.tokens_in, delta.tokens_out, delta.tokens_cached, delta.cost_nano) = (0, 0, 0, 0);
    }
    TaskFold { delta, attributes_no, pseudo: false }
}

/// The root of a trace without agents as the end of the task that it stands for.
pub(super) fn ending(root: &Event) -> Event {
    let failed = matches!(root.outcome, Some(Outcome::Error | Outcome::Failure));
    Event {
        kind: if failed { EventKind::TaskFailed } else { EventKind::TaskCompleted },
        tool: None,
        tokens_in: None,
        tokens_out: None,
        tokens_cached: None,
        cost_usd: None,
        error_type: None,
        content: None,
        exposures: Vec::new(),
        ..root.clone()
    }
}

/// What such an end says of the task: it is no event of its own.
pub(super) fn fold_ending(
    ending: &Event,
    entity: &KnownEntity,
    session: Option<&str>,
    attributes_no: Option<i64>,
) -> TaskFold {
    let mut fold = fold(ending, entity, session, false, attributes_no);
    (fold.delta.events, fold.delta.errors, fold.delta.unclocked) = (0, 0, 0);
    fold
}

/// Folds a task anew from what is counted for it now; a task that nothing is left of goes.
pub(super) fn rebuild(
    connection: &Connection,
    (trace_no, task): (i64, &str),
    session: Option<&str>,
    mut entity: impl FnMut(&SpanRow) -> Result<Option<std::sync::Arc<KnownEntity>>, Fault>,
) -> Result<(), Fault> {
    let mut whole: Option<TaskFold> = None;
    row::visit(connection, trace_no, task, |row| {
        if row.flags.at_task
            && let Some(entity) = entity(&row)?
        {
            let fold = fold(&row.event, &entity, session, row.flags.inside_call, row.attributes_no);
            whole.get_or_insert_default().merge(fold);
        }
        Ok(())
    })?;
    if let Some(root) = row::read(connection, trace_no, task)?
        && root.flags.stands
        && let Some(entity) = entity(&root)?
    {
        let fold = fold_ending(&ending(&root.event), &entity, session, root.attributes_no);
        whole.get_or_insert_default().merge(fold);
    }
    match whole {
        Some(mut whole) => {
            // What an agent above gave it stays: ways that lead there are final.
            let before = task_row::read(connection, trace_no, task)?;
            whole.delta.parent = before.and_then(|before| before.delta.parent);
            task_row::write(connection, trace_no, task, &whole)
        }
        None => task_row::delete(connection, trace_no, task),
    }
}
