//! `/settings`: the engine's settings, set while it runs; and everything else that is in force.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};
use uplift_model::policy::Mode;
use uplift_runner::settings;

use super::csrf::{self, Posted};
use super::failed::{OnPage, PageError};
use super::format;
use super::layout::{self, Place};
use super::parts::{section, wide};
use super::visit::Visit;
use crate::state::AppState;

/// Names that are no settings, in what the engine says of its settings.
const BESIDE: [&str; 2] = ["paused", "set_at_run_time"];

/// What the engine's settings are for, in a few words; those that are not here are shown by their names.
const MEANING: &[(&str, &str)] = &[
    ("mode", "how much happens by itself"),
    ("llm_mode", "the same for proposals of language models and agents"),
    ("min_confidence_score", "least confidence of an opportunity to act on it, 0 to 1"),
    ("test_duration_hours", "hours until something may be kept"),
    ("improvement_batch_size", "opportunities claimed at once, 1 to 1000"),
    ("rollback_threshold", "effectiveness below which a change is taken back, −1 to 0"),
    ("max_concurrent_improvements", "trials at the same time"),
    ("cooldown_period", "rest of an entity between two changes, such as 6h"),
    ("auto_register", "whether agents and tools register themselves"),
    ("rollback_rate_min_decisions", "decisions before a rollback rate counts"),
    ("rollback_rate_days", "days that a rollback rate looks back"),
    ("min_health_score", "health below which no trial starts, 0 to 100"),
    ("preflight_change", "relative change that a trial has to be able to see"),
    ("inconclusive_rest_days", "rest of what ended without an answer"),
    ("false_claims", "expected share of wrong ones among what is said to help"),
];

/// The page.
pub(super) async fn page(State(state): State<AppState>, visit: Visit) -> Result<Response, PageError> {
    shown(&state, &visit, None).await
}

/// The page, with what was just filled in, where that was refused.
pub(super) async fn shown(
    state: &AppState,
    visit: &Visit,
    refused: Option<(&Posted, String)>,
) -> Result<Response, PageError> {
    let all = state.engine.settings().await.on(visit)?;
    let tag = settings::tag(&all);
    let set = all["set_at_run_time"].as_object().cloned().unwrap_or_default();
    let engine = all["engine"].as_object().cloned().unwrap_or_default();
    let body = html! {
        h1 { "Settings" }
        @if let Some((_, reason)) = &refused { p.refused role="alert" { (layout::capital(reason)) "." } }
        (switch(visit))
        section id="engine" aria-labelledby="engine-h" {
            h2 id="engine-h" { "Engine" }
            p.muted { "They act at once and for good, and override the file. What is left empty goes back to the file's." }
            (form(visit, &engine, &set, &tag, refused.as_ref().map(|(posted, _)| *posted)))
        }
        (section("all", "Everything in force", &html! { (everything(&all)) }))
    };
    Ok(layout::page(visit, "Settings", Place::Settings, &body))
}

fn switch(visit: &Visit) -> Markup {
    section(
        "switch",
        "Kill switch",
        &html! {
            @if visit.paused {
                p { span.bad { "Trials are paused: " } "none starts until somebody lets them." }
                @if visit.operates() { form method="post" action="/settings/resume" { (csrf::field(visit)) button { "Let trials start again" } } }
            } @else {
                p { "Trials may start." }
                @if visit.operates() { form.acts method="post" action="/settings/pause" {
                    (csrf::field(visit))
                    label.check { input type="checkbox" name="rollback_running" value="true"; " also call off those that run" }
                    button.danger { "Pause" }
                } }
            }
        },
    )
}

/// A setting as it is written into a form.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The settings in the order of what they are for, those that are not known here last.
fn in_order(engine: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let place = |name: &str| MEANING.iter().position(|(of, _)| *of == name).unwrap_or(MEANING.len());
    let mut settings: Vec<_> = engine.iter().collect();
    settings.sort_by_key(|(name, _)| place(name));
    settings
}

fn form(
    visit: &Visit,
    engine: &Map<String, Value>,
    set: &Map<String, Value>,
    tag: &str,
    posted: Option<&Posted>,
) -> Markup {
    let value = |name: &str, current: &Value| match posted {
        Some(posted) => posted.text(name).unwrap_or_default(),
        None => written(current),
    };
    html! {
        form.settings.wide-form method="post" action="/settings" {
            (csrf::field(visit))
            input type="hidden" name="tag" value=(tag);
            fieldset disabled[!visit.operates()] {
                @for (name, current) in in_order(engine) {
                    @let meaning = MEANING.iter().find(|(of, _)| of == name).map_or("", |(_, meaning)| *meaning);
                    @let hint = format!("{name}-hint");
                    label {
                        span { code { (name) } @if set.contains_key(name) { " " span.kind { "set here" } } }
                        @if name == "mode" || name == "llm_mode" {
                            select name=(name) aria-describedby=(hint) {
                                @for mode in Mode::ALL { option value=(mode.as_str()) selected[value(name, current) == mode.as_str()] { (mode.as_str()) } }
                            }
                        } @else if current.is_boolean() {
                            select name=(name) aria-describedby=(hint) {
                                @for word in ["true", "false"] { option value=(word) selected[value(name, current) == word] { (word) } }
                            }
                        } @else {
                            input name=(name) value=(value(name, current)) aria-describedby=(hint) autocomplete="off";
                        }
                        span.muted id=(hint) { (meaning) }
                    }
                }
                @if visit.operates() { button { "Save" } }
            }
        }
    }
}

fn everything(all: &Value) -> Markup {
    let mut rows = Vec::new();
    if let Value::Object(fields) = all {
        for (name, value) in fields.iter().filter(|(name, _)| !BESIDE.contains(&name.as_str())) {
            flat(name, value, &mut rows);
        }
    }
    html! { details.values { summary { (rows.len()) " settings" } (wide("Everything in force", &html! { table {
        thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } } }
        tbody { @for (name, value) in &rows { tr { td { code { (name) } } td { (format::cut(value, 200)) } } } }
    } })) } }
}

fn flat(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (inner, value) in fields {
                flat(&format!("{name}.{inner}"), value, rows);
            }
        }
        value => rows.push((name.to_owned(), written(value))),
    }
}
