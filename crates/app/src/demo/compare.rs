//! Planted and found, side by side.

use serde::Serialize;
use uplift_model::Opportunity;
use uplift_model::opportunity::ImpactLevel;
use uplift_sim::sample::{Planted, PlantedKind, Sample};

use crate::text::put;

/// A planted flaw, and the opportunity that names it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Flaw {
    /// What was planted, in words.
    pub(crate) planted: String,
    /// In whom.
    pub(crate) agent: &'static str,
    /// The kind of opportunity it should become.
    pub(crate) expected: &'static str,
    /// Whether it was found.
    pub(crate) found: bool,
    /// What was found.
    pub(crate) opportunity: Option<Found>,
}

/// An opportunity, in short.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Found {
    /// Its number.
    pub(crate) id: i64,
    /// Whom it concerns.
    pub(crate) agent: String,
    /// Its kind.
    pub(crate) kind: &'static str,
    /// How much there is to gain.
    pub(crate) impact: ImpactLevel,
    /// What it says.
    pub(crate) description: String,
}

/// An agent without planted flaws.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Healthy {
    /// Its name.
    pub(crate) agent: &'static str,
    /// What was found about it nevertheless.
    pub(crate) opportunities: usize,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    /// Every planted flaw.
    pub(crate) planted: Vec<Flaw>,
    /// Opportunities that name none of them.
    pub(crate) also_found: Vec<Found>,
    /// Agents without any.
    pub(crate) healthy: Vec<Healthy>,
}

impl Comparison {
    /// How many planted flaws were found.
    pub(crate) fn found(&self) -> usize {
        self.planted.iter().filter(|flaw| flaw.found).count()
    }
}

/// Compares what is planted in `sample` with the opportunities on record.
pub(crate) fn compare(sample: &Sample, opportunities: &[Opportunity]) -> Comparison {
    let mut used = Vec::new();
    let planted = sample
        .planted
        .iter()
        .map(|planted| {
            let matching: Vec<_> = opportunities.iter().filter(|found| names(found, planted)).collect();
            used.extend(matching.iter().map(|found| found.id));
            let opportunity = matching.first().map(|found| Found::of(found));
            Flaw {
                planted: in_words(planted),
                agent: planted.agent,
                expected: planted.expected.as_str(),
                found: opportunity.is_some(),
                opportunity,
            }
        })
        .collect();
    let also_found = opportunities
        .iter()
        .filter(|found| found.status.is_open() && !used.contains(&found.id))
        .map(Found::of)
        .collect();
    let healthy = sample
        .healthy
        .iter()
        .map(|agent| Healthy {
            agent,
            opportunities: opportunities.iter().filter(|found| concerns(found, agent)).count(),
        })
        .collect();
    Comparison { planted, also_found, healthy }
}

impl Found {
    fn of(opportunity: &Opportunity) -> Self {
        Self {
            id: opportunity.id,
            agent: opportunity.entity_name.clone(),
            kind: opportunity.finding.kind.as_str(),
            impact: opportunity.finding.impact.level,
            description: opportunity.finding.description.clone(),
        }
    }
}

fn concerns(opportunity: &Opportunity, agent: &str) -> bool {
    opportunity.status.is_open() && opportunity.entity_name == agent
}

/// Whether an opportunity is about what was planted: the right agent, the right kind, and every tell-tale word in
/// what it says.
fn names(opportunity: &Opportunity, planted: &Planted) -> bool {
    let finding = &opportunity.finding;
    let mut text = format!("{} {}", finding.description, finding.fingerprint);
    for (name, value) in &finding.evidence.labels {
        put!(&mut text, " {name} {value}");
    }
    concerns(opportunity, planted.agent)
        && finding.kind == planted.expected
        && planted.words.iter().all(|word| text.contains(word))
}

/// What was planted, as a person would put it.
fn in_words(planted: &Planted) -> String {
    let tool = planted.tool.unwrap_or("a tool");
    match planted.kind {
        PlantedKind::RecurringError => format!("{tool} fails again and again in the same way"),
        PlantedKind::SlowTool => format!("{tool} became slow in the last 24 hours"),
        PlantedKind::RepeatedCalls => format!("{tool} is called again with the same arguments"),
        PlantedKind::UnusedTool => format!("{tool} is offered and never called"),
        PlantedKind::UnusedContext => format!("{} is given and never read", planted.words.join(", ")),
        PlantedKind::CostlyFailures => "failing tasks burn several times the tokens".to_owned(),
        PlantedKind::HarmfulOrder => match planted.words {
            [first, then, ..] => format!("{first} before {then} makes tasks fail"),
            _ => format!("{tool} at the wrong moment makes tasks fail"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_sim::sample::{SampleConfig, generate};

    #[test]
    fn without_findings_everything_planted_is_missing() {
        let sample = generate(&SampleConfig { seed: 1, end_us: 1_767_225_600_000_000, days: 1, tasks_per_day: 3 });
        let comparison = compare(&sample, &[]);
        assert_eq!((comparison.found(), comparison.also_found.len()), (0, 0));
        assert!(!comparison.planted.is_empty() && !comparison.healthy.is_empty());
        assert!(comparison.planted.iter().all(|flaw| !flaw.planted.contains("a tool")));
    }
}
