//! The fleet's truths, and that it does what its configuration says.

use std::collections::BTreeSet;

use serde_json::json;
use uplift_model::edit::{Edit, apply, check_type};
use uplift_model::event::EventKind;
use uplift_model::improvement::ImprovementType;
use uplift_model::metric::Purpose;
use uplift_model::revision::{Configuration, Guard, GuardCheck, GuardTarget, Revision};
use uplift_model::time::MICROS_PER_HOUR;

use super::planted::{flaws, harms};
use super::traffic::{Traffic, past};
use super::truth::{Means, Truth, gain, judge, measure};
use super::*;

const TASKS: u64 = 4_000;

fn changed(agent: &'static Agent, edits: &[Edit]) -> Configuration {
    apply(&Revision::seal(agent.defaults()).unwrap(), edits).unwrap().configuration().clone()
}

fn both(name: &str, edits: &[Edit], processes: &Processes) -> (Means, Means) {
    let agent = agent(name).unwrap();
    let before = measure(agent, &agent.defaults(), processes, TASKS);
    (before, measure(agent, &changed(agent, edits), processes, TASKS))
}

#[test]
fn every_flaw_is_worth_mending_by_an_improvement_of_its_type() {
    let types: BTreeSet<_> = flaws().into_iter().map(|flaw| flaw.improvement_type).collect();
    assert_eq!(types.len(), ImprovementType::ALL.len());
    for flaw in flaws() {
        let (before, after) = both(flaw.agent, &flaw.remedy, &flaw.processes());
        println!("{}: {before:?}\n  {after:?}", flaw.agent);
        assert_eq!(judge(&before, &after), Truth::Helpful, "{}", flaw.agent);
        let gained = gain(Purpose::from(flaw.improvement_type), &before, &after);
        assert!((0.08..0.7).contains(&gained), "{}: {gained}", flaw.agent);
        check_type(flaw.improvement_type, &flaw.remedy).unwrap();
    }
}

#[test]
fn every_proposed_harm_hurts_and_gains_nothing() {
    for harm in harms() {
        let (before, after) = both(harm.agent, &harm.edits, &Processes::new());
        println!("{}: {before:?}\n  {after:?}", harm.agent);
        assert_eq!(judge(&before, &after), Truth::Harmful, "{}", harm.agent);
        assert!(gain(Purpose::from(harm.improvement_type), &before, &after) < 0.03, "{}", harm.agent);
        check_type(harm.improvement_type, &harm.edits).unwrap();
    }
    let (before, after) = both("support", &harms()[0].edits, &Processes::new());
    assert!((before.success - after.success - 0.08).abs() < 0.01, "{before:?} {after:?}");
    let (before, after) = both("writer", &harms()[2].edits, &Processes::new());
    assert!((after.tokens / before.tokens - 1.3).abs() < 0.02, "{before:?} {after:?}");
}

#[test]
fn late_harm_is_none_in_the_first_hours() {
    let agent = agent("scheduler").unwrap();
    let configuration = changed(agent, &harms()[1].edits);
    let outcome = |configuration: &Configuration, hours: i64| {
        let processes = Processes::new();
        let served =
            Served { configuration, processes: &processes, exposures: None, age_us: hours * MICROS_PER_HOUR };
        let tasks =
            (0..500).map(|seed| play(agent, &served, &TaskSeed { task_id: "t".to_owned(), seed, started_us: 0 }));
        tasks.filter(|play| play.outcome.success).count()
    };
    let untouched = outcome(&agent.defaults(), 0);
    assert_eq!(outcome(&configuration, 3), untouched);
    assert!(outcome(&configuration, 6) + 50 < untouched);
}

/// Tools called, documents read and model calls of a task, as words.
fn steps(agent: &'static Agent, configuration: &Configuration, processes: &Processes, seed: u64) -> Vec<String> {
    let served = Served { configuration, processes, exposures: None, age_us: 0 };
    let played = play(agent, &served, &TaskSeed { task_id: "t".to_owned(), seed, started_us: 0 });
    let words = played.records.iter().filter_map(|record| match record.event_type {
        EventKind::ToolExecuted => Some(format!("{}{}", record.tool?, record.error_type.unwrap_or_default())),
        EventKind::LlmCall => Some("think".to_owned()),
        EventKind::Error => record.error_type.map(str::to_owned),
        _ => None,
    });
    words.collect()
}

fn any(name: &str, edits: &[Edit], holds: impl Fn(&[String]) -> bool) -> bool {
    let agent = agent(name).unwrap();
    let configuration = if edits.is_empty() { agent.defaults() } else { changed(agent, edits) };
    (0..300).any(|seed| holds(&steps(agent, &configuration, &Processes::new(), seed)))
}

