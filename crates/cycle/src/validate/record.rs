//! What is known so far: how earlier changes went, how sure the finding is, and what a trial can see.

use uplift_model::edit::Edit;
use uplift_model::preflight::Preflight;

use super::{Input, Ruling, words};

pub(super) fn rollback_rate(input: &Input<'_>) -> Ruling {
    let engine = &input.policy.engine;
    let (decided, days) = (input.decided, engine.rollback_rate_days);
    let least = u64::from(engine.rollback_rate_min_decisions);
    let counts = format!("{} of {decided} decisions of {days} days took a change back for harm", input.rolled_back);
    if decided == 0 || decided < least {
        return Ruling::passed(format!("{counts}; a rate is judged from {least} decisions on"));
    }
    let rate = input.rolled_back as f64 / decided as f64;
    let most = input.entity.improvement_config.max_rollback_rate;
    let numbers = format!("{counts}: {}, at most {}", words::percent(rate), words::percent(most));
    if rate <= most {
        return Ruling::passed(numbers);
    }
    match input.operator() {
        Some(operator) => Ruling::passed(format!("{numbers}; {operator}")),
        None => Ruling::refused(format!("{numbers}: it is left to operators for now")),
    }
}

pub(super) fn blocklist(input: &Input<'_>) -> Ruling {
    let edits = sorted(input.edits());
    let known = input.taken_back.iter().find(|before| !edits.is_empty() && sorted(&before.edits) == edits);
    let Some(before) = known else {
        return Ruling::passed(format!(
            "not among the {} changes of this entity that were taken back for harm",
            input.taken_back.len()
        ));
    };
    let numbers = format!("the same edits were taken back for harm before (improvement {})", before.improvement_id);
    match input.approver() {
        Some(by) => Ruling::passed(format!("{numbers}; approved by {by} all the same")),
        // A person who wrote them may not know: they are asked, not refused.
        None if input.is_own_change() => {
            Ruling::asks_operator(format!("{numbers}: approve them if they shall be tried again"))
        }
        None => Ruling::refused(numbers),
    }
}

/// Edits in an order of their own: in another order they are still the same.
fn sorted(edits: &[Edit]) -> Vec<String> {
    let mut texts: Vec<String> =
        edits.iter().map(|edit| serde_json::to_string(edit).unwrap_or_else(|_| format!("{edit:?}"))).collect();
    texts.sort_unstable();
    texts
}

pub(super) fn confidence(input: &Input<'_>) -> Ruling {
    let least = input.entity.improvement_config.min_confidence(&input.policy.engine);
    let proposal = input.improvement.proposal.confidence;
    let opportunity = input.opportunity.map(|opportunity| opportunity.finding.confidence);
    let found = opportunity.map_or_else(String::new, |value| format!("the opportunity's confidence is {value:.2}, "));
    let numbers = format!("{found}the proposal's is {proposal:.2}; at least {least:.2} is asked for");
    // Written so that a confidence that is no number is not enough.
    if proposal >= least && opportunity.is_none_or(|value| value >= least) {
        return Ruling::passed(numbers);
    }
    match input.operator() {
        Some(operator) => Ruling::passed(format!("{numbers}; {operator}")),
        None if input.is_agents_wish() => Ruling::asks_operator(format!("an operator has to say yes: {numbers}")),
        None => Ruling::refused(numbers),
    }
}

pub(super) fn preflight(input: &Input<'_>) -> Ruling {
    let reason = match input.preflight {
        None => "what a trial could see is not known".to_owned(),
        Some(preflight) if preflight.expected_units <= 0.0 || !preflight.expected_units.is_finite() => {
            format!("no tasks are expected during the trial: {}", words::reason(&preflight.text))
        }
        Some(preflight) => match visible(input, preflight) {
            Ok(numbers) => return Ruling::passed(numbers),
            Err(reason) => reason,
        },
    };
    match input.operator() {
        Some(operator) => Ruling::passed(format!("{reason}; {operator}")),
        None if input.is_agents_wish() => Ruling::asks_operator(format!("an operator has to say yes: {reason}")),
        None => Ruling::refused(reason),
    }
}

/// What a trial can see, in words; else why it is not worth starting: it would end as it began, undecided.
fn visible(input: &Input<'_>, preflight: &Preflight) -> Result<String, String> {
    let is_goal = |name: &str| input.metrics.iter().any(|spec| spec.roles.goal && spec.measure.name() == name);
    let goals = preflight.metrics.iter().filter(|metric| is_goal(&metric.name));
    let Some(best) = goals.min_by(|a, b| a.smallest_change.total_cmp(&b.smallest_change)) else {
        let wanted = input.improvement.proposal.improvement_type;
        return Err(format!("nothing that {wanted} is meant to make better is reported by this entity"));
    };
    let sees = format!(
        "{:.0} tasks are expected until the first horizon, where changes of {} in {} can be seen",
        preflight.expected_units,
        words::percent(best.smallest_change),
        best.name,
    );
    let most = input.policy.engine.preflight_change;
    if preflight.enough {
        Ok(sees)
    } else if best.smallest_change <= most {
        Ok(format!("{sees}; for smaller ones, {}", words::reason(&preflight.text)))
    } else {
        Err(format!(
            "{}; {sees}, and {} is the most a trial may need",
            words::reason(&preflight.text),
            words::percent(most)
        ))
    }
}
