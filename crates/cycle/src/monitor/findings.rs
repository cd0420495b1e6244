//! Everything a look has to say, metric by metric.

use uplift_model::metric::{Direction, Measure};
use uplift_model::trial::{Comparison, TrialKind};
use uplift_model::verdict::{
    Allocation, Combined, Coverage, Findings, FixedLook, Interval, LogEvidence, Method, MetricFinding, Phase, Summary,
};

use super::contrast::{Allowed, Contrast, at_margin, contrast, excess_z};
use super::evidence::{self, combined, mixed};
use super::needed;
use super::plan::{Form, Plan, Signal, Source};
use super::state::{Pair, State};
use crate::stats::combine::ln_sum;
use crate::stats::conditional::Conditional;
use crate::stats::{allocation, mixture, normal};

/// Level of the intervals shown.
const SHOWN: f64 = 0.05;
/// Pseudo-units of the test for unequal coverage.
const COVERAGE_CONCENTRATION: f64 = 20.0;

/// Which signals count towards harm, and what they come to together.
struct Harm<'a> {
    counts: &'a [bool],
    log_combined: f64,
}

pub(super) fn all(plan: &Plan, state: &mut State, now_us: i64, phase: Phase) -> Findings {
    evidence::refresh(plan, state);
    let log_allocation = state.log_allocation(plan);
    let harmful: Vec<bool> = (0..plan.signals.len()).map(|place| evidence::counts(plan, state, place)).collect();
    let log_evidence = combined(plan, state, |place| harmful[place]);
    let log_evidence_without_costs =
        combined(plan, state, |place| harmful[place] && !plan.is_only_cost(&plan.signals[place]));
    let harm = Harm { counts: &harmful, log_combined: log_evidence };
    let metrics: Vec<_> =
        (0..plan.metrics.len()).filter_map(|metric| one(plan, state, metric, phase, &harm)).collect();
    let counts = |pair: [f64; 2]| pair.map(|count| count as u64);
    Findings {
        at_us: now_us,
        method: Method::Live,
        phase,
        last: now_us >= plan.last_horizon_us,
        may_prove: plan.comparison == Comparison::Concurrent,
        watch_only: plan.kind == TrialKind::HoldBack,
        matured: counts(state.total(|stratum| stratum.matured)),
        immature: state.immature(),
        late: state.late,
        allocation: Allocation {
            assigned: counts(state.assigned()),
            log_evidence: log_allocation,
            crossover: state.crossover(),
        },
        coverage: coverage(plan, state),
        combined: Combined { log_evidence, log_evidence_without_costs, log_threshold: plan.log_threshold },
        effectiveness: effectiveness(&metrics),
        balance: balance(plan, &metrics),
        interference: interference(plan, state),
        metrics,
    }
}

/// The weighted mean of the effects. Metrics of one task move together by an unknown amount, so half-widths are added
/// up as if they moved in step: never too narrow.
fn effectiveness(metrics: &[MetricFinding]) -> Interval {
    let whole: f64 = metrics.iter().map(|finding| finding.weight).sum();
    if whole <= 0.0 {
        return Interval { estimate: 0.0, low: -1.0, high: 1.0 };
    }
    let mean = |part: fn(&Interval) -> f64| {
        metrics.iter().map(|finding| finding.weight * part(&finding.effect)).sum::<f64>() / whole
    };
    Interval {
        estimate: mean(|effect| effect.estimate),
        low: mean(|effect| effect.low),
        high: mean(|effect| effect.high),
    }
}

/// The effectiveness with each effect shrunk towards nothing by how unsure it is, as if effects of a twentieth were usual:
/// early on, the noise of rare errors must not decide whether a slowdown is paid for.
fn balance(plan: &Plan, metrics: &[MetricFinding]) -> f64 {
    const USUAL: f64 = 0.05;
    let whole: f64 = plan.weights.iter().sum();
    if whole <= 0.0 {
        return 0.0;
    }
    let shrunk = metrics.iter().map(|finding| {
        let spread = (finding.effect.high - finding.effect.low) / 4.0;
        finding.weight * finding.effect.estimate * USUAL * USUAL / (USUAL * USUAL + spread * spread)
    });
    shrunk.sum::<f64>() / whole
}

