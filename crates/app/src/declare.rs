//! Entities as people declare them in a file: names, settings, configurations and ties.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType, check_name};
use uplift_model::policy::ImprovementConfig;
use uplift_model::relationship::{Relationship, RelationshipKind, RelationshipSource};
use uplift_model::revision::{Configuration, Revision};
use uplift_runner::Engine;
use uplift_store::Write;
use uplift_store::rows::EntitySelector;

use crate::api;
use crate::database::{self, Writable};
use crate::lock::{self, Claim, Holder};

/// One entity of a file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declaration {
    entity_type: EntityType,
    name: String,
    #[serde(default = "default_environment")]
    environment: String,
    improvement_config: Option<ImprovementConfig>,
    configuration: Option<Configuration>,
    #[serde(default)]
    relationships: Vec<Tie>,
}

/// A tie to another entity of the same environment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tie {
    kind: RelationshipKind,
    /// `TYPE/NAME`.
    to: String,
    #[serde(default = "full_strength")]
    strength: f64,
}

/// What was declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Declared {
    #[serde(flatten)]
    key: EntityKey,
    environment: String,
    name: String,
    /// The revision it runs from now on, if the file has a configuration for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
}

fn default_environment() -> String {
    DEFAULT_ENVIRONMENT.to_owned()
}

const fn full_strength() -> f64 {
    1.0
}

impl Declaration {
    fn entity_name(&self) -> EntityName {
        EntityName { environment: self.environment.clone(), entity_type: self.entity_type, name: self.name.clone() }
    }
}

/// Reads a file of declarations: a JSON array, or one object after another.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Declaration>> {
    let name = path.display();
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    }
    parse(&text).with_context(|| format!("{name} cannot be taken; nothing was declared"))
}

fn parse(text: &str) -> anyhow::Result<Vec<Declaration>> {
    let mut declarations = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let entries = match value.context("it is not JSON")? {
            Value::Array(entries) => entries,
            entry => vec![entry],
        };
        for entry in entries {
            let number = declarations.len() + 1;
            let declaration: Declaration =
                serde_path_to_error::deserialize(entry).with_context(|| format!("entity {number}"))?;
            check_name(&declaration.name).with_context(|| format!("entity {number}"))?;
            check_name(&declaration.environment).with_context(|| format!("entity {number}, environment"))?;
            if let Some(config) = &declaration.improvement_config {
                config.check().with_context(|| format!("entity {number}, improvement_config"))?;
            }
            declarations.push(declaration);
        }
    }
    Ok(declarations)
}

/// Declares directly: there is no way yet to ask a server for it.
pub(crate) async fn send(look: &api::Args, declarations: &[Declaration]) -> anyhow::Result<Vec<Declared>> {
    if let Some(server) = look.server() {
        bail!("a server does not take declarations yet: stop the one at {server} and name its file with --database");
    }
    let file = look.database.path()?;
    database::make_folder(&file)?;
    match lock::claim(&file, &Holder::this_process(None))? {
        Claim::Held(holder) => bail!("{} is in use by {holder}: stop that before declaring entities", file.display()),
        Claim::Ours(lock) => {
            let store = Writable::open(&file, look.settings.load()?.policy, lock)?;
            let declared = write(&store.engine, declarations).await;
            store.close().await;
            declared
        }
    }
}

async fn write(engine: &Engine, declarations: &[Declaration]) -> anyhow::Result<Vec<Declared>> {
    // Ties to what is neither here nor in the file are found out before anything is written.
    let mut keys = known_targets(engine, declarations).await?;
    let default = engine.policy().entity.clone();
    let declare = declarations.iter().map(|declaration| Write::DeclareEntity {
        name: declaration.entity_name(),
        config: declaration.improvement_config.clone().unwrap_or_else(|| default.clone()),
    });
    let receipt = engine.commit(declare.collect()).await?;
    for (declaration, key) in declarations.iter().zip(&receipt.entities) {
        keys.insert(declaration.entity_name(), *key);
    }
    let (mut writes, mut declared) = (Vec::new(), Vec::new());
    for (declaration, &key) in declarations.iter().zip(&receipt.entities) {
        if let Some(config) = &declaration.improvement_config {
            writes.push(Write::SetEntityConfig { entity: key, config: config.clone() });
        }
        let mut id = None;
        if let Some(configuration) = &declaration.configuration {
            let revision = Revision::seal(configuration.clone())?;
            id = Some(revision.id().to_string());
            writes.push(Write::PointRevision { entity: key, revision: Box::new(revision) });
        }
        for tie in &declaration.relationships {
            let to = keys.get(&target(declaration, tie)?).copied().context("a tie leads nowhere")?;
            writes.push(Write::PutRelationship(Relationship {
                from: key,
                to,
                kind: tie.kind,
                strength: tie.strength,
                source: RelationshipSource::Declared,
            }));
        }
        let Declaration { environment, name, .. } = declaration.clone();
        declared.push(Declared { key, environment, name, revision: id });
    }
    if !writes.is_empty() {
        engine.commit(writes).await?;
    }
    Ok(declared)
}

/// The keys of entities that ties lead to and that the file does not declare.
async fn known_targets(
    engine: &Engine,
    declarations: &[Declaration],
) -> anyhow::Result<BTreeMap<EntityName, EntityKey>> {
    let mut keys = BTreeMap::new();
    for declaration in declarations {
        for tie in &declaration.relationships {
            let name = target(declaration, tie)?;
            if keys.contains_key(&name) || declarations.iter().any(|other| other.entity_name() == name) {
                continue;
            }
            let selector = EntitySelector {
                entity_type: name.entity_type,
                id_or_name: name.name.clone(),
                environment: Some(name.environment.clone()),
            };
            let entity = engine.store().entity(selector).await.with_context(|| {
                format!("{}/{} has a tie to {}", declaration.entity_type, declaration.name, tie.to)
            })?;
            keys.insert(name, entity.key);
        }
    }
    Ok(keys)
}

fn target(declaration: &Declaration, tie: &Tie) -> anyhow::Result<EntityName> {
    let (entity_type, name) =
        tie.to.split_once('/').with_context(|| format!("`{}` is not TYPE/NAME, such as tool/search", tie.to))?;
    let environment = declaration.environment.clone();
    Ok(EntityName { environment, entity_type: entity_type.parse()?, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_lines_are_read_alike() {
        let one = r#"{"entity_type":"agent","name":"support","relationships":[{"kind":"uses","to":"tool/search"}]}"#;
        let two = r#"{"entity_type":"tool","name":"search","improvement_config":{"mode":"observe"}}"#;
        let lines = parse(&format!("{one}\n{two}\n")).unwrap();
        assert_eq!(lines, parse(&format!("[{one},{two}]")).unwrap());
        assert_eq!((lines.len(), lines[0].environment.as_str()), (2, "default"));
        assert_eq!(target(&lines[0], &lines[0].relationships[0]).unwrap(), lines[1].entity_name());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (r#"{"entity_type":"robot","name":"x"}"#, "entity 1"),
            (r#"[{"entity_type":"tool","name":"x"},{"entity_type":"tool","name":"7"}]"#, "entity 2"),
            (r#"{"entity_type":"tool","name":"x","speed":1}"#, "speed"),
            (
                r#"{"entity_type":"tool","name":"x","improvement_config":{"max_rollback_rate":2}}"#,
                "max_rollback_rate",
            ),
            ("{", "not JSON"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
