//! What is said to be planted is there, and nothing else of its kind is. Counted from the lines alone, the
//! way a reader of them would.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::time::MICROS_PER_DAY;

use super::*;

/// 2026-03-01T09:30:00Z: in the middle of a day and of an hour.
const END_US: i64 = 1_772_357_400_000_000;
const SEEDS: [u64; 2] = [1, 20_260_301];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    ts: Time,
    event_type: String,
    agent: String,
    tool: Option<String>,
    task_id: String,
    session_id: String,
    outcome: Option<String>,
    duration_ms: Option<f64>,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    cost_usd: Option<f64>,
    error_type: Option<String>,
    content: Option<String>,
    attributes: Option<Value>,
    source: String,
}

impl Line {
    fn is_last_day(&self) -> bool {
        self.ts.micros() > END_US - MICROS_PER_DAY
    }

    fn tokens(&self) -> u64 {
        self.tokens_in.unwrap_or(0) + self.tokens_out.unwrap_or(0)
    }

    fn tool(&self) -> &str {
        self.tool.as_deref().unwrap_or("-")
    }
}

fn lines(sample: &Sample) -> Vec<Line> {
    sample.lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a check on the lines of several seeds, so that none holds by luck.
fn for_seeds(check: impl Fn(&Sample, &[Line])) {
    for seed in SEEDS {
        let sample = generate(&SampleConfig::new(seed, END_US));
        check(&sample, &lines(&sample));
    }
}

fn planted(sample: &Sample, kind: PlantedKind) -> &Planted {
    sample.planted.iter().find(|planted| planted.kind == kind).unwrap()
}

/// Lines of each task of an agent that came to its end, in order.
fn ended_tasks<'a>(lines: &'a [Line], agent: &str) -> Vec<Vec<&'a Line>> {
    let mut tasks: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.agent == agent) {
        tasks.entry(&line.task_id).or_default().push(line);
    }
    tasks.into_values().filter(|task| task.last().unwrap().event_type.starts_with("TASK_")).collect()
}

fn failed(task: &[&Line]) -> bool {
    task.last().unwrap().event_type == "TASK_FAILED"
}

fn agents(lines: &[Line]) -> BTreeSet<&str> {
    lines.iter().map(|line| line.agent.as_str()).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

#[test]
fn the_same_configuration_gives_the_same_lines() {
    let config = SampleConfig { days: 2, ..SampleConfig::new(7, END_US) };
    assert_eq!(generate(&config), generate(&config));
    assert_ne!(generate(&config).lines, generate(&SampleConfig { seed: 8, ..config }).lines);
    assert!(generate(&SampleConfig { days: 0, ..config }).lines.is_empty());
}

#[test]
fn lines_are_events_in_order_of_time_with_ids_of_their_own() {
    for_seeds(|_, lines| {
        assert!(lines.is_sorted_by_key(|line| line.ts));
        assert!(
            lines.iter().all(|line| line.ts.micros() <= END_US && line.ts.micros() > END_US - 9 * MICROS_PER_DAY)
        );
        let ids: BTreeSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
        assert_eq!(ids.len(), lines.len());
        assert_eq!(agents(lines), BTreeSet::from(["coder", "planner", "researcher", "support"]));
        assert!(lines.iter().all(|line| line.source == "environment" && !line.session_id.is_empty()));
        assert!(lines.iter().all(|line| line.cost_usd.is_none_or(|cost| cost > 0.0)));
        let tasks: BTreeSet<&str> = lines.iter().map(|line| line.task_id.as_str()).collect();
        assert_eq!(tasks.len(), 9 * 160);
    });
}

#[test]
fn afternoons_are_busier_than_nights() {
    for_seeds(|_, lines| {
        let starts = |hours: std::ops::Range<i64>| {
            lines
                .iter()
                .filter(|line| line.event_type == "TASK_STARTED" && hours.contains(&(line.ts.hour().number() % 24)))
                .count()
        };
        assert!(starts(11..17) > 2 * starts(0..6), "{} {}", starts(11..17), starts(0..6));
    });
}

#[test]
fn one_error_recurs_and_no_other_does() {
    for_seeds(|sample, lines| {
        let planted = planted(sample, PlantedKind::RecurringError);
        let mut groups: BTreeMap<(&str, &str, &str), Vec<&Line>> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.outcome.as_deref() == Some("ERROR")) {
            groups.entry((&line.agent, line.tool(), line.error_type.as_deref().unwrap())).or_default().push(line);
        }
        for ((agent, tool, _), errors) in groups {
            if (agent, Some(tool)) == (planted.agent, planted.tool) {
                let contents: BTreeSet<&str> = errors.iter().map(|error| error.content.as_deref().unwrap()).collect();
                assert_eq!(contents.len(), errors.len(), "messages vary");
                assert!(contents.iter().all(|content| planted.words.iter().all(|word| content.contains(word))));
                assert!(errors.iter().filter(|error| error.is_last_day()).count() >= 10);
            } else {
                let crowded =
                    errors.windows(6).any(|window| window[5].ts.micros_since(window[0].ts) <= MICROS_PER_DAY);
                assert!(!crowded, "{agent} {tool}");
            }
        }
    });
}