fn coverage(plan: &Plan, state: &State) -> Coverage {
    let matured = state.total(|stratum| stratum.matured);
    let unknown = state.total(|stratum| stratum.unknown);
    let known = [0, 1].map(|arm: usize| if matured[arm] > 0.0 { 1.0 - unknown[arm] / matured[arm] } else { 1.0 });
    let log_evidence = state
        .strata
        .iter()
        .zip(&plan.shares)
        .map(|(stratum, share)| {
            allocation::ln_mismatch(stratum.unknown, [1.0 - share, *share], COVERAGE_CONCENTRATION)
        })
        .sum();
    Coverage { known, log_evidence }
}

/// One metric; `None` for a metric that gives no signal.
fn one(plan: &Plan, state: &State, metric: usize, phase: Phase, against: &Harm<'_>) -> Option<MetricFinding> {
    let place = plan.primary(metric)?;
    let signal = &plan.signals[place];
    let spec = &plan.metrics[metric];
    let harm: Vec<Pair> = state.strata.iter().map(|stratum| stratum.harm[0].pair(place)).collect();
    let mature: Vec<Pair> = state.strata.iter().map(|stratum| stratum.mature.pair(place)).collect();
    // Until a horizon the young count too: what is shown is what a rollback would rest on.
    let shown = if phase == Phase::Early || !both_arms(&mature) { &harm } else { &mature };
    let (control, candidate) = standardised(signal, shown);
    let margin = margin(plan, metric, control);
    let usual = usual_rate(plan, control);
    let allowed = at_margin(signal, margin, usual);
    let twice = at_margin(signal, 2.0 * margin, usual);
    let equal = contrast(signal, Allowed::NOTHING, shown.iter().copied());
    let margin_held = contrast(signal, allowed, shown.iter().copied());
    let fixed = (phase == Phase::FirstHorizon && both_arms(&harm)).then(|| FixedLook {
        harm: p_harm(plan, state, metric, against.counts),
        better: p(-equal.z()),
        not_worse: p(-margin_held.z()),
        not_much_worse: p(-contrast(signal, twice, shown.iter().copied()).z()),
        differs: (2.0 * p(equal.z().abs())).min(1.0),
    });
    let half = if fixed.is_some() {
        normal::upper_quantile(SHOWN / 2.0) * equal.variance().sqrt()
    } else {
        mixture::radius(equal.variance(), SHOWN, signal.rho)
    };
    let (log_harm, share) = harm_of(plan, state, metric, against);
    let evidence = LogEvidence {
        harm: log_harm,
        better: ln_better(plan, state, place, Allowed::NOTHING, usual),
        not_worse: ln_better(plan, state, place, allowed, usual),
        not_much_worse: ln_better(plan, state, place, twice, usual),
    };
    let n = total_units(&harm);
    let units_needed = needed::units(plan, signal, spec.roles, n, equal, margin_held);
    Some(MetricFinding {
        name: spec.measure.name().to_owned(),
        roles: spec.roles,
        summary: match signal.form {
            Form::Log => Summary::GeometricMean,
            Form::Rate(_) => Summary::Rate,
            Form::Scaled(..) => Summary::Mean,
        },
        n: units(shown),
        control,
        candidate,
        effect: effect(signal, control, equal, half),
        margin,
        inside_margin: margin_held.information > 0.0 && margin_held.score < 0.0,
        weight: plan.weights[metric],
        evidence,
        evidence_share: share,
        fixed,
        units_needed,
        what_would_change: needed::words(spec, equal, margin_held, units_needed),
    })
}

/// The planned look for harm in one metric, its level shared by the signals that are most sensitive to it.
fn p_harm(plan: &Plan, state: &State, metric: usize, counts: &[bool]) -> f64 {
    let tested =
        || plan.signals.iter().enumerate().filter(|(_, signal)| signal.metric == metric && signal.weight > 0.0);
    // A metric without a signal of its own (tokens beside cost) has nothing to say here.
    let whole = tested().map(|(_, signal)| part(signal)).sum::<f64>();
    if whole <= 0.0 {
        return 1.0;
    }
    let least = tested()
        .filter(|(place, _)| counts[*place])
        .map(|(place, signal)| {
            let arms = state.strata.iter().map(|stratum| stratum.harm[0].pair(place));
            let z =
                if signal.event.is_some() { excess_z(arms) } else { contrast(signal, Allowed::NOTHING, arms).z() };
            p(z) / part(signal)
        })
        .fold(1.0, f64::min);
    (least * whole).min(1.0)
}

