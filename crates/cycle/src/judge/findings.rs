//! Findings on recorded runs: the same record a live trial gives, so that the same rules decide.

use uplift_model::metric::{Direction, Measure, MetricSpec, ScoreKind};
use uplift_model::verdict::{
    Allocation, Combined, Coverage, Findings, Interval, LogEvidence, Method, MetricFinding, Phase, Summary,
};

use super::pairs::{self, Values};
use super::tests_of::{Allowed, Asked, Worsening, look, unseen, worsening};
use super::{Question, Sample};
use crate::stats::allocation;
use crate::stats::normal;

/// Level of the intervals shown.
const SHOWN: f64 = 0.05;
/// Pseudo-units of the test for unequal coverage.
const COVERAGE_CONCENTRATION: f64 = 20.0;

/// Compares two arms of recorded runs.
pub fn findings(control: &[Sample], candidate: &[Sample], question: &Question) -> Findings {
    let paired = pairs::recur(control, candidate);
    let metrics: Vec<_> = question
        .metrics
        .iter()
        .map(|spec| {
            let values = if paired {
                pairs::paired(&spec.measure, control, candidate)
            } else {
                pairs::unpaired(&spec.measure, [control, candidate], question.predictor.as_ref())
            };
            one(spec, &values, question)
        })
        .collect();
    let assigned = [control.len() as u64, candidate.len() as u64];
    let matured = if paired { [pairs::common(control, candidate) as u64; 2] } else { assigned };
    let all = (assigned[0] + assigned[1]).max(1) as f64;
    let log_evidence = question.share.map_or(0.0, |share| {
        allocation::ln_mismatch(assigned.map(|n| n as f64), [1.0 - share, share], allocation::CONCENTRATION)
    });
    let effectiveness = whole(&metrics, |effect| effect.estimate);
    Findings {
        at_us: 0,
        method: if paired { Method::Paired } else { Method::Unpaired },
        phase: Phase::FirstHorizon,
        last: true,
        may_prove: true,
        watch_only: false,
        matured,
        immature: 0,
        late: 0,
        allocation: Allocation { assigned, log_evidence, crossover: question.crossed as f64 / all },
        coverage: coverage(control, candidate),
        combined: Combined { log_threshold: (1.0 / question.policy.rollback_alpha).ln(), ..Combined::default() },
        effectiveness: Interval {
            estimate: effectiveness,
            low: whole(&metrics, |effect| effect.low),
            high: whole(&metrics, |effect| effect.high),
        },
        balance: effectiveness,
        metrics,
        interference: false,
    }
}

fn whole(metrics: &[MetricFinding], part: fn(&Interval) -> f64) -> f64 {
    // A metric nobody reported has no part in the whole.
    let known = || metrics.iter().filter(|finding| finding.n.iter().all(|n| *n > 0));
    let weight: f64 = known().map(|finding| finding.weight).sum();
    if weight <= 0.0 {
        return 0.0;
    }
    known().map(|finding| finding.weight * part(&finding.effect)).sum::<f64>() / weight
}

fn coverage(control: &[Sample], candidate: &[Sample]) -> Coverage {
    let arms = [control, candidate];
    let unknown = arms.map(|arm| arm.iter().filter(|run| run.outcome.success.is_none()).count() as f64);
    let all = arms.map(|arm| arm.len() as f64);
    let known = [0, 1].map(|arm: usize| if all[arm] > 0.0 { 1.0 - unknown[arm] / all[arm] } else { 1.0 });
    let share = all[1] / (all[0] + all[1]).max(1.0);
    Coverage { known, log_evidence: allocation::ln_mismatch(unknown, [1.0 - share, share], COVERAGE_CONCENTRATION) }
}

fn is_rate(measure: &Measure) -> bool {
    match measure {
        Measure::Success | Measure::Errors => true,
        Measure::Custom(custom) => custom.kind == ScoreKind::Boolean,
        _ => false,
    }
}

