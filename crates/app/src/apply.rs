//! Files into the database without losing what was kept there: what a file says, what it said when it was last applied,
//! and what is in place go together, or stop with what stands against each other.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use uplift_model::entity::EntityName;
use uplift_model::merge::{Conflict, differences, merge};
use uplift_model::revision::Configuration;

use crate::api::{Api, Endpoint};
use crate::declare::{self, Declaration, place, shown};

/// How to apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// As a trial instead of at once.
    pub(crate) trial: bool,
    /// Even while a trial runs, which then begins anew.
    pub(crate) now: bool,
    /// Only say what would be done.
    pub(crate) dry_run: bool,
}

/// What a file's configuration makes of the one in place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Merged {
    /// There is no entity, or it has no configuration yet.
    New(Configuration),
    /// Everything the file says is in place.
    Same(Configuration),
    /// Both sides together.
    Changed {
        /// What is in place.
        in_place: Configuration,
        /// What would be.
        merged: Configuration,
    },
    /// They stand against each other.
    Conflicts {
        /// Where.
        conflicts: Vec<Conflict>,
        /// What is in place.
        in_place: Configuration,
    },
}

/// What is to be done about one entity.
pub(crate) struct Plan<'a> {
    declaration: &'a Declaration,
    /// What the server says of it; none where it is new.
    entity: Option<Value>,
    /// None where the file has no configuration for it.
    merged: Option<Merged>,
}

/// Merges a file's configuration with what the API says of the entity.
pub(crate) fn merged(entity: Option<&Value>, mine: &Configuration) -> anyhow::Result<Merged> {
    let read = |field: &str| -> anyhow::Result<Option<Configuration>> {
        let Some(value) = entity.map(|entity| &entity[field]).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        serde_json::from_value(value.clone())
            .map(Some)
            .with_context(|| format!("the server's `{field}` cannot be read"))
    };
    let Some(in_place) = read("configuration")? else { return Ok(Merged::New(mine.clone())) };
    // Without a base, nothing tells a kept change from an old state: the file holds.
    let base = read("applied")?.unwrap_or_else(|| in_place.clone());
    Ok(match merge(&base, &in_place, mine) {
        Ok(merged) if merged == in_place => Merged::Same(merged),
        Ok(merged) => Merged::Changed { in_place, merged },
        Err(conflicts) => Merged::Conflicts { conflicts, in_place },
    })
}

/// Finds out what is to be done; nothing is written.
pub(crate) async fn plan<'a>(api: &Api, declarations: &'a [Declaration]) -> anyhow::Result<Vec<Plan<'a>>> {
    declare::known_targets(api, declarations).await?;
    let mut plans = Vec::with_capacity(declarations.len());
    for declaration in declarations {
        let entity = api.find(&place(&declaration.name)).await?;
        let merged = match &declaration.configuration {
            Some(mine) => Some(merged(entity.as_ref(), mine).with_context(|| shown(&declaration.name))?),
            None => None,
        };
        plans.push(Plan { declaration, entity, merged });
    }
    Ok(plans)
}

