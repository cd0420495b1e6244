//! The rules and marks that triggers keep.

use uplift_store::suite::sample::Dice;

use crate::pair::Pair;

/// What the statements below change.
const TABLES: &[&str] = &["rollup_errors", "rollup_ops", "rolling_review_counters", "optimization_opportunities"];

/// One of the statements by which rollups and counters change, one row each.
fn statement(dice: &mut Dice) -> String {
    let (entity, hour) = (1 + dice.below(2), 1_000 + dice.below(260));
    let fingerprint = ["f", "g"][dice.below(2)];
    let (n, ln) = (dice.below(5), 4_000_000 + dice.below(2_000_000) as i64);
    match dice.below(20) {
        0..4 => format!(
            "INSERT INTO rollup_errors AS r VALUES ('agent', {entity}, '{fingerprint}', {hour}, {n})
             ON CONFLICT (entity_type, entity_id, fingerprint, hour) DO UPDATE SET n = r.n + excluded.n"
        ),
        4..9 => format!(
            "INSERT INTO rollup_ops AS r (entity_type, entity_id, operation, hour, n, timed, sum_ln)
             VALUES ('agent', {entity}, 'task', {hour}, {n}, {n}, {n} * {ln})
             ON CONFLICT (entity_type, entity_id, operation, hour) DO UPDATE SET n = r.n + excluded.n,
                timed = r.timed + excluded.timed, sum_ln = r.sum_ln + excluded.sum_ln"
        ),
        9 => format!("UPDATE rollup_errors SET n = n - 1 WHERE n > 0 AND entity_id = {entity}
            AND fingerprint = '{fingerprint}' AND hour = (SELECT max(hour) FROM rollup_errors WHERE entity_id = {entity}
            AND fingerprint = '{fingerprint}' AND hour <= {hour})"),
        10 => format!("UPDATE rollup_ops SET timed = timed - 1, sum_ln = sum_ln - {ln} WHERE timed > 0
            AND entity_id = {entity} AND hour = (SELECT min(hour) FROM rollup_ops
            WHERE entity_id = {entity} AND hour >= {hour})"),
        11 => format!("DELETE FROM rollup_ops WHERE entity_id = {entity} AND hour = (SELECT min(hour) FROM rollup_ops
            WHERE entity_id = {entity} AND hour >= {hour})"),
        12 => format!(
            "UPDATE optimization_opportunities SET status = '{}', withdrawn = {}, updated_at =
                (SELECT now_us FROM engine_clock) WHERE status = 'pending' AND entity_id = {entity} AND fingerprint = '{}'",
            ["dismissed", "completed", "dismissed"][dice.below(3)],
            dice.below(2),
            ["f", "g", "task"][dice.below(3)],
        ),
        13 => "UPDATE engine_clock SET now_us = now_us + 11 * 86400000000".to_owned(),
        14 => format!(
            "UPDATE detection_settings SET error_threshold = {}, baseline_minimum = {}, degradation_ln = {}, quiet_us = {}",
            1 + dice.below(8),
            dice.below(9),
            ["1", "405465", "100000"][dice.below(3)],
            ["0", "2592000000000"][dice.below(2)],
        ),
        15 => format!(
            "UPDATE rollup_ops SET sum_ln = sum_ln + {} WHERE entity_id = {entity} AND hour = (SELECT max(hour)
                FROM rollup_ops WHERE entity_id = {entity} AND hour <= {hour})",
            ln - 5_000_000
        ),
        _ => counter(dice, entity),
    }
}

/// A change of the counter of reviews.
fn counter(dice: &mut Dice, entity: usize) -> String {
    if dice.below(4) == 0 {
        return format!("DELETE FROM rolling_review_counters WHERE entity_id = {entity}");
    }
    if dice.below(3) == 0 {
        return format!(
            "UPDATE rolling_review_counters SET due = NULL, tasks_since_review = {}, period_start_at = last_event_at,
                review_type = '{}' WHERE entity_id = {entity}",
            dice.below(2) * 7,
            ["threshold", "periodic", "hybrid"][dice.below(3)],
        );
    }
    format!(
        "INSERT INTO rolling_review_counters AS c (entity_type, entity_id, review_type, task_threshold, period_hours,
            tasks_since_review, period_start_at, last_event_at)
         VALUES ('agent', {entity}, '{}', 5, 2, {}, {}, {}) ON CONFLICT (entity_type, entity_id) DO UPDATE SET
            tasks_since_review = c.tasks_since_review + excluded.tasks_since_review, last_event_at = excluded.last_event_at",
        ["threshold", "periodic", "hybrid"][dice.below(3)],
        dice.below(4),
        ["NULL", "0", "3600000000"][dice.below(3)],
        ["NULL", "7200000000", "10800000000", "5"][dice.below(4)],
    )
}

#[test]
fn rules_leave_the_same() {
    let mut marks = 0;
    for seed in 0..6 {
        let Some(pair) = Pair::current() else { return };
        pair.run("BEGIN");
        let mut dice = Dice::new(seed);
        let mut done = Vec::new();
        for turn in 1..=400 {
            done.push(statement(&mut dice));
            pair.run(&done[done.len() - 1]);
            if turn % 10 == 0 {
                pair.compare_some(TABLES, &format!("seed {seed}, turn {turn}, {:#?}", &done[done.len() - 10..]));
            }
        }
        pair.compare(&format!("seed {seed}"));
        let [(_, here), _] = pair.rows("SELECT kind, status FROM optimization_opportunities");
        marks += here.len();
        pair.run("COMMIT");
    }
    assert!(marks > 30, "the rules hardly ran: {marks} marks");
}

/// SQLite's rules run after each row, PostgreSQL's after the statement. What they leave is the same where rows of one
/// statement do not depend on each other, or come in the order of their hours and mark nothing; the comments of
/// migration 003 say what follows from that for whoever writes rollups.
#[test]
fn several_rows_of_one_statement() {
    for statements in [
        &[
            "INSERT INTO rollup_errors VALUES ('agent', 1, 'f', 100, 6), ('agent', 1, 'g', 100, 6), ('agent', 2, 'f', 100, 6)",
            "UPDATE rollup_errors SET n = n + 6 WHERE entity_id = 1",
        ][..],
        &[
            "INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_ln)
             VALUES ('agent', 1, 'task', 10, 1, 1, 5), ('agent', 1, 'task', 12, 1, 1, 7), ('agent', 1, 'task', 50, 1, 1, 9)",
            "UPDATE rollup_ops SET timed = timed + 1, sum_ln = sum_ln + hour",
            "DELETE FROM rollup_ops WHERE hour < 20",
        ],
        &[
            "INSERT INTO rolling_review_counters (entity_type, entity_id, tasks_since_review)
             VALUES ('agent', 1, 100), ('agent', 2, 99), ('agent', 3, 101)",
            "UPDATE rolling_review_counters SET tasks_since_review = 200",
        ],
    ] {
        let Some(pair) = Pair::current() else { return };
        for sql in statements {
            pair.run(sql);
            pair.compare(sql);
        }
    }
}
