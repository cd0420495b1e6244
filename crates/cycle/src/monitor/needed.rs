//! How many more units until a metric decides, at the estimates of now.

use uplift_model::metric::{MetricSpec, Roles};

use super::contrast::Contrast;
use super::plan::{Plan, Signal};

/// Beyond this many units an answer is no help.
const MOST: f64 = 1e9;

/// Units (both arms) still expected; `None` where the estimate points to no decision.
pub(super) fn units(
    plan: &Plan,
    signal: &Signal,
    roles: Roles,
    seen: f64,
    equal: Contrast,
    at_margin: Contrast,
) -> Option<u64> {
    if !roles.any() || equal.information <= 0.0 || seen <= 0.0 {
        return None;
    }
    // The z at which a mixture near its focus reaches 1/level: about sqrt(2 ln(1/level) + 1).
    let reach = |ln_threshold: f64| (2.0 * ln_threshold.max(0.0) + 1.0).sqrt();
    let more = |z: f64, target: f64| -> Option<f64> {
        let needed = seen * ((target / z).powi(2) - 1.0).max(0.0);
        (z > 1e-6 && needed < MOST).then_some(needed)
    };
    let for_keep = reach(plan.keep_log_threshold);
    let answer = if at_margin.score > 0.0 || (roles.goal && !roles.guardrail && equal.score > 0.0) {
        let weight = (signal.weight * plan.start_weights[0]).max(1e-3);
        more(equal.z(), reach(plan.log_threshold - weight.ln()))
    } else {
        let goal = roles.goal.then(|| more(-equal.z(), for_keep));
        let margin = (roles.guardrail || roles.cost).then(|| more(-at_margin.z(), for_keep));
        match (goal, margin) {
            (Some(goal), Some(margin)) => goal.zip(margin).map(|(a, b)| a.max(b)),
            (one, other) => one.or(other).flatten(),
        }
    };
    answer.map(|units| units.ceil() as u64)
}

pub(super) fn words(spec: &MetricSpec, equal: Contrast, at_margin: Contrast, needed: Option<u64>) -> String {
    let name = spec.measure.name();
    if !spec.roles.any() {
        return format!("{name} is only observed");
    }
    if equal.information <= 0.0 {
        return format!("{name} has too few values in one arm to be compared");
    }
    let towards = if at_margin.score > 0.0 {
        "it is worse than its margin so far; if that holds it is a reason to roll back"
    } else if equal.score > 0.0 {
        "it is worse so far, but inside its margin"
    } else if spec.roles.goal {
        "it is better so far; if that holds it is a reason to keep"
    } else {
        "it is no worse so far"
    };
    match needed {
        Some(0) => format!("{name}: {towards}"),
        Some(units) => format!("{name}: {towards} after about {units} more tasks"),
        None => format!("{name}: {towards}; at this estimate more tasks would not settle it soon"),
    }
}