#[test]
fn one_tool_became_slow_and_nothing_else_did() {
    for_seeds(|sample, lines| {
        let planted = planted(sample, PlantedKind::SlowTool);
        let mut groups: BTreeMap<(&str, &str, &str), [Vec<f64>; 2]> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.ts.micros() > END_US - 8 * MICROS_PER_DAY) {
            if let Some(duration_ms) = line.duration_ms {
                let kind = if line.event_type.starts_with("TASK_") { "TASK" } else { line.event_type.as_str() };
                groups.entry((&line.agent, kind, line.tool())).or_default()[usize::from(line.is_last_day())]
                    .push(duration_ms.ln());
            }
        }
        for ((agent, kind, tool), [before, after]) in groups {
            let ratio = (mean(after.iter().copied()) - mean(before.iter().copied())).exp();
            if (agent, Some(tool)) == (planted.agent, planted.tool) {
                assert!(ratio > 2.0 && before.len() >= 100 && after.len() >= 40, "{ratio}");
            } else {
                assert!(ratio < 1.45, "{agent} {kind} {tool}: {ratio}");
            }
        }
    });
}

#[test]
fn one_agent_repeats_its_calls() {
    for_seeds(|sample, lines| {
        let planted = planted(sample, PlantedKind::RepeatedCalls);
        for agent in agents(lines) {
            let tasks = ended_tasks(lines, agent);
            let share = mean(tasks.iter().map(|task| {
                let mut calls: BTreeMap<(&str, &str), u32> = BTreeMap::new();
                for line in task.iter().filter(|line| line.event_type == "TOOL_EXECUTED") {
                    if let Some((arguments, _)) = line.content.as_deref().unwrap().split_once(" => ") {
                        *calls.entry((line.tool(), arguments)).or_default() += 1;
                    }
                }
                f64::from(calls.values().any(|count| *count >= 3))
            }));
            if agent == planted.agent {
                assert!(share > 0.4, "{share}");
            } else {
                assert!(share < 0.01, "{agent}: {share}");
            }
        }
    });
}

#[test]
fn what_is_offered_is_used_but_for_what_is_planted() {
    for_seeds(|sample, lines| {
        let mut offered: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for line in lines {
            let attributes = line.attributes.as_ref();
            for list in ["tools", "contexts"] {
                let names = attributes.and_then(|attributes| attributes[list].as_array()).into_iter().flatten();
                offered.entry(&line.agent).or_default().extend(names.map(|name| name.as_str().unwrap().to_owned()));
            }
            let context = attributes.and_then(|attributes| attributes["context"].as_str());
            used.entry(&line.agent).or_default().extend(line.tool.as_deref().or(context).map(str::to_owned));
        }
        for agent in agents(lines) {
            let unused: BTreeSet<&str> = offered[agent].difference(&used[agent]).map(String::as_str).collect();
            let expected = sample
                .planted
                .iter()
                .filter(|planted| matches!(planted.kind, PlantedKind::UnusedTool | PlantedKind::UnusedContext))
                .filter(|planted| planted.agent == agent)
                .map(|planted| planted.words[0])
                .collect();
            assert_eq!(unused, expected, "{agent}");
            assert!(used[agent].is_subset(&offered[agent]), "{agent}");
        }
    });
}

#[test]
fn failures_of_one_agent_are_costly() {
    for_seeds(|sample, lines| {
        let planted = planted(sample, PlantedKind::CostlyFailures);
        for agent in agents(lines) {
            let tokens = |wanted: bool| -> Vec<f64> {
                let tasks = ended_tasks(lines, agent);
                let tasks = tasks.iter().filter(|task| failed(task) == wanted);
                tasks.map(|task| task.iter().map(|line| line.tokens() as f64).sum()).collect()
            };
            let (failing, fine) = (tokens(true), tokens(false));
            let factor = mean(failing.iter().copied()) / mean(fine.iter().copied());
            let share = failing.iter().sum::<f64>() / failing.iter().chain(&fine).sum::<f64>();
            if agent == planted.agent {
                assert!(factor > 3.5 && share > 0.35, "{factor} {share}");
            } else {
                assert!(factor < 1.4 && share < 0.2, "{agent}: {factor} {share}");
            }
        }
    });
}

#[test]
fn one_order_of_calls_goes_with_failure() {
    for_seeds(|sample, lines| {
        let planted = planted(sample, PlantedKind::HarmfulOrder);
        let tasks = ended_tasks(lines, planted.agent);
        let place = |task: &[&Line], tool: &str| task.iter().position(|line| line.tool() == tool);
        let order = |task: &[&Line]| Some(place(task, planted.words[0])? < place(task, planted.words[1])?);
        let rate = |wanted: Option<bool>| {
            let tasks: Vec<_> = tasks.iter().filter(|task| order(task) == wanted).collect();
            assert!(tasks.len() >= 30, "{wanted:?}: {}", tasks.len());
            mean(tasks.iter().map(|task| f64::from(failed(task))))
        };
        assert!(rate(Some(true)) > 0.55, "{}", rate(Some(true)));
        assert!(rate(Some(false)) < 0.15 && rate(None) < 0.15);
    });
}

#[test]
fn the_healthy_agent_has_nothing_planted() {
    for_seeds(|sample, lines| {
        assert_eq!(sample.healthy, ["planner"]);
        assert!(sample.planted.iter().all(|planted| planted.agent != "planner"));
        let tasks = ended_tasks(lines, "planner");
        assert!(mean(tasks.iter().map(|task| f64::from(failed(task)))) < 0.1);
    });
}
