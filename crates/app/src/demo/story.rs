//! What happens, told as it happens: what is found, tried, kept and taken back.

use std::collections::{BTreeMap, BTreeSet};

use uplift_model::edit::Edit;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::time::{MICROS_PER_HOUR, Time};
use uplift_model::trial::TrialKind;
use uplift_model::verdict::{MetricFinding, Strength, Summary, Verdict};
use uplift_runner::Engine;
use uplift_store::rows::{HistoryRow, ImprovementFilter, OpportunityFilter, TrialFilter};
use uplift_store::{PageRequest, page::MAX_PAGE};

use super::score;
use crate::text::{Style, clean, clip, count, duration_ms, percent, print, put};

/// Columns before the text of a line: the time, and what kind of news it is.
const BEFORE: usize = 18;

/// Who tells.
pub(crate) struct Story {
    start_us: i64,
    style: Style,
    silent: bool,
    names: BTreeMap<i64, String>,
    found: BTreeSet<i64>,
    statuses: BTreeMap<i64, ImprovementStatus>,
    shares: BTreeMap<i64, usize>,
    decided: BTreeMap<i64, usize>,
}

impl Story {
    /// A story that begins at `start_us`; a silent one tells nothing.
    pub(crate) fn new(start_us: i64, style: Style, silent: bool) -> Self {
        Self {
            start_us,
            style,
            silent,
            names: BTreeMap::new(),
            found: BTreeSet::new(),
            statuses: BTreeMap::new(),
            shares: BTreeMap::new(),
            decided: BTreeMap::new(),
        }
    }

    /// Says something that is not a piece of news.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.silent { Ok(()) } else { print(&format!("{text}\n")) }
    }

    /// Tells what is new.
    pub(crate) async fn tell(&mut self, engine: &Engine) -> anyhow::Result<()> {
        if self.silent {
            return Ok(());
        }
        if self.names.is_empty() {
            self.names = score::names(engine).await?;
        }
        self.tell_found(engine).await?;
        self.tell_tried(engine).await?;
        self.tell_shares(engine).await
    }

    async fn tell_found(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let page = PageRequest::first(MAX_PAGE);
        for opportunity in engine.store().opportunities(OpportunityFilter::default(), page).await?.items {
            if opportunity.status.is_open() && self.found.insert(opportunity.id) {
                let text = clean(&opportunity.finding.description);
                self.line(engine.now(), "found", &text)?;
            }
        }
        Ok(())
    }

    async fn tell_tried(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let page = PageRequest::first(MAX_PAGE);
        let mut improvements = engine.store().improvements(ImprovementFilter::default(), page).await?.items;
        improvements.reverse();
        for improvement in improvements {
            let before = self.statuses.insert(improvement.id, improvement.status);
            if before == Some(improvement.status) {
                continue;
            }
            match improvement.status {
                ImprovementStatus::Testing => self.tell_start(engine, &improvement)?,
                ImprovementStatus::Rejected => {
                    let reason = self.reason(engine, &improvement).await?;
                    let text =
                        format!("{}: {} is not tried: {reason}", self.agent(&improvement), changes(&improvement));
                    self.line(engine.now(), "refused", &text)?;
                }
                _ => self.tell_decided(engine, &improvement).await?,
            }
        }
        Ok(())
    }

    fn tell_start(&self, engine: &Engine, improvement: &Improvement) -> anyhow::Result<()> {
        let needed = improvement.preflight.as_ref().map_or_else(String::new, |preflight| {
            format!(
                "; about {} tasks are needed, {:.0} are expected",
                count(i64::try_from(preflight.units_needed).unwrap_or(i64::MAX)),
                preflight.expected_units
            )
        });
        let share = engine.policy().trial.ramp_first_share;
        let text = format!(
            "{}: {} (by {}), for {} of its tasks{needed}",
            self.agent(improvement),
            changes(improvement),
            clean(&improvement.proposal.proposer),
            percent(share)
        );
        self.line(engine.now(), "tries", &text)
    }

    async fn reason(&self, engine: &Engine, improvement: &Improvement) -> anyhow::Result<String> {
        let history = engine.store().history_of(improvement.id).await?;
        Ok(history.last().and_then(|entry| entry.reason.as_deref()).map_or_else(String::new, clean))
    }

    async fn tell_decided(&mut self, engine: &Engine, improvement: &Improvement) -> anyhow::Result<()> {
        let history = engine.store().history_of(improvement.id).await?;
        let told = self.decided.insert(improvement.id, history.len()).unwrap_or(0);
        for entry in history.iter().skip(told) {
            let verdict = entry.verdict.clone().and_then(|verdict| serde_json::from_value::<Verdict>(verdict).ok());
            let word = match entry.outcome.as_str() {
                "kept" => "keeps",
                "rolled_back" => "takes back",
                _ => "undecided",
            };
            let numbers = verdict.as_ref().map_or_else(|| reason(entry), told_in_numbers);
            let text = format!(
                "{}: {}{}: {numbers}",
                self.agent(improvement),
                changes(improvement),
                after(entry, verdict.as_ref())
            );
            self.line(entry.decided_at, word, &text)?;
        }
        Ok(())
    }

    async fn tell_shares(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let running = TrialFilter { running: true, ..TrialFilter::default() };
        for trial in engine.store().trials(running, PageRequest::first(MAX_PAGE)).await?.items {
            let stages = trial.trial.stages.len();
            let before = self.shares.insert(trial.id, stages).unwrap_or(1);
            let Some(stage) = trial.trial.stages.last().filter(|_| stages > before) else { continue };
            if trial.trial.kind == TrialKind::Trial {
                let name = self.names.get(&trial.entity.entity_id).cloned().unwrap_or_default();
                self.line(
                    engine.now(),
                    "ramps up",
                    &format!("{name}: {} of its tasks from here on", percent(stage.share)),
                )?;
            }
        }
        Ok(())
    }

    fn agent(&self, improvement: &Improvement) -> String {
        self.names.get(&improvement.entity.entity_id).cloned().unwrap_or_default()
    }

    fn line(&self, at: Time, word: &str, text: &str) -> anyhow::Result<()> {
        let hours = at.micros().saturating_sub(self.start_us) as f64 / MICROS_PER_HOUR as f64;
        let padded = format!("{word:<10}");
        let word = match word {
            "keeps" => self.style.good(&padded),
            "takes back" => self.style.bad(&padded),
            "tries" => self.style.bold(&padded),
            _ => self.style.dim(&padded),
        };
        let text = clip(text, self.style.width.saturating_sub(BEFORE));
        print(&format!("{}{word} {text}\n", self.style.dim(&format!("{hours:5.1} h "))))
    }
}

