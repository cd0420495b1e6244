//! Whether it is this improvement's turn: what else runs, and what a change here can reach.

use super::{Dependant, Input, Ruling, words};

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
    let rest_us = i64::try_from(input.policy.engine.cooldown_period.as_micros()).unwrap_or(i64::MAX).max(0);
    let rest = words::span(rest_us);
    let Some(last) = input.last_change else {
        return Ruling::passed(format!("it was not changed before; the rest between two changes is {rest}"));
    };
    let until = last.plus_micros(rest_us);
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
    } else if input.running_trials >= most {
        Ruling::waits(numbers)
    } else {
        Ruling::passed(numbers)
    }
}

pub(super) fn system_health(input: &Input<'_>) -> Ruling {
    let least = input.policy.engine.min_health_score;
    let numbers =
        format!("the system's health is {:.0} of 100, at least {least:.0} is asked for", input.health_score);
    if input.high_rollback_rate {
        Ruling::waits(format!("the alert high_rollback_rate is active; {numbers}"))
    } else if input.health_score >= least {
        Ruling::passed(numbers)
    } else {
        Ruling::waits(numbers)
    }
}
