//! `uplift trigger`: ask for an improvement in words.

use std::process::ExitCode;

use serde_json::json;
use uplift_model::improvement::ImprovementType;

use super::block_on;
use super::improvements::{Actor, standing};
use super::show::{EntityArgument, items, tell, whole};
use crate::api::{self, Endpoint};
use crate::text::put;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is about, such as agent/support
    #[arg(value_name = "TYPE/NAME")]
    entity: EntityArgument,
    #[arg(
        long = "type",
        value_name = "TYPE",
        help = "The type of improvement: instruction_update, context_optimization, tool_reassignment, \
                process_automation, performance_tuning, error_prevention"
    )]
    improvement_type: ImprovementType,
    /// What should change
    #[arg(long)]
    description: String,
    /// The environment, where the name is in several
    #[arg(long)]
    environment: Option<String>,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Asks.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { entity, improvement_type, description, environment, actor, look } = args;
    let path = Endpoint::new(["api", "improvements", "trigger-improvement", &entity.entity_type, &entity.entity])
        .with("environment", environment);
    let body = json!({
        "improvement_type": improvement_type.as_str(), "description": description, "by": actor.name(),
    });
    let answer = block_on(look.change(&path, &body))?;
    tell(&look, &answer, |answer, _| {
        let mut shown = format!("opportunity {}\n", whole(answer, "opportunity/id"));
        for improvement in items(answer, "improvements") {
            put!(&mut shown, "{}", standing(&look, improvement));
        }
        shown
    })
}
