//! What is planted: six flaws, and four changes that do harm.

use serde_json::json;
use uplift_model::edit::Edit;
use uplift_model::improvement::ImprovementType;
use uplift_model::opportunity::OpportunityKind;
use uplift_model::revision::{Guard, GuardCheck, GuardTarget};

use super::Processes;

/// A flaw and what mends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// The agent that has it.
    pub agent: &'static str,
    /// What is wrong, in a few words.
    pub what: &'static str,
    /// The type of improvement that mends it.
    pub improvement_type: ImprovementType,
    /// The kinds of opportunity as which it may be found.
    pub expected: &'static [OpportunityKind],
    /// Edits that mend it; others may too.
    pub remedy: Vec<Edit>,
    /// Steps of the process that the remedy attaches.
    pub process: Option<(&'static str, &'static [&'static str])>,
}

/// A change that somebody proposes and that does nothing but harm.
#[derive(Debug, Clone, PartialEq)]
pub struct Harm {
    /// The agent it is proposed for.
    pub agent: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// What whoever proposes it hopes for.
    pub rationale: &'static str,
    /// Its type.
    pub improvement_type: ImprovementType,
    /// The change.
    pub edits: Vec<Edit>,
}

/// The flaws, one for each type of improvement.
pub fn flaws() -> Vec<Flaw> {
    let flaw = |agent, what, improvement_type, expected, remedy| Flaw {
        agent,
        what,
        improvement_type,
        expected,
        remedy,
        process: None,
    };
    vec![
        flaw(
            "refunds",
            "refunds issued before the policy is checked make tasks fail",
            ImprovementType::InstructionUpdate,
            &[OpportunityKind::FailurePattern, OpportunityKind::SuccessPattern],
            vec![Edit::AppendGuideline { text: "Call `check_policy` before `issue_refund`.".to_owned() }],
        ),
        flaw(
            "analyst",
            "a fat document is given and never read",
            ImprovementType::ContextOptimization,
            &[OpportunityKind::UnusedContext],
            vec![Edit::RemoveContext { name: "brand_archive".to_owned() }],
        ),
        flaw(
            "researcher",
            "the tool that makes answers right is used in half of the tasks",
            ImprovementType::ToolReassignment,
            &[OpportunityKind::SuccessPattern],
            vec![Edit::MakeToolRequired { name: "verify_sources".to_owned() }],
        ),
        Flaw {
            process: Some(("set_up", &["create_account", "assign_license", "send_invite", "open_ticket"])),
            ..flaw(
                "onboarding",
                "it thinks between four steps that are always the same",
                ImprovementType::ProcessAutomation,
                &[OpportunityKind::RepeatedSequence],
                vec![Edit::AttachProcess { name: "set_up".to_owned() }],
            )
        },
        flaw(
            "reporter",
            "the same slow query again and again within a task",
            ImprovementType::PerformanceTuning,
            &[OpportunityKind::RepeatedCalls],
            vec![Edit::SetParameter { name: "cache".to_owned(), value: json!(true) }],
        ),
        flaw(
            "dispatcher",
            "a third of the bookings lack an argument",
            ImprovementType::ErrorPrevention,
            &[OpportunityKind::RecurringError],
            vec![Edit::AddGuard {
                guard: Guard {
                    name: "book_courier_postal_code".to_owned(),
                    tool: "book_courier".to_owned(),
                    target: GuardTarget::Arguments,
                    check: GuardCheck::Required { field: "postal_code".to_owned() },
                },
            }],
        ),
    ]
}

/// The changes that do harm.
pub fn harms() -> Vec<Harm> {
    vec![
        Harm {
            agent: "support",
            what: "subtle: answers are checked after they were sent, success falls by 8 points",
            rationale: "Answers could go out sooner.",
            improvement_type: ImprovementType::InstructionUpdate,
            edits: vec![Edit::AppendGuideline {
                text: "Do not call `check_answer` right before `send_answer`.".to_owned(),
            }],
        },
        Harm {
            agent: "scheduler",
            what: "late: a memory that grows without bounds hurts from the fifth hour on",
            rationale: "It should remember what it did before.",
            improvement_type: ImprovementType::PerformanceTuning,
            edits: vec![Edit::SetParameter { name: "session_memory".to_owned(), value: json!("unbounded") }],
        },
        Harm {
            agent: "writer",
            what: "dearer: a document that nobody needs, 30 % more tokens",
            rationale: "It should know all about style.",
            improvement_type: ImprovementType::ContextOptimization,
            edits: vec![Edit::AddContext { name: "style_encyclopedia".to_owned() }],
        },
        Harm {
            agent: "invoicing",
            what: "erroring: a timeout that is too short for a slow tool",
            rationale: "Slow calls should not hold up everything.",
            improvement_type: ImprovementType::PerformanceTuning,
            edits: vec![Edit::SetParameter { name: "timeout_ms".to_owned(), value: json!(4_000) }],
        },
    ]
}

impl Flaw {
    /// What the process of its remedy does.
    pub fn processes(&self) -> Processes {
        let steps = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
        self.process.iter().map(|(name, named)| ((*name).to_owned(), steps(named))).collect()
    }
}
