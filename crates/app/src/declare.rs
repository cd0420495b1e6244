//! Entities as people declare them in a file: names, settings, configurations and ties.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityName, EntityType, check_name};
use uplift_model::policy::ImprovementConfig;
use uplift_model::relationship::RelationshipKind;
use uplift_model::revision::Configuration;

use crate::api::{self, Api, Endpoint};
use crate::files;

/// One entity of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declaration {
    /// Which.
    pub(crate) name: EntityName,
    /// Its own settings.
    improvement_config: Option<ImprovementConfig>,
    /// What it runs, as the file has it.
    pub(crate) configuration: Option<Configuration>,
    relationships: Vec<Tie>,
}

/// The fields of one, as written: the entity as `entity: TYPE/NAME`, or as `entity_type` and `name`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    entity: Option<String>,
    entity_type: Option<EntityType>,
    name: Option<String>,
    environment: Option<String>,
    improvement_config: Option<ImprovementConfig>,
    configuration: Option<Configuration>,
    #[serde(default)]
    relationships: Vec<Tie>,
}

/// A tie to another entity of the same environment.
#[derive(Debug, Clone, PartialEq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Tie {
    kind: RelationshipKind,
    /// `TYPE/NAME`.
    to: String,
    #[serde(default = "full_strength")]
    strength: f64,
}

const fn full_strength() -> f64 {
    1.0
}

/// The name of an entity from a file's fields.
pub(crate) fn name_of(
    entity: Option<String>,
    entity_type: Option<EntityType>,
    name: Option<String>,
    environment: Option<String>,
) -> anyhow::Result<EntityName> {
    let (entity_type, name) = match (entity, entity_type, name) {
        (Some(entity), None, None) => {
            let (entity_type, name) = entity
                .split_once('/')
                .with_context(|| format!("`entity` is TYPE/NAME, such as agent/researcher, not `{entity}`"))?;
            (entity_type.parse()?, name.to_owned())
        }
        (None, Some(entity_type), Some(name)) => (entity_type, name),
        _ => bail!("it needs `entity` as TYPE/NAME, or `entity_type` and `name`"),
    };
    let environment = environment.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    check_name(&name)?;
    check_name(&environment).context("environment")?;
    Ok(EntityName { environment, entity_type, name })
}

/// Reads a file of declarations: a list, or one after another.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Declaration>> {
    parse(files::read(path)?).with_context(|| format!("{} cannot be taken; nothing was declared", path.display()))
}

fn parse(entries: Vec<Value>) -> anyhow::Result<Vec<Declaration>> {
    let mut names = BTreeSet::new();
    let mut declarations = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let number = index + 1;
        let declaration = declaration(entry).with_context(|| format!("entity {number}"))?;
        if !names.insert(declaration.name.clone()) {
            bail!("entity {number}: {} stands in it twice", shown(&declaration.name));
        }
        declarations.push(declaration);
    }
    Ok(declarations)
}

fn declaration(entry: Value) -> anyhow::Result<Declaration> {
    let written: Written = serde_path_to_error::deserialize(entry)?;
    let Written { entity, entity_type, name, environment, improvement_config, configuration, relationships } =
        written;
    if let Some(config) = &improvement_config {
        config.check().context("improvement_config")?;
    }
    let name = name_of(entity, entity_type, name, environment)?;
    for tie in &relationships {
        target(&name, tie)?;
    }
    Ok(Declaration { name, improvement_config, configuration, relationships })
}

/// `agent/support`, with the environment where it is not the usual one.
pub(crate) fn shown(name: &EntityName) -> String {
    let EntityName { environment, entity_type, name } = name;
    if environment == DEFAULT_ENVIRONMENT {
        format!("{entity_type}/{name}")
    } else {
        format!("{entity_type}/{name} ({environment})")
    }
}

/// Where an entity is on the API.
pub(crate) fn place(name: &EntityName) -> Endpoint {
    Endpoint::new(["api", "entities", name.entity_type.as_str(), name.name.as_str()])
        .with("environment", Some(&name.environment))
}

impl Declaration {
    /// The body that declares settings; its configuration comes beside, as it is or merged.
    pub(crate) fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if let Some(config) = &self.improvement_config {
            body.insert("improvement_config".to_owned(), json!(config));
        }
        body
    }
}

