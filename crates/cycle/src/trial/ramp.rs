//! How the candidate's share grows: a small share until both arms have some units and some hours have passed, then the
//! full one. A ramp only adds a stage; units that have started stay where they are.

use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{ShareStage, Trial, hours_us};

/// The first stage of a trial that starts then.
pub fn first_stage(policy: &TrialPolicy, started_us: i64) -> ShareStage {
    ShareStage { from_us: started_us, share: policy.ramp_first_share }
}

/// The stage to add now, if any. `assigned` counts units of control and candidate; while `interference` is seen the
/// ramp holds.
pub fn next_stage(trial: &Trial, assigned: [u64; 2], interference: bool, now_us: i64) -> Option<ShareStage> {
    let policy = &trial.policy;
    let share = trial.stages.last()?.share;
    let grown = share >= policy.ramp_full_share;
    let long_enough = now_us.saturating_sub(trial.started_us) >= hours_us(policy.ramp_hours);
    let units_enough = assigned.iter().all(|units| *units >= policy.ramp_units_per_arm);
    let due = !grown && !interference && long_enough && units_enough;
    due.then_some(ShareStage { from_us: now_us, share: policy.ramp_full_share })
}
