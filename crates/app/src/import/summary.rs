//! What an import came to: the same numbers whoever wrote them.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::tally::Tally;
use crate::api::{Api, Endpoint};
use crate::text::{Column, Style, Table, clean, count, plural, put};

/// Opportunities listed; the rest is counted.
const LISTED: u32 = 5;
/// How long a server may take to look at what it was sent.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often to see whether it has.
const PAUSE: Duration = Duration::from_millis(300);
/// How often nothing has to have changed.
const QUIET: u32 = 4;

/// What an import came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// What became of the lines.
    #[serde(flatten)]
    pub(crate) tally: Tally,
    /// Tasks, agents and more in the database now, as the API counts them.
    pub(crate) counts: Value,
    /// The first open opportunities, by impact, as the API lists them.
    pub(crate) opportunities: Vec<Value>,
    /// How many are open.
    pub(crate) opportunities_open: i64,
    /// Where all of it is: a file or an address.
    pub(crate) place: String,
}

/// The summary for what is read through `api`.
pub(crate) async fn summarise(api: &Api, tally: Tally, place: String) -> anyhow::Result<Summary> {
    let status = api.get(&Endpoint::new(["api", "improvements", "status"])).await?;
    let list = Endpoint::new(["api", "improvements", "opportunities"])
        .with("status", Some("pending,in_progress"))
        .with("limit", Some(LISTED));
    let mut found = api.get(&list).await?;
    let counts = status["counts"].clone();
    let number = |name: &str| counts[name].as_i64().unwrap_or(0);
    let opportunities_open = number("opportunities_pending") + number("opportunities_in_progress");
    let opportunities = found["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(Summary { tally, counts, opportunities, opportunities_open, place })
}

/// Waits until a server has looked at what it was sent: nothing changes any more.
pub(crate) async fn until_quiet(api: &Api) -> anyhow::Result<()> {
    let (began, mut before, mut quiet) = (Instant::now(), Value::Null, 0);
    while quiet < QUIET && began.elapsed() < PATIENCE {
        let status = api.get(&Endpoint::new(["api", "improvements", "status"])).await?;
        let now = json!([status["counts"], status["active_alerts"]]);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

impl Summary {
    /// For people.
    pub(crate) fn render(&self, style: Style) -> String {
        let number = |name: &str| self.counts[name].as_i64().unwrap_or(0);
        let Tally { accepted, already_known, refused, files } = &self.tally;
        let (tasks, succeeded, failed) = (number("tasks"), number("tasks_succeeded"), number("tasks_failed"));
        let mut text = format!(
            "{} from {}: {} accepted, {} already known, {} refused\n",
            plural((accepted + already_known + refused) as i64, "event", "events"),
            plural(*files as i64, "file", "files"),
            count(*accepted as i64),
            count(*already_known as i64),
            count(*refused as i64),
        );
        put!(
            &mut text,
            "in {} now: {} of {} ({} succeeded, {} failed, {} without an outcome), {}\n",
            clean(&self.place),
            plural(tasks, "task", "tasks"),
            plural(number("agents"), "agent", "agents"),
            count(succeeded),
            count(failed),
            count(tasks - succeeded - failed),
            plural(number("events"), "event", "events"),
        );
        if self.opportunities.is_empty() {
            text.push_str("nothing was found that could be better\n");
            return text;
        }
        let shown = self.opportunities.len() as i64;
        let rest = if self.opportunities_open > shown { format!(", the first {shown}:") } else { ":".to_owned() };
        put!(
            &mut text,
            "\n{}{rest}\n{}",
            style.bold(&plural(self.opportunities_open, "opportunity", "opportunities")),
            self.table().render(style)
        );
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            Column::number("ID"),
            Column::text("IMPACT", 6),
            Column::text("WHOM", 28),
            Column::text("WHAT", 200),
        ]);
        for found in &self.opportunities {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            table.row([
                found["id"].to_string(),
                text(&found["impact"]["level"]),
                format!("{}/{}", text(&found["entity_type"]), text(&found["entity_name"])),
                text(&found["description"]),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_happened() {
        let summary = Summary {
            tally: Tally { files: 1, accepted: 10_652, already_known: 0, refused: 2 },
            counts: json!({"tasks": 465, "tasks_succeeded": 275, "tasks_failed": 190, "agents": 2, "events": 10652}),
            opportunities: vec![json!({"id": 1, "impact": {"level": "high"}, "entity_type": "agent",
                "entity_name": "support", "description": "get_order \u{1b}[1mfails"})],
            opportunities_open: 7,
            place: "fleet.db".to_owned(),
        };
        let text = summary.render(Style { width: 100, colour: false });
        for part in [
            "10,654 events from 1 file: 10,652 accepted, 0 already known, 2 refused",
            "465 tasks of 2 agents (275 succeeded, 190 failed, 0 without an outcome)",
            "7 opportunities, the first 1:",
            " 1  high    agent/support  get_order fails",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