/// Declares entities: all of them before any tie, so that ties within the file find both ends. Ties to what is neither
/// known nor in the file are found out before anything is written.
pub(crate) async fn send(look: &api::Args, declarations: &[Declaration]) -> anyhow::Result<Vec<Value>> {
    look.making(async |api| {
        known_targets(api, declarations).await?;
        let mut answers = Vec::with_capacity(declarations.len());
        for declaration in declarations {
            let mut body = declaration.body();
            if let Some(configuration) = &declaration.configuration {
                body.insert("configuration".to_owned(), json!(configuration));
            }
            let answer = api.put(&place(&declaration.name), &Value::Object(body)).await?;
            answers.push(told(&answer, declaration.configuration.is_some()));
        }
        tie(api, declarations).await?;
        Ok(answers)
    })
    .await
}

/// Declares the ties of entities that are there.
pub(crate) async fn tie(api: &Api, declarations: &[Declaration]) -> anyhow::Result<()> {
    for declaration in declarations.iter().filter(|declaration| !declaration.relationships.is_empty()) {
        api.put(&place(&declaration.name), &json!({ "relationships": declaration.relationships })).await?;
    }
    Ok(())
}

/// What is told of an entity that was declared.
fn told(entity: &Value, has_revision: bool) -> Value {
    let fields = ["entity_type", "entity_id", "environment", "name"];
    let mut told: Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), entity[*field].clone())).collect();
    if has_revision {
        told.insert("revision".to_owned(), entity["revision"].clone());
    }
    Value::Object(told)
}

/// Finds out whether every tie leads to what is known or declared here.
pub(crate) async fn known_targets(api: &Api, declarations: &[Declaration]) -> anyhow::Result<()> {
    let mut known: BTreeSet<EntityName> = declarations.iter().map(|declaration| declaration.name.clone()).collect();
    for declaration in declarations {
        for tie in &declaration.relationships {
            let name = target(&declaration.name, tie)?;
            if known.contains(&name) {
                continue;
            }
            api.get(&place(&name))
                .await
                .with_context(|| format!("{} has a tie to {}", shown(&declaration.name), tie.to))?;
            known.insert(name);
        }
    }
    Ok(())
}

fn target(from: &EntityName, tie: &Tie) -> anyhow::Result<EntityName> {
    let (entity_type, name) =
        tie.to.split_once('/').with_context(|| format!("`{}` is not TYPE/NAME, such as tool/search", tie.to))?;
    Ok(EntityName { environment: from.environment.clone(), entity_type: entity_type.parse()?, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_name_an_entity_are_read_alike() {
        let one = json!({"entity_type": "agent", "name": "support",
            "relationships": [{"kind": "uses", "to": "tool/search"}]});
        let two = json!({"entity": "tool/search", "improvement_config": {"mode": "observe"}});
        let read = parse(vec![one, two]).unwrap();
        assert_eq!((read.len(), read[0].name.environment.as_str()), (2, "default"));
        assert_eq!(target(&read[0].name, &read[0].relationships[0]).unwrap(), read[1].name);
        let staging = parse(vec![json!({"entity": "agent/a/b", "environment": "staging"})]).unwrap();
        assert_eq!(shown(&staging[0].name), "agent/a/b (staging)");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let tool = |more: Value| {
            let mut tool = json!({"entity_type": "tool", "name": "x"});
            tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            tool
        };
        for (entries, expected) in [
            (vec![json!({"entity_type": "robot", "name": "x"})], "entity 1"),
            (vec![tool(json!({})), tool(json!({"name": "7"}))], "entity 2"),
            (vec![tool(json!({})), tool(json!({}))], "twice"),
            (vec![tool(json!({"speed": 1}))], "speed"),
            (vec![tool(json!({"entity": "tool/x"}))], "TYPE/NAME"),
            (vec![json!({"entity": "x"})], "TYPE/NAME"),
            (vec![json!({"entity": "robot/x"})], "robot"),
            (vec![tool(json!({"relationships": [{"kind": "uses", "to": "x"}]}))], "TYPE/NAME"),
            (vec![tool(json!({"improvement_config": {"max_rollback_rate": 2}}))], "max_rollback_rate"),
            (vec![json!(7)], "entity 1"),
        ] {
            let error = format!("{:#}", parse(entries).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
