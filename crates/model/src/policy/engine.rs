//! The engine's six settings, and an entity's own.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{PolicyError, require};
use crate::entity::UnknownName;
use crate::opportunity::names;
use crate::review::ReviewSchedule;
use crate::task::OutcomeRule;
use std::str::FromStr;

names! {
    /// How much happens without a person.
    Mode,
    "a mode (observe, propose, approve, auto)",
    {
        /// Report only.
        Observe = "observe",
        /// Write proposals.
        Propose = "propose",
        /// Ask before a trial.
        Approve = "approve",
        /// Try by itself.
        Auto = "auto",
    }
}

/// The engine's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnginePolicy {
    /// How much happens without a person, for what rules propose.
    pub mode: Mode,
    /// The same for what a language model proposes.
    pub llm_mode: Mode,
    /// Least confidence of an opportunity that is acted on, from 0 to 1.
    pub min_confidence_score: f64,
    /// Hours a trial runs before anything is kept.
    pub test_duration_hours: f64,
    /// Opportunities claimed a tick.
    pub improvement_batch_size: u32,
    /// Effectiveness below which a change is taken back, from -1 to 0.
    pub rollback_threshold: f64,
    /// Trials at the same time.
    pub max_concurrent_improvements: u32,
    /// Rest of an entity between two changes, such as `6h`.
    #[serde(serialize_with = "jiff::fmt::serde::duration::friendly::compact::required")]
    pub cooldown_period: SignedDuration,
    /// Unknown agents and tools seen in events register themselves.
    pub auto_register: bool,
    /// Decisions before a rollback rate means anything.
    pub rollback_rate_min_decisions: u32,
    /// Days a rollback rate looks back.
    pub rollback_rate_days: u32,
}

impl Default for EnginePolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            llm_mode: Mode::Approve,
            min_confidence_score: 0.8,
            test_duration_hours: 24.0,
            improvement_batch_size: 5,
            rollback_threshold: -0.1,
            max_concurrent_improvements: 3,
            cooldown_period: SignedDuration::from_hours(6),
            auto_register: true,
            rollback_rate_min_decisions: 10,
            rollback_rate_days: 30,
        }
    }
}

impl EnginePolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let unit = 0.0..=1.0;
        require(
            unit.contains(&self.min_confidence_score),
            "engine.min_confidence_score",
            "from 0 to 1",
            self.min_confidence_score,
        )?;
        require(
            self.test_duration_hours > 0.0 && self.test_duration_hours <= 24.0 * 365.0,
            "engine.test_duration_hours",
            "above 0 and at most a year",
            self.test_duration_hours,
        )?;
        require(
            (1..=1_000).contains(&self.improvement_batch_size),
            "engine.improvement_batch_size",
            "from 1 to 1000",
            self.improvement_batch_size,
        )?;
        require(
            (-1.0..=0.0).contains(&self.rollback_threshold),
            "engine.rollback_threshold",
            "from -1 to 0",
            self.rollback_threshold,
        )?;
        require(
            self.max_concurrent_improvements <= 100_000,
            "engine.max_concurrent_improvements",
            "at most 100000",
            self.max_concurrent_improvements,
        )?;
        require(
            !self.cooldown_period.is_negative() && self.cooldown_period <= SignedDuration::from_hours(24 * 365),
            "engine.cooldown_period",
            "from 0 to a year",
            self.cooldown_period,
        )
    }
}

/// An entity's own settings; they override the engine's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImprovementConfig {
    /// Whether Uplift may improve it by itself.
    pub auto_improve_enabled: bool,
    /// Least confidence of an opportunity that is acted on, from 0 to 1.
    pub min_confidence_threshold: f64,
    /// Hours a trial runs before anything is kept.
    pub test_duration_hours: f64,
    /// Share of harm rollbacks above which it is left alone, from 0 to 1.
    pub max_rollback_rate: f64,
    /// How much happens without a person; the engine's mode where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Where its tasks get their outcome from; the event that ends them where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeRule>,
    /// When it is reviewed; as everybody where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewSchedule>,
}

impl Default for ImprovementConfig {
    fn default() -> Self {
        Self {
            auto_improve_enabled: true,
            min_confidence_threshold: 0.8,
            test_duration_hours: 24.0,
            max_rollback_rate: 0.1,
            mode: None,
            outcome: None,
            review: None,
        }
    }
}

impl ImprovementConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first one outside its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        let unit = 0.0..=1.0;
        require(
            unit.contains(&self.min_confidence_threshold),
            "min_confidence_threshold",
            "from 0 to 1",
            self.min_confidence_threshold,
        )?;
        require(unit.contains(&self.max_rollback_rate), "max_rollback_rate", "from 0 to 1", self.max_rollback_rate)?;
        require(
            self.test_duration_hours > 0.0 && self.test_duration_hours <= 24.0 * 365.0,
            "test_duration_hours",
            "above 0 and at most a year",
            self.test_duration_hours,
        )?;
        if let Some(review) = self.review {
            require(
                review.task_threshold >= 1 && review.period_hours >= 1,
                "review",
                "at least one task and one hour",
                format!("{} tasks, {} h", review.task_threshold, review.period_hours),
            )?;
        }
        Ok(())
    }
}
