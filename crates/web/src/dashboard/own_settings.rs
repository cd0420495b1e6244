//! How one entity is improved: the form on its page, and what was written into it.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::response::Response;
use maud::{Markup, html};
use uplift_model::entity::Entity;
use uplift_model::policy::{ImprovementConfig, Mode};
use uplift_model::review::{ReviewKind, ReviewSchedule};
use uplift_model::revision::Section;
use uplift_model::task::OutcomeRule;
use uplift_model::trial::AssignmentUnit;

use super::csrf::{self, Posted};
use super::format;
use super::layout::{self, Place};
use super::parts::{entity_address, section};
use super::visit::Visit;
use crate::error::ErrorCode;

/// What is in the fields, by their names: what is set, or what somebody wrote.
type Filled = BTreeMap<String, String>;

/// A field that cannot be what was written into it.
#[derive(Debug)]
pub(super) struct Refused {
    field: &'static str,
    detail: String,
}

/// The form. Whoever may not change it sees it all the same.
pub(super) fn form(visit: &Visit, of: &Entity) -> Markup {
    let filled = written(&of.improvement_config, of.version);
    Form { filled: &filled, refused: None }.drawn(visit, of)
}

/// The form as it was sent, with what is wrong beside its field.
pub(super) fn refused(posted: &Posted, of: &Entity, refused: &Refused) -> Response {
    let filled = posted.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let body = html! {
        h1 { a href=(entity_address(of.key)) { (of.name) } " " span.of { (of.key.entity_type.as_str()) } }
        p.refused role="alert" { "Nothing was saved: " (refused.detail) "." }
        (Form { filled: &filled, refused: Some(refused) }.drawn(&posted.visit, of))
    };
    let mut response = layout::page(&posted.visit, &of.name, Place::Entities, &body);
    *response.status_mut() = ErrorCode::InvalidSetting.status();
    response
}

fn written(config: &ImprovementConfig, version: i64) -> Filled {
    let number = |value: Option<f64>| value.map(|value| value.to_string());
    let (from, named, at_least) = match config.outcome.as_ref() {
        None => (None, None, None),
        Some(OutcomeRule::Status) => (Some("status"), None, None),
        Some(OutcomeRule::Completion) => (Some("completion"), None, None),
        Some(OutcomeRule::Attribute { key }) => (Some("attribute"), Some(key.clone()), None),
        Some(OutcomeRule::Feedback { name, at_least }) => (Some("feedback"), Some(name.clone()), Some(*at_least)),
    };
    let unit = config.unit.map(|unit| match unit {
        AssignmentUnit::Task => "task",
        AssignmentUnit::Session => "session",
    });
    let review = config.review.as_ref();
    let fields = [
        ("version", Some(version.to_string())),
        ("auto_improve_enabled", config.auto_improve_enabled.then(|| "true".to_owned())),
        ("mode", config.mode.map(|mode| mode.as_str().to_owned())),
        ("min_confidence_threshold", number(config.min_confidence_threshold)),
        ("test_duration_hours", number(config.test_duration_hours)),
        ("max_rollback_rate", Some(config.max_rollback_rate.to_string())),
        ("unit", unit.map(str::to_owned)),
        ("outcome", from.map(str::to_owned)),
        ("outcome_name", named),
        ("outcome_at_least", number(at_least)),
        ("review", review.map(|own| own.kind.as_str().to_owned())),
        ("review_tasks", review.map(|own| own.task_threshold.to_string())),
        ("review_hours", review.map(|own| own.period_hours.to_string())),
    ];
    let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let frozen = config.frozen.iter().map(|part| (format!("{FROZEN}{part}"), "true".to_owned()));
    set.chain(frozen).collect()
}

/// The form with what is in it.
struct Form<'a> {
    filled: &'a Filled,
    refused: Option<&'a Refused>,
}

