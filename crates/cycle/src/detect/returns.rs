//! Whether a solved problem is back.
//!
//! After a change was kept, windows and counts still hold what came before it, and a small share of the traffic stays
//! on the old revision for days. So only what happened since counts, and only if it touches at least half as many of
//! the tasks as the problem did at first.

use uplift_model::rollup::OperationDelta;
use uplift_model::{Hour, Time};

use super::input::{EntityWindow, ErrorMark};

/// Share of the original share of tasks from which on a problem is back.
const BACK: f64 = 0.5;
/// The original share that is assumed where none was recorded.
const UNKNOWN_SHARE: f64 = 0.2;

/// What became of a solved problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// It is back.
    Back {
        /// Tasks touched since.
        touched: i64,
        /// Tasks since.
        tasks: i64,
    },
    /// It stays solved, as far as one can tell.
    Solved {
        /// Tasks touched since.
        touched: i64,
        /// Tasks since.
        tasks: i64,
    },
}

impl Since {
    /// In words.
    pub fn reason(self) -> String {
        match self {
            Self::Back { touched, tasks } => format!("back: {touched} of {tasks} tasks since it was solved"),
            Self::Solved { touched, tasks } => format!("solved; now {touched} of {tasks} tasks"),
        }
    }

    /// Whether it is back.
    pub fn is_back(self) -> bool {
        matches!(self, Self::Back { .. })
    }
}

/// Judges a solved problem that touched `original_share` of the tasks (from 0 to 1; 0 where it is not known) and since
/// then `touched` of `tasks`. Of fewer than `least` tasks nothing can be said, so it stays solved.
pub fn judge(original_share: f64, touched: i64, tasks: i64, least: u32) -> Since {
    let known = original_share.is_finite() && original_share > 0.0;
    let original = if known { original_share.min(1.0) } else { UNKNOWN_SHARE };
    let touched = touched.clamp(0, tasks.max(0));
    let enough = tasks >= i64::from(least.max(1));
    if enough && touched > 0 && touched as f64 >= BACK * original * tasks as f64 {
        Since::Back { touched, tasks }
    } else {
        Since::Solved { touched, tasks }
    }
}

/// The tasks of a window that started at or after a moment.
pub fn window_since(mut window: EntityWindow, since: Time) -> EntityWindow {
    if since <= window.start {
        return window;
    }
    window.tasks.retain(|task| {
        let lasted = task.duration_ms.filter(|ms| ms.is_finite()).unwrap_or(0.0);
        task.ended_at.is_some_and(|ended| ended.plus_micros(-((lasted * 1_000.0) as i64)) >= since)
    });
    window.tool_calls.clear();
    for call in window.tasks.iter().flat_map(|task| &task.calls) {
        *window.tool_calls.entry(call.tool.clone()).or_default() += 1;
    }
    window.start = since;
    window
}

/// What an error mark would be if nothing had happened before `from`; `tasks` are the entity's tasks since. How many
/// tasks are touched is worked out from how many errors a touched one had over the whole record.
pub fn errors_since(mark: &ErrorMark, from: Hour, tasks: i64) -> ErrorMark {
    let hours: Vec<(Hour, i64)> = mark.hours.iter().copied().filter(|(hour, _)| *hour >= from).collect();
    let total: i64 = hours.iter().map(|(_, n)| *n).sum();
    let burst = (mark.total as f64 / mark.tasks_affected.max(1) as f64).max(1.0);
    let touched = if mark.tasks_affected > 0 { (total as f64 / burst).round() as i64 } else { total };
    ErrorMark { hours, total, tasks_total: tasks, tasks_affected: touched.min(tasks), ..mark.clone() }
}

/// Calls since `from`, and those of them in hours whose geometric mean duration lies more than `threshold` (relative)
/// above `before_ms`: (slow calls, calls).
pub fn slow_since(hours: &[(Hour, OperationDelta)], from: Hour, before_ms: f64, threshold: f64) -> (i64, i64) {
    let limit = before_ms * (1.0 + threshold);
    let since = || hours.iter().filter(|(hour, _)| *hour >= from);
    let slow = since().filter(|(_, sum)| sum.mean_ln().is_some_and(|ln| ln.exp() > limit));
    (slow.map(|(_, sum)| sum.timed).sum(), since().map(|(_, sum)| sum.timed).sum())
}

#[cfg(test)]
mod tests {
    use uplift_model::rollup::LN_SCALE;

    use super::*;

    #[test]
    fn back_from_half_of_the_original_share_on() {
        for (original, touched, tasks, back) in [
            // 30 % at first; 5 % of the traffic on the old revision brings 1.5 %.
            (0.3, 3, 200, false),
            (0.3, 29, 200, false),
            (0.3, 30, 200, true),
            (0.3, 200, 200, true),
            // Too few tasks, none at all.
            (0.3, 19, 19, false),
            (0.3, 0, 0, false),
            (0.3, 20, 20, true),
            // A rare problem: one task is not enough where none is expected.
            (0.001, 0, 2_000, false),
            (0.001, 1, 2_000, true),
            // Not known at first.
            (0.0, 19, 200, false),
            (0.0, 20, 200, true),
            (f64::NAN, 20, 200, true),
            (5.0, 90, 200, false),
            (5.0, 100, 200, true),
            // What does not fit is held in.
            (0.3, -5, 200, false),
            (0.3, 500, 200, true),
        ] {
            let since = judge(original, touched, tasks, 20);
            assert_eq!(since.is_back(), back, "{original} {touched} {tasks}");
        }
        assert_eq!(judge(0.3, 3, 200, 20).reason(), "solved; now 3 of 200 tasks");
    }

    #[test]
    fn errors_before_do_not_count() {
        use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};
        let template = ErrorTemplate {
            fingerprint: Fingerprint::of(&["x"]),
            error_type: None,
            tool: None,
            template: "x".to_owned(),
        };
        let hour = Hour::from_number;
        let mark = ErrorMark {
            opportunity_id: 1,
            entity: uplift_model::EntityKey::new(uplift_model::EntityType::Agent, 1),
            entity_name: "clerk".to_owned(),
            template,
            hours: vec![(hour(1), 30), (hour(5), 6), (hour(9), 4)],
            total: 40,
            tasks_total: 100,
            tasks_affected: 20,
            events: Vec::new(),
            last_seen_at: Time::from_micros(0),
        };
        // Two errors a task over the whole record.
        for (from, tasks, total, touched) in [(0, 100, 40, 20), (5, 50, 10, 5), (9, 1, 4, 1), (10, 9, 0, 0)] {
            let since = errors_since(&mark, hour(from), tasks);
            assert_eq!((since.total, since.tasks_affected, since.tasks_total), (total, touched, tasks), "{from}");
        }
    }

    #[test]
    fn slow_hours_since() {
        let sum = |ms: f64, n: i64| -> OperationDelta {
            let sum_ln = (ms.ln() * LN_SCALE).round() as i64 * n;
            OperationDelta { n, timed: n, sum_ln, ..OperationDelta::default() }
        };
        let hour = Hour::from_number;
        let hours = [(hour(1), sum(3_000.0, 9)), (hour(2), sum(1_000.0, 7)), (hour(3), sum(3_000.0, 4))];
        for (from, expected) in [(0, (13, 20)), (2, (4, 11)), (4, (0, 0))] {
            assert_eq!(slow_since(&hours, hour(from), 1_000.0, 0.5), expected, "{from}");
        }
    }
}