/// The part of a metric's level that a signal gets: rare events, of which there are two, need more of it than a mean.
fn part(signal: &Signal) -> f64 {
    match signal.source {
        Source::Tail(..) => 0.3,
        _ => 0.4,
    }
}

/// Upper tail, 1 where nothing is known (z is 0 then, so a half; a half decides nothing either).
fn p(z: f64) -> f64 {
    normal::upper(z)
}

fn both_arms(strata: &[Pair]) -> bool {
    let n = units(strata);
    n[0] > 0 && n[1] > 0
}

fn units(strata: &[Pair]) -> [u64; 2] {
    [0, 1].map(|arm: usize| strata.iter().map(|pair| pair.arms[arm].n).sum::<f64>() as u64)
}

fn total_units(strata: &[Pair]) -> f64 {
    units(strata).iter().sum::<u64>() as f64
}

/// Both arms' values with the same weight for each share epoch, so that a daily swing under a ramp does not show as a
/// difference.
fn standardised(signal: &Signal, strata: &[Pair]) -> (f64, f64) {
    let (mut whole, mut sums) = (0.0, [0.0; 2]);
    for Pair { arms, predicted } in strata {
        let [n_c, n_t] = [arms[0].n, arms[1].n];
        if n_c > 0.0 && n_t > 0.0 {
            let weight = n_c * n_t / (n_c + n_t);
            whole += weight;
            for (sum, arm) in sums.iter_mut().zip(arms.iter()) {
                *sum += weight * (arm.mean() + signal.centre + predicted);
            }
        }
    }
    let means = if whole > 0.0 {
        sums.map(|sum| sum / whole)
    } else {
        [0, 1].map(|arm: usize| {
            let n: f64 = strata.iter().map(|pair| pair.arms[arm].n).sum();
            let sum: f64 = strata.iter().map(|pair| pair.arms[arm].sum + pair.arms[arm].n * pair.predicted).sum();
            if n > 0.0 { sum / n + signal.centre } else { f64::NAN }
        })
    };
    let shown = means.map(|mean| match signal.form {
        _ if mean.is_nan() => 0.0,
        Form::Log => mean.exp(),
        _ => mean,
    });
    (shown[0], shown[1])
}

/// The error rate that a margin is a part of: history's, else control's.
fn usual_rate(plan: &Plan, control: f64) -> f64 {
    plan.baseline.error_rate.unwrap_or(control)
}

fn margin(plan: &Plan, metric: usize, control: f64) -> f64 {
    let declared = plan.margins[metric];
    if plan.metrics[metric].measure == Measure::Errors {
        declared.max(plan.error_margin_points / usual_rate(plan, control).max(0.01))
    } else {
        declared
    }
}

/// Relative change, positive when better, clipped to [-1, 1].
pub(super) fn effect(signal: &Signal, control: f64, equal: Contrast, half: f64) -> Interval {
    if equal.information <= 0.0 || !half.is_finite() {
        return Interval { estimate: 0.0, low: -1.0, high: 1.0 };
    }
    let worse = equal.estimate();
    let relative = |worsening: f64| {
        let change = match signal.form {
            Form::Log => 1.0 - worsening.exp(),
            Form::Rate(Direction::Higher) => -worsening / (1.0 - control).max(0.01),
            Form::Rate(Direction::Lower) => -worsening / control.max(0.01),
            Form::Scaled(..) => -worsening / control.abs().max(1e-9),
        };
        // Adding nothing turns a negative zero into a plain one.
        change.clamp(-1.0, 1.0) + 0.0
    };
    Interval { estimate: relative(worse), low: relative(worse + half), high: relative(worse - half) }
}

