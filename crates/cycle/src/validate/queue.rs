//! Whether it is this improvement's turn: what else runs, and what a change here can reach.

use uplift_model::Time;
use uplift_model::policy::EnginePolicy;

use super::{Dependant, Input, Ruling, words};

/// Until when an entity rests that was last changed at a moment.
pub fn rests_until(last_change: Time, engine: &EnginePolicy) -> Time {
    last_change.plus_micros(rest_us(engine))
}

fn rest_us(engine: &EnginePolicy) -> i64 {
    i64::try_from(engine.cooldown_period.as_micros()).unwrap_or(i64::MAX).max(0)
}

/// Whether no further trial may run beside so many.
pub fn is_full(running_trials: u64, engine: &EnginePolicy) -> bool {
    running_trials >= u64::from(engine.max_concurrent_improvements)
}

/// Whether the system is too unwell for a trial. `health_score` is from 0 to 100; one that is no number is too low.
pub fn is_unwell(health_score: f64, high_rollback_rate: bool, engine: &EnginePolicy) -> bool {
    high_rollback_rate || health_score.is_nan() || health_score < engine.min_health_score
}

/// What a change can reach is listed, and stops nothing: a trial is taken back as a whole.
pub(super) fn dependants(input: &Input<'_>) -> Ruling {
    let mut reached: Vec<&Dependant> = input.dependants.iter().collect();
    if reached.is_empty() {
        return Ruling::passed("nothing is known to depend on it");
    }
    reached.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.name.cmp(&b.name)));
    let strongest = reached.first().map_or(0.0, |first| first.strength);
    let names = words::list(reached.iter().map(|dependant| dependant.name.as_str()));
    Ruling::passed(format!("a change can reach {}: {names} (strength {strongest:.2} at the most)", reached.len()))
}

pub(super) fn one_per_entity(input: &Input<'_>) -> Ruling {
    match input.occupied_by {
        Some(other) => Ruling::waits(format!("improvement {other} is on its way: one per entity at a time")),
        None => Ruling::passed("no other improvement occupies it"),
    }
}

pub(super) fn joined_entities(input: &Input<'_>) -> Ruling {
    if input.joined_trials.is_empty() {
        return Ruling::passed("no trial runs on an entity joined to it");
    }
    let names = words::list(input.joined_trials.iter().map(String::as_str));
    Ruling::waits(format!(
        "{} of the entities it works with have a trial running, which would blur what is measured: {names}",
        input.joined_trials.len()
    ))
}

pub(super) fn cooldown(input: &Input<'_>) -> Ruling {
    let engine = &input.policy.engine;
    let rest = words::span(rest_us(engine));
    let Some(last) = input.last_change else {
        return Ruling::passed(format!("it was not changed before; the rest between two changes is {rest}"));
    };
    let until = rests_until(last, engine);
    // Without "ago" in it the sentence stays the same while it waits, and so does the record.
    let numbers = format!("its last change ended at {last}, and it rests for {rest} after one");
    if input.now < until {
        Ruling::waits_until(format!("{numbers}: until {until}"), until)
    } else {
        Ruling::passed(numbers)
    }
}

pub(super) fn concurrency(input: &Input<'_>) -> Ruling {
    let most = u64::from(input.policy.engine.max_concurrent_improvements);
    let numbers = format!("{} trials run, {most} may run at the same time", input.running_trials);
    if most == 0 {
        Ruling::waits("no trial may run: max_concurrent_improvements is 0")
    } else if is_full(input.running_trials, &input.policy.engine) {
        Ruling::waits(numbers)
    } else {
        Ruling::passed(numbers)
    }
}

pub(super) fn system_health(input: &Input<'_>) -> Ruling {
    let least = input.policy.engine.min_health_score;
    let numbers =
        format!("the system's health is {:.0} of 100, at least {least:.0} is asked for", input.health_score);
    if !is_unwell(input.health_score, input.high_rollback_rate, &input.policy.engine) {
        Ruling::passed(numbers)
    } else if input.high_rollback_rate {
        Ruling::waits(format!("the alert high_rollback_rate is active; {numbers}"))
    } else {
        Ruling::waits(numbers)
    }
}