fn guideline(text: &str) -> Vec<Edit> {
    vec![Edit::AppendGuideline { text: text.to_owned() }]
}

#[test]
fn a_configuration_is_obeyed() {
    let count = |steps: &[String], name: &str| steps.iter().filter(|step| step.starts_with(name)).count();
    let wrong_way = |steps: &[String]| {
        let place = |name: &str| steps.iter().position(|step| step.starts_with(name));
        place("issue_refund") < place("check_policy")
    };
    assert!(any("refunds", &[], wrong_way));
    assert!(!any("refunds", &guideline("Call `check_policy` before `issue_refund`."), wrong_way));
    assert!(!any("refunds", &guideline("Do not call `issue_refund` right before `check_policy`."), wrong_way));
    assert!(any("refunds", &guideline("Be careful."), wrong_way));

    let unassign = |name: &str| vec![Edit::UnassignTool { name: name.to_owned() }];
    assert!(any("researcher", &[], |steps| count(steps, "verify_sources") == 1));
    assert!(!any("researcher", &unassign("verify_sources"), |steps| count(steps, "verify_sources") == 1));
    let require = vec![Edit::MakeToolRequired { name: "verify_sources".to_owned() }];
    assert!(!any("researcher", &require, |steps| count(steps, "verify_sources") == 0));

    let parameter = |name: &str, value| vec![Edit::SetParameter { name: name.to_owned(), value }];
    let repeats = |steps: &[String]| count(steps, "query_metrics") > 1;
    assert!(any("reporter", &[], repeats));
    assert!(!any("reporter", &parameter("cache", json!(true)), repeats));
    assert!(!any(
        "reporter",
        &guideline("Do not call `query_metrics` again with the same arguments in a task."),
        repeats
    ));
    let times_out = |steps: &[String]| steps.contains(&"post_invoiceTimeoutError".to_owned());
    assert!(!any("invoicing", &[], times_out) && any("invoicing", &parameter("timeout_ms", json!(4_000)), times_out));
}

#[test]
fn guards_catch_what_is_missing_and_wrong_ones_block() {
    let guard = |tool: &str, check| {
        let (name, tool) = ("g".to_owned(), tool.to_owned());
        vec![Edit::AddGuard { guard: Guard { name, tool, target: GuardTarget::Arguments, check } }]
    };
    let has = |word: &'static str| move |steps: &[String]| steps.iter().any(|step| step.contains(word));
    let required = guard("book_courier", GuardCheck::Required { field: "postal_code".to_owned() });
    assert!(any("dispatcher", &[], has("ArgumentError")));
    assert!(!any("dispatcher", &required, has("ArgumentError")) && !any("dispatcher", &required, has("GuardError")));
    let wrong = GuardCheck::Type { field: "cents".to_owned(), json_type: "string".to_owned() };
    assert!(any("invoicing", &guard("post_invoice", wrong), has("GuardError")));
}

#[test]
fn an_attached_process_spares_the_thoughts_between_its_steps() {
    let agent = agent("onboarding").unwrap();
    let flaw = flaws().into_iter().find(|flaw| flaw.agent == agent.name).unwrap();
    let configuration = changed(agent, &flaw.remedy);
    let thoughts = |processes: &Processes| {
        steps(agent, &configuration, processes, 1).iter().filter(|step| *step == "think").count()
    };
    assert_eq!((thoughts(&Processes::new()), thoughts(&flaw.processes())), (5, 2));
}

#[test]
fn the_same_seed_gives_the_same_past_in_order() {
    let end = 1_767_247_200_000_000;
    let one = past(3, end - 6 * MICROS_PER_HOUR, end);
    assert_eq!(one, past(3, end - 6 * MICROS_PER_HOUR, end));
    assert!(one.is_sorted_by_key(|record| record.ts) && one.iter().all(|record| record.ts.micros() <= end));
    assert_ne!(one, past(4, end - 6 * MICROS_PER_HOUR, end));
    let ids: BTreeSet<_> = one.iter().map(|record| (record.task_id.clone(), record.id.clone())).collect();
    assert_eq!(ids.len(), one.len());
}

#[test]
fn traffic_is_the_same_however_it_is_cut() {
    let ids = |step: i64| {
        let mut traffic = Traffic::new(1, 0);
        let mut ids = Vec::new();
        for until in (1..=12).map(|n| n * step).filter(|until| *until <= 12 * MICROS_PER_HOUR) {
            ids.extend(traffic.until(until).into_iter().map(|arrival| arrival.task.task_id));
        }
        ids
    };
    assert_eq!(ids(MICROS_PER_HOUR), ids(4 * MICROS_PER_HOUR));
}