impl Plan<'_> {
    /// The entity.
    pub(crate) fn name(&self) -> &EntityName {
        &self.declaration.name
    }

    /// What the file makes of the configuration in place.
    pub(crate) fn merged(&self) -> Option<&Merged> {
        self.merged.as_ref()
    }

    /// The trial that stands in the way of a change, if one does.
    pub(crate) fn trial(&self) -> Option<i64> {
        match self.merged {
            Some(Merged::Changed { .. }) => self.entity.as_ref()?["trial"].as_i64(),
            _ => None,
        }
    }

    /// What is done about it, in a word, and the places that change.
    fn outline(&self, how: How) -> (&'static str, Vec<String>) {
        match &self.merged {
            _ if self.entity.is_none() => ("declared", Vec::new()),
            None | Some(Merged::Same(_)) => ("unchanged", Vec::new()),
            Some(Merged::New(_)) => ("configured", Vec::new()),
            Some(Merged::Changed { in_place, merged }) => {
                let places = differences(in_place, merged).into_iter().map(|difference| difference.path).collect();
                (if how.trial { "proposed" } else { "changed" }, places)
            }
            Some(Merged::Conflicts { .. }) => ("in conflict", Vec::new()),
        }
    }

    async fn carry_out(&self, api: &Api, how: How) -> anyhow::Result<Value> {
        let (action, places) = self.outline(how);
        let name = self.name();
        let mut told = json!({
            "entity_type": name.entity_type, "name": name.name, "environment": name.environment,
            "action": action, "changes": places,
        });
        if how.dry_run {
            return Ok(told);
        }
        let mut body = self.declaration.body();
        let mine = self.declaration.configuration.as_ref();
        match &self.merged {
            Some(Merged::Changed { merged, .. }) if how.trial => {
                told["improvement"] = propose(api, name, json!({ "configuration": merged })).await?;
            }
            Some(Merged::New(merged) | Merged::Same(merged) | Merged::Changed { merged, .. }) => {
                body.insert("configuration".to_owned(), json!(merged));
                body.insert("applied".to_owned(), json!(mine));
                body.insert("now".to_owned(), how.now.into());
                if let Some(revision) = self.entity.as_ref().and_then(|entity| entity["revision"].as_str()) {
                    body.insert("expected_revision".to_owned(), revision.into());
                }
            }
            Some(Merged::Conflicts { .. }) => bail!("{} is in conflict", shown(name)),
            None => {}
        }
        let entity = api.put(&place(name), &Value::Object(body)).await?;
        told["revision"] = entity["revision"].clone();
        Ok(told)
    }
}

/// Puts a change on record: edits or a configuration, with whatever else `change` says.
pub(crate) async fn propose(api: &Api, name: &EntityName, mut change: Value) -> anyhow::Result<Value> {
    change["entity_type"] = json!(name.entity_type);
    change["entity"] = json!(name.name);
    change["environment"] = json!(name.environment);
    api.post(&Endpoint::new(["api", "improvements"]), &change).await
}

/// Carries plans out; what came of each.
pub(crate) async fn carry_out(api: &Api, plans: &[Plan<'_>], how: How) -> anyhow::Result<Vec<Value>> {
    let mut told = Vec::with_capacity(plans.len());
    for plan in plans {
        told.push(plan.carry_out(api, how).await.with_context(|| shown(plan.name()))?);
    }
    if !how.dry_run {
        for plan in plans {
            declare::tie(api, std::slice::from_ref(plan.declaration)).await?;
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_meets_what_is_in_place() {
        let read = |value: Value| -> Configuration { serde_json::from_value(value).unwrap() };
        let entity =
            |configuration: Value, applied: Value| json!({"configuration": configuration, "applied": applied});
        let (a, b, c) = (json!({"model": "a"}), json!({"model": "b"}), json!({"model": "c"}));
        let mine = read(c.clone());
        assert_eq!(merged(None, &mine).unwrap(), Merged::New(mine.clone()));
        assert_eq!(merged(Some(&entity(Value::Null, Value::Null)), &mine).unwrap(), Merged::New(mine.clone()));
        assert_eq!(merged(Some(&entity(c.clone(), a.clone())), &mine).unwrap(), Merged::Same(mine.clone()));
        let changed = merged(Some(&entity(a.clone(), a.clone())), &mine).unwrap();
        assert_eq!(changed, Merged::Changed { in_place: read(a.clone()), merged: mine.clone() });
        let no_base = merged(Some(&entity(b.clone(), Value::Null)), &mine).unwrap();
        assert_eq!(no_base, Merged::Changed { in_place: read(b.clone()), merged: mine.clone() });
        let conflict = merged(Some(&entity(b, a.clone())), &mine).unwrap();
        assert!(matches!(conflict, Merged::Conflicts { conflicts, .. } if conflicts[0].path == "model"));
        assert!(merged(Some(&entity(json!({"model": 3}), a)), &mine).is_err());
    }
}
