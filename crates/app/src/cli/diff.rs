//! `uplift diff`: what an improvement changes, or what was changed here since a file or the code said otherwise.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};
use uplift_model::difference::between;
use uplift_model::merge::differences;
use uplift_model::revision::Configuration;

use super::block_on;
use super::improvements::one;
use super::show::{EntityArgument, entity, items, tell, text};
use crate::api::{self, Endpoint};
use crate::differ;
use crate::text::{Style, clean, put};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An improvement's number; or an entity, such as agent/support
    #[arg(value_name = "IMPROVEMENT|TYPE/NAME")]
    what: String,
    /// The environment, where the name is in several
    #[arg(long)]
    environment: Option<String>,
    #[command(flatten)]
    look: api::Args,
}

/// Shows the difference.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { what, environment, look } = args;
    let get = |path: Endpoint| block_on(async { look.reading().await?.get(&path).await });
    let difference = if let Ok(id) = what.parse::<i64>() {
        of_improvement(&get(one(id))?)?
    } else {
        let named: EntityArgument = what.parse().map_err(crate::usage::Misuse::error)?;
        let path = Endpoint::new(["api", "entities", &named.entity_type, &named.entity]);
        of_entity(&get(path.with("environment", environment))?)?
    };
    let shown = differ::unified(
        &difference["before"],
        &difference["after"],
        [&text(&difference, "before_is"), &text(&difference, "after_is")],
        Style::of_stdout(),
    )?;
    tell(&look, &difference, |difference, style| said(difference, &shown, style))
}

fn of_improvement(report: &Value) -> anyhow::Result<Value> {
    let (before, after) = (&report["base_configuration"], &report["candidate_configuration"]);
    if items(report, "edits").is_empty() {
        bail!("nobody has proposed edits for improvement {} yet", report["id"]);
    }
    if before.is_null() || after.is_null() {
        bail!("the edits of improvement {} do not apply to the configuration in place", report["id"]);
    }
    Ok(json!({
        "title": format!("Improvement {} of {}", report["id"], entity(report)),
        "edits": report["edits"], "before_is": "base", "after_is": "candidate", "before": before, "after": after,
    }))
}

fn of_entity(entity: &Value) -> anyhow::Result<Value> {
    let name = format!("{}/{}", text(entity, "entity_type"), text(entity, "name"));
    let (before, after) = (&entity["applied"], &entity["configuration"]);
    if after.is_null() {
        bail!("{name} has no configuration yet");
    }
    if before.is_null() {
        bail!("neither a file nor its code brought along a configuration of {name} to compare with");
    }
    let read = |value: &Value| serde_json::from_value::<Configuration>(value.clone());
    let (base, target) = (read(before)?, read(after)?);
    // What no edit can express is told by its place.
    let edits = between(&base, &target).map_or_else(|_| json!([]), |edits| json!(edits));
    let places: Vec<String> = differences(&base, &target).into_iter().map(|difference| difference.path).collect();
    Ok(json!({
        "title": format!("Kept at {name}, beyond what was applied last"), "edits": edits, "places": places,
        "before_is": "applied last", "after_is": "in place", "before": before, "after": after,
    }))
}

fn said(difference: &Value, diff: &str, style: Style) -> String {
    if diff.is_empty() {
        return "There is no difference.\n".to_owned();
    }
    let mut shown = format!("{}\n", style.bold(&text(difference, "title")));
    match items(difference, "edits") {
        [] => {
            for place in items(difference, "places") {
                put!(&mut shown, "  {}\n", clean(&text(place, "")));
            }
        }
        edits => shown.push_str(&differ::in_words(edits)),
    }
    put!(&mut shown, "\n{diff}");
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_improvements_and_entities() {
        let report = json!({"id": 7, "entity_type": "agent", "entity_name": "a", "edits": [{"edit": "add_context", "name": "f"}],
            "base_configuration": {}, "candidate_configuration": {"contexts": ["f"]}});
        let difference = of_improvement(&report).unwrap();
        assert_eq!(difference["title"], "Improvement 7 of agent/a");
        let mut stale = report.clone();
        stale["candidate_configuration"] = Value::Null;
        assert!(of_improvement(&stale).unwrap_err().to_string().contains("do not apply"));
        let entity = json!({"entity_type": "agent", "name": "a", "applied": {"x": 1}, "configuration": {"x": 2}});
        let difference = of_entity(&entity).unwrap();
        assert_eq!((&difference["edits"], &difference["places"]), (&json!([]), &json!(["x"])));
        let shown = said(&difference, "--- a\n", Style { width: 80, colour: false });
        assert_eq!(shown, "Kept at agent/a, beyond what was applied last\n  x\n\n--- a\n");
        assert!(of_entity(&json!({"entity_type": "agent", "name": "a", "configuration": null})).is_err());
    }
}
