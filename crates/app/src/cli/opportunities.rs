//! `uplift opportunities`: what could be better, and why we think so.

use std::process::ExitCode;

use serde_json::{Value, json};
use uplift_model::OpportunityKind;
use uplift_model::opportunity::{ImpactLevel, OpportunitySource, OpportunityStatus};

use super::block_on;
use super::improvements::standing;
use super::show::{self, EntityArgument, ask, command, entity, facts, items, numeric, raw, tell, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Column, Style, Table, clean, count, percent, put};
use crate::usage::Misuse;

/// Events and tasks for which a command is shown.
const SHOWN_EVIDENCE: usize = 3;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them: open ones first, then by impact and confidence (also without a word)
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one with its evidence, and how to look it up
    Show {
        /// Its number
        id: i64,
    },
    /// Set one aside
    Dismiss {
        /// Its number
        id: i64,
        /// Why, for those who read it later
        #[arg(long)]
        reason: String,
    },
    /// Make an improvement of one at once, whatever the mode and however sure it is
    Start {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    #[arg(
        long,
        value_name = "STATUS",
        help = "Only with this status: pending, in_progress, completed, dismissed, or all [default: open ones]"
    )]
    status: Option<StatusFilter>,
    #[arg(long, help = "Only of this kind, such as recurring_error")]
    kind: Option<OpportunityKind>,
    /// Only of this impact: low, medium, high
    #[arg(long)]
    impact: Option<ImpactLevel>,
    /// Only of this entity, such as agent/support
    #[arg(long, value_name = "TYPE/NAME")]
    entity: Option<EntityArgument>,
    /// Only from this source, such as trigger
    #[arg(long)]
    source: Option<OpportunitySource>,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
}

/// One status, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusFilter {
    One(OpportunityStatus),
    All,
}

impl std::str::FromStr for StatusFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            other => {
                other.parse().map(Self::One).map_err(|error: uplift_model::entity::UnknownName| error.to_string())
            }
        }
    }
}

/// Lists, shows, dismisses or starts.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { action, filter, look } = args;
    match action {
        None => list(&look, filter),
        Some(_) if filter != Filter::default() => Err(Misuse::error("filters go behind `list`, and only there")),
        Some(Action::List { filter }) => list(&look, filter),
        Some(Action::Show { id }) => ask(&look, &one(id), |answer, style| detail(&look, answer, style)),
        Some(Action::Dismiss { id, reason }) => {
            let path = Endpoint::new(["api", "improvements", "opportunities", &id.to_string(), "dismiss"]);
            let answer = block_on(look.change(&path, &json!({ "reason": reason })))?;
            tell(&look, &answer, |_, _| format!("opportunity {id} is dismissed\n"))
        }
        Some(Action::Start { id }) => {
            let path = Endpoint::new(["api", "improvements", "opportunities", &id.to_string(), "start"]);
            let answer = block_on(look.change(&path, &json!({})))?;
            tell(&look, &answer, |answer, _| {
                items(answer, "improvements").iter().map(|improvement| standing(&look, improvement)).collect()
            })
        }
    }
}

fn one(id: i64) -> Endpoint {
    Endpoint::new(["api", "improvements", "opportunities", &id.to_string()])
}

fn list(look: &api::Args, filter: Filter) -> anyhow::Result<ExitCode> {
    let status = match filter.status {
        None => Some("pending,in_progress".to_owned()),
        Some(StatusFilter::All) => None,
        Some(StatusFilter::One(status)) => Some(status.to_string()),
    };
    let path = Endpoint::new(["api", "improvements", "opportunities"])
        .with("status", status)
        .with("kind", filter.kind)
        .with("impact", filter.impact)
        .with("source", filter.source)
        .with("entity_type", filter.entity.as_ref().map(|entity| &entity.entity_type))
        .with("entity", filter.entity.as_ref().map(|entity| &entity.entity))
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "Nothing was found that could be better.")
    })
}

/// Opportunities as a table.
pub(super) fn table(opportunities: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("IMPACT", 6),
        Column::number("SURE"),
        Column::text("STATUS", 11),
        Column::text("KIND", 23),
        Column::text("WHOM", 28),
        Column::text("WHAT", 200),
    ]);
    for found in opportunities {
        table.row([
            whole(found, "id").to_string(),
            text(found, "impact/level"),
            numeric(found, "confidence", percent),
            text(found, "status"),
            text(found, "kind"),
            entity(found),
            text(found, "description"),
        ]);
    }
    table
}

