//! Which signals a trial's metrics give, with weights and thresholds that are fixed before the start.

use uplift_model::metric::{CustomMetric, Direction, Measure, MetricSpec, Roles, ScoreKind};
use uplift_model::trial::{AmountBaseline, Baseline, Comparison, ScoreBaseline, Trial, TrialKind};

use crate::stats::conditional::Conditional;
use crate::stats::mixture::best_rho;

/// Weight, in units, of the historical variance in an arm's variance: enough that the first tens of units do not divide
/// by a variance they happened to have, and forgotten after some hundreds.
pub(super) const PRIOR_UNITS: f64 = 40.0;

/// Where a signal's value comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    Success,
    Error,
    /// Natural logarithm of an amount.
    Log(Amount),
    /// 1 where the amount exceeds the threshold.
    Tail(Amount, f64),
    /// A declared score, by its place among the declared scores.
    Score(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    Duration,
    Tokens,
    Cost,
}

/// How arms are contrasted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Difference of mean logarithms; lower is better.
    Log,
    /// Rates in [0, 1], higher or lower better.
    Rate(Direction),
    /// Means of any sign; the scale turns a relative margin into an absolute one.
    Scaled(Direction, f64),
}

#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) metric: usize,
    pub(super) source: Source,
    pub(super) form: Form,
    /// For events, which are tested by conditioning on them where arms ran at the same time: the share of units in which
    /// one usually happens.
    pub(super) event: Option<f64>,
    /// Weight in the combined evidence, 0 where it does not enter.
    pub(super) weight: f64,
    /// For amounts, the ratio that must be exceeded for harm to count.
    pub(super) least: Option<f64>,
    /// Value subtracted before summing, so that squares keep their digits.
    pub(super) centre: f64,
    /// Values are cut here.
    pub(super) cut: (f64, f64),
    pub(super) prior_variance: Option<f64>,
    pub(super) rho: f64,
    /// True for the one signal of a metric that its estimate and its keep rest on.
    pub(super) primary: bool,
    /// True where the part of a value that was predictable is taken off before it is summed.
    pub(super) adjusted: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) kind: TrialKind,
    pub(super) comparison: Comparison,
    pub(super) metrics: Vec<MetricSpec>,
    pub(super) margins: Vec<f64>,
    pub(super) weights: Vec<f64>,
    pub(super) score_names: Vec<String>,
    pub(super) signals: Vec<Signal>,
    pub(super) shares: Vec<f64>,
    pub(super) stage_starts: Vec<i64>,
    /// `conditionals[stratum][signal]`, for event signals.
    pub(super) conditionals: Vec<Vec<Option<Conditional>>>,
    /// Starts of the evidence processes: the trial's start, then the restarts.
    pub(super) starts_us: Vec<i64>,
    pub(super) start_weights: Vec<f64>,
    pub(super) horizon_us: i64,
    pub(super) last_horizon_us: i64,
    /// Age at which a unit counts for harm.
    pub(super) harm_age_ms: f64,
    /// Age at which an unfinished unit counts as failed.
    pub(super) timeout_ms: f64,
    /// Age at which a unit counts for a keep.
    pub(super) mature_age_us: i64,
    pub(super) baseline: Baseline,
    pub(super) log_threshold: f64,
    pub(super) keep_log_threshold: f64,
    pub(super) error_margin_points: f64,
    /// Units of both arms expected by the focus of the mixtures.
    pub(super) units_at_focus: f64,
}

impl Plan {
    pub(super) fn of(trial: &Trial) -> Self {
        let policy = &trial.policy;
        let history = trial.baseline.duration;
        let timeout_ms = policy.task_timeout(history.map(|amount| amount.p99));
        let harm_age_ms = history.map_or(timeout_ms / 6.0, |amount| amount.p95).clamp(0.0, timeout_ms);
        let scores: Vec<_> = trial
            .metrics
            .iter()
            .filter_map(|spec| match &spec.measure {
                Measure::Custom(custom) => Some(custom),
                _ => None,
            })
            .collect();
        let window_ms = scores.iter().map(|custom| custom.attribution_window_ms.max(0.0)).fold(0.0, f64::max);
        let start_weights = start_weights(policy.from_start_weight, policy.restarts);
        let horizon_us = trial.horizon_us();
        let mut plan = Self {
            kind: trial.kind,
            comparison: trial.comparison,
            metrics: trial.metrics.clone(),
            margins: trial.metrics.iter().map(|spec| margin(spec, trial)).collect(),
            weights: trial.metrics.iter().map(effect_weight).collect(),
            score_names: scores.iter().map(|custom| custom.name.clone()).collect(),
            signals: signals(trial),
            shares: trial.stages.iter().map(|stage| stage.share).collect(),
            stage_starts: trial.stages.iter().map(|stage| stage.from_us).collect(),
            conditionals: Vec::new(),
            starts_us: starts(trial.started_us, horizon_us, start_weights.len()),
            start_weights,
            horizon_us,
            last_horizon_us: trial.last_horizon_us(),
            harm_age_ms,
            timeout_ms,
            mature_age_us: (timeout_ms.max(window_ms) * 1e3) as i64,
            baseline: trial.baseline.clone(),
            log_threshold: (1.0 / trial.rollback_alpha()).ln(),
            keep_log_threshold: (2.0 / policy.keep_alpha).ln(),
            error_margin_points: policy.error_margin_points,
            units_at_focus: trial.expected_units.max(1.0) * policy.focus,
        };
        plan.conditionals = plan.shares.iter().map(|share| plan.conditionals_at(*share)).collect();
        plan
    }

