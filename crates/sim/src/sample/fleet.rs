//! The agents, what they are offered, and what is planted in them.

use std::f64::consts::TAU;

use uplift_model::OpportunityKind;

use super::log::TaskLog;
use super::scripts::{coder, planner, researcher, support};
use super::{Planted, PlantedKind};
use crate::dice::Dice;

/// The hour of the day, UTC, with the most tasks.
const PEAK_HOUR: f64 = 14.0;

/// One agent of the fleet.
pub(super) struct Agent {
    pub(super) name: &'static str,
    /// Its share of the tasks; all of them add up to 1.
    pub(super) share: f64,
    /// What it is offered, used or not.
    pub(super) tools: &'static [&'static str],
    pub(super) contexts: &'static [&'static str],
    /// Kinds of task it is given.
    pub(super) classes: &'static [&'static str],
    /// Plays a task from its first event to its last.
    pub(super) script: fn(&mut TaskLog<'_>),
}

impl Agent {
    pub(super) fn is_healthy(&self) -> bool {
        planted().iter().all(|planted| planted.agent != self.name)
    }
}

pub(super) const FLEET: &[Agent] = &[
    Agent {
        name: "researcher",
        share: 0.25,
        tools: &["web_search", "open_page", "extract_table", "summarize", "translate_text"],
        contexts: &["source_guide", "citation_rules", "style_handbook"],
        classes: &["market", "technical"],
        script: researcher::play,
    },
    Agent {
        name: "support",
        share: 0.30,
        tools: &["find_customer", "get_order", "check_policy", "issue_refund", "send_reply"],
        contexts: &["refund_policy", "tone_guide"],
        classes: &["refund", "question"],
        script: support::play,
    },
    Agent {
        name: "coder",
        share: 0.22,
        tools: &["search_code", "read_file", "edit_file", "run_tests"],
        contexts: &["coding_rules", "repository_map"],
        classes: &["bug", "feature"],
        script: coder::play,
    },
    Agent {
        name: "planner",
        share: 0.23,
        tools: &["list_tasks", "read_calendar", "check_availability", "create_event"],
        contexts: &["team_calendar", "planning_guide"],
        classes: &["meeting", "roadmap"],
        script: planner::play,
    },
];

/// What the scripts do wrong, on purpose.
pub(super) fn planted() -> Vec<Planted> {
    let planted = |kind, agent, tool, words, expected| Planted { kind, agent, tool, words, expected };
    vec![
        planted(
            PlantedKind::SlowTool,
            "researcher",
            Some("web_search"),
            &["web_search"],
            OpportunityKind::PerformanceDegradation,
        ),
        planted(
            PlantedKind::UnusedTool,
            "researcher",
            Some("translate_text"),
            &["translate_text"],
            OpportunityKind::UnusedTool,
        ),
        planted(PlantedKind::UnusedContext, "researcher", None, &["style_handbook"], OpportunityKind::UnusedContext),
        planted(
            PlantedKind::RecurringError,
            "support",
            Some("get_order"),
            &["not found", "shard"],
            OpportunityKind::RecurringError,
        ),
        planted(
            PlantedKind::HarmfulOrder,
            "support",
            Some("issue_refund"),
            &["issue_refund", "check_policy"],
            OpportunityKind::FailurePattern,
        ),
        planted(
            PlantedKind::RepeatedCalls,
            "coder",
            Some("read_file"),
            &["read_file"],
            OpportunityKind::RepeatedCalls,
        ),
        planted(PlantedKind::CostlyFailures, "coder", None, &["tokens"], OpportunityKind::TokenWaste),
    ]
}

/// An agent, by its share.
pub(super) fn pick(dice: &mut Dice) -> &'static Agent {
    let mut left = dice.uniform();
    FLEET
        .iter()
        .find(|agent| {
            left -= agent.share;
            left < 0.0
        })
        // Rounding may leave a sliver above the last share.
        .unwrap_or(&FLEET[FLEET.len() - 1])
}

/// From -1 in the dead of night to 1 at the busiest hour.
pub(super) fn swing(hour_of_day: f64) -> f64 {
    ((hour_of_day - PEAK_HOUR) / 24.0 * TAU).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert!((FLEET.iter().map(|agent| agent.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_swing_peaks_once_a_day() {
        assert!((swing(14.0) - 1.0).abs() < 1e-9 && (swing(2.0) + 1.0).abs() < 1e-9);
    }
}
