//! The demo's outcome for people.

use super::Outcome;
use crate::text::{Column, Style, Table, clean, clip, count, put};

/// What was planted and found, and how to look further.
pub(crate) fn render(outcome: &Outcome, style: Style) -> String {
    let comparison = &outcome.comparison;
    let mut text = format!(
        "\n{}\n\n  {} tasks, {} events over {} days (seed {}), stored in {:.1} s, searched in {:.1} s, {} reviews held\n\n",
        style.bold("The recorded past of four agents, with flaws planted in it"),
        count(outcome.tasks),
        count(outcome.events as i64),
        outcome.days,
        outcome.seed,
        outcome.import_s,
        outcome.detect_s,
        outcome.reviews,
    );
    text.push_str(&style.bold("What was planted, and what was found"));
    text.push('\n');
    for flaw in &comparison.planted {
        let mark = if flaw.found { style.good("found    ") } else { style.bad("not found") };
        put!(&mut text, "\n  {mark}  {}: {}\n", flaw.agent, flaw.planted);
        if let Some(found) = &flaw.opportunity {
            let line = format!("#{} {} impact: {}", found.id, found.impact, clean(&found.description));
            put!(&mut text, "             {}\n", style.dim(&clip(&line, style.width.saturating_sub(13))));
        }
    }
    text.push('\n');
    for healthy in &comparison.healthy {
        let mark = if healthy.opportunities == 0 { style.good("healthy  ") } else { style.bad("suspected") };
        let said = if healthy.opportunities == 0 { "nothing was found" } else { "something was found" };
        put!(&mut text, "  {mark}  {}: nothing was planted, {said}\n", healthy.agent);
    }
    text.push_str(&also_found(outcome, style));
    let (found, planted) = (comparison.found(), comparison.planted.len());
    put!(&mut text, "\n{}\n", style.bold(&format!("{found} of {planted} planted flaws found.")));
    text.push_str(&further(outcome));
    text
}

fn also_found(outcome: &Outcome, style: Style) -> String {
    let mut table = Table::new([
        Column::number("  ID"),
        Column::text("AGENT", 16),
        Column::text("IMPACT", 6),
        Column::text("ALSO FOUND", 200),
    ]);
    for found in &outcome.comparison.also_found {
        table.row([found.id.to_string(), found.agent.clone(), found.impact.to_string(), found.description.clone()]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}

fn further(outcome: &Outcome) -> String {
    let database = outcome.database.display();
    let first =
        outcome.comparison.planted.iter().find_map(|flaw| flaw.opportunity.as_ref()).map_or(1, |found| found.id);
    format!(
        "\nLook further:\n  uplift opportunities --database {database}\n  uplift opportunities show {first} --database \
         {database}\n  uplift tasks --errors --database {database}\n  uplift serve --database {database}\n"
    )
}
