//! What became of everything that was tried, against the truth.

use std::collections::BTreeMap;

use serde::Serialize;
use uplift_model::edit::{self, Edit};
use uplift_model::improvement::{Improvement, ImprovementStatus, ImprovementType};
use uplift_model::metric::Purpose;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::{EntityType, Opportunity};
use uplift_runner::Engine;
use uplift_sim::fleet::planted::{Flaw, Harm, flaws, harms};
use uplift_sim::fleet::truth::{self, Means, Truth};
use uplift_sim::fleet::{AGENTS, Agent, Processes, agent};
use uplift_store::rows::{EntityFilter, HistoryRow, ImprovementFilter, OpportunityFilter};
use uplift_store::{PageRequest, page::MAX_PAGE};

/// Tasks that are played to find out what is true of a change.
const TASKS: u64 = 2_000;
/// Part of the remedy's gain from which on a flaw counts as mended.
const MENDED: f64 = 0.5;

/// Something planted, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Planted {
    /// `flaw` or `harm`.
    pub(crate) kind: &'static str,
    /// Whose it is.
    pub(crate) agent: &'static str,
    /// In a few words.
    pub(crate) what: &'static str,
    /// The type of improvement that mends it, or that it is.
    pub(crate) improvement_type: ImprovementType,
    /// Edits that mend the flaw, or that are proposed.
    pub(crate) edits: Vec<Edit>,
    /// What is true of these edits.
    pub(crate) truth: Truth,
    /// Whether the flaw was found; of a proposal, whether it was tried.
    pub(crate) found: bool,
    /// `kept`, `rolled_back`, `undecided` or `untried`.
    pub(crate) outcome: &'static str,
    /// The improvement that decided it.
    pub(crate) improvement: Option<i64>,
}

/// An improvement, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ended {
    /// Its number.
    pub(crate) improvement: i64,
    /// Whose configuration it changes.
    pub(crate) agent: String,
    /// Its type.
    pub(crate) improvement_type: ImprovementType,
    /// Who proposed it.
    pub(crate) proposer: String,
    /// The change.
    pub(crate) edits: Vec<Edit>,
    /// How it stands.
    pub(crate) status: ImprovementStatus,
    /// Why, where something was decided.
    pub(crate) reason: Option<String>,
    /// What is true of it.
    pub(crate) truth: Truth,
    /// Before it, in truth.
    pub(crate) before: Means,
    /// With it, in truth.
    pub(crate) after: Means,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Score {
    /// What was planted.
    pub(crate) planted: Vec<Planted>,
    /// What was kept.
    pub(crate) kept: Vec<Ended>,
    /// What was taken back for harm.
    pub(crate) rolled_back: Vec<Ended>,
    /// What was tried, or is still, without an answer.
    pub(crate) undecided: Vec<Ended>,
    /// What was kept though it does harm, or taken back for harm though it helps.
    pub(crate) wrong: Vec<Ended>,
    /// Flaws that are mended.
    pub(crate) fixed: usize,
    /// The whole fleet as its code would have it, in truth.
    pub(crate) fleet_before: Means,
    /// The whole fleet as it is now, in truth.
    pub(crate) fleet_after: Means,
}

/// Scores everything on record.
pub(crate) async fn score(engine: &Engine, processes: &Processes) -> anyhow::Result<Score> {
    let names = names(engine).await?;
    let page = || PageRequest::first(MAX_PAGE);
    let mut improvements = engine.store().improvements(ImprovementFilter::default(), page()).await?.items;
    improvements.reverse();
    let opportunities = engine.store().opportunities(OpportunityFilter::default(), page()).await?.items;
    let mut score = Score {
        planted: planted(&opportunities),
        kept: Vec::new(),
        rolled_back: Vec::new(),
        undecided: Vec::new(),
        wrong: Vec::new(),
        fixed: 0,
        fleet_before: Means::default(),
        fleet_after: Means::default(),
    };
    for improvement in &improvements {
        let Some(agent) = names.get(&improvement.entity.entity_id).and_then(|name| agent(name)) else { continue };
        if improvement.proposal.edits.is_empty() {
            continue;
        }
        let history = engine.store().history_of(improvement.id).await?;
        let ended = ended(engine, agent, improvement, history.last(), processes).await?;
        let outcome = history.last().map_or("undecided", |entry| match entry.outcome.as_str() {
            "kept" => "kept",
            "rolled_back" => "rolled_back",
            _ => "undecided",
        });
        score.add(outcome, ended, improvement);
    }
    score.fixed = score.planted.iter().filter(|planted| planted.kind == "flaw" && planted.outcome == "kept").count();
    (score.fleet_before, score.fleet_after) = fleet(engine, processes).await?;
    Ok(score)
}

impl Score {
    fn add(&mut self, outcome: &'static str, ended: Ended, improvement: &Improvement) {
        for planted in &mut self.planted {
            if planted.agent == ended.agent && planted.is_about(&ended) && planted.outcome != "kept" {
                planted.outcome = outcome;
                planted.improvement = Some(improvement.id);
                planted.found = true;
            }
        }
        let wrong = matches!((outcome, ended.truth), ("kept", Truth::Harmful) | ("rolled_back", Truth::Helpful));
        if wrong {
            self.wrong.push(ended.clone());
        }
        match outcome {
            "kept" => self.kept.push(ended),
            "rolled_back" => self.rolled_back.push(ended),
            _ => self.undecided.push(ended),
        }
    }
}

