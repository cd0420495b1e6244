//! What became of the lines: counted, and the first refused ones told on standard error.

use indicatif::ProgressBar;
use serde::Serialize;
use uplift_intake::{Place, Rejection, Warning};

/// Refused lines told one by one; the rest is counted.
const SHOWN_REFUSALS: u64 = 20;

/// Counts over all files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Files read.
    pub(crate) files: u64,
    /// Events stored now.
    pub(crate) accepted: u64,
    /// Events that were stored before.
    pub(crate) already_known: u64,
    /// Items that could not be taken.
    pub(crate) refused: u64,
}

/// Counts, and tells what was refused.
pub(crate) struct Teller {
    /// The counts so far.
    pub(crate) tally: Tally,
    progress: ProgressBar,
    told: u64,
}

impl Teller {
    /// A teller that writes above `progress`.
    pub(crate) fn new(progress: ProgressBar) -> Self {
        Self { tally: Tally::default(), progress, told: 0 }
    }

    /// The bar it writes above.
    pub(crate) fn progress(&self) -> &ProgressBar {
        &self.progress
    }

    /// Notes an item that the decoder could not take.
    pub(crate) fn rejected(&mut self, source: &str, rejection: &Rejection) {
        self.refused(source, rejection.place, &rejection.detail, rejection.code.as_str());
    }

    /// Notes a refused item.
    pub(crate) fn refused(&mut self, source: &str, place: Place, detail: &str, code: &str) {
        self.tally.refused += 1;
        self.tell(&refusal(source, place, detail, code));
    }

    /// Notes refused items that are known by number only.
    pub(crate) fn refused_unseen(&mut self, count: u64) {
        self.tally.refused += count;
    }

    /// Tells what is to be said of saved telemetry.
    pub(crate) fn noted(&self, source: &str, note: &str) {
        let text = format!("{source}: {}", crate::text::clean(note));
        self.progress.suspend(|| eprintln!("{text}"));
    }

    /// Notes what was taken with a remark.
    pub(crate) fn warned(&self, source: &str, warning: &Warning) {
        let text = format!("{source}: {} ({} events)", crate::text::clean(&warning.detail), warning.count);
        self.progress.suspend(|| eprintln!("{text}"));
    }

    fn tell(&mut self, line: &str) {
        if self.told < SHOWN_REFUSALS {
            self.told += 1;
            self.progress.suspend(|| eprintln!("{line}"));
        }
    }

    /// Says how many refused items were not told one by one.
    pub(crate) fn finish(&self) {
        let untold = self.tally.refused - self.told.min(self.tally.refused);
        if untold > 0 {
            self.progress.suspend(|| eprintln!("… and {untold} more that could not be taken"));
        }
    }
}

/// `FILE:LINE: reason (remedy)`, as editors and compilers write it.
fn refusal(source: &str, place: Place, detail: &str, code: &str) -> String {
    let detail = crate::text::clean(detail);
    match place {
        Place::Line(line) => format!("{source}:{line}: {detail} [{code}]"),
        other => format!("{source}: {other}: {detail} [{code}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_as_compilers_do() {
        assert_eq!(
            refusal("a.ndjson", Place::Line(3), "not \u{1b}[31mJSON", "malformed_json"),
            "a.ndjson:3: not JSON [malformed_json]"
        );
        assert_eq!(refusal("a.json", Place::Index(0), "no object", "x"), "a.json: item 0: no object [x]");
    }

    #[test]
    fn only_the_first_are_told_and_all_are_counted() {
        let mut teller = Teller::new(ProgressBar::hidden());
        for line in 1..=30 {
            teller.refused("a", Place::Line(line), "bad", "x");
        }
        teller.refused_unseen(5);
        assert_eq!((teller.told, teller.tally.refused), (SHOWN_REFUSALS, 35));
    }
}
