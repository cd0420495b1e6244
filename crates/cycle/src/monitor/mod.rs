//! Monitor: unit outcomes become evidence, one look after the other.
//!
//! A unit waits until it is as old as the others that are counted: first for harm (both arms cut off at the same age, so
//! that a slow candidate is not flattered by what has finished), then, once it can no longer be running, for a keep.
//! What is remembered is a few sums per share epoch; only units that are still too young are remembered singly, so a
//! look costs the same after a thousand units as after a million.
//!
//! In reading order: [`plan`](self) (which signals a trial's metrics give), values, state, contrast, evidence, findings.

mod contrast;
mod evidence;
mod findings;
mod needed;
mod plan;
mod state;
mod values;

use uplift_model::trial::{Trial, UnitOutcome};
use uplift_model::verdict::{Findings, Phase};

use plan::Plan;
pub use state::State;

/// What every look computes: enough to see whether anything can be decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Natural logarithm of the combined evidence against the candidate, before small costs are set aside.
    pub log_combined: f64,
    /// Natural logarithm of the evidence against the declared shares.
    pub log_allocation: f64,
    /// Units that saw both arms, as a share of all.
    pub crossover: f64,
    /// True from the first horizon on.
    pub horizon_reached: bool,
}

/// A trial being watched.
#[derive(Debug, Clone)]
pub struct Monitor {
    plan: Plan,
    state: State,
}

impl Monitor {
    /// Starts watching.
    pub fn new(trial: &Trial) -> Self {
        let plan = Plan::of(trial);
        let state = State::empty(&plan);
        Self { plan, state }
    }

    /// Goes on from a saved state. A stage that was added to the trial meanwhile opens a new stratum; a state of other
    /// metrics is useless, and watching starts anew.
    pub fn resume(trial: &Trial, state: State) -> Self {
        let plan = Plan::of(trial);
        let mut monitor = Self { plan, state };
        if monitor.state.fits(&monitor.plan) {
            monitor.state.grow(&monitor.plan);
        } else {
            monitor.state = State::empty(&monitor.plan);
        }
        monitor
    }

    /// What to save.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes in what is known of a unit. A record of a unit already seen replaces what was known; its arm stays the
    /// first. A record that comes after its unit has matured is counted as late and changes nothing.
    pub fn record(&mut self, outcome: &UnitOutcome) {
        self.state.record(&self.plan, outcome);
    }

    /// Moves time on to `now_us` and looks.
    pub fn look(&mut self, now_us: i64) -> Look {
        self.state.advance(&self.plan, now_us);
        evidence::refresh(&self.plan, &mut self.state);
        Look {
            log_combined: evidence::combined(&self.plan, &self.state, |_| true),
            log_allocation: self.state.log_allocation(&self.plan),
            crossover: self.state.crossover(),
            horizon_reached: now_us >= self.plan.horizon_us,
        }
    }

    /// Looks at `now_us` and says everything there is to say. The first call at or after the first horizon is the one
    /// planned look; later ones are not.
    pub fn findings(&mut self, now_us: i64) -> Findings {
        self.state.advance(&self.plan, now_us);
        let phase = if now_us < self.plan.horizon_us {
            Phase::Early
        } else if self.state.horizon_taken {
            Phase::Extended
        } else {
            self.state.horizon_taken = true;
            Phase::FirstHorizon
        };
        findings::all(&self.plan, &mut self.state, now_us, phase)
    }
}
