//! What is remembered between looks.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use uplift_model::trial::{Arm, Comparison, UnitOutcome, unit_key};

use super::plan::Plan;
use super::values::{Facts, View};
use crate::stats::allocation;
use crate::stats::sums::Sums;

/// Sums of one signal in both arms, control first.
pub(super) type Arms = [Sums; 2];

/// What a process start remembers of one share epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    /// By signal.
    pub(super) arms: Vec<Arms>,
    /// By signal, what was predicted of the units of both arms together; only kept for adjusted signals.
    #[serde(default)]
    predicted: Vec<Sums>,
}

/// Both arms of one signal in one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    /// Control, candidate.
    pub(super) arms: Arms,
    /// Mean of what was taken off the values of both arms: what it takes to make rates of them again.
    pub(super) predicted: f64,
}

impl Cell {
    fn empty(signals: usize) -> Self {
        Self { arms: vec![Arms::default(); signals], predicted: vec![Sums::default(); signals] }
    }

    pub(super) fn pair(&self, place: usize) -> Pair {
        Pair { arms: self.arms[place], predicted: self.predicted.get(place).map_or(0.0, Sums::mean) }
    }

    /// Puts a unit's value in, or takes it out.
    fn count(&mut self, place: usize, arm: usize, value: f64, predicted: Option<f64>, change: fn(&mut Sums, f64)) {
        change(&mut self.arms[place][arm], value);
        if let (Some(predicted), Some(sums)) = (predicted, self.predicted.get_mut(place)) {
            change(sums, predicted);
        }
    }
}

/// One share epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stratum {
    /// By process start.
    pub(super) harm: Vec<Cell>,
    pub(super) mature: Cell,
    pub(super) assigned: [f64; 2],
    pub(super) matured: [f64; 2],
    pub(super) unknown: [f64; 2],
}

/// A unit that is still too young for a keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pending {
    arm: Arm,
    stratum: usize,
    crossed: bool,
    facts: Facts,
}

/// Units in order of their start; two may start at once.
type Queue = BTreeMap<(i64, u64), Pending>;

/// All that a monitor remembers: sums per share epoch, and the units that have not matured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(super) strata: Vec<Stratum>,
    /// Younger than the harm cohort.
    #[serde(with = "as_pairs")]
    young: Queue,
    /// In the harm cohort, not yet matured.
    #[serde(with = "as_pairs")]
    aged: Queue,
    /// Start of each unit in either queue.
    started: HashMap<u64, i64>,
    crossed: f64,
    /// Control's log durations beyond the forecast.
    #[serde(default)]
    pub(super) slowness: Sums,
    pub(super) late: u64,
    pub(super) now_us: i64,
    pub(super) horizon_taken: bool,
    /// Last computed evidence by start and signal; NaN-free, `None` where sums have changed since.
    #[serde(skip)]
    pub(super) cache: Vec<Vec<Option<f64>>>,
    #[serde(skip)]
    allocation_cache: Option<f64>,
}

impl State {
    pub(super) fn empty(plan: &Plan) -> Self {
        let mut state = Self {
            strata: Vec::new(),
            young: Queue::new(),
            aged: Queue::new(),
            started: HashMap::new(),
            crossed: 0.0,
            slowness: Sums::default(),
            late: 0,
            now_us: i64::MIN,
            horizon_taken: false,
            cache: Vec::new(),
            allocation_cache: None,
        };
        state.grow(plan);
        state
    }

    pub(super) fn fits(&self, plan: &Plan) -> bool {
        self.strata.len() <= plan.shares.len().max(1)
            && self.strata.iter().all(|stratum| {
                stratum.mature.arms.len() == plan.signals.len() && stratum.harm.len() == plan.starts_us.len()
            })
    }

    pub(super) fn grow(&mut self, plan: &Plan) {
        let cell = Cell::empty(plan.signals.len());
        while self.strata.len() < plan.shares.len().max(1) {
            self.strata.push(Stratum {
                harm: vec![cell.clone(); plan.starts_us.len()],
                mature: cell.clone(),
                assigned: [0.0; 2],
                matured: [0.0; 2],
                unknown: [0.0; 2],
            });
        }
        self.cache = vec![vec![None; plan.signals.len()]; plan.starts_us.len()];
        self.allocation_cache = None;
    }

    pub(super) fn record(&mut self, plan: &Plan, outcome: &UnitOutcome) {
        let key = unit_key(&outcome.unit);
        let facts = Facts::of(plan, outcome);
        if let Some(&started_us) = self.started.get(&key) {
            self.update((started_us, key), plan, outcome, facts);
            return;
        }
        let started_us = outcome.started_us;
        // Nothing tells a second record of a matured unit from a first record that came too late.
        if self.now_us.saturating_sub(plan.mature_age_us) >= started_us {
            self.late += 1;
            return;
        }
        let stratum = plan.stage_starts.partition_point(|from| *from <= started_us).saturating_sub(1);
        self.strata[stratum].assigned[outcome.arm.index()] += 1.0;
        self.allocation_cache = None;
        self.crossed += f64::from(u8::from(outcome.crossed));
        self.started.insert(key, started_us);
        let pending = Pending { arm: outcome.arm, stratum, crossed: outcome.crossed, facts };
        if self.is_aged(plan, started_us) {
            self.count_for_harm(plan, started_us, &pending, Sums::add);
            self.aged.insert((started_us, key), pending);
        } else {
            self.young.insert((started_us, key), pending);
        }
    }