fn detail(look: &api::Args, found: &Value, style: Style) -> String {
    let mut shown = format!(
        "{}\n\n  {}\n\n",
        style.bold(&format!(
            "Opportunity {}: {}, {}",
            whole(found, "id"),
            text(found, "kind"),
            text(found, "status")
        )),
        text(found, "description"),
    );
    let confirmed = if found["confirmed"].as_bool() == Some(true) { "confirmed" } else { "not yet confirmed" };
    let mut lines = vec![
        ("whom", format!("{} in environment {}", entity(found), text(found, "environment"))),
        ("confidence", format!("{} ({confirmed})", numeric(found, "confidence", percent))),
        (
            "impact",
            format!(
                "{}: {} of its tasks; {}",
                text(found, "impact/level"),
                numeric(found, "impact/tasks_affected", percent),
                text(found, "impact/expected_gain"),
            ),
        ),
        ("source", format!("{}, rule {}", text(found, "source"), text(found, "evidence/rule"))),
        (
            "seen",
            format!(
                "{} times from {} to {}",
                count(whole(found, "evidence/count")),
                time(found, "evidence/window_start"),
                time(found, "evidence/window_end")
            ),
        ),
        ("answer", format!("usually {}", text(found, "improvement_type"))),
    ];
    let gone =
        items(found, "evidence/events").iter().filter(|event| event["on_record"].as_bool() == Some(false)).count();
    if gone > 0 {
        let shown = format!("{gone} of its example events are no longer kept; what they showed is");
        lines.push(("evidence", shown));
    }
    if raw(found, "resolution").is_some() {
        lines.push(("closed", text(found, "resolution")));
    }
    shown.push_str(&facts(lines));
    shown.push_str(&section(found, style, "Numbers", "evidence/numbers", plain_number));
    shown.push_str(&section(found, style, "Labels", "evidence/labels", |value| {
        clean(value.as_str().unwrap_or_default())
    }));
    let commands = lookups(look, found);
    if !commands.is_empty() {
        put!(&mut shown, "\n{}\n", style.bold("Look it up"));
        for command in commands {
            put!(&mut shown, "  {command}\n");
        }
    }
    shown
}

fn section(found: &Value, style: Style, title: &str, place: &str, show: impl Fn(&Value) -> String) -> String {
    let values = place.split('/').try_fold(found, |value, part| value.get(part)).and_then(Value::as_object);
    let Some(values) = values.filter(|values| !values.is_empty()) else { return String::new() };
    let names: Vec<(String, String)> = values.iter().map(|(name, value)| (clean(name), show(value))).collect();
    format!("\n{}\n{}", style.bold(title), facts(names.iter().map(|(name, value)| (name.as_str(), value.clone()))))
}

fn plain_number(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => count(number as i64),
        Some(number) if number.abs() >= 100.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.4}").trim_end_matches('0').to_owned(),
        None => "-".to_owned(),
    }
}

/// Commands that show the evidence.
fn lookups(look: &api::Args, found: &Value) -> Vec<String> {
    // By number: a name may be in several environments.
    let whom = match (raw(found, "entity_type"), found.get("entity_id").and_then(Value::as_i64)) {
        (Some(entity_type), Some(id)) => format!("{entity_type}/{id}"),
        _ => return Vec::new(),
    };
    let mut commands = Vec::new();
    if raw(found, "kind") == Some(OpportunityKind::RecurringError.as_str()) {
        let fingerprint = raw(found, "fingerprint").unwrap_or_default();
        commands.extend(command(look, &["events", "--entity", &whom, "--fingerprint", fingerprint]));
    }
    for task in items(found, "evidence/tasks").iter().filter_map(Value::as_str).take(SHOWN_EVIDENCE) {
        commands.extend(command(look, &["tasks", "show", task]));
    }
    let there = |event: &&Value| event["on_record"].as_bool() != Some(false);
    for event in items(found, "evidence/events").iter().filter(there).take(SHOWN_EVIDENCE) {
        if let (Some(trace), Some(id)) = (raw(event, "trace_key"), raw(event, "id")) {
            commands.extend(command(look, &["events", "show", trace, id]));
        }
    }
    commands.extend(command(look, &["entities", "show", &whom]));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Value {
        json!({
            "id": 3, "entity_type": "agent", "entity_id": 1, "entity_name": "support", "environment": "default",
            "kind": "recurring_error", "fingerprint": "f1", "source": "trigger", "status": "pending",
            "confirmed": true, "description": "get_order \u{1b}[31mfails\u{1b}[0m", "confidence": 0.95,
            "impact": {"level": "high", "tasks_affected": 0.31, "expected_gain": "12 tasks a day"},
            "evidence": {"rule": "r", "count": 40, "window_start": "2026-01-05T10:00:00Z", "window_end": null,
                "numbers": {"per_day": 12.5}, "labels": {"template": "order <num>"},
                "events": [{"trace_key": "t 1", "id": "e1"}], "tasks": ["t 1"]},
            "improvement_type": "error_prevention", "resolution": null
        })
    }

    #[test]
    fn the_table_holds_what_matters() {
        let text = table(&[found()]).render(Style { width: 120, colour: false });
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line, " 3  high     95%  pending  recurring_error  agent/support  get_order fails");
    }

    #[test]
    fn evidence_that_is_gone_is_told_and_not_looked_up() {
        let mut found = found();
        found["evidence"]["events"][0]["on_record"] = json!(false);
        let text = detail(&api::Args::default(), &found, Style { width: 120, colour: false });
        assert!(text.contains("1 of its example events are no longer kept"), "{text}");
        assert!(!text.contains("uplift events show"), "{text}");
        assert!(text.contains("per_day  12.5"), "{text}");
    }

    #[test]
    fn evidence_can_be_looked_up() {
        let text = detail(&api::Args::default(), &found(), Style { width: 120, colour: false });
        for part in [
            "uplift events --entity agent/1 --fingerprint f1",
            "uplift tasks show 't 1'",
            "uplift events show 't 1' e1",
            "per_day  12.5",
            "template  order <num>",
            "40 times from 2026-01-05 10:00:00 to -",
            "high: 31% of its tasks; 12 tasks a day",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
