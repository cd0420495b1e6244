//! What each proposer answers to what.

use OpportunityKind::{
    Bottleneck, FailurePattern, RecurringError, RepeatedCalls, RepeatedSequence, SuccessPattern, TokenWaste,
    UnusedContext, UnusedTool,
};

use super::*;
use crate::propose::input::Peer;

fn check(proposer: &str, cases: Vec<(&str, Input, Value)>) {
    for (what, input, expected) in cases {
        let expected: Vec<Value> = match expected {
            Value::Null => Vec::new(),
            edit => vec![json!([edit])],
        };
        assert_eq!(by(proposer, &input), expected, "{proposer}: {what}");
    }
}

fn guideline(text: &str) -> Value {
    json!({"edit": "append_guideline", "text": text})
}

#[test]
fn order_guidelines() {
    let about = |kind, pattern, tasks| about(kind, "", &[("pattern", pattern)], json!({}), tasks);
    let mixed = || {
        [tasks(20, 5, |_| calling(&["refund", "x", "check"])), tasks(40, 38, |_| calling(&["check", "refund"]))]
            .concat()
    };
    let apart = || [tasks(20, 5, |_| calling(&["a", "b"])), tasks(40, 38, |_| calling(&["a", "x", "b"]))].concat();
    let right = guideline("Call `check` before `refund`.");
    check(
        "order_guideline",
        vec![
            ("the other order does better", about(FailurePattern, "refund > check", mixed()), right.clone()),
            ("within a longer sequence", about(FailurePattern, "refund > x > check", mixed()), right.clone()),
            ("this order does better", about(SuccessPattern, "check > refund", mixed()), right),
            ("the wrong way round", about(FailurePattern, "check > refund", mixed()), Value::Null),
            (
                "no other order, but not always right before",
                about(FailurePattern, "a > b", apart()),
                guideline("Do not call `a` right before `b`."),
            ),
            ("not for success", about(SuccessPattern, "a > b", apart()), Value::Null),
            ("one tool", about(FailurePattern, "refund", mixed()), Value::Null),
            ("too few", about(FailurePattern, "refund > check", mixed()[17..24].to_vec()), Value::Null),
            ("no difference", about(FailurePattern, "a > b", tasks(40, 20, |_| calling(&["a", "b"]))), Value::Null),
        ],
    );
}

#[test]
fn guidelines_against_errors() {
    let about = |labels: &[(&str, &str)], tasks| about(RecurringError, "f", labels, json!({}), tasks);
    let errors = |kind: &'static str| {
        [tasks(10, 4, move |_| of(vec![broken("book", kind)])), tasks(30, 29, |_| calling(&["book"]))].concat()
    };
    let of_book = |kind: &'static str| about(&[("tool", "book"), ("error_type", kind)], errors(kind));
    let form = tasks(30, 15, |k| Task {
        errors: if k > 15 { vec!["FormatError".to_owned()] } else { Vec::new() },
        ..Task::default()
    });
    check(
        "tool_guideline",
        vec![
            // The same text as that of `check_guideline`, which is named first.
            ("arguments", of_book("LookupError"), Value::Null),
            (
                "passing",
                of_book("Timeout"),
                guideline("When `book` fails with `Timeout`, wait a moment and call it once more."),
            ),
            (
                "not allowed",
                of_book("PermissionError"),
                guideline("When `book` fails with `PermissionError`, do not call it again; go on without it."),
            ),
            (
                "of its own answers",
                about(&[("error_type", "FormatError")], form.clone()),
                guideline("Check the form of each answer before giving it: it fails with `FormatError`."),
            ),
            ("nothing to say about", about(&[("error_type", "OddError")], form), Value::Null),
            ("without a kind", about(&[("tool", "book")], errors("X")), Value::Null),
            ("not in the window", about(&[("tool", "book"), ("error_type", "Y")], errors("X")), Value::Null),
        ],
    );
    let wished = wish(ImprovementType::InstructionUpdate, json!({}), errors("LookupError"));
    check("tool_guideline", vec![("a wish", wished, guideline("Check the arguments of `book` before calling it."))]);
    check(
        "check_guideline",
        vec![
            ("no guard helps", of_book("LookupError"), guideline("Check the arguments of `book` before calling it.")),
            ("passing", of_book("Timeout"), Value::Null),
        ],
    );
}

