//! `uplift export`: what is in place, in the form in which `uplift apply` reads it.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Map, Value, json};
use uplift_model::entity::DEFAULT_ENVIRONMENT;

use super::block_on;
use super::show::{EntityArgument, items, raw};
use crate::api::{self, Api, Endpoint};
use crate::files;
use crate::text::{print, print_json};
use crate::usage::DONE;

/// Entities asked for at once.
const PAGE: usize = 500;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which, such as agent/support; all that have a configuration where none is named
    #[arg(value_name = "TYPE/NAME")]
    entity: Option<EntityArgument>,
    /// The environment: of the name, or of all
    #[arg(long)]
    environment: Option<String>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One document an entity
    Yaml,
    /// One list
    Json,
}

/// Writes to standard output.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { entity, environment, format, look } = args;
    let exported = block_on(async {
        let api = look.reading().await?;
        let config = api.get(&Endpoint::new(["api", "improvements", "config"])).await?;
        let entities = match &entity {
            Some(named) => vec![one(&api, &named.entity_type, &named.entity, environment).await?],
            None => all(&api, environment).await?,
        };
        let exported: Vec<Value> =
            entities.iter().filter_map(|entity| declaration(entity, &config["entity"])).collect();
        Ok(exported)
    })?;
    if exported.is_empty() {
        bail!("there is no configuration to export: none was declared, and none came with a resolve");
    }
    match format {
        Format::Json => print_json(&exported)?,
        Format::Yaml if look.json => print_json(&exported)?,
        Format::Yaml => {
            let documents = exported.iter().map(files::as_yaml).collect::<anyhow::Result<Vec<String>>>()?;
            print(&documents.join("---\n"))?;
        }
    }
    Ok(ExitCode::from(DONE))
}

async fn one(api: &Api, entity_type: &str, entity: &str, environment: Option<String>) -> anyhow::Result<Value> {
    api.get(&Endpoint::new(["api", "entities", entity_type, entity]).with("environment", environment)).await
}

async fn all(api: &Api, environment: Option<String>) -> anyhow::Result<Vec<Value>> {
    let (mut entities, mut cursor) = (Vec::new(), None);
    loop {
        let path = Endpoint::new(["api", "entities"])
            .with("environment", environment.as_ref())
            .with("limit", Some(PAGE))
            .with("cursor", cursor);
        let page = api.get(&path).await?;
        for entity in items(&page, "items").iter().filter(|entity| entity["revision"].is_string()) {
            let id = entity["entity_id"].to_string();
            entities.push(one(api, raw(entity, "entity_type").unwrap_or_default(), &id, None).await?);
        }
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(entities),
        }
    }
}

/// An entity as a file declares it. Settings that are as for everybody are left out, learnt ties too.
fn declaration(entity: &Value, usual: &Value) -> Option<Value> {
    let configuration = entity.get("configuration").filter(|configuration| !configuration.is_null())?;
    let mut declared = Map::new();
    let name = format!("{}/{}", raw(entity, "entity_type")?, raw(entity, "name")?);
    declared.insert("entity".to_owned(), name.into());
    if raw(entity, "environment") != Some(DEFAULT_ENVIRONMENT) {
        declared.insert("environment".to_owned(), entity["environment"].clone());
    }
    if entity["improvement_config"] != *usual {
        declared.insert("improvement_config".to_owned(), entity["improvement_config"].clone());
    }
    declared.insert("configuration".to_owned(), configuration.clone());
    Some(json!(declared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_can_be_applied() {
        let entity = json!({"entity_type": "agent", "name": "a/b", "environment": "staging", "revision": "r",
            "improvement_config": {"mode": "observe"}, "configuration": {"model": "m"}});
        let declared = declaration(&entity, &json!({})).unwrap();
        assert_eq!(
            declared,
            json!({"entity": "agent/a/b", "environment": "staging", "improvement_config": {"mode": "observe"},
                "configuration": {"model": "m"}})
        );
        assert_eq!(declaration(&entity, &json!({"mode": "observe"})).unwrap().get("improvement_config"), None);
        assert_eq!(
            declaration(&json!({"entity_type": "tool", "name": "t", "configuration": null}), &json!({})),
            None
        );
    }
}
