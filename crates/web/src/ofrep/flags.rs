//! Which entity a flag is of, and which part of its configuration.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::value::RawValue;
use uplift_model::entity::EntityType;
use uplift_runner::snapshot::Resolved;
use uplift_store::rows::EntitySelector;

use super::answer::Failure;
use super::context::Context;
use crate::access::Caller;
use crate::state::AppState;

/// Longest key, bytes.
const MAX_KEY: usize = 512;
/// What stands for an entity's configuration and all its fields, in bulk.
const ALL: &str = "/*";

/// A flag that was found.
pub(super) struct Found {
    /// What its entity is to run.
    pub(super) resolved: Resolved,
    path: String,
}

impl Found {
    /// What it says; the path was found before.
    pub(super) fn value(&self) -> &RawValue {
        let configuration = &self.resolved.revision().configuration;
        field(configuration, &self.path).unwrap_or(configuration)
    }
}

/// A flag, or an entity with all its flags.
pub(super) struct All {
    /// What the entity is to run.
    pub(super) resolved: Resolved,
    key: String,
    path: Option<String>,
}

impl All {
    /// Key and value of each.
    pub(super) fn flags(&self) -> Vec<(String, &RawValue)> {
        let configuration: &RawValue = &self.resolved.revision().configuration;
        let Some(path) = &self.path else {
            let mut flags = vec![(self.key.clone(), configuration)];
            leaves(configuration, &self.key, '/', &mut flags);
            return flags;
        };
        field(configuration, path).map(|value| (self.key.clone(), value)).into_iter().collect()
    }
}

/// The flag of a key.
///
/// # Errors
/// When there is none, or the caller may not know.
pub(super) fn find(state: &AppState, caller: &Caller, context: &Context, key: &str) -> Result<Found, Failure> {
    let none = || Failure::not_found(format!("there is no flag `{}`: {KEYS}", clipped(key)));
    let (entity_type, rest) = key.split_once('/').filter(|_| key.len() <= MAX_KEY).ok_or_else(none)?;
    let entity_type = EntityType::from_str(entity_type).map_err(|_| none())?;
    let mut refused = None;
    // A name may have slashes of its own, so the longest name that is known counts.
    let ends = std::iter::once(rest.len()).chain(rest.rmatch_indices('/').map(|(at, _)| at));
    for end in ends.filter(|end| *end > 0) {
        let (name, path) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
        if path.is_empty() && end < rest.len() {
            continue;
        }
        let who =
            EntitySelector { entity_type, id_or_name: name.to_owned(), environment: context.environment.clone() };
        let who = match caller.own(state, who) {
            Ok(who) => who,
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let now_us = state.engine.now().micros();
        let snapshot = state.engine.snapshot();
        let unit = context.unit.as_deref();
        let resolved = snapshot.resolve(who.environment.as_deref(), who.entity_type, &who.id_or_name, unit, now_us);
        let Some(resolved) = resolved else {
            // There may be one, and nothing was said against asking.
            refused = None;
            continue;
        };
        return match field(&resolved.revision().configuration, path) {
            Some(_) => Ok(Found { resolved, path: path.to_owned() }),
            None => Err(Failure::not_found(format!(
                "the configuration of {entity_type} `{name}` has no `{}`",
                clipped(path)
            ))),
        };
    }
    Err(refused.map_or_else(none, |error| Failure::refused(&error)))
}

/// What keys look like.
const KEYS: &str = "write TYPE/NAME, as in agent/researcher, or TYPE/NAME/FIELD, as in agent/researcher/parameters.timeout_ms, of \
                    an entity that runs a configuration";

/// As [`find`]; a key that ends with `/*` stands for the configuration and all its fields.
///
/// # Errors
/// As [`find`].
pub(super) fn find_all(state: &AppState, caller: &Caller, context: &Context, key: &str) -> Result<All, Failure> {
    match key.strip_suffix(ALL) {
        Some(entity) => {
            let Found { resolved, path } = find(state, caller, context, entity)?;
            let path = (!path.is_empty()).then_some(path);
            Ok(All { resolved, key: entity.to_owned(), path })
        }
        None => find(state, caller, context, key).map(|Found { resolved, path }| All {
            resolved,
            key: key.to_owned(),
            path: Some(path),
        }),
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(200).collect()
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn fields(value: &RawValue) -> Option<Fields<'_>> {
    value.get().starts_with('{').then(|| serde_json::from_str(value.get()).ok()).flatten()
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// The part of a configuration that a path names, whole where the path is empty. Names may have dots of their own: the
/// longest one that is there counts. What is null is not there.
fn field<'a>(value: &'a RawValue, path: &str) -> Option<&'a RawValue> {
    if path.is_empty() {
        return Some(value);
    }
    let fields = fields(value)?;
    let ends = std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(at, _)| at));
    for end in ends {
        let Some(value) = fields.get(&path[..end]).filter(|value| !is_null(value)) else { continue };
        let rest = path.get(end + 1..).unwrap_or_default();
        if end < path.len() && rest.is_empty() {
            continue;
        }
        if let Some(found) = field(value, rest) {
            return Some(found);
        }
    }
    None
}

/// Every part that is no object, by its path.
fn leaves<'a>(value: &'a RawValue, before: &str, separator: char, found: &mut Vec<(String, &'a RawValue)>) {
    for (name, value) in
        fields(value).into_iter().flatten().filter(|(name, value)| !name.is_empty() && !is_null(value))
    {
        let key = format!("{before}{separator}{name}");
        // Beyond this it could not be asked for by itself.
        if key.len() > MAX_KEY {
            continue;
        }
        if value.get().starts_with('{') {
            leaves(value, &key, '.', found);
        } else {
            found.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn paths_lead_to_parts() {
        let configuration =
            raw(r#"{"model":"m","parameters":{"timeout_ms":5000,"a.b":1,"a":{"b":2,"c":[3]},"off":null},"":1}"#);
        let all = configuration.get();
        for (path, expected) in [
            ("", Some(all)),
            ("model", Some("\"m\"")),
            ("parameters.timeout_ms", Some("5000")),
            ("parameters.a.b", Some("1")),
            ("parameters.a.c", Some("[3]")),
            ("parameters.a", Some(r#"{"b":2,"c":[3]}"#)),
            ("parameters.off", None),
            ("parameters.", None),
            ("parameters.a.c.0", None),
            ("nothing", None),
            ("model.m", None),
            (".", None),
        ] {
            assert_eq!(field(&configuration, path).map(RawValue::get), expected, "{path}");
        }
        let mut found = Vec::new();
        leaves(&configuration, "agent/x", '/', &mut found);
        let found: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.get())).collect();
        let expected = [
            ("agent/x/model", "\"m\""),
            ("agent/x/parameters.a.b", "2"),
            ("agent/x/parameters.a.c", "[3]"),
            ("agent/x/parameters.a.b", "1"),
            ("agent/x/parameters.timeout_ms", "5000"),
        ];
        assert_eq!(found, expected);
    }
}
