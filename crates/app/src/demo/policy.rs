//! What the demo obeys where it does not go by the defaults, and how it says so.

use jiff::SignedDuration;
use uplift_model::Policy;

/// The policy of the demo: the same decisions as always, with a faster ramp and more at once.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.max_concurrent_improvements = 12;
    policy.engine.improvement_batch_size = 12;
    policy.engine.cooldown_period = SignedDuration::from_hours(1);
    policy.trial.max_test_duration_hours = 36.0;
    policy.trial.ramp_first_share = 0.2;
    policy.trial.ramp_hours = 1.0;
    policy.trial.ramp_units_per_arm = 3;
    policy.trial.look_minutes = 15.0;
    policy
}

/// The same in words.
pub(crate) fn in_words(policy: &Policy) -> String {
    let (engine, trial) = (&policy.engine, &policy.trial);
    format!(
        "Tests take {} hours (at most {}), up to {} trials at once, {} of rest between two changes of an agent.\nA \
         candidate gets {:.0} % of the tasks for {} h, then {:.0} %; a look every {} minutes; what is kept is watched \
         against {:.0} % that stay behind.",
        engine.test_duration_hours,
        trial.max_test_duration_hours,
        engine.max_concurrent_improvements,
        spoken(engine.cooldown_period),
        trial.ramp_first_share * 100.0,
        trial.ramp_hours,
        trial.ramp_full_share * 100.0,
        trial.look_minutes,
        trial.hold_back_share * 100.0,
    )
}

fn spoken(duration: SignedDuration) -> String {
    format!("{duration:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_one_and_says_what_it_changes() {
        let policy = policy();
        policy.check().unwrap();
        let words = in_words(&policy);
        assert!(words.contains("up to 12 trials") && words.contains("1h of rest"), "{words}");
    }
}
