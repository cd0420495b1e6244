//! The engine's six settings, and an entity's own.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{PolicyError, require};
use crate::entity::UnknownName;
use crate::improvement::ProposalSource;
use crate::opportunity::names;
use crate::review::ReviewSchedule;
use crate::revision::Section;
use crate::task::OutcomeRule;
use crate::trial::AssignmentUnit;
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
    /// Score of the system's health, from 0 to 100, below which no trial starts.
    pub min_health_score: f64,
    /// Change, relative, that a trial has to be able to see at its first horizon to be worth starting: in (0, 1].
    pub preflight_change: f64,
    /// Days an opportunity rests after a trial of it ended without an answer.
    pub inconclusive_rest_days: f64,
    /// Expected share of false ones among the claims that a kept change helped, over all changes of the fleet: above 0 and
    /// at most 0.5. It decides what is said, never what is kept.
    pub false_claims: f64,
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
            min_health_score: 25.0,
            preflight_change: 0.5,
            inconclusive_rest_days: 7.0,
            false_claims: 0.1,
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
            (0.0..=100.0).contains(&self.min_health_score),
            "engine.min_health_score",
            "from 0 to 100",
            self.min_health_score,
        )?;
        require(
            self.preflight_change > 0.0 && self.preflight_change <= 1.0,
            "engine.preflight_change",
            "above 0 and at most 1",
            self.preflight_change,
        )?;
        require(
            (0.0..=365.0).contains(&self.inconclusive_rest_days),
            "engine.inconclusive_rest_days",
            "from 0 to 365",
            self.inconclusive_rest_days,
        )?;
        require(
            self.false_claims > 0.0 && self.false_claims <= 0.5,
            "engine.false_claims",
            "above 0 and at most 0.5",
            self.false_claims,
        )?;
        require(
            !self.cooldown_period.is_negative() && self.cooldown_period <= SignedDuration::from_hours(24 * 365),
            "engine.cooldown_period",
            "from 0 to a year",
            self.cooldown_period,
        )
    }
}

/// An entity's own settings; they override the engine's. What is `None` is as the engine has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImprovementConfig {
    /// Whether Uplift may improve it by itself.
    pub auto_improve_enabled: bool,
    /// Least confidence of an opportunity that is acted on, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence_threshold: Option<f64>,
    /// Hours a trial runs before anything is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_duration_hours: Option<f64>,
    /// Share of harm rollbacks above which it is left alone, from 0 to 1.
    pub max_rollback_rate: f64,
    /// How much happens without a person; the engine's mode where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What is assigned to an arm: single tasks, or whole sessions because their tasks share state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<AssignmentUnit>,
    /// Sections of its configuration that no improvement may touch, beside those of the edit policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<Section>,
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
            min_confidence_threshold: None,
            test_duration_hours: None,
            max_rollback_rate: 0.1,
            mode: None,
            unit: None,
            frozen: Vec::new(),
            outcome: None,
            review: None,
        }
    }
}

impl ImprovementConfig {
    /// The same with nothing left to the engine: what holds for the entity.
    #[must_use]
    pub fn effective(&self, engine: &EnginePolicy) -> Self {
        Self {
            min_confidence_threshold: Some(self.min_confidence_threshold.unwrap_or(engine.min_confidence_score)),
            test_duration_hours: Some(self.test_duration_hours.unwrap_or(engine.test_duration_hours)),
            ..self.clone()
        }
    }

    /// Least confidence of an opportunity that is acted on.
    pub fn min_confidence(&self, engine: &EnginePolicy) -> f64 {
        self.min_confidence_threshold.unwrap_or(engine.min_confidence_score)
    }

    /// Hours a trial runs before anything is kept.
    pub fn test_hours(&self, engine: &EnginePolicy) -> f64 {
        self.test_duration_hours.unwrap_or(engine.test_duration_hours)
    }

    /// How much happens without a person, for proposals of this source.
    pub fn mode_for(&self, source: ProposalSource, engine: &EnginePolicy) -> Mode {
        if !self.auto_improve_enabled && source != ProposalSource::Operator {
            return Mode::Observe;
        }
        let general = match source {
            // A person's own change waits for nobody.
            ProposalSource::Operator => return Mode::Auto,
            ProposalSource::Rule => engine.mode,
            ProposalSource::Llm | ProposalSource::Agent => engine.mode.min(engine.llm_mode),
        };
        match self.mode {
            // What a model wrote never gets more freedom than the engine gives it.
            Some(own) if source != ProposalSource::Rule => own.min(general),
            Some(own) => own,
            None => general,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first one outside its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        let unit = 0.0..=1.0;
        if let Some(confidence) = self.min_confidence_threshold {
            require(unit.contains(&confidence), "min_confidence_threshold", "from 0 to 1", confidence)?;
        }
        require(unit.contains(&self.max_rollback_rate), "max_rollback_rate", "from 0 to 1", self.max_rollback_rate)?;
        if let Some(hours) = self.test_duration_hours {
            require(
                hours > 0.0 && hours <= 24.0 * 365.0,
                "test_duration_hours",
                "above 0 and at most a year",
                hours,
            )?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entitys_own_word_wins_over_the_engines_and_only_then() {
        let engine = EnginePolicy { test_duration_hours: 12.0, ..EnginePolicy::default() };
        let silent = ImprovementConfig::default();
        let own = ImprovementConfig { test_duration_hours: Some(24.0), ..ImprovementConfig::default() };
        assert!((silent.test_hours(&engine) - 12.0).abs() < 1e-9);
        assert!((own.test_hours(&engine) - 24.0).abs() < 1e-9);
    }

    #[test]
    fn modes_by_source() {
        use ProposalSource as S;
        let engine = EnginePolicy::default();
        let of = |mode, enabled| ImprovementConfig { mode, auto_improve_enabled: enabled, ..Default::default() };
        let cases = [
            (None, true, S::Rule, Mode::Auto),
            (None, true, S::Llm, Mode::Approve),
            (None, true, S::Agent, Mode::Approve),
            (Some(Mode::Propose), true, S::Rule, Mode::Propose),
            (Some(Mode::Auto), true, S::Llm, Mode::Approve),
            (Some(Mode::Observe), true, S::Operator, Mode::Auto),
            (None, false, S::Rule, Mode::Observe),
            (None, false, S::Operator, Mode::Auto),
        ];
        for (mode, enabled, source, expected) in cases {
            assert_eq!(of(mode, enabled).mode_for(source, &engine), expected, "{mode:?} {enabled} {source}");
        }
    }
}