    fn conditionals_at(&self, share: f64) -> Vec<Option<Conditional>> {
        let concurrent = self.comparison == Comparison::Concurrent;
        self.signals
            .iter()
            .map(|signal| {
                let usual = signal.event.filter(|_| concurrent)?;
                Conditional::focused(share, usual * self.units_at_focus)
            })
            .collect()
    }

    pub(super) fn primary(&self, metric: usize) -> Option<usize> {
        self.signals.iter().position(|signal| signal.metric == metric && signal.primary)
    }

    pub(super) fn is_only_cost(&self, signal: &Signal) -> bool {
        let roles = self.metrics[signal.metric].roles;
        roles.cost && !roles.goal && !roles.guardrail
    }
}

/// The process from the start, and restarts that share the rest of the weight.
fn start_weights(from_start: f64, restarts: u32) -> Vec<f64> {
    if restarts == 0 {
        return vec![1.0];
    }
    let each = (1.0 - from_start) / f64::from(restarts);
    let mut weights = vec![each; restarts as usize + 1];
    weights[0] = from_start;
    weights
}

fn starts(started_us: i64, horizon_us: i64, count: usize) -> Vec<i64> {
    let span = horizon_us.saturating_sub(started_us);
    (0..count as i64).map(|start| started_us + span / count as i64 * start).collect()
}

/// Relative margin of non-inferiority of a metric; for errors the policy's points are added when findings are made.
fn margin(spec: &MetricSpec, trial: &Trial) -> f64 {
    let default = trial.policy.margin;
    match &spec.measure {
        Measure::Custom(custom) => custom.margin.filter(|margin| *margin > 0.0 && *margin < 1.0).unwrap_or(default),

        _ => default,
    }
}

fn effect_weight(spec: &MetricSpec) -> f64 {
    match (&spec.measure, spec.roles.any()) {
        (Measure::Custom(custom), true) if custom.weight.is_finite() && custom.weight > 0.0 => custom.weight,
        (_, false) | (Measure::Custom(_), true) => 0.0,
        _ => 1.0,
    }
}

fn signals(trial: &Trial) -> Vec<Signal> {
    let priced = trial.metrics.iter().any(|spec| spec.measure == Measure::Cost && spec.roles.any());
    let mut signals = Vec::new();
    let mut score = 0;
    for (metric, spec) in trial.metrics.iter().enumerate() {
        let acts = spec.roles.any();
        match &spec.measure {
            Measure::Success => signals.push(success(metric, acts, &trial.baseline)),
            Measure::Errors => signals.push(errors(metric, acts, &trial.baseline)),
            Measure::Duration => {
                amount(&mut signals, metric, Amount::Duration, acts, trial.baseline.duration);
            }
            Measure::Tokens => {
                amount(&mut signals, metric, Amount::Tokens, acts && !priced, trial.baseline.tokens);
            }
            Measure::Cost => amount(&mut signals, metric, Amount::Cost, acts, trial.baseline.cost),
            Measure::Custom(custom) => {
                let history = trial.baseline.scores.get(&custom.name).copied();
                signals.push(declared(metric, score, custom, spec.roles, history));
                score += 1;
            }
        }
    }
    finish(&mut signals, trial);
    signals
}

fn declared(
    metric: usize,
    score: usize,
    custom: &CustomMetric,
    roles: Roles,
    history: Option<ScoreBaseline>,
) -> Signal {
    let boolean = custom.kind == ScoreKind::Boolean;
    let form = if boolean {
        Form::Rate(custom.direction)
    } else {
        Form::Scaled(custom.direction, history.map_or(1.0, |known| known.mean.abs()).max(1e-9))
    };
    let cut = match (boolean, history) {
        (true, _) => (0.0, 1.0),
        (false, Some(known)) if known.p01 < known.p99 => (known.p01, known.p99),
        (false, _) => (f64::MIN, f64::MAX),
    };
    Signal {
        cut,
        centre: if boolean { 0.0 } else { history.map_or(0.0, |known| known.mean) },
        weight: f64::from(u8::from(roles.guardrail || roles.goal)),
        prior_variance: history.map(|known| known.variance),
        ..blank(metric, Source::Score(score), form)
    }
}

