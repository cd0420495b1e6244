//! How one entity is improved: the form on its page, and what was written into it.

use std::str::FromStr;

use maud::{Markup, html};
use uplift_model::entity::Entity;
use uplift_model::policy::{ImprovementConfig, Mode};
use uplift_model::review::{ReviewKind, ReviewSchedule};
use uplift_model::revision::Section;
use uplift_model::task::OutcomeRule;
use uplift_model::trial::AssignmentUnit;

use super::csrf::{self, Posted};
use super::format;
use super::parts::{entity_address, section};
use super::visit::Visit;
use crate::error::{ErrorCode, WebError};

/// The form. Whoever may not change it sees it all the same.
pub(super) fn form(visit: &Visit, of: &Entity) -> Markup {
    let config = &of.improvement_config;
    section(
        "settings",
        "How it is improved",
        &html! {
            form.settings method="post" action={ (entity_address(of.key)) "/settings" } {
                (csrf::field(visit))
                input type="hidden" name="version" value=(of.version);
                fieldset.own disabled[!visit.operates()] {
                    (trials(config))
                    (frozen(config))
                    (outcome(config.outcome.as_ref()))
                    (review(config.review.as_ref()))
                    @if visit.operates() { button { "Save" } }
                }
            }
        },
    )
}

fn trials(config: &ImprovementConfig) -> Markup {
    let number = |value: Option<f64>| value.map(|value| value.to_string());
    html! {
        label.check.whole { input type="checkbox" name="auto_improve_enabled" value="true" checked[config.auto_improve_enabled]; " Improve it by itself" }
        label { span { "Mode" } select name="mode" {
            option value="" selected[config.mode.is_none()] { "as the engine" }
            @for mode in Mode::ALL { option value=(mode.as_str()) selected[config.mode == Some(*mode)] { (mode.as_str()) } }
        } }
        label { span { "Least confidence " span.muted { "0 to 1" } } input name="min_confidence_threshold" inputmode="decimal" value=[number(config.min_confidence_threshold)] placeholder="as the engine"; }
        label { span { "Test duration " span.muted { "hours" } } input name="test_duration_hours" inputmode="decimal" value=[number(config.test_duration_hours)] placeholder="as the engine"; }
        label { span { "Highest rollback rate " span.muted { "0 to 1" } } input name="max_rollback_rate" inputmode="decimal" required value=(config.max_rollback_rate); }
        label { span { "What is assigned to an arm" } select name="unit" {
            option value="" selected[config.unit.is_none()] { "as the engine" }
            option value="task" selected[config.unit == Some(AssignmentUnit::Task)] { "each task by itself" }
            option value="session" selected[config.unit == Some(AssignmentUnit::Session)] { "whole sessions" }
        } }
    }
}

fn frozen(config: &ImprovementConfig) -> Markup {
    html! { fieldset.boxes {
        legend { "What no improvement may touch" }
        @for part in Section::ALL { label.check {
            input type="checkbox" name={ (FROZEN) (part.as_str()) } value="true" checked[config.frozen.contains(part)];
            " " (format::words(part.as_str()))
        } }
    } }
}

fn outcome(rule: Option<&OutcomeRule>) -> Markup {
    let (from, named, at_least) = match rule {
        None => ("", None, None),
        Some(OutcomeRule::Status) => ("status", None, None),
        Some(OutcomeRule::Completion) => ("completion", None, None),
        Some(OutcomeRule::Attribute { key }) => ("attribute", Some(key), None),
        Some(OutcomeRule::Feedback { name, at_least }) => ("feedback", Some(name), Some(at_least.to_string())),
    };
    let ways = [
        ("", "as usual"),
        ("status", "the event that ends a task"),
        ("completion", "the same; no error is a success"),
        ("attribute", "an attribute of that event"),
        ("feedback", "a score"),
    ];
    html! {
        label { span { "Outcomes come from" } select name="outcome" {
            @for (value, text) in ways { option value=(value) selected[value == from] { (text) } }
        } }
        label { span { "Name of the attribute or score" } input name="outcome_name" value=[named] autocomplete="off"; }
        label { span { "Least score of a success" } input name="outcome_at_least" inputmode="decimal" value=[at_least]; }
    }
}

