//! From an opportunity to changes that could answer it: rules, no model.
//!
//! Each proposer is a file of [`rules`] and a line of [`PROPOSERS`]: it looks at one finding and the window around it
//! and writes real edits. What it says comes from fixed templates that take identifiers and numbers, nothing else
//! (`say`); evidence with any other name makes no proposal. What was tried before, and how proposals of each proposer
//! fared, decides the order (`rank`). Nothing is proposed that does not apply to the base.

mod case;
pub mod input;
mod kinds;
mod rank;
mod rules;
mod say;

use uplift_model::edit::{self, Edit};
use uplift_model::improvement::{ImprovementType, Proposal, ProposalSource};
use uplift_model::opportunity::{Finding, OpportunityKind};
use uplift_model::trial::Comparison;

use case::{Case, Draft};
pub use input::Input;

/// Most proposals for one opportunity.
pub const MOST_PROPOSALS: usize = 10;
/// Most drafts of one proposer for one finding.
const MOST_DRAFTS: usize = 3;
/// Most related findings that a wish rests on.
const MOST_RELATED: usize = 20;

/// A rule that writes proposals.
pub struct Proposer {
    /// Its name; goes into the proposal, and track records are kept by it.
    pub name: &'static str,
    /// The type of improvement it writes.
    pub improvement_type: ImprovementType,
    /// The kinds of opportunity it answers, beside wishes for its type.
    pub answers: &'static [OpportunityKind],
    write: fn(&Case<'_>) -> Vec<Draft>,
}

macro_rules! proposers {
    ($($name:ident: $improvement_type:ident <- [$($kind:ident),+ $(,)?]),+ $(,)?) => {
        /// All proposers.
        pub const PROPOSERS: &[Proposer] = &[$(Proposer {
            name: stringify!($name),
            improvement_type: ImprovementType::$improvement_type,
            answers: &[$(OpportunityKind::$kind),+],
            write: rules::$name::write,
        }),+];
    };
}

proposers! {
    order_guideline: InstructionUpdate <- [FailurePattern, SuccessPattern],
    tool_guideline: InstructionUpdate <- [RecurringError],
    repeat_guideline: InstructionUpdate <- [RepeatedCalls],
    dead_context: ContextOptimization <- [UnusedContext],
    wanted_context: ContextOptimization <- [FailurePattern, SuccessPattern, RecurringError],
    require_tool: ToolReassignment <- [SuccessPattern],
    drop_tool: ToolReassignment <- [UnusedTool, FailurePattern],
    hand_tool_over: ToolReassignment <- [RecurringError, FailurePattern],
    borrow_tool: ToolReassignment <- [FailurePattern, RecurringError],
    sequence_process: ProcessAutomation <- [RepeatedSequence, SuccessPattern],
    tool_timeout: PerformanceTuning <- [RecurringError, PerformanceDegradation, Bottleneck, ChangePoint],
    tool_retries: PerformanceTuning <- [RecurringError],
    call_cache: PerformanceTuning <- [RepeatedCalls, PerformanceDegradation, Bottleneck],
    token_limit: PerformanceTuning <- [TokenWaste],
    together_guideline: PerformanceTuning <- [Bottleneck],
    argument_guard: ErrorPrevention <- [RecurringError],
    result_guard: ErrorPrevention <- [RecurringError, FailurePattern],
    check_guideline: ErrorPrevention <- [RecurringError],
}

/// What could be done about an opportunity, the best first, at most [`MOST_PROPOSALS`].
///
/// Every proposal's edits belong to its type and apply to the base; without a base there are none. A wish is answered
/// by the proposers of the type that was asked for, over the window and the other open findings. The order is that of
/// [`Proposal::expected_gain`]: share of the tasks touched, times the relative gain of the goal, times the probability
/// of a keep.
pub fn propose(input: &Input) -> Vec<Proposal> {
    let Some(base) = &input.base else { return Vec::new() };
    let mut proposals: Vec<Proposal> = Vec::new();
    for proposer in PROPOSERS {
        for finding in findings(input, proposer) {
            let case = Case { input, configuration: base.configuration(), finding };
            let drafts = (proposer.write)(&case).into_iter().take(MOST_DRAFTS);
            let sound = drafts.filter(|draft| is_sound(draft, proposer, base));
            proposals.extend(sound.filter_map(|draft| proposal(input, proposer, finding, draft)));
        }
    }
    proposals.sort_by(|a, b| {
        let by = |a: f64, b: f64| b.total_cmp(&a);
        by(a.expected_gain, b.expected_gain)
            .then_with(|| by(a.confidence, b.confidence))
            .then_with(|| a.proposer.cmp(&b.proposer))
            .then_with(|| a.rationale.cmp(&b.rationale))
    });
    let mut best: Vec<Proposal> = Vec::new();
    for proposal in proposals {
        if best.len() < MOST_PROPOSALS && best.iter().all(|better| better.edits != proposal.edits) {
            best.push(proposal);
        }
    }
    best
}

/// What a proposer is asked about: the opportunity itself, or for a wish the window and what else was found.
fn findings<'a>(input: &'a Input, proposer: &Proposer) -> Vec<&'a Finding> {
    let own = &input.opportunity.finding;
    if own.kind != OpportunityKind::Request {
        return if proposer.answers.contains(&own.kind) { vec![own] } else { Vec::new() };
    }
    if proposer.improvement_type != input.opportunity.improvement_type {
        return Vec::new();
    }
    let related = input.related.iter().filter(|finding| finding.entity == own.entity);
    let related = related.filter(|finding| proposer.answers.contains(&finding.kind)).take(MOST_RELATED);
    related.chain(std::iter::once(own)).collect()
}

/// Whether a draft is what its proposer may write, and can be applied.
fn is_sound(draft: &Draft, proposer: &Proposer, base: &uplift_model::revision::Revision) -> bool {
    let attached =
        |name: &str| draft.edits.iter().any(|edit| matches!(edit, Edit::AttachProcess { name: n } if n == name));
    edit::check_type(proposer.improvement_type, &draft.edits).is_ok()
        && edit::apply(base, &draft.edits).is_ok()
        && draft.processes.iter().all(|process| attached(&process.name))
}

/// The proposal that a draft makes; none where it was tried and did harm, or would gain nothing.
fn proposal(input: &Input, proposer: &Proposer, finding: &Finding, draft: Draft) -> Option<Proposal> {
    let left = rank::after_tries(&draft.edits, &input.tried, input.now)?;
    let kept = rank::keep_probability(&input.track_records, input.opportunity.finding.kind, proposer.name);
    let share = |value: f64| if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let expected_gain = share(draft.touched) * share(draft.gain) * kept * left;
    (expected_gain > 0.0).then(|| Proposal {
        improvement_type: proposer.improvement_type,
        proposed_by: ProposalSource::Rule,
        proposer: proposer.name.to_owned(),
        edits: draft.edits,
        processes: draft.processes,
        rationale: draft.rationale,
        expected_impact: draft.impact,
        expected_gain,
        confidence: share(finding.confidence) * share(draft.sure),
        comparison: Comparison::Concurrent,
    })
}

#[cfg(test)]
mod tests;
