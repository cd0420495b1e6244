//! The page of settings against the settings: every section and key, every default, every range.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uplift_model::Policy;

use super::page::Page;
use super::same;

const PAGE: &str = "docs/configuration.md";
/// Stands for a setting that is not set by default.
const NOT_SET: &str = "not set";
/// Settings whose default is too long for a table.
const LONG: [&str; 1] = ["content.mask"];
/// Sections that are lists, with an entry that is valid.
const LISTS: [(&str, &str); 2] = [
    (
        "metrics",
        r#"{"name": "helpful", "kind": "boolean", "direction": "higher", "weight": 1.0, "source": "human",
            "attribution_window_ms": 0, "margin": 0.1, "roles": {"goal": true, "guardrail": false, "cost": false}}"#,
    ),
    ("prices", r#"{"model": "m", "input": 1.0, "output": 1.0, "cached": 1.0}"#),
];

/// A row of the page.
struct Row {
    section: String,
    key: String,
    default: String,
    range: String,
}

impl Row {
    fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    fn list(&self) -> Option<&'static str> {
        LISTS.iter().find(|(name, _)| *name == self.section).map(|(_, entry)| *entry)
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (heading, cells) in Page::read(PAGE).rows() {
        let section = heading.trim_matches(|letter| "`[]".contains(letter));
        let Some(key) = cells[0].strip_prefix('`').and_then(|key| key.strip_suffix('`')) else { continue };
        if heading.starts_with("`[") {
            assert_eq!(cells.len(), 4, "{section}.{key}: name, default, range, effect");
            let cell = |at: usize| cells[at].replace('`', "");
            rows.push(Row { section: section.to_owned(), key: key.to_owned(), default: cell(1), range: cell(2) });
        }
    }
    rows
}

/// What a section may hold, from what the reader says of a key that it does not know.
fn keys(section: &str) -> BTreeSet<String> {
    let said = serde_json::from_value::<Policy>(json!({section: {"?": 0}})).unwrap_err().to_string();
    let listed = said.split("expected").nth(1).unwrap_or_else(|| panic!("{section}: {said}"));
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_setting_is_on_the_page_and_nothing_else() {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows() {
        assert!(told.entry(row.section.clone()).or_default().insert(row.key.clone()), "{} stands twice", row.name());
    }
    let policy = serde_json::to_value(Policy::default()).unwrap();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for section in policy.as_object().unwrap().keys() {
        let list = LISTS.iter().find(|(name, _)| name == section);
        let fields = match list {
            Some((_, entry)) => {
                serde_json::from_str::<Value>(entry).unwrap().as_object().unwrap().keys().cloned().collect()
            }
            None => keys(section),
        };
        known.insert(section.clone(), fields);
    }
    // Said once, as the engine's.
    for key in ["test_duration_hours", "rollback_threshold"] {
        assert!(known.get_mut("trial").is_some_and(|trial| trial.remove(key)), "{key}");
    }
    let all = |sections: BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
        let names = |(section, keys): (String, BTreeSet<String>)| {
            keys.into_iter().map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
        };
        sections.into_iter().flat_map(names).collect()
    };
    same("settings", &all(told), &all(known));
}

#[test]
fn defaults_are_those_of_the_code() {
    let policy = serde_json::to_value(Policy::default()).unwrap();
    for row in rows().iter().filter(|row| row.list().is_none() && !LONG.contains(&row.name().as_str())) {
        match policy[&row.section].get(&row.key) {
            None => assert_eq!(row.default, NOT_SET, "{}", row.name()),
            Some(default) => {
                let told: Value = serde_json::from_str(&row.default)
                    .unwrap_or_else(|error| panic!("{}: {}: {error}", row.name(), row.default));
                let same = match (told.as_f64(), default.as_f64()) {
                    (Some(told), Some(default)) => (told - default).abs() < 1e-12,
                    _ => told == *default,
                };
                assert!(same, "{}: the page says {told}, the code {default}", row.name());
            }
        }
    }
}

/// Whether the settings may hold this value; all others are as by default.
fn takes(row: &Row, value: Value) -> bool {
    let mut policy = json!({});
    match row.list() {
        Some(entry) => {
            let mut entry: Value = serde_json::from_str(entry).unwrap();
            entry[&row.key] = value;
            policy[&row.section] = json!([entry]);
        }
        None => policy[&row.section] = json!({&row.key: value}),
    }
    serde_json::from_value::<Policy>(policy).is_ok_and(|policy| policy.check().is_ok())
}

/// Values inside and outside of a range in words; none where it is not one of numbers or of words.
fn probes(range: &str) -> Option<(Vec<Value>, Vec<Value>)> {
    let words: Vec<&str> = range.split(' ').collect();
    Some(match words[..] {
        ["from", a, "to", b] => {
            let (a, b) = (number(a)?, number(b)?);
            (vec![value(a), value(b)], vec![value(a - 1.0), value(b + 1.0)])
        }
        ["between", a, "and", b] => {
            let (a, b) = (number(a)?, number(b)?);
            (vec![value(f64::midpoint(a, b))], vec![value(a), value(b)])
        }
        ["above", a, "to", b] => {
            let (a, b) = (number(a)?, number(b)?);
            (vec![value(b)], vec![value(a), value(b + 1.0)])
        }
        ["at", "least", a] => (vec![value(number(a)?)], vec![value(number(a)? - 1.0)]),
        ["above", a] => (vec![value(number(a)? + 1.0)], vec![value(number(a)?)]),
        ["true", "or", "false"] => (vec![json!(true), json!(false)], vec![json!("yes"), json!(1)]),
        _ if range.contains(", ") && words.iter().all(|word| is_word(word.trim_end_matches(','))) => {
            (range.split(", ").map(|word| json!(word)).collect(), vec![json!("something else")])
        }
        _ => return None,
    })
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn value(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

#[test]
fn ranges_are_those_of_the_code() {
    let mut tried = 0;
    for row in rows() {
        let Some((inside, outside)) = probes(&row.range) else { continue };
        tried += 1;
        for value in inside {
            assert!(takes(&row, value.clone()), "{} = {value} is refused; the page says {}", row.name(), row.range);
        }
        for value in outside {
            assert!(!takes(&row, value.clone()), "{} = {value} is taken; the page says {}", row.name(), row.range);
        }
    }
    assert!(tried > 110, "only {tried} ranges were understood");
}
