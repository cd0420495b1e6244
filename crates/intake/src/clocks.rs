//! Times for events that bring none.

use std::collections::HashMap;

use uplift_model::Time;

/// Tasks remembered in each of two generations: enough for every task that is under way at once in one stream.
const GENERATION: usize = 8_192;

/// The latest own time of each of the latest tasks. Memory is bounded: the older half is forgotten at once when
/// the younger one is full.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    young: HashMap<String, Time>,
    old: HashMap<String, Time>,
}

impl Clocks {
    /// Notes that an event of `task` happened at `time`, by the sender's own clock.
    pub(crate) fn saw(&mut self, task: &str, time: Time) {
        if let Some(latest) = self.young.get_mut(task) {
            *latest = time.max(*latest);
            return;
        }
        let before = self.old.remove(task);
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(task.to_owned(), before.map_or(time, |before| before.max(time)));
    }

    /// The latest time seen of `task`.
    pub(crate) fn latest(&self, task: &str) -> Option<Time> {
        self.young.get(task).or_else(|| self.old.get(task)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_latest_tasks_stay() {
        let mut clocks = Clocks::default();
        for task in 0..(5 * GENERATION) {
            clocks.saw(&task.to_string(), Time::from_micros(task as i64));
        }
        assert!(clocks.young.len() + clocks.old.len() <= 2 * GENERATION);
        let last = 5 * GENERATION - 1;
        assert_eq!(clocks.latest(&last.to_string()), Some(Time::from_micros(last as i64)));
        assert_eq!(clocks.latest("0"), None);
    }

    #[test]
    fn a_late_event_does_not_set_the_clock_back() {
        let mut clocks = Clocks::default();
        clocks.saw("t", Time::from_micros(5));
        clocks.saw("t", Time::from_micros(3));
        assert_eq!(clocks.latest("t"), Some(Time::from_micros(5)));
    }
}