impl Form<'_> {
    fn drawn(&self, visit: &Visit, of: &Entity) -> Markup {
        section(
            "settings",
            "How it is improved",
            &html! {
                form.settings method="post" action={ (entity_address(of.key)) "/settings" } {
                    (csrf::field(visit))
                    input type="hidden" name="version" value=[self.text("version")];
                    fieldset.own disabled[!visit.operates()] {
                        (self.trials())
                        (self.frozen())
                        (self.outcome())
                        (self.review())
                        @if visit.operates() { button { "Save" } }
                    }
                }
            },
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.filled.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// What is wrong with a field, if it is this one.
    fn wrong(&self, name: &str) -> Option<&str> {
        self.refused.filter(|refused| refused.field == name).map(|refused| refused.detail.as_str())
    }

    fn input(&self, name: &str, label: &str, hint: &str, placeholder: &str) -> Markup {
        let wrong = self.wrong(name);
        let numeric = name != "outcome_name";
        html! { label {
            span { (label) @if !hint.is_empty() { " " span.muted { (hint) } } }
            input name=(name) value=[self.text(name)] placeholder=(placeholder) autocomplete="off" inputmode=[numeric.then_some("decimal")]
                required[name == "max_rollback_rate"] aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
            (beside(wrong))
        } }
    }

    fn select(&self, name: &str, label: &str, options: &[(&str, &str)]) -> Markup {
        let (wrong, chosen) = (self.wrong(name), self.text(name).unwrap_or_default());
        html! { label {
            span { (label) }
            select name=(name) aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")] {
                @for (value, text) in options { option value=(value) selected[*value == chosen] { (text) } }
            }
            (beside(wrong))
        } }
    }

    fn trials(&self) -> Markup {
        let modes: Vec<(&str, &str)> =
            [("", ENGINES)].into_iter().chain(Mode::ALL.iter().map(|mode| (mode.as_str(), mode.as_str()))).collect();
        let units = [("", ENGINES), ("task", "each task by itself"), ("session", "whole sessions")];
        html! {
            label.check.whole { input type="checkbox" name="auto_improve_enabled" value="true" checked[self.text("auto_improve_enabled").is_some()]; " Improve it by itself" }
            (self.select("mode", "Mode", &modes))
            (self.input("min_confidence_threshold", "Least confidence", "0 to 1", ENGINES))
            (self.input("test_duration_hours", "Test duration", "hours", ENGINES))
            (self.input("max_rollback_rate", "Highest rollback rate", "0 to 1", ""))
            (self.select("unit", "What is assigned to an arm", &units))
        }
    }

    fn frozen(&self) -> Markup {
        html! { fieldset.boxes {
            legend { "What no improvement may touch" }
            @for part in Section::ALL {
                @let name = format!("{FROZEN}{part}");
                label.check { input type="checkbox" name=(name) value="true" checked[self.text(&name).is_some()]; " " (format::words(part.as_str())) }
            }
            (beside(self.wrong("frozen")))
        } }
    }

    fn outcome(&self) -> Markup {
        let ways = [
            ("", "as usual"),
            ("status", "the event that ends a task"),
            ("completion", "the same; no error is a success"),
            ("attribute", "an attribute of that event"),
            ("feedback", "a score"),
        ];
        html! {
            (self.select("outcome", "Outcomes come from", &ways))
            (self.input("outcome_name", "Name of the attribute or score", "", ""))
            (self.input("outcome_at_least", "Least score of a success", "", ""))
        }
    }

    fn review(&self) -> Markup {
        let told = |kind: &ReviewKind| match kind {
            ReviewKind::Threshold => "after so many tasks",
            ReviewKind::Periodic => "after so many hours",
            ReviewKind::Hybrid => "after tasks or hours",
        };
        let kinds: Vec<(&str, &str)> = [("", "as everybody")]
            .into_iter()
            .chain(ReviewKind::ALL.iter().map(|kind| (kind.as_str(), told(kind))))
            .collect();
        let usual = ReviewSchedule::default();
        html! {
            (self.select("review", "Reviews", &kinds))
            (self.input("review_tasks", "Tasks between reviews", "", &usual.task_threshold.to_string()))
            (self.input("review_hours", "Hours between reviews", "", &usual.period_hours.to_string()))
        }
    }
}

/// What is wrong, beside its field.
fn beside(wrong: Option<&str>) -> Markup {
    html! { @if let Some(detail) = wrong { span.wrong id="wrong" { (detail) } } }
}

/// What is said where the engine's setting holds.
const ENGINES: &str = "as the engine";

/// What comes before a section's name in the name of its box.
const FROZEN: &str = "frozen.";
/// Most characters of the name of an attribute or a score.
const MAX_NAME_CHARS: usize = 200;

/// What the model's check names, and the field that is meant.
const CHECKED: [(&str, &str); 4] = [
    ("min_confidence_threshold", "min_confidence_threshold"),
    ("max_rollback_rate", "max_rollback_rate"),
    ("test_duration_hours", "test_duration_hours"),
    ("review", "review"),
];

/// What was written into the form. What it leaves out stays: the highest rollback rate.
///
/// # Errors
/// Names the first field that cannot be what was written into it.
pub(super) fn posted(posted: &Posted, current: &ImprovementConfig) -> Result<ImprovementConfig, Refused> {
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
    match config.check() {
        Ok(()) => Ok(config),
        Err(error) => {
            let detail = error.to_string();
            let field = CHECKED.iter().find(|(names, _)| detail.contains(names)).map_or("", |(_, field)| *field);
            Err(Refused { field, detail })
        }
    }
}

fn posted_outcome(posted: &Posted) -> Result<Option<OutcomeRule>, Refused> {
    let named = |what: &str| {
        let name = posted.text("outcome_name").filter(|name| name.chars().count() <= MAX_NAME_CHARS);
        name.ok_or_else(|| {
            let detail = format!("`outcome_name` has to be the name of {what}, at most {MAX_NAME_CHARS} characters");
            Refused { field: "outcome_name", detail }
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
                Refused { field: "outcome_at_least", detail: detail.to_owned() }
            })?;
            Some(OutcomeRule::Feedback { name, at_least })
        }
        Some(other) => return Err(wrong("outcome", other)),
    })
}

fn posted_review(posted: &Posted) -> Result<Option<ReviewSchedule>, Refused> {
    let Some(kind) = parsed(posted, "review")? else { return Ok(None) };
    let usual = ReviewSchedule::default();
    Ok(Some(ReviewSchedule {
        kind,
        task_threshold: parsed(posted, "review_tasks")?.unwrap_or(usual.task_threshold),
        period_hours: parsed(posted, "review_hours")?.unwrap_or(usual.period_hours),
    }))
}

fn parsed<T: FromStr>(posted: &Posted, name: &'static str) -> Result<Option<T>, Refused> {
    posted.text(name).map(|text| text.parse().map_err(|_| wrong(name, &text))).transpose()
}

fn wrong(field: &'static str, text: &str) -> Refused {
    let shown: String = text.chars().take(60).collect();
    Refused { field, detail: format!("`{field}` cannot be `{shown}`") }
}