impl Planted {
    fn is_about(&self, ended: &Ended) -> bool {
        if self.kind == "harm" {
            return self.edits == ended.edits;
        }
        let remedy = flaws().into_iter().find(|flaw| flaw.agent == self.agent);
        let Some((flaw, agent)) = remedy.zip(agent(self.agent)) else { return false };
        let purpose = Purpose::from(self.improvement_type);
        let (before, mended) = both(agent, &flaw.remedy, &flaw.processes());
        truth::gain(purpose, &ended.before, &ended.after) >= MENDED * truth::gain(purpose, &before, &mended)
    }
}

/// What was planted, before anything is known of what became of it but what was found.
fn planted(opportunities: &[Opportunity]) -> Vec<Planted> {
    let of_flaw = |flaw: Flaw| Planted {
        kind: "flaw",
        agent: flaw.agent,
        what: flaw.what,
        improvement_type: flaw.improvement_type,
        truth: truth_of(flaw.agent, &flaw.remedy, &flaw.processes()),
        found: opportunities.iter().any(|found| {
            found.entity_name == flaw.agent
                && flaw.expected.contains(&found.finding.kind)
                && found.finding.confidence > 0.0
        }),
        edits: flaw.remedy,
        outcome: "untried",
        improvement: None,
    };
    let of_harm = |harm: Harm| Planted {
        kind: "harm",
        agent: harm.agent,
        what: harm.what,
        improvement_type: harm.improvement_type,
        truth: truth_of(harm.agent, &harm.edits, &Processes::new()),
        found: false,
        edits: harm.edits,
        outcome: "untried",
        improvement: None,
    };
    flaws().into_iter().map(of_flaw).chain(harms().into_iter().map(of_harm)).collect()
}

fn truth_of(name: &str, edits: &[Edit], processes: &Processes) -> Truth {
    let Some(agent) = agent(name) else { return Truth::Neutral };
    let (before, after) = both(agent, edits, processes);
    truth::judge(&before, &after)
}

/// An agent as its code would have it, and with these edits.
fn both(agent: &'static Agent, edits: &[Edit], processes: &Processes) -> (Means, Means) {
    let base = agent.defaults();
    let changed = Revision::seal(base.clone()).ok().and_then(|base| edit::apply(&base, edits).ok());
    let before = truth::measure(agent, &base, processes, TASKS);
    let after = changed.map_or(before, |changed| truth::measure(agent, changed.configuration(), processes, TASKS));
    (before, after)
}

async fn ended(
    engine: &Engine,
    agent: &'static Agent,
    improvement: &Improvement,
    entry: Option<&HistoryRow>,
    processes: &Processes,
) -> anyhow::Result<Ended> {
    let base = match &improvement.base {
        Some(base) => engine.store().revision(base.clone()).await?,
        None => agent.defaults(),
    };
    let candidate = match &improvement.candidate {
        Some(candidate) => engine.store().revision(candidate.clone()).await?,
        None => base.clone(),
    };
    let before = truth::measure(agent, &base, processes, TASKS);
    let after = truth::measure(agent, &candidate, processes, TASKS);
    Ok(Ended {
        improvement: improvement.id,
        agent: agent.name.to_owned(),
        improvement_type: improvement.proposal.improvement_type,
        proposer: improvement.proposal.proposer.clone(),
        edits: improvement.proposal.edits.clone(),
        status: improvement.status,
        reason: entry.and_then(|entry| entry.reason.clone()),
        truth: truth::judge(&before, &after),
        before,
        after,
    })
}

/// Names of agents by their numbers.
pub(crate) async fn names(engine: &Engine) -> anyhow::Result<BTreeMap<i64, String>> {
    let filter = EntityFilter { entity_type: Some(EntityType::Agent), ..EntityFilter::default() };
    let agents = engine.store().entities(filter, PageRequest::first(MAX_PAGE)).await?.items;
    Ok(agents.into_iter().map(|entity| (entity.key.entity_id, entity.name)).collect())
}

/// The fleet as its code would have it and as it is now, each agent weighted by its traffic.
async fn fleet(engine: &Engine, processes: &Processes) -> anyhow::Result<(Means, Means)> {
    let filter = EntityFilter { entity_type: Some(EntityType::Agent), ..EntityFilter::default() };
    let entities = engine.store().entities(filter, PageRequest::first(MAX_PAGE)).await?.items;
    let all: f64 = AGENTS.iter().map(|agent| agent.tasks_per_hour).sum();
    let (mut before, mut after) = (Means::default(), Means::default());
    for agent in AGENTS {
        let share = agent.tasks_per_hour / all;
        let revision =
            entities.iter().find(|entity| entity.name == agent.name).and_then(|known| known.revision.clone());
        let configuration: Configuration = match revision {
            Some(id) => engine.store().revision(uplift_model::revision::RevisionId::from_stored(id)).await?,
            None => agent.defaults(),
        };
        before.add(&truth::measure(agent, &agent.defaults(), processes, TASKS), share);
        after.add(&truth::measure(agent, &configuration, processes, TASKS), share);
    }
    Ok((before, after))
}
