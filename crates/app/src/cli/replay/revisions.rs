//! The two revisions: of an improvement, of an entity and a file, or of two files.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;
use uplift_model::edit::{self, Edit};
use uplift_model::entity::EntityName;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::Arm;

use crate::api::{self, Endpoint};
use crate::apply::{self, Merged};
use crate::cli::apply::stopped;
use crate::cli::improvements::one;
use crate::cli::show::{EntityArgument, raw};
use crate::declare::{place, shown};
use crate::files;
use crate::usage::Misuse;

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    /// Whom it is about, where that is known.
    pub(super) entity: Option<EntityName>,
    pub(super) control: Revision,
    pub(super) candidate: Revision,
}

impl Compared {
    /// The revision of an arm.
    pub(super) fn of(&self, arm: Arm) -> &Revision {
        match arm {
            Arm::Control => &self.control,
            Arm::Candidate => &self.candidate,
        }
    }
}

/// Which revisions, as asked for.
#[derive(Debug, clap::Args)]
// Without a group of its own: the names of groups must differ within a command.
#[group(skip)]
pub(super) struct Args {
    /// The base and the candidate of this improvement
    #[arg(long, value_name = "ID", conflicts_with_all = ["control", "candidate", "entity"])]
    pub(super) improvement: Option<i64>,
    /// What is in place at this entity, such as agent/support, against --candidate
    #[arg(long, value_name = "TYPE/NAME", conflicts_with = "control")]
    pub(super) entity: Option<EntityArgument>,
    /// The environment of --entity, where the name is in several
    #[arg(long, requires = "entity")]
    pub(super) environment: Option<String>,
    /// A file with control's configuration, in YAML, JSON or TOML
    #[arg(long, value_name = "FILE", requires = "candidate")]
    pub(super) control: Option<std::path::PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with the candidate: a configuration, or, as `uplift try` reads it, `configuration` or `edits`, \
                with the `entity` they are for where neither --entity nor --control says it"
    )]
    pub(super) candidate: Option<std::path::PathBuf>,
}

/// Finds both.
///
/// # Errors
///
/// What is not there, cannot be read, is in conflict with what is in place, or does not differ.
pub(super) async fn compared(args: &Args, look: &api::Args) -> anyhow::Result<Compared> {
    let compared = match (&args.improvement, &args.control, &args.candidate) {
        (Some(id), ..) => of_improvement(&look.reading().await?.get(&one(*id)).await?)?,
        (None, Some(control), Some(candidate)) => {
            let control = written(control)?;
            let entity = control.entity.clone();
            let Change::Configuration(base) = control.change else {
                return Err(Misuse::error("--control needs a configuration: edits have nothing to go by"));
            };
            let base = Revision::seal(base)?;
            let file = written(candidate)?;
            let candidate = match file.change {
                Change::Configuration(configuration) => Revision::seal(configuration)?,
                Change::Edits(edits) => edit::apply(&base, &edits)?,
            };
            Compared { entity: file.entity.or(entity), control: base, candidate }
        }
        (None, None, Some(candidate)) => beside(args, look, candidate).await?,
        (None, _, None) => {
            return Err(Misuse::error(
                "what is compared? --improvement ID, --entity TYPE/NAME --candidate FILE, or --control FILE --candidate \
                 FILE",
            ));
        }
    };
    if compared.control.id() == compared.candidate.id() {
        return Err(Misuse::error("control and candidate are the same configuration: there is nothing to compare"));
    }
    Ok(compared)
}

fn of_improvement(report: &Value) -> anyhow::Result<Compared> {
    let read = |field: &str| -> anyhow::Result<Revision> {
        let value = &report[field];
        if value.is_null() {
            bail!("improvement {} has no {} to run", report["id"], field.replace('_', " "));
        }
        let configuration: Configuration = serde_json::from_value(value.clone())
            .with_context(|| format!("the server's `{field}` cannot be read"))?;
        Ok(Revision::seal(configuration)?)
    };
    Ok(Compared {
        entity: Some(named(report, "entity_name")?),
        control: read("base_configuration")?,
        candidate: read("candidate_configuration")?,
    })
}

/// A file against what is in place, merged as a trial of it would be.
async fn beside(args: &Args, look: &api::Args, candidate: &Path) -> anyhow::Result<Compared> {
    let file = written(candidate)?;
    let endpoint = match (&args.entity, &file.entity) {
        (Some(entity), _) => Endpoint::new(["api", "entities", &entity.entity_type, &entity.entity])
            .with("environment", args.environment.as_ref()),
        (None, Some(name)) => place(name),
        (None, None) => {
            return Err(Misuse::error(
                "what is the candidate compared with? --entity TYPE/NAME, --control FILE, or `entity` in the file",
            ));
        }
    };
    let entity = look.reading().await?.get(&endpoint).await?;
    let name = named(&entity, "name")?;
    if let Some(other) = file.entity.filter(|other| *other != name) {
        return Err(Misuse::error(format!("--entity is {}, and the file is about {}", shown(&name), shown(&other))));
    }
    if entity["configuration"].is_null() {
        bail!("{} has no configuration yet to compare with: --control FILE gives one", shown(&name));
    }
    let in_place: Configuration = serde_json::from_value(entity["configuration"].clone())
        .context("the server's `configuration` cannot be read")?;
    let control = Revision::seal(in_place)?;
    let candidate = match &file.change {
        Change::Edits(edits) => edit::apply(&control, edits)?,
        Change::Configuration(mine) => match apply::merged(Some(&entity), mine)? {
            Merged::New(merged) | Merged::Same(merged) | Merged::Changed { merged, .. } => Revision::seal(merged)?,
            Merged::Conflicts { conflicts, in_place } => return Err(stopped(&name, &conflicts, &in_place, mine)),
        },
    };
    Ok(Compared { entity: Some(name), control, candidate })
}