fn review(schedule: Option<&ReviewSchedule>) -> Markup {
    let usual = ReviewSchedule::default();
    html! {
        label { span { "Reviews" } select name="review" {
            option value="" selected[schedule.is_none()] { "as everybody" }
            @for kind in ReviewKind::ALL { option value=(kind.as_str()) selected[schedule.is_some_and(|own| own.kind == *kind)] {
                @match kind { ReviewKind::Threshold => "after so many tasks", ReviewKind::Periodic => "after so many hours", ReviewKind::Hybrid => "after tasks or hours" }
            } }
        } }
        label { span { "Tasks between reviews" } input name="review_tasks" inputmode="numeric" value=[schedule.map(|own| own.task_threshold)] placeholder=(usual.task_threshold); }
        label { span { "Hours between reviews" } input name="review_hours" inputmode="numeric" value=[schedule.map(|own| own.period_hours)] placeholder=(usual.period_hours); }
    }
}

/// What comes before a section's name in the name of its box.
const FROZEN: &str = "frozen.";
/// Most characters of the name of an attribute or a score.
const MAX_NAME_CHARS: usize = 200;

/// What was written into the form. What it leaves out stays: the highest rollback rate.
///
/// # Errors
/// Names the first field that cannot be what was written into it.
pub(super) fn posted(posted: &Posted, current: &ImprovementConfig) -> Result<ImprovementConfig, WebError> {
    let rate = parsed(posted, "max_rollback_rate")?;
    let unit = match posted.text("unit").as_deref() {
        None => None,
        Some("task") => Some(AssignmentUnit::Task),
        Some("session") => Some(AssignmentUnit::Session),
        Some(other) => return Err(wrong("unit", other)),
    };
    for (name, _) in posted.fields().filter(|(name, _)| name.starts_with(FROZEN)) {
        let part = &name[FROZEN.len()..];
        part.parse::<Section>().map_err(|_| wrong("frozen", part))?;
    }
    let frozen = Section::ALL.iter().filter(|part| posted.text(&format!("{FROZEN}{part}")).is_some());
    let config = ImprovementConfig {
        auto_improve_enabled: posted.text("auto_improve_enabled").is_some(),
        min_confidence_threshold: parsed(posted, "min_confidence_threshold")?,
        test_duration_hours: parsed(posted, "test_duration_hours")?,
        max_rollback_rate: rate.unwrap_or(current.max_rollback_rate),
        mode: parsed(posted, "mode")?,
        unit,
        frozen: frozen.copied().collect(),
        outcome: posted_outcome(posted)?,
        review: posted_review(posted)?,
    };
    config.check().map_err(|error| WebError::new(ErrorCode::InvalidSetting, error.to_string()))?;
    Ok(config)
}

fn posted_outcome(posted: &Posted) -> Result<Option<OutcomeRule>, WebError> {
    let named = |what: &str| {
        let name = posted.text("outcome_name").filter(|name| name.chars().count() <= MAX_NAME_CHARS);
        name.ok_or_else(|| {
            let detail = format!("`outcome_name` has to be the name of {what}, at most {MAX_NAME_CHARS} characters");
            WebError::new(ErrorCode::InvalidSetting, detail)
        })
    };
    Ok(match posted.text("outcome").as_deref() {
        None => None,
        Some("status") => Some(OutcomeRule::Status),
        Some("completion") => Some(OutcomeRule::Completion),
        Some("attribute") => Some(OutcomeRule::Attribute { key: named("an attribute")? }),
        Some("feedback") => {
            let name = named("a score")?;
            let at_least: Option<f64> = parsed(posted, "outcome_at_least")?;
            let at_least = at_least.filter(|score| score.is_finite()).ok_or_else(|| {
                let detail = "`outcome_at_least` has to be a number: the least score that is a success";
                WebError::new(ErrorCode::InvalidSetting, detail)
            })?;
            Some(OutcomeRule::Feedback { name, at_least })
        }
        Some(other) => return Err(wrong("outcome", other)),
    })
}

fn posted_review(posted: &Posted) -> Result<Option<ReviewSchedule>, WebError> {
    let Some(kind) = parsed(posted, "review")? else { return Ok(None) };
    let usual = ReviewSchedule::default();
    Ok(Some(ReviewSchedule {
        kind,
        task_threshold: parsed(posted, "review_tasks")?.unwrap_or(usual.task_threshold),
        period_hours: parsed(posted, "review_hours")?.unwrap_or(usual.period_hours),
    }))
}

fn parsed<T: FromStr>(posted: &Posted, name: &str) -> Result<Option<T>, WebError> {
    posted.text(name).map(|text| text.parse().map_err(|_| wrong(name, &text))).transpose()
}

fn wrong(name: &str, text: &str) -> WebError {
    let shown: String = text.chars().take(60).collect();
    WebError::new(ErrorCode::InvalidSetting, format!("`{name}` cannot be `{shown}`"))
}