fn reason(entry: &HistoryRow) -> String {
    entry.reason.as_deref().map_or_else(String::new, clean)
}

/// After how many tasks and hours.
fn after(entry: &HistoryRow, verdict: Option<&Verdict>) -> String {
    let mut text = String::new();
    if let Some(verdict) = verdict {
        let [control, candidate] = verdict.findings.allocation.assigned;
        put!(&mut text, ", after {control} tasks without and {candidate} with it");
    }
    if let Some(started) = entry.started_at {
        let hours = entry.decided_at.micros_since(started) as f64 / MICROS_PER_HOUR as f64;
        put!(&mut text, " in {hours:.1} h");
    }
    text
}

/// What decided it, control against candidate.
fn told_in_numbers(verdict: &Verdict) -> String {
    let decided = |finding: &&MetricFinding| verdict.deciding.contains(&finding.name);
    let mut findings: Vec<&MetricFinding> = verdict.findings.metrics.iter().filter(decided).collect();
    if findings.is_empty() {
        findings = verdict.findings.metrics.iter().filter(|finding| finding.roles.goal).collect();
    }
    let numbers: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!("{} {} v {}", finding.name, value(finding, finding.control), value(finding, finding.candidate))
        })
        .collect();
    let strength = match verdict.strength {
        Some(Strength::Proven) => " (proven)",
        Some(Strength::Supported) => " (supported)",
        None => "",
    };
    format!("{}{strength}", numbers.join(", "))
}

fn value(finding: &MetricFinding, value: f64) -> String {
    match (finding.name.as_str(), finding.summary) {
        (_, Summary::Rate) => percent(value),
        ("duration_ms", _) => duration_ms(value),
        ("cost", _) => format!("${value:.4}"),
        _ => format!("{value:.0}"),
    }
}

/// The change, in a few words.
fn changes(improvement: &Improvement) -> String {
    in_words(&improvement.proposal.edits)
}

/// Edits in a few words.
pub(crate) fn in_words(edits: &[Edit]) -> String {
    let words: Vec<String> = edits
        .iter()
        .map(|edit| match edit {
            Edit::AppendGuideline { text } => format!("\"{}\"", clean(text)),
            Edit::WithdrawGuideline { number } => format!("without guideline {number}"),
            Edit::ReplaceInstruction { .. } => "another instruction".to_owned(),
            Edit::AddContext { name } => format!("with {name}"),
            Edit::RemoveContext { name } => format!("without {name}"),
            Edit::MakeToolOptional { name } => format!("{name} optional"),
            Edit::MakeToolRequired { name } => format!("{name} required"),
            Edit::AssignTool { name, .. } => format!("with the tool {name}"),
            Edit::UnassignTool { name } => format!("without the tool {name}"),
            Edit::SetParameter { name, value } => format!("{name} = {value}"),
            Edit::AddGuard { guard } => format!("guard {}", guard.name),
            Edit::RemoveGuard { name } => format!("without guard {name}"),
            Edit::AttachProcess { name } => format!("process {name}"),
            Edit::DetachProcess { name } => format!("without process {name}"),
        })
        .collect();
    words.join(", ")
}
