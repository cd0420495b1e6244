//! Whether trials run at all, and whether the entity is one that a trial can be run on.

use uplift_model::EntityState;

use super::{Input, Ruling, Tasks, words};

/// Known tasks on either side before success rates are compared.
pub const MIN_KNOWN_TASKS: u64 = 20;
/// Share of its success rate that an entity may lose before a comparison would measure an incident.
const MOST_LOST: f64 = 0.5;

/// Whether an entity has lost so much of its success that a comparison now would measure the incident. Says no where too
/// little is known.
pub fn is_ill(recent: Tasks, before: Tasks) -> bool {
    recent.known >= MIN_KNOWN_TASKS
        && before.known >= MIN_KNOWN_TASKS
        && success_rate(recent) < (1.0 - MOST_LOST) * success_rate(before)
}

fn success_rate(tasks: Tasks) -> f64 {
    tasks.succeeded.min(tasks.known) as f64 / tasks.known as f64
}

pub(super) fn not_paused(input: &Input<'_>) -> Ruling {
    if input.paused {
        Ruling::waits("trials are paused: `uplift resume` lets them start again")
    } else {
        Ruling::passed("trials are not paused")
    }
}

pub(super) fn state(input: &Input<'_>) -> Ruling {
    let state = input.entity.state.as_str();
    match input.entity.state {
        EntityState::Active => Ruling::passed("it is active"),
        EntityState::Inactive => Ruling::waits("it is inactive: a trial waits until it is active again"),
        EntityState::Deprecated | EntityState::Archived | EntityState::Failed => {
            Ruling::refused(format!("it is {state}: only an active entity is improved"))
        }
    }
}

pub(super) fn health(input: &Input<'_>) -> Ruling {
    let (recent, before) = (input.recent, input.before);
    if recent.known < MIN_KNOWN_TASKS || before.known < MIN_KNOWN_TASKS {
        return Ruling::passed(format!(
            "{} tasks of the last 24 h and {} of the week before have a known outcome: fewer than {MIN_KNOWN_TASKS} on \
             a side say nothing of its health",
            recent.known, before.known
        ));
    }
    let numbers = format!(
        "{} of {} known tasks succeeded in the last 24 h, {} in the week before",
        words::percent(success_rate(recent)),
        recent.known,
        words::percent(success_rate(before))
    );
    if is_ill(recent, before) {
        Ruling::waits(format!("{numbers}: a comparison now would measure the incident"))
    } else {
        Ruling::passed(numbers)
    }
}

pub(super) fn baseline(input: &Input<'_>) -> Ruling {
    match input.base {
        Some(base) => {
            Ruling::passed(format!("revision {} is in place", base.id().as_str().get(..12).unwrap_or_default()))
        }
        None => Ruling::refused(
            "it has no configuration to change: resolve it once with the defaults of its code, or declare a \
             configuration",
        ),
    }
}
