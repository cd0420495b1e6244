//! `uplift judge` on recorded runs: published pairs, and small files.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn data() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match std::env::var_os("UPLIFT_DATA") {
        Some(folder) => root.join(folder),
        None => root.join("../shared/data"),
    }
}

/// Exit code and answer.
fn judge(args: &[&str]) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_uplift")).arg("judge").args(args).arg("--json").output().unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), answer)
}

/// `variant#trialN` as a filter.
fn filter(arm: &str) -> String {
    match arm.split_once("#trial") {
        Some((variant, trial)) => format!("attributes.variant={variant},attributes.trial={trial}"),
        None => format!("attributes.variant={arm}"),
    }
}

/// The events of a set by variant, so that each is unpacked once.
fn by_variant(set: &str) -> HashMap<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(data().join(set).join("events.ndjson.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut variants: HashMap<String, String> = HashMap::new();
    for line in text.lines() {
        if let Some((name, _)) = line.split_once("\"variant\":\"").and_then(|(_, rest)| rest.split_once('"')) {
            let lines = variants.entry(name.to_owned()).or_default();
            lines.push_str(line);
            lines.push('\n');
        }
    }
    variants
}

#[test]
fn agrees_with_the_exact_tests_on_every_published_pair() {
    let Ok(text) = std::fs::read_to_string(data().join("pairs.json")) else {
        println!("skipped: no data");
        return;
    };
    let pairs: Vec<Value> = serde_json::from_str(&text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut sets = HashMap::new();
    let mut wrong = Vec::new();
    for pair in &pairs {
        let word = |key: &str| pair[key].as_str().unwrap();
        let set = word("set").trim_end_matches("_dev");
        let variants = sets.entry(set.to_owned()).or_insert_with(|| by_variant(set));
        let file = folder.path().join("pair.ndjson");
        let names: BTreeSet<_> = ["control", "treatment"].map(|arm| word(arm).split("#trial").next().unwrap()).into();
        let lines: Vec<_> = names.iter().map(|name| variants[*name].as_str()).collect();
        std::fs::write(&file, lines.concat()).unwrap();
        let (control, candidate) = (filter(word("control")), filter(word("treatment")));
        let file = file.to_str().unwrap();
        let arms = [file, "--control", &control, "--candidate", &candidate];
        let exact = [&arms[..], &["--goal", "success", "--guardrails", "success", "--min-units", "0"]].concat();
        let (code, answer) = judge(&exact);
        let expected = match word("verdict_at_0.05").split_whitespace().next() {
            Some("KEEP") => ("keep", 0),
            Some("ROLLBACK") => ("rollback", 10),
            _ => ("inconclusive", 11),
        };
        let near = |found: &Value, published: &Value| match (found.as_f64(), published.as_f64()) {
            (Some(found), Some(published)) => (found - published).abs() <= 0.01 * published + 1e-12,
            _ => published.is_null(),
        };
        let agrees = (answer["verdict"].as_str(), code) == (Some(expected.0), expected.1)
            && answer["success"]["n"] == pair["n_paired"]
            && near(&answer["success"]["p"], &pair["mcnemar_p"])
            && near(&answer["duration_ms"]["p"], &pair["wilcoxon_p"]);
        if !agrees {
            wrong.push(format!("{control} | {candidate}: {}", answer["text"]));
        }
        // With the default policy, arms that do not differ are neither kept nor rolled back, either way round.
        if ["A/A", "near-A/A", "same run"].contains(&word("kind")) {
            for arms in [
                [file, "--control", &control, "--candidate", &candidate],
                [file, "--control", &candidate, "--candidate", &control],
            ] {
                let (code, answer) = judge(&arms);
                assert_eq!(code, 11, "{control} | {candidate}: {}", answer["text"]);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), pairs.len(), wrong.join("\n"));
}

#[test]
fn fewer_tool_errors_do_not_hide_that_success_halves() {
    let file = data().join("intercode/events.ndjson.gz");
    if !file.exists() {
        println!("skipped: no data");
        return;
    }
    let args = [
        file.to_str().unwrap(),
        "--split",
        "attributes.variant",
        "--control",
        "bash/gpt-3.5/ic_bash_multiturn_gpt-3.5_10_turns_fs_1",
        "--candidate",
        "bash/gpt-3.5/ic_bash_react_10_turns_fs_1",
        "--watch",
    ];
    let (code, answer) = judge(&args);
    assert_eq!((code, answer["verdict"].as_str()), (10, Some("rollback")), "{}", answer["text"]);
    assert_eq!(answer["deciding"], json!(["success"]));
    assert!(answer["watch"]["text"].as_str().unwrap().starts_with("Live"));
}

type Events = fn(usize) -> Vec<Value>;

/// A file of runs: the arm, how many, and what each looks like.
fn write(path: &Path, arms: &[(&str, usize, Events)]) {
    let mut lines = Vec::new();
    for (arm, count, events) in arms {
        for run in 0..*count {
            for (place, mut event) in events(run).into_iter().enumerate() {
                let object = event.as_object_mut().unwrap();
                object.insert("id".to_owned(), json!(format!("{arm}-{run}-{place}")));
                object.insert("task_id".to_owned(), json!(format!("{arm}-{run}")));
                object.insert("attributes".to_owned(), json!({"variant": arm, "item": run}));
                lines.push(event.to_string());
            }
        }
    }
    std::fs::write(path, lines.join("\n")).unwrap();
}

fn run(success: bool, duration_ms: Value) -> Vec<Value> {
    let kind = if success { "TASK_COMPLETED" } else { "TASK_FAILED" };
    vec![json!({"event_type": "TASK_STARTED"}), json!({"event_type": kind, "duration_ms": duration_ms})]
}

#[test]
fn every_exit_code_has_its_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    write(
        &path,
        &[
            ("half", 200, |run_no| run(run_no % 2 == 0, json!(1_000 + run_no))),
            ("most", 200, |run_no| run(run_no % 10 > 0, json!(1_000 + run_no))),
            ("few", 200, |run_no| run(run_no % 10 == 0, json!(1_000 + run_no))),
            ("fails", 200, |_| run(false, json!("soon"))),
            ("hangs", 200, |_| vec![json!({"event_type": "TASK_STARTED"})]),
            ("strange", 200, |run_no| run(run_no % 2 == 0, json!(-5))),
        ],
    );
    let file = path.to_str().unwrap();
    let of = |control: &str, candidate: &str, more: &[&str]| {
        let args =
            [&[file, "--split", "attributes.variant", "--control", control, "--candidate", candidate], more].concat();
        judge(&args)
    };
    for (control, candidate, more, code) in [
        ("half", "most", &[][..], 0),
        ("half", "few", &[][..], 10),
        ("half", "strange", &[][..], 11),
        ("fails", "fails2", &[][..], 11),
        ("half", "hangs", &[][..], 11),
        ("half", "nobody", &[][..], 11),
        ("half", "most", &["--share", "0.1"][..], 12),
        ("half", "most", &["--margin", "7"][..], 2),
        ("half", "most", &["--goal", "fame"][..], 2),
        ("half", "half", &[][..], 2),
    ] {
        let (found, answer) = of(control, candidate, more);
        assert_eq!(found, code, "{control} {candidate} {more:?}: {}", answer["text"]);
    }
    let (_, answer) = of("half", "most", &[]);
    for key in ["control", "candidate", "effect", "low", "high", "p", "n"] {
        assert!(!answer["success"][key].is_null(), "{key}");
    }
    assert!(answer["effectiveness"].is_number() && answer["tokens"]["control"].is_null());
}

#[test]
fn two_files_are_two_arms_and_retries_are_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.ndjson"), folder.path().join("b.ndjson"));
    write(&a, &[("x", 150, |run_no| run(run_no % 2 == 0, json!(1_000 + run_no)))]);
    write(&b, &[("x", 150, |run_no| run(run_no % 15 > 0, json!(1_000 + run_no)))]);
    let twice = std::fs::read_to_string(&b).unwrap();
    std::fs::write(&b, format!("{twice}\nnot json\n{twice}")).unwrap();
    let (code, answer) = judge(&["--control", a.to_str().unwrap(), "--candidate", b.to_str().unwrap()]);
    assert_eq!(code, 0, "{}", answer["text"]);
    assert_eq!(answer["n"], json!({"control": 150, "candidate": 150, "paired": 150}));
    let (code, _) = judge(&["--control", a.to_str().unwrap(), "--candidate", "no-such-file"]);
    assert_eq!(code, 2);
}

/// A run that starts so many minutes into a day and takes a second.
fn timed(success: bool, minute: usize) -> Vec<Value> {
    let ts = format!("2026-01-{:02}T{:02}:{:02}:00Z", 1 + minute / 1_440, minute / 60 % 24, minute % 60);
    let mut events = run(success, json!(1_000));
    for event in &mut events {
        event["ts"] = json!(ts);
    }
    events
}

/// A run in which a tool fails on the way.
fn stumbling(success: bool) -> Vec<Value> {
    let mut events = run(success, json!(1_000));
    events.insert(1, json!({"event_type": "TOOL_EXECUTED", "outcome": "ERROR"}));
    events
}

#[test]
fn errors_that_were_recovered_from_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    write(
        &path,
        &[
            ("plain", 50, |run_no| run(run_no % 5 > 0, json!(1_000))),
            ("stumbles", 50, |run_no| stumbling(run_no % 5 > 0)),
        ],
    );
    let file = path.to_str().unwrap();
    let arms = [file, "--split", "attributes.variant", "--control", "plain", "--candidate", "stumbles"];
    let (_, answer) = judge(&arms);
    assert_eq!(answer["errors"]["control"], json!(0.0), "{}", answer["text"]);
    assert_eq!(answer["errors"]["candidate"], json!(0.2), "{}", answer["text"]);
}