    fn update(&mut self, at: (i64, u64), plan: &Plan, outcome: &UnitOutcome, facts: Facts) {
        let mut counted = None;
        let pending = match (self.young.get_mut(&at), self.aged.get_mut(&at)) {
            (Some(pending), _) => pending,
            (None, Some(pending)) => {
                counted = Some(pending.clone());
                pending
            }
            (None, None) => return,
        };
        if (outcome.crossed || outcome.arm != pending.arm) && !pending.crossed {
            pending.crossed = true;
            self.crossed += 1.0;
        }
        pending.facts = facts.predicted_as(&pending.facts);
        if let Some(before) = counted {
            let after = pending.clone();
            self.count_for_harm(plan, at.0, &before, Sums::remove);
            self.count_for_harm(plan, at.0, &after, Sums::add);
        }
    }

    fn is_aged(&self, plan: &Plan, started_us: i64) -> bool {
        self.now_us.saturating_sub(started_us) as f64 >= plan.harm_age_ms * 1e3
    }

    /// Moves units on as they grow older. Time never runs backwards.
    pub(super) fn advance(&mut self, plan: &Plan, now_us: i64) {
        self.now_us = self.now_us.max(now_us);
        while let Some(first) = self.young.first_entry() {
            if (self.now_us.saturating_sub(first.key().0) as f64) < plan.harm_age_ms * 1e3 {
                break;
            }
            let (at, pending) = first.remove_entry();
            self.count_for_harm(plan, at.0, &pending, Sums::add);
            self.aged.insert(at, pending);
        }
        while let Some(first) = self.aged.first_entry() {
            if self.now_us.saturating_sub(first.key().0) < plan.mature_age_us {
                break;
            }
            let (at, pending) = first.remove_entry();
            self.started.remove(&at.1);
            self.mature(plan, at.0, &pending);
        }
    }

    fn count_for_harm(&mut self, plan: &Plan, started_us: i64, unit: &Pending, change: fn(&mut Sums, f64)) {
        if unit.arm == Arm::Control
            && let Some(beyond) = unit.facts.slowness(plan, started_us)
        {
            change(&mut self.slowness, beyond);
        }
        let starts = plan.starts_us.partition_point(|start| *start <= started_us).max(1);
        for (place, signal) in plan.signals.iter().enumerate() {
            let value = unit.facts.value(plan, signal, View::Harm);
            if value.is_nan() {
                continue;
            }
            // An event process moves only when an event happens.
            let conditional = plan.conditionals.get(unit.stratum).and_then(|signals| signals[place]);
            let moves = conditional.is_none() || value != 0.0;
            let predicted = signal.adjusted.then(|| unit.facts.predicted(signal));
            for start in 0..starts {
                self.strata[unit.stratum].harm[start].count(place, unit.arm.index(), value, predicted, change);
                if moves {
                    self.cache[start][place] = None;
                }
            }
        }
    }

    fn mature(&mut self, plan: &Plan, started_us: i64, unit: &Pending) {
        let arm = unit.arm.index();
        if !unit.facts.ended() {
            // It counted as running; from now on it counts as failed at the timeout, for harm too.
            self.count_for_harm(plan, started_us, unit, Sums::remove);
            let failed = Pending { facts: unit.facts.timed_out(plan), ..unit.clone() };
            self.count_for_harm(plan, started_us, &failed, Sums::add);
        }
        let stratum = &mut self.strata[unit.stratum];
        stratum.matured[arm] += 1.0;
        stratum.unknown[arm] += f64::from(u8::from(!unit.facts.outcome_known(View::Mature)));
        for (place, signal) in plan.signals.iter().enumerate() {
            let value = unit.facts.value(plan, signal, View::Mature);
            // An unknown value is NaN, and its prediction must not count either.
            let predicted = (signal.adjusted && value.is_finite()).then(|| unit.facts.predicted(signal));
            stratum.mature.count(place, arm, value, predicted, Sums::add);
        }
    }

    /// Units that saw both arms, as a share of all.
    pub(super) fn crossover(&self) -> f64 {
        let all: f64 = self.assigned().iter().sum();
        if all > 0.0 { self.crossed / all } else { 0.0 }
    }

    pub(super) fn assigned(&self) -> [f64; 2] {
        self.total(|stratum| stratum.assigned)
    }

    pub(super) fn total(&self, part: impl Fn(&Stratum) -> [f64; 2]) -> [f64; 2] {
        self.strata.iter().map(part).fold([0.0; 2], |sum, next| [sum[0] + next[0], sum[1] + next[1]])
    }

    /// Units that have not matured, and so are remembered singly.
    pub fn immature(&self) -> u64 {
        self.started.len() as u64
    }

    /// Natural logarithm of the evidence against the declared shares; factors of share epochs multiply.
    pub(super) fn log_allocation(&mut self, plan: &Plan) -> f64 {
        if plan.comparison == Comparison::BeforeAfter {
            return 0.0;
        }
        if let Some(known) = self.allocation_cache {
            return known;
        }
        let fresh = self
            .strata
            .iter()
            .zip(&plan.shares)
            .map(|(stratum, share)| {
                allocation::ln_mismatch(stratum.assigned, [1.0 - share, *share], allocation::CONCENTRATION)
            })
            .sum();
        self.allocation_cache = Some(fresh);
        fresh
    }
}

/// JSON has no tuple keys.
mod as_pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Pending, Queue};

    pub(super) fn serialize<S: Serializer>(queue: &Queue, serializer: S) -> Result<S::Ok, S::Error> {
        queue.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Queue, D::Error> {
        Ok(Vec::<((i64, u64), Pending)>::deserialize(deserializer)?.into_iter().collect())
    }
}
