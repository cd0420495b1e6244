//! The score for people.

use uplift_sim::fleet::truth::{Means, Truth};

use super::Outcome;
use super::score::Ended;
use super::story::in_words;
use crate::text::{Column, Style, Table, count, duration_ms, percent, put};

/// What was planted and what became of it, what else was tried, and how to look further.
pub(crate) fn render(outcome: &Outcome, style: Style) -> String {
    let score = &outcome.score;
    let mut text = format!("\n{}\n\n", style.bold("What was planted, and what became of it"));
    let mut table = Table::new([
        Column::text("", 1),
        Column::text("AGENT", 12),
        Column::text("TYPE", 20),
        Column::text("TRUTH", 8),
        Column::text("OUTCOME", 11),
        Column::text("WHAT", 200),
    ]);
    for planted in &score.planted {
        let right =
            matches!((planted.truth, planted.outcome), (Truth::Helpful, "kept") | (Truth::Harmful, "rolled_back"));
        let open = matches!(planted.outcome, "undecided" | "untried");
        let mark = if right {
            "✓"
        } else if open {
            "·"
        } else {
            "✗"
        };
        table.row([
            mark.to_owned(),
            planted.agent.to_owned(),
            planted.improvement_type.to_string(),
            word(planted.truth).to_owned(),
            planted.outcome.replace('_', " "),
            planted.what.to_owned(),
        ]);
    }
    text.push_str(&table.render(style));
    text.push_str(&others(outcome, style));
    text.push_str(&fleet(&score.fleet_before, &score.fleet_after, style));
    let wrong = format!("{} wrong", score.wrong.len());
    let said = format!(
        "{} kept, {} taken back for harm, {} undecided; {} of {} flaws mended; ",
        score.kept.len(),
        score.rolled_back.len(),
        score.undecided.len(),
        score.fixed,
        score.planted.iter().filter(|planted| planted.kind == "flaw").count(),
    );
    let wrong = if score.wrong.is_empty() { style.good(&wrong) } else { style.bad(&wrong) };
    put!(&mut text, "\n{}{wrong}\n", style.bold(&said));
    put!(
        &mut text,
        "{} tasks, {} events, of which a week of history; seed {}, {:.1} hours played in {:.1} s\n",
        count(outcome.tasks),
        count(outcome.events as i64),
        outcome.seed,
        outcome.hours,
        outcome.seconds
    );
    let database = &outcome.database;
    put!(
        &mut text,
        "\nLook further:\n  uplift status --database {database}\n  uplift opportunities --database {database}\n  uplift serve \
         --database {database}\n"
    );
    text
}

/// What was tried and is nothing that was planted.
fn others(outcome: &Outcome, style: Style) -> String {
    let score = &outcome.score;
    let planted = |ended: &&Ended| score.planted.iter().any(|planted| planted.improvement == Some(ended.improvement));
    let mut table = Table::new([
        Column::number("  ID"),
        Column::text("AGENT", 12),
        Column::text("TRUTH", 8),
        Column::text("OUTCOME", 11),
        Column::text("ALSO PROPOSED", 200),
    ]);
    let lists = [("kept", &score.kept), ("rolled back", &score.rolled_back), ("undecided", &score.undecided)];
    for (name, list) in lists {
        for ended in list.iter().filter(|ended| !planted(ended)) {
            table.row([
                ended.improvement.to_string(),
                ended.agent.clone(),
                word(ended.truth).to_owned(),
                name.to_owned(),
                in_words(&ended.edits),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}

fn fleet(before: &Means, after: &Means, style: Style) -> String {
    let mut table = Table::new([
        Column::text("THE FLEET, A TASK", 20),
        Column::number("SUCCESS"),
        Column::number("ERRORS"),
        Column::number("DURATION"),
        Column::number("TOKENS"),
        Column::number("COST"),
    ]);
    for (name, means) in [("before", before), ("now", after)] {
        table.row([
            name.to_owned(),
            percent(means.success),
            percent(means.errors),
            duration_ms(means.duration_ms),
            format!("{:.0}", means.tokens),
            format!("${:.4}", means.cost_usd),
        ]);
    }
    format!("\n{}", table.render(style))
}

const fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::Helpful => "helpful",
        Truth::Harmful => "harmful",
        Truth::Neutral => "neutral",
    }
}