fn blank(metric: usize, source: Source, form: Form) -> Signal {
    Signal {
        metric,
        source,
        form,
        event: None,
        weight: 0.0,
        least: None,
        centre: 0.0,
        cut: (f64::MIN, f64::MAX),
        prior_variance: None,
        rho: 0.0,
        primary: true,
        adjusted: false,
    }
}

fn success(metric: usize, acts: bool, baseline: &Baseline) -> Signal {
    let of_coin = baseline.success_rate.map(|rate| rate * (1.0 - rate));
    Signal {
        weight: f64::from(u8::from(acts)),
        cut: (0.0, 1.0),
        prior_variance: baseline.success_variance.or(of_coin),
        ..blank(metric, Source::Success, Form::Rate(Direction::Higher))
    }
}

fn errors(metric: usize, acts: bool, baseline: &Baseline) -> Signal {
    Signal {
        event: Some(baseline.error_rate.unwrap_or(UNKNOWN_RATE)),
        weight: f64::from(u8::from(acts)),
        cut: (0.0, 1.0),
        prior_variance: baseline.error_rate.map(|rate| rate * (1.0 - rate)),
        ..blank(metric, Source::Error, Form::Rate(Direction::Lower))
    }
}

/// Rate taken for a rare event that no history tells of.
const UNKNOWN_RATE: f64 = 0.1;

fn amount(signals: &mut Vec<Signal>, metric: usize, amount: Amount, acts: bool, history: Option<AmountBaseline>) {
    let usable = history.filter(|known| known.p95 > 0.0 && known.p95.is_finite() && known.log_mean.is_finite());
    let whole = Signal {
        weight: f64::from(u8::from(acts && usable.is_none())),
        centre: usable.map_or(0.0, |known| known.log_mean),
        prior_variance: usable.map(|known| known.log_variance),
        ..blank(metric, Source::Log(amount), Form::Log)
    };
    signals.push(whole.clone());
    let Some(known) = usable.filter(|_| acts) else {
        return;
    };
    // One task in a hundred that hangs for an hour adds a fifth to the variance of the logarithm; cut at the 95th
    // percentile it does not, and what is lost of a harm is in the tail signals. A keep rests on the uncut signal.
    signals.push(Signal { weight: 1.0, cut: (f64::MIN, known.p95.ln()), primary: false, ..whole });
    if amount == Amount::Duration {
        signals.push(tail(metric, amount, known.p95, 0.05, 2.0));
    }
    // Without spread up there the two would be one event counted twice.
    if known.p98 > known.p95 && known.p98.is_finite() {
        let part = if amount == Amount::Duration { 2.0 } else { 1.0 };
        signals.push(tail(metric, amount, known.p98, 0.02, part));
    }
}

/// Outliers as events: exact at any number of units, where means of skewed amounts are not. The tail group shares one
/// weight, marked here as negative parts and settled in [`finish`].
fn tail(metric: usize, amount: Amount, threshold: f64, usual: f64, part: f64) -> Signal {
    Signal {
        event: Some(usual),
        weight: -part,
        cut: (0.0, 1.0),
        prior_variance: Some(usual * (1.0 - usual)),
        primary: false,
        ..blank(metric, Source::Tail(amount, threshold), Form::Rate(Direction::Lower))
    }
}

/// Settles weights, least effects and the focus of each mixture, all before the start.
fn finish(signals: &mut [Signal], trial: &Trial) {
    let tails: f64 = signals.iter().map(|signal| (-signal.weight).max(0.0)).sum();
    let whole: f64 =
        signals.iter().map(|signal| signal.weight.max(0.0)).sum::<f64>() + f64::from(u8::from(tails > 0.0));
    let share = trial.stages.last().map_or(0.5, |stage| stage.share);
    let units = trial.expected_units.max(1.0) * trial.policy.focus * share * (1.0 - share);
    let predictor = trial.baseline.predictor.as_ref();
    for signal in signals {
        let part = if signal.weight < 0.0 { -signal.weight / tails } else { signal.weight };
        signal.weight = if whole > 0.0 { part / whole } else { 0.0 };
        if matches!(signal.source, Source::Log(_) | Source::Tail(..)) {
            signal.least = Some(trial.policy.least_cost_ratio.max(1.0));
        }
        // Events are compared by whose they were; there is no variance to reduce.
        let explained = predictor
            .filter(|_| signal.event.is_none())
            .map_or(0.0, |known| known.explained(trial.metrics[signal.metric].measure.name()));
        signal.adjusted = explained > 0.0;
        let guess = match signal.form {
            Form::Rate(_) => 0.16,
            Form::Log => 1.0,
            Form::Scaled(_, scale) => scale * scale,
        };
        let variance = signal.prior_variance.filter(|known| *known > 0.0 && known.is_finite()).unwrap_or(guess);
        let level = trial.rollback_alpha() * signal.weight.max(0.05) * trial.policy.from_start_weight.max(0.05);
        // What is left once the prediction is taken off, if history can be trusted: only the focus rests on it.
        signal.rho = best_rho(units / (variance * (1.0 - explained)), 2.0 * level);
    }
}
