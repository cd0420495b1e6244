//! Looks up an order, answers, refunds. Planted: `get_order` keeps failing with the same message and other
//! ids; a refund issued before the policy was checked makes failure likely.

use serde_json::json;

use crate::sample::log::TaskLog;

/// How often the first look at an order fails.
const ORDER_ERROR: f64 = 0.45;
/// How often the refund comes before the check.
const REFUND_FIRST: f64 = 0.3;
const FAILURE_AFTER_REFUND_FIRST: f64 = 0.75;
const FAILURE: f64 = 0.04;

pub(in crate::sample) fn play(log: &mut TaskLog<'_>) {
    log.context("tone_guide", 0.7);
    log.context("refund_policy", 0.5);
    log.llm(700.0);
    let customer = log.dice.between(1_000, 99_999);
    log.tool("find_customer", 120.0, &json!({ "customer": customer }), "{\"found\":true}");
    get_order(log);
    log.llm(1_100.0);
    let refund_first = if log.class() == "refund" { refund(log) } else { check_only(log) };
    log.llm(1_300.0);
    log.tool("send_reply", 90.0, &json!({ "customer": customer }), "{\"sent\":true}");
    log.finish(if refund_first { FAILURE_AFTER_REFUND_FIRST } else { FAILURE });
}

/// Planted: the error. The second try asks another shard and works, so it says nothing about the outcome.
fn get_order(log: &mut TaskLog<'_>) {
    let order = log.dice.between(10_000, 99_999);
    let shard = log.dice.between(0, 15);
    if log.dice.chance(ORDER_ERROR) {
        let request = log.dice.between(1 << 60, u64::MAX);
        let waited_ms = log.dice.between(900, 4_000);
        let message =
            format!("order {order} not found in shard {shard}, request {request:016x} gave up after {waited_ms} ms");
        log.tool_error("get_order", 260.0, &json!({ "order": order, "shard": shard }), ("LookupError", message));
        log.llm(1_000.0);
    }
    let arguments = json!({ "order": order, "shard": (shard + 1) % 16 });
    log.tool("get_order", 260.0, &arguments, "{\"state\":\"delivered\"}");
}

/// Planted: the order of the two calls. Says whether the refund came first.
fn refund(log: &mut TaskLog<'_>) -> bool {
    let refund_first = log.dice.chance(REFUND_FIRST);
    if refund_first {
        issue_refund(log);
        check_policy(log);
    } else {
        check_policy(log);
        issue_refund(log);
    }
    refund_first
}

fn check_only(log: &mut TaskLog<'_>) -> bool {
    check_policy(log);
    false
}

fn issue_refund(log: &mut TaskLog<'_>) {
    let cents = log.dice.between(500, 40_000);
    log.tool("issue_refund", 310.0, &json!({ "cents": cents }), "{\"accepted\":true}");
}

fn check_policy(log: &mut TaskLog<'_>) {
    let section = log.dice.between(1, 60);
    log.tool("check_policy", 140.0, &json!({ "section": section }), "{\"allowed\":true}");
}