/// Evidence of harm in one metric over all its signals, and its part in the combination.
fn harm_of(plan: &Plan, state: &State, metric: usize, against: &Harm<'_>) -> (f64, f64) {
    let own = || {
        plan.signals
            .iter()
            .enumerate()
            .filter(|(_, signal)| signal.metric == metric && signal.weight > 0.0)
            .map(|(place, signal)| (place, signal.weight, mixed(plan, state, place)))
    };
    let whole: f64 = own().map(|(_, weight, _)| weight).sum();
    if whole <= 0.0 {
        return (0.0, 0.0);
    }
    let ln = ln_sum(own().map(|(_, weight, ln)| (weight, ln)).collect::<Vec<_>>().into_iter());
    let counted = own().filter(|(place, ..)| against.counts[*place]).map(|(_, weight, ln)| (weight, ln));
    let part = ln_sum(counted.collect::<Vec<_>>().into_iter()) - against.log_combined;
    (ln - whole.ln(), part.exp().clamp(0.0, 1.0))
}

/// Natural logarithm of the evidence that the candidate is better than what is allowed, on matured units. For events,
/// allowed points are a ratio of the usual rate; without a usual rate the difference of means is tested instead.
fn ln_better(plan: &Plan, state: &State, place: usize, allowed: Allowed, usual: f64) -> f64 {
    let signal = &plan.signals[place];
    let countable = usual > 0.01 || allowed.shift <= 0.0;
    if signal.event.is_some() && plan.comparison == Comparison::Concurrent && countable {
        let theta = allowed.multiple + allowed.shift / usual.max(0.01);
        return state
            .strata
            .iter()
            .zip(&plan.shares)
            .filter_map(|(stratum, share)| {
                let [control, candidate] = stratum.mature.arms[place];
                Conditional::new(*share, theta).map(|test| test.flipped().ln_evidence(control.sum, candidate.sum))
            })
            .sum();
    }
    let found = contrast(signal, allowed, state.strata.iter().map(|stratum| stratum.mature.pair(place)));
    mixture::one_sided(-found.score, found.information, signal.rho)
}

/// Evidence that makes interference.
const INTERFERENCE: f64 = 100.0;

/// True when control's success fell, its errors rose or its durations grew against its own history: something that both
/// arms share is being used up.
fn interference(plan: &Plan, state: &State) -> bool {
    let history = plan.baseline.units as f64;
    if history <= 0.0 {
        return false;
    }
    let against = |measure: &Measure, rate: Option<f64>, sign: f64| {
        let metric = plan.metrics.iter().position(|spec| spec.measure == *measure)?;
        let place = plan.primary(metric)?;
        let rate = rate?;
        let control = state
            .strata
            .iter()
            .map(|stratum| stratum.harm[0].arms[place][0])
            .fold(crate::stats::sums::Sums::default(), crate::stats::sums::Sums::merge);
        let variance = rate * (1.0 - rate);
        let spread = variance / control.n.max(1.0) + variance / history;
        let fall = sign * (control.mean() - rate);
        (control.n > 0.0 && spread > 0.0)
            .then(|| mixture::one_sided(fall / spread, 1.0 / spread, plan.signals[place].rho))
    };
    [
        against(&Measure::Success, plan.baseline.success_rate, -1.0),
        against(&Measure::Errors, plan.baseline.error_rate, 1.0),
        slower_than_forecast(plan, state),
    ]
    .into_iter()
    .flatten()
    .any(|ln| ln >= INTERFERENCE.ln())
}

/// Natural logarithm of the evidence that control is slower than its forecast by the hour. Days differ, so however many
/// units a day has, its mean is never surer than a day is.
fn slower_than_forecast(plan: &Plan, state: &State) -> Option<f64> {
    let forecast = plan.baseline.forecast.as_ref()?;
    let slowness = state.slowness;
    let spread_of = |units: f64| {
        forecast.variance / units.max(1.0)
            + forecast.variance / (plan.baseline.units as f64).max(1.0)
            + forecast.day_variance
    };
    let spread = spread_of(slowness.n);
    let rho = mixture::best_rho(1.0 / spread_of(plan.units_at_focus), 2.0 / INTERFERENCE);
    (slowness.n > 0.0 && spread > 0.0).then(|| mixture::one_sided(slowness.mean() / spread, 1.0 / spread, rho))
}