#[test]
fn contexts() {
    let configuration = || json!({"contexts": ["guide", "archive"]});
    let reading = |names: &'static [&'static str]| {
        move |_| Task { contexts: names.iter().map(|name| (*name).to_owned()).collect(), ..calling(&["a"]) }
    };
    let about = |kind, name, tasks| about(kind, name, &[("context", name)], configuration(), tasks);
    let read = || tasks(30, 20, reading(&["guide"]));
    check(
        "dead_context",
        vec![
            (
                "never read",
                about(UnusedContext, "archive", read()),
                json!({"edit": "remove_context", "name": "archive"}),
            ),
            ("read after all", about(UnusedContext, "guide", read()), Value::Null),
            ("not given", about(UnusedContext, "other", read()), Value::Null),
            (
                "a wish",
                wish(ImprovementType::ContextOptimization, configuration(), read()),
                json!({"edit": "remove_context", "name": "archive"}),
            ),
            (
                "a wish where reads are not reported",
                wish(ImprovementType::ContextOptimization, configuration(), tasks(30, 20, |_| calling(&["a"]))),
                Value::Null,
            ),
        ],
    );
    let helped = || [tasks(20, 20, reading(&["rules"])), tasks(20, 8, |_| calling(&["a"]))].concat();
    let add = json!({"edit": "add_context", "name": "rules"});
    let with_peer = |good| Input {
        peers: vec![Peer { tasks: tasks(20, good, reading(&["rules"])) }],
        ..about(FailurePattern, "a", tasks(30, 15, |_| calling(&["a"])))
    };
    check(
        "wanted_context",
        vec![
            ("its own successes read it", about(FailurePattern, "a", helped()), add.clone()),
            ("others do better with it", with_peer(19), add),
            ("others do worse", with_peer(5), Value::Null),
            ("it has it already", about(FailurePattern, "a", tasks(40, 20, reading(&["guide"]))), Value::Null),
        ],
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn tools_come_and_go() {
    let configuration =
        || json!({"tools": tools(&[("read", true), ("verify", false), ("lint", false), ("old", true)])});
    let about = |kind, fingerprint: &str, labels: &[(&str, &str)], tasks| {
        about(kind, fingerprint, labels, configuration(), tasks)
    };
    let helped = || [tasks(30, 29, |_| calling(&["read", "verify"])), tasks(30, 18, |_| calling(&["read"]))].concat();
    // Tasks that break off do so before they come to `verify`.
    let broken_off = || {
        [tasks(30, 29, |_| calling(&["read", "verify"])), tasks(30, 3, |_| of(vec![broken("read", "E")]))].concat()
    };
    check(
        "require_tool",
        vec![
            (
                "its use goes with success",
                about(SuccessPattern, "verify", &[("pattern", "verify")], helped()),
                json!({"edit": "make_tool_required", "name": "verify"}),
            ),
            ("broken off", about(SuccessPattern, "verify", &[("pattern", "verify")], broken_off()), Value::Null),
            ("of another tool", about(SuccessPattern, "read", &[("pattern", "read")], helped()), Value::Null),
            (
                "no difference",
                about(SuccessPattern, "x", &[("pattern", "verify")], tasks(60, 30, |_| calling(&["verify"]))),
                Value::Null,
            ),
        ],
    );
    let harmed = || [tasks(30, 10, |_| calling(&["lint"])), tasks(30, 28, |_| calling(&["read"]))].concat();
    let away = json!({"edit": "unassign_tool", "name": "lint"});
    check(
        "drop_tool",
        vec![
            ("optional, unused", about(UnusedTool, "lint", &[("tool", "lint")], helped()), away.clone()),
            (
                "required, unused",
                about(UnusedTool, "old", &[("tool", "old")], helped()),
                json!({"edit": "make_tool_optional", "name": "old"}),
            ),
            ("used after all", about(UnusedTool, "verify", &[("tool", "verify")], helped()), Value::Null),
            ("goes with failure", about(FailurePattern, "lint", &[("pattern", "lint")], harmed()), away),
            ("an order does", about(FailurePattern, "", &[("pattern", "lint > read")], harmed()), Value::Null),
        ],
    );
    let badly = || {
        let bad = tasks(30, 15, |k| of(vec![if k % 2 == 0 { broken("lint", "E") } else { call("lint") }]));
        [bad, tasks(20, 19, |_| calling(&["read"]))].concat()
    };
    let peers = |n| vec![Peer { tasks: tasks(n, n, |_| calling(&["lint"])) }];
    let labels = [("tool", "lint"), ("error_type", "E")];
    check(
        "hand_tool_over",
        vec![
            (
                "others use it well",
                Input { peers: peers(40), ..about(RecurringError, "f", &labels, badly()) },
                json!({"edit": "unassign_tool", "name": "lint"}),
            ),
            (
                "too few others",
                Input { peers: peers(19), ..about(RecurringError, "f", &labels, badly()) },
                Value::Null,
            ),
            (
                "no way without it",
                Input { peers: peers(40), ..about(RecurringError, "f", &labels, badly()[..30].to_vec()) },
                Value::Null,
            ),
        ],
    );
    let peer = vec![Peer { tasks: tasks(20, 20, |_| calling(&["read", "verify", "ask"])) }];
    let lacking = Input {
        peers: peer,
        ..about(FailurePattern, "read", &[("pattern", "read")], tasks(30, 10, |_| calling(&["read"])))
    };
    let proposals = crate::propose::propose(&lacking);
    let borrowed = proposals.iter().find(|proposal| proposal.proposer == "borrow_tool").unwrap();
    assert!(borrowed.confidence < 0.5, "a new capability is not for a rule to be sure of");
}

#[test]
fn processes() {
    let about =
        |kind, sequence, configuration, tasks| about(kind, "", &[("sequence", sequence)], configuration, tasks);
    let same = || tasks(30, 27, |_| calling(&["x", "a", "b", "c"]));
    let attach = json!({"edit": "attach_process", "name": "auto-a-b-c"});
    check(
        "sequence_process",
        vec![
            ("three in a row", about(RepeatedSequence, "a > b > c", json!({}), same()), attach.clone()),
            ("of success", about(SuccessPattern, "a > b > c", json!({}), same()), attach),
            (
                "already there",
                about(RepeatedSequence, "a > b > c", json!({"processes": ["auto-a-b-c"]}), same()),
                Value::Null,
            ),
            (
                "a tool it does not have",
                about(RepeatedSequence, "a > b > c", json!({"tools": tools(&[("a", true), ("b", true)])}), same()),
                Value::Null,
            ),
            ("two", about(RepeatedSequence, "a > b", json!({}), same()), Value::Null),
            ("seven", about(RepeatedSequence, "a > b > c > d > e > f > g", json!({}), same()), Value::Null),
            ("the same again", about(RepeatedSequence, "a > b > a", json!({}), same()), Value::Null),
            ("not in a row", about(SuccessPattern, "x > b > c", json!({}), same()), Value::Null),
        ],
    );
    let proposals = crate::propose::propose(&about(RepeatedSequence, "a > b > c", json!({}), same()));
    let template = &proposals[0].processes[0];
    assert_eq!((template.name.as_str(), template.steps.join(" ")), ("auto-a-b-c", "a b c".to_owned()));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn performance() {
    let set = |name: &str, value: Value| json!({"edit": "set_parameter", "name": name, "value": value});
    let error = |kind: &'static str, configuration, tasks| {
        about(RecurringError, "f", &[("tool", "fetch"), ("error_type", kind)], configuration, tasks)
    };
    // Every fifth call runs into the timeout of 1 s; the others take from 400 to 800 ms.
    let slow = || {
        tasks(100, 80, |k| {
            let late = k >= 80;
            let ms = if late { 1_000.0 } else { 400.0 + 5.0 * k as f64 };
            let call = if late { broken("fetch", "Timeout") } else { call("fetch") };
            of(vec![Call { duration_ms: Some(ms), ..call }])
        })
    };
    let proposals = crate::propose::propose(&error("Timeout", json!({"parameters": {"timeout_ms": 1_000}}), slow()));
    let longer = proposals.iter().find(|proposal| proposal.proposer == "tool_timeout").unwrap();
    let value = serde_json::to_value(&longer.edits).unwrap()[0]["value"].as_i64().unwrap();
    assert!((1_600..=6_000).contains(&value) && value % 100 == 0, "{value}");
    check(
        "tool_timeout",
        vec![
            ("long enough", error("Timeout", json!({"parameters": {"timeout_ms": 8_000}}), slow()), Value::Null),
            (
                "nearly the same",
                error("Timeout", json!({"parameters": {"timeout_ms": value + 100}}), slow()),
                Value::Null,
            ),
            ("too few calls", error("Timeout", json!({}), slow()[70..85].to_vec()), Value::Null),
            ("no timeouts", error("E", json!({}), tasks(100, 80, |_| calling(&["fetch"]))), Value::Null),
        ],
    );
    let passing = |works: bool| {
        [
            tasks(10, 6, move |_| {
                let second = if works { call("fetch") } else { broken("fetch", "RateLimitError") };
                of(vec![broken("fetch", "RateLimitError"), second])
            }),
            tasks(30, 29, |_| calling(&["fetch"])),
        ]
        .concat()
    };
    let old = |n: u32| json!({"parameters": {"retries": n}});
    check(
        "tool_retries",
        vec![
            ("second tries work", error("RateLimitError", json!({}), passing(true)), set("retries", json!(2))),
            ("from one", error("RateLimitError", old(1), passing(true)), set("retries", json!(2))),
            ("enough already", error("RateLimitError", old(3), passing(true)), Value::Null),
            ("second tries fail", error("RateLimitError", json!({}), passing(false)), Value::Null),
        ],
    );
    let repeated = |failed: bool| {
        let calls =
            |n: usize| (0..n).map(|_| Call { call_hash: Some(7), failed, ..call("fetch") }).collect::<Vec<_>>();
        [tasks(10, 10, move |_| of(calls(4))), tasks(10, 10, move |_| of(calls(1)))].concat()
    };
    let about_repeats =
        |configuration, tasks| about(RepeatedCalls, "fetch", &[("tool", "fetch")], configuration, tasks);
    check(
        "call_cache",
        vec![
            ("identical and working", about_repeats(json!({}), repeated(false)), set("cache", json!(true))),
            (
                "switched off so far",
                about_repeats(json!({"parameters": {"cache": false}}), repeated(false)),
                set("cache", json!(true)),
            ),
            ("on already", about_repeats(json!({"parameters": {"cache": true}}), repeated(false)), Value::Null),
            ("failing", about_repeats(json!({}), repeated(true)), Value::Null),
        ],
    );
    check(
        "repeat_guideline",
        vec![(
            "identical",
            about_repeats(json!({}), repeated(false)),
            guideline("Do not call `fetch` again with the same arguments in a task."),
        )],
    );
    let in_a_row = |n: usize, hash: Option<i64>| {
        let calls = move || (0..n).map(|_| Call { call_hash: hash, ..call("fetch") }).collect::<Vec<_>>();
        tasks(20, 18, move |_| of([vec![call("plan")], calls()].concat()))
    };
    let waiting = |waits: f64, tasks| {
        let mut input = about(Bottleneck, "tool:fetch", &[("tool", "fetch")], json!({}), tasks);
        let numbers = [("share_of_time", 0.7), ("waits_a_task", waits)];
        input.opportunity.finding.evidence.numbers = numbers.map(|(name, value)| (name.to_owned(), value)).into();
        input
    };
    let together =
        guideline("Where several calls of `fetch` do not need each other's results, make them in one step.");
    check(
        "together_guideline",
        vec![
            ("one after the other", waiting(3.0, in_a_row(3, None)), together),
            ("at once already", waiting(1.0, in_a_row(3, None)), Value::Null),
            ("alone", waiting(3.0, in_a_row(1, None)), Value::Null),
            ("the same call again", waiting(3.0, in_a_row(3, Some(7))), Value::Null),
            (
                "nothing known of the time",
                about(Bottleneck, "tool:fetch", &[("tool", "fetch")], json!({}), in_a_row(3, None)),
                Value::Null,
            ),
        ],
    );
    let written = |most: i64| {
        let written = move |k: usize| Task { written: vec![100, if k < 60 { 150 } else { most }], ..Task::default() };
        tasks(80, 60, written)
    };
    let about_tokens = |configuration, tasks| about(TokenWaste, "failing_tasks", &[], configuration, tasks);
    check(
        "token_limit",
        vec![
            ("failing tasks write much more", about_tokens(json!({}), written(3_000)), set("max_tokens", json!(192))),
            ("they do not", about_tokens(json!({}), written(150)), Value::Null),
            (
                "limited already",
                about_tokens(json!({"parameters": {"max_tokens": 200}}), written(3_000)),
                Value::Null,
            ),
        ],
    );
}

#[test]
fn guards() {
    let configuration = || json!({"tools": tools(&[("book", true)])});
    let about = |tasks| about(RecurringError, "f", &[("tool", "book"), ("error_type", "E")], configuration(), tasks);
    let with = |failed: bool, arguments: Value| {
        let call = if failed { broken("book", "E") } else { call("book") };
        of(vec![Call { arguments: Some(shape(&arguments)), ..call }])
    };
    let good = |arguments: Value| tasks(30, 29, move |_| with(false, arguments.clone()));
    let bad = |n, arguments: Value| tasks(n, n / 2, move |_| with(true, arguments.clone()));
    let guard = |what: &str, check: Value| {
        json!({"edit": "add_guard", "guard": {"name": format!("book.{what}"), "tool": "book", "target": "arguments",
            "check": check}})
    };
    let required = guard("zip.required", json!({"check": "required", "field": "zip"}));
    let full = || json!({"zip": "1", "n": 1});
    check(
        "argument_guard",
        vec![
            ("a field is missing", about([good(full()), bad(10, json!({"n": 1}))].concat()), required.clone()),
            ("a field is empty", about([good(full()), bad(10, json!({"zip": "", "n": 1}))].concat()), required),
            (
                "another type",
                about([good(full()), bad(10, json!({"zip": "1", "n": "x"}))].concat()),
                guard("n.type", json!({"check": "type", "field": "n", "json_type": "number"})),
            ),
            ("nothing tells them apart", about([good(full()), bad(10, full())].concat()), Value::Null),
            (
                "some working calls lack it too",
                about([good(full()), good(json!({"n": 1})), bad(10, json!({"n": 1}))].concat()),
                Value::Null,
            ),
            ("too few", about([good(full()), bad(4, json!({"n": 1}))].concat()), Value::Null),
        ],
    );
    let separated = about([good(full()), bad(10, json!({"n": 1}))].concat());
    let alike = about([good(full()), bad(10, full())].concat());
    let text = guideline("Check the arguments of `book` before calling it.");
    let advice = |input: &Input| {
        let all = crate::propose::propose(input);
        let one = all.iter().filter(|one| serde_json::to_value(&one.edits).unwrap() == json!([text]));
        one.map(|one| one.proposer.clone()).collect::<Vec<_>>()
    };
    // Both rules would say the same; one proposal remains, and none of this type where a guard does it.
    assert_eq!(advice(&alike), ["check_guideline"]);
    assert_eq!(advice(&separated), ["tool_guideline"]);

    let result = |lacking: bool| {
        let result = if lacking { json!({}) } else { json!({"total": 3}) };
        of(vec![Call { result: Some(shape(&result)), ..call("book") }])
    };
    let pattern = |tasks| super::about(FailurePattern, "book", &[("pattern", "book")], configuration(), tasks);
    check(
        "result_guard",
        vec![
            (
                "empty before failing",
                pattern([tasks(40, 39, |_| result(false)), tasks(12, 1, |_| result(true))].concat()),
                json!({"edit": "add_guard", "guard": {"name": "book.total.result", "tool": "book", "target": "result",
                    "check": {"check": "required", "field": "total"}}}),
            ),
            (
                "empty before good ones too",
                pattern([tasks(40, 39, |_| result(false)), tasks(24, 12, |_| result(true))].concat()),
                Value::Null,
            ),
        ],
    );
}