#[test]
fn a_watch_follows_the_clock_where_the_arms_ran_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    write(
        &path,
        &[
            ("good", 300, |run_no| timed(run_no % 10 > 0, 4 * run_no)),
            ("bad", 300, |run_no| timed(run_no % 2 == 0, 4 * run_no + 2)),
            ("later", 300, |run_no| timed(run_no % 2 == 0, 1_440 + 4 * run_no)),
            ("timeless", 300, |run_no| run(run_no % 2 == 0, json!(1_000))),
        ],
    );
    let file = path.to_str().unwrap();
    for (candidate, order) in
        [("bad", "times"), ("later", "positions_one_after_the_other"), ("timeless", "positions_without_times")]
    {
        let arms = [file, "--split", "attributes.variant", "--control", "good", "--candidate", candidate, "--watch"];
        let watch = judge(&arms).1["watch"].clone();
        assert_eq!(watch["order"], order, "{watch}");
        assert_eq!((&watch["stopped"], &watch["verdict"]["decision"]), (&json!(true), &json!("rollback")), "{watch}");
        // Both start a run every four minutes, so hours and runs tell the same time.
        if order == "times" {
            let (hours, after) = (watch["hours"].as_f64().unwrap(), watch["after"][1].as_f64().unwrap());
            assert!((hours - after * 4.0 / 60.0).abs() < 0.2 && hours < 12.0, "{watch}");
        } else {
            assert!(watch["hours"].is_null() && watch["text"].as_str().unwrap().contains("by position"), "{watch}");
        }
    }
    // Said to be assigned at random, runs one after the other are a broken assignment.
    let arms = [file, "--split", "attributes.variant", "--control", "good", "--candidate", "later", "--watch"];
    let watch = judge(&[&arms[..], &["--share", "0.5"]].concat()).1["watch"].clone();
    assert_eq!(watch["verdict"]["decision"], "invalid_allocation", "{watch}");
}