/// The entity that an answer is about.
fn named(answer: &Value, name_field: &str) -> anyhow::Result<EntityName> {
    let text = |field: &str| raw(answer, field).unwrap_or_default().to_owned();
    Ok(EntityName {
        environment: text("environment"),
        entity_type: text("entity_type").parse()?,
        name: text(name_field),
    })
}

/// What a file says.
#[derive(Debug, PartialEq)]
struct Written {
    entity: Option<EntityName>,
    change: Change,
}

#[derive(Debug, PartialEq)]
enum Change {
    Configuration(Configuration),
    Edits(Vec<Edit>),
}

fn written(file: &Path) -> anyhow::Result<Written> {
    let mut things = files::read(file)?;
    let name = file.display();
    match (things.pop(), things.len()) {
        (Some(thing), 0) => parse(thing).with_context(|| format!("{name} cannot be taken")),
        (_, more) => bail!("{name} holds {} configurations: one is compared", more + 1),
    }
}

/// A configuration by itself, or a change as `uplift try` reads it.
fn parse(thing: Value) -> anyhow::Result<Written> {
    let Value::Object(fields) = &thing else { bail!("it is no object") };
    let wrapped = ["configuration", "edits", "entity", "entity_type"].iter().any(|field| fields.contains_key(*field));
    if !wrapped {
        let configuration = serde_path_to_error::deserialize(thing)?;
        return Ok(Written { entity: None, change: Change::Configuration(configuration) });
    }
    let text = |field: &str| -> anyhow::Result<Option<String>> {
        match &thing[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => bail!("`{field}` is no text"),
        }
    };
    let (entity, entity_type, name) = (text("entity")?, text("entity_type")?, text("name")?);
    let entity = if entity.is_some() || entity_type.is_some() {
        let entity_type = entity_type.map(|text| text.parse()).transpose()?;
        Some(crate::declare::name_of(entity, entity_type, name, text("environment")?)?)
    } else {
        None
    };
    let change = match (&thing["configuration"], &thing["edits"]) {
        (Value::Null, Value::Null) => bail!("it needs either `edits` or `configuration`"),
        (configuration, Value::Null) => {
            Change::Configuration(serde_path_to_error::deserialize(configuration).context("configuration")?)
        }
        (Value::Null, edits) => Change::Edits(serde_path_to_error::deserialize(edits).context("edits")?),
        _ => bail!("it needs either `edits` or `configuration`, not both"),
    };
    Ok(Written { entity, change })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_hold_configurations_or_changes() {
        let configuration = json!({"model": "m", "answer_style": "short"});
        let bare = parse(configuration.clone()).unwrap();
        let wrapped = parse(json!({"entity": "agent/x", "configuration": configuration})).unwrap();
        assert_eq!(bare.change, wrapped.change);
        assert_eq!((bare.entity, wrapped.entity.unwrap().name.as_str()), (None, "x"));
        let Change::Configuration(read) = bare.change else { panic!("a configuration") };
        assert_eq!(serde_json::to_value(read).unwrap(), json!({"model": "m", "answer_style": "short"}));
        let edits = parse(json!({"edits": [{"edit": "add_context", "name": "faq"}], "rationale": "r"})).unwrap();
        assert_eq!(edits.change, Change::Edits(vec![Edit::AddContext { name: "faq".to_owned() }]));
        for (thing, expected) in [
            (json!(["x"]), "no object"),
            (json!({"entity": "agent/x"}), "either `edits`"),
            (json!({"edits": [], "configuration": {}}), "not both"),
            (json!({"edits": [{"edit": "magic"}]}), "magic"),
            (json!({"entity": "x", "edits": []}), "TYPE/NAME"),
            (json!({"model": 7}), "model"),
        ] {
            let error = format!("{:#}", parse(thing).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_improvement_has_both() {
        let report = json!({"id": 7, "environment": "staging", "entity_type": "agent", "entity_name": "x", "base_configuration": {},
            "candidate_configuration": {"model": "m"}});
        let compared = of_improvement(&report).unwrap();
        assert_eq!(shown(compared.entity.as_ref().unwrap()), "agent/x (staging)");
        assert_eq!(compared.candidate.configuration().model.as_deref(), Some("m"));
        let error = of_improvement(&json!({"id": 8, "entity_type": "agent", "base_configuration": {}}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("improvement 8 has no candidate configuration"), "{error}");
    }
}