fn one(spec: &MetricSpec, values: &Values, question: &Question) -> MetricFinding {
    let measure = &spec.measure;
    let rate = is_rate(measure);
    let higher = measure.direction() == Direction::Higher;
    let sign = if higher { -1.0 } else { 1.0 };
    let equal = worsening(values, sign, 1.0);
    let margin = margin(measure, equal.means[0], question);
    let allowed = |margin: f64| {
        let (multiple, shift) = match measure {
            // A multiple of no errors is none, so errors are allowed points.
            Measure::Errors => (1.0, margin * equal.means[0].max(0.01)),
            _ if rate && higher => (1.0 - margin, 0.0),
            _ if rate => (1.0 + margin, 0.0),
            _ if measure.is_amount() => (1.0, margin.ln_1p()),
            _ => (1.0, margin * equal.means[0].abs()),
        };
        Allowed { multiple, shift }
    };
    let least = if measure.is_amount() { question.policy.least_cost_ratio.max(1.0).ln() } else { 0.0 };
    let allowed = [margin, 2.0 * margin].map(allowed);
    let fixed = look(values, &Asked { sign, rate, least, allowed });
    let beyond = worsening(values, sign, allowed[0].multiple).estimate - allowed[0].shift;
    let known = equal.n.iter().all(|n| *n > 0);
    let shown = equal.means.map(|mean| if measure.is_amount() && known { mean.exp() } else { mean });
    let needed = units_needed(&equal, beyond);
    MetricFinding {
        name: measure.name().to_owned(),
        roles: spec.roles,
        summary: match (measure.is_amount(), rate) {
            (true, _) => Summary::GeometricMean,
            (false, true) => Summary::Rate,
            (false, false) => Summary::Mean,
        },
        n: equal.n,
        control: shown[0],
        candidate: shown[1],
        effect: effect(measure, &equal, if rate { unseen(values) } else { 0.0 }),
        margin,
        inside_margin: known && beyond < 0.0,
        weight: weight(spec),
        evidence: LogEvidence::default(),
        evidence_share: 0.0,
        fixed: known.then_some(fixed),
        units_needed: needed.filter(|_| spec.roles.any()),
        what_would_change: words(spec, &equal, beyond, needed),
    }
}

fn weight(spec: &MetricSpec) -> f64 {
    match &spec.measure {
        _ if !spec.roles.any() => 0.0,
        Measure::Custom(custom) if custom.weight.is_finite() && custom.weight > 0.0 => custom.weight,
        Measure::Custom(_) => 0.0,
        _ => 1.0,
    }
}

fn margin(measure: &Measure, control: f64, question: &Question) -> f64 {
    let declared = question.policy.margin;
    match measure {
        Measure::Errors => declared.max(question.policy.error_margin_points / control.max(0.01)),
        Measure::Custom(custom) => custom.margin.unwrap_or(declared),
        _ => declared,
    }
}

/// Relative change, positive when better, clipped to [-1, 1].
fn effect(measure: &Measure, equal: &Worsening, unseen: f64) -> Interval {
    if equal.n.contains(&0) {
        return Interval { estimate: 0.0, low: -1.0, high: 1.0 };
    }
    let control = equal.means[0];
    let half = normal::upper_quantile(SHOWN / 2.0) * equal.variance.sqrt() + unseen;
    let relative = |worse: f64| {
        let change = match (measure.is_amount(), is_rate(measure), measure.direction()) {
            (true, ..) => 1.0 - worse.exp(),
            (_, true, Direction::Higher) => -worse / (1.0 - control).max(0.01),
            (_, true, Direction::Lower) => -worse / control.max(0.01),
            (_, false, _) => -worse / control.abs().max(1e-9),
        };
        // Adding nothing turns a negative zero into a plain one.
        change.clamp(-1.0, 1.0) + 0.0
    };
    Interval {
        estimate: relative(equal.estimate),
        low: relative(equal.estimate + half),
        high: relative(equal.estimate - half),
    }
}

/// Units (both arms) until a difference as estimated would be seen four times out of five.
fn units_needed(equal: &Worsening, beyond: f64) -> Option<u64> {
    let seen = equal.n.iter().sum::<u64>() as f64;
    // What has to be shown: harm where the estimate is past the margin, else that the margin holds.
    let distance = if beyond > 0.0 { equal.estimate } else { beyond };
    let usable = seen > 0.0 && equal.variance > 0.0 && distance.abs() > 1e-9;
    let reach = normal::upper_quantile(0.025) + normal::upper_quantile(0.2);
    usable
        .then(|| seen * (reach * reach * equal.variance / (distance * distance) - 1.0).max(0.0))
        .filter(|needed| *needed < 1e9)
        .map(|needed| needed.ceil() as u64)
}

fn words(spec: &MetricSpec, equal: &Worsening, beyond: f64, needed: Option<u64>) -> String {
    let name = spec.measure.name();
    if equal.n.contains(&0) {
        return format!("{name} is unknown in one arm");
    }
    if !spec.roles.any() {
        return format!("{name} is only observed");
    }
    let now = match (beyond > 0.0, equal.estimate > 0.0, equal.estimate < 0.0) {
        (true, ..) => "worse than its margin",
        (false, true, _) => "worse, but inside its margin",
        (_, _, true) => "better",
        _ => "equal",
    };
    match needed {
        Some(0) | None => format!("{name} is {now}"),
        Some(units) => {
            format!("{name} is {now}; about {units} more runs would settle it at this estimate")
        }
    }
}
