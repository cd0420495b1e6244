//! What was known of units before they were assigned to an arm, for trials that say which attributes tell it.
//!
//! It is read from the event that starts a unit's first task, at the very first moment seen of it, and from nothing else:
//! whatever comes later may be the doing of an arm. A unit that began with anything else has nothing known of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uplift_model::Time;
use uplift_model::event::EventKind;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{UnitOutcome, UnitRecord};
use uplift_store::rows::EventFilter;
use uplift_store::{PageRequest, StoreResult};

use crate::engine::Engine;
use crate::{load, units};

/// Most tasks of a trace that may begin at its first moment and are told apart.
const MOST_AT_ONCE: u32 = 20;
/// Longest name of a stratum, characters: values of attributes are untrusted.
const LONGEST_STRATUM: usize = 128;

/// Notes what was known of a unit. Reads nothing where the policy names no attributes.
pub(crate) async fn note(
    engine: &Engine,
    policy: &TrialPolicy,
    record: &UnitRecord,
    outcome: &mut UnitOutcome,
) -> StoreResult<()> {
    if policy.covariates.is_empty() && policy.strata.is_empty() {
        return Ok(());
    }
    if let Some(attributes) = at_start(engine, record).await? {
        (outcome.covariates, outcome.stratum) = said(policy, &attributes);
    }
    Ok(())
}

/// The attributes of the event that starts a unit.
async fn at_start(engine: &Engine, record: &UnitRecord) -> StoreResult<Option<Map<String, Value>>> {
    let Some(start) = units::started(record).map(Time::from_micros) else { return Ok(None) };
    let Some(task) = record.tasks.iter().find(|task| task.started_us == Some(start.micros())) else {
        return Ok(None);
    };
    let filter = EventFilter {
        task_id: Some(task.trace_key.clone()),
        kind: Some(EventKind::TaskStarted),
        since: Some(start),
        until: Some(start.plus_micros(1)),
        ..EventFilter::default()
    };
    let events = engine.store().events(filter, PageRequest::first(MOST_AT_ONCE)).await?.items;
    let event = events.into_iter().find(|event| {
        event.trace_key == task.trace_key && event.task_id.as_deref().unwrap_or(&event.trace_key) == task.task_id
    });
    Ok(match event.and_then(|event| event.attributes) {
        Some(Value::Object(attributes)) => Some(attributes),
        _ => None,
    })
}

/// The numbers and the stratum that attributes tell.
fn said(policy: &TrialPolicy, attributes: &Map<String, Value>) -> (BTreeMap<String, f64>, Option<String>) {
    let number = |name: &String| {
        let value = attributes.get(name)?.as_f64().filter(|value| value.is_finite())?;
        Some((name.clone(), on_logarithms(value)))
    };
    let stratum = load::stratum(attributes, &policy.strata);
    let stratum: String = stratum.chars().take(LONGEST_STRATUM).collect();
    (policy.covariates.iter().filter_map(number).collect(), Some(stratum).filter(|stratum| !stratum.is_empty()))
}

/// Sizes as logarithms, so that one that is ten times as large counts the same wherever it begins; on both sides of 0,
/// where a number may be negative.
fn on_logarithms(value: f64) -> f64 {
    value.signum() * value.abs().ln_1p()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_and_usable_is_known() {
        let policy = TrialPolicy {
            covariates: vec!["size".to_owned(), "files".to_owned()],
            strata: vec!["kind".to_owned(), "urgent".to_owned()],
            ..TrialPolicy::default()
        };
        let e = std::f64::consts::E;
        let table = [
            (json!({}), vec![], None),
            (json!({"size": e - 1.0, "other": 5}), vec![("size", 1.0)], None),
            (json!({"size": 1.0 - e, "files": 0}), vec![("files", 0.0), ("size", -1.0)], None),
            (json!({"size": "12", "files": [1]}), vec![], None),
            (json!({"kind": "bug", "urgent": true}), vec![], Some("bug/true".to_owned())),
            (json!({"urgent": 3}), vec![], Some("3".to_owned())),
            (json!({"kind": "x".repeat(500)}), vec![], Some("x".repeat(128))),
        ];
        for (attributes, numbers, stratum) in table {
            let (found, in_stratum) = said(&policy, attributes.as_object().unwrap());
            assert_eq!(in_stratum, stratum, "{attributes}");
            assert_eq!(found.keys().collect::<Vec<_>>(), numbers.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            assert!(
                numbers.iter().all(|(name, value)| (found[*name] - value).abs() < 1e-9),
                "{attributes} {found:?}"
            );
        }
    }
}
