//! `uplift try`: one's own change, run as a trial like any other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use uplift_model::entity::{EntityName, EntityType};
use uplift_model::improvement::{ImprovementType, ProposalSource};
use uplift_model::revision::Configuration;
use uplift_model::trial::Comparison;

use super::apply::stopped;
use super::block_on;
use super::improvements::{Actor, one, standing};
use super::show::{tell, text};
use crate::api::{self, Api, Endpoint};
use crate::apply::{self, Merged};
use crate::declare::{name_of, place, shown};
use crate::files;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(
        short,
        long,
        value_name = "FILE",
        help = "The change in YAML, JSON or TOML: `entity: TYPE/NAME` (not needed with --for) with `edits` or \
                `configuration`, and, if wanted, `rationale`; - is standard input"
    )]
    file: PathBuf,
    /// Fill this improvement, which waits for a proposal, instead of beginning another one
    #[arg(long = "for", value_name = "ID")]
    fills: Option<i64>,
    /// Compare with the time before instead of a concurrent control: weaker, for where traffic is too little
    #[arg(long)]
    before_after: bool,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// A change as written. A file that declares an entity is one too: its configuration is tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    entity: Option<String>,
    entity_type: Option<EntityType>,
    name: Option<String>,
    environment: Option<String>,
    improvement_type: Option<ImprovementType>,
    edits: Option<Vec<Value>>,
    configuration: Option<Configuration>,
    rationale: Option<String>,
    proposed_by: Option<ProposalSource>,
    proposer: Option<String>,
    comparison: Option<Comparison>,
    #[serde(rename = "improvement_config")]
    _improvement_config: Option<Value>,
    #[serde(rename = "relationships")]
    _relationships: Option<Value>,
}

/// A change to send.
#[derive(Debug, PartialEq)]
struct Change {
    /// What it changes; none where the file leaves it to the improvement that is filled.
    name: Option<EntityName>,
    configuration: Option<Configuration>,
    /// Everything else, as the API takes it.
    body: Value,
}

/// Puts the change on record.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { file, fills, before_after, actor, look } = args;
    let change = read(&file, before_after, actor.name())?;
    let answer = block_on(look.writing(async |api| match fills {
        Some(id) => fill(api, id, change).await,
        None => begin(api, change).await,
    }))?;
    tell(&look, &answer, |answer, _| standing(&look, answer))
}

fn read(file: &Path, before_after: bool, by: Option<String>) -> anyhow::Result<Change> {
    let mut changes = files::read(file)?;
    let name = file.display();
    match (changes.pop(), changes.len()) {
        (Some(change), 0) => parse(change, before_after, by).with_context(|| format!("{name} cannot be tried")),
        (_, more) => bail!("{name} holds {} changes: try them one at a time", more + 1),
    }
}

fn parse(written: Value, before_after: bool, by: Option<String>) -> anyhow::Result<Change> {
    let written: Written = serde_path_to_error::deserialize(written)?;
    if written.edits.is_some() == written.configuration.is_some() {
        bail!("it needs either `edits` or `configuration`");
    }
    let named = written.entity.is_some() || written.entity_type.is_some() || written.name.is_some();
    let name =
        named.then(|| name_of(written.entity, written.entity_type, written.name, written.environment)).transpose()?;
    let comparison = if before_after { Some(Comparison::BeforeAfter) } else { written.comparison };
    let mut body = json!({
        "improvement_type": written.improvement_type, "rationale": written.rationale,
        "proposed_by": written.proposed_by, "proposer": written.proposer.or(by), "comparison": comparison,
    });
    if let Some(edits) = written.edits {
        body["edits"] = edits.into();
    }
    Ok(Change { name, configuration: written.configuration, body })
}

/// Puts a change on record as an improvement of its own.
async fn begin(api: &Api, mut change: Change) -> anyhow::Result<Value> {
    let Some(name) = change.name.take() else { bail!("it needs `entity` as TYPE/NAME, or `entity_type` and `name`") };
    let body = body(api, &name, change).await?;
    apply::propose(api, &name, body).await
}

/// Fills an improvement that waits for a proposal.
async fn fill(api: &Api, id: i64, mut change: Change) -> anyhow::Result<Value> {
    let about = whom(&api.get(&one(id)).await?)?;
    if let Some(name) = change.name.take().filter(|name| *name != about) {
        bail!("improvement {id} is about {}, and the file about {}", shown(&about), shown(&name));
    }
    let body = body(api, &about, change).await?;
    api.post(&Endpoint::new(["api", "improvements", &id.to_string(), "propose"]), &body).await
}

/// The entity that an improvement is about.
fn whom(improvement: &Value) -> anyhow::Result<EntityName> {
    Ok(EntityName {
        environment: text(improvement, "environment"),
        entity_type: text(improvement, "entity_type").parse()?,
        name: text(improvement, "entity_name"),
    })
}

/// What the API takes: a configuration merged with what is in place, or edits as they are.
async fn body(api: &Api, name: &EntityName, mut change: Change) -> anyhow::Result<Value> {
    if let Some(mine) = &change.configuration {
        let entity = api.get(&place(name)).await?;
        match apply::merged(Some(&entity), mine)? {
            Merged::Changed { merged, .. } => change.body["configuration"] = json!(merged),
            Merged::Same(_) => bail!("{} runs this configuration already: there is nothing to try", shown(name)),
            Merged::New(_) => bail!(
                "{} has no configuration yet to try another against: `uplift apply` puts this one in place",
                shown(name)
            ),
            Merged::Conflicts { conflicts, in_place } => return Err(stopped(name, &conflicts, &in_place, mine)),
        }
    }
    Ok(change.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_whichever_way_it_is_written() {
        let edits = json!([{"edit": "add_context", "name": "faq"}]);
        let change =
            parse(json!({"entity": "agent/x", "edits": edits, "rationale": "r"}), true, Some("ada".into())).unwrap();
        assert_eq!((change.name.unwrap().name.as_str(), &change.body["edits"]), ("x", &edits));
        assert_eq!((&change.body["comparison"], &change.body["proposer"]), (&json!("before_after"), &json!("ada")));
        let declared = json!({"entity_type": "agent", "name": "x", "configuration": {"model": "m"},
            "improvement_config": {}, "relationships": []});
        let change = parse(declared, false, None).unwrap();
        assert_eq!(
            (change.configuration.unwrap().model.as_deref(), &change.body["edits"]),
            (Some("m"), &Value::Null)
        );
        // Whom it is about, an improvement that it fills can say as well.
        assert_eq!(parse(json!({"edits": edits}), false, None).unwrap().name, None);
        for (written, expected) in [
            (json!({"entity": "agent/x"}), "either `edits`"),
            (json!({"entity": "agent/x", "edits": [], "configuration": {}}), "either `edits`"),
            (json!({"edits": [], "name": "x"}), "TYPE/NAME"),
            (json!({"entity": "agent/x", "edits": [], "speed": 1}), "speed"),
            (json!({"entity": "agent/x", "edits": [], "improvement_type": "magic"}), "improvement_type"),
        ] {
            let error = format!("{:#}", parse(written, false, None).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