/// A run whose prompt decides how long it takes; `slower` adds a twentieth.
fn sized(run_no: usize, slower: f64) -> Vec<Value> {
    let size = 1 + run_no * 7_919 % 97;
    let noise = 1.0 + (run_no * 31 % 11) as f64 / 100.0;
    let mut events = run(!run_no.is_multiple_of(5), json!(size as f64 * 100.0 * noise * slower));
    for event in &mut events {
        event["prompt_size"] = json!(size);
        event["kind"] = json!(if size > 48 { "long" } else { "short" });
    }
    events
}

#[test]
fn what_was_known_before_the_runs_explains_part_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    write(&path, &[("plain", 150, |run_no| sized(run_no, 1.0)), ("slower", 150, |run_no| sized(run_no + 40, 1.05))]);
    let file = path.to_str().unwrap();
    let p_of = |more: &[&str]| {
        let arms = [file, "--split", "attributes.variant", "--control", "plain", "--candidate", "slower"];
        // Runs do not recur: they are compared as two groups.
        let args = [&arms[..], &["--pair", "attributes.none"], more].concat();
        let (_, answer) = judge(&args);
        (answer["duration_ms"]["p"].as_f64().unwrap(), answer["duration_ms"]["effect"].as_f64().unwrap())
    };
    let (blind, (informed, effect), (by_kind, _)) =
        (p_of(&[]).0, p_of(&["--covariate", "prompt_size"]), p_of(&["--strata", "kind"]));
    assert!(blind > 0.1, "{blind}");
    assert!(informed < 1e-9 && (effect + 0.05).abs() < 0.01, "{informed} {effect}");
    assert!(by_kind < blind, "{by_kind} {blind}");
    let (code, _) = judge(&[
        file,
        "--split",
        "attributes.variant",
        "--control",
        "plain",
        "--candidate",
        "slower",
        "--strata",
        "attributes.variant",
    ]);
    assert_eq!(code, 2);
}
