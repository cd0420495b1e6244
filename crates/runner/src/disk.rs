//! Whether there is room to write: known from what became of the last commits.
//!
//! Nothing stops when the disk is full: each commit is tried, fails by itself, and the first one that succeeds shows that
//! there is room again.

use std::sync::{Mutex, PoisonError};

use uplift_model::Time;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_store::StoreError;

/// How long after a refusal a commit that succeeds does not count yet, microseconds: a small one may find room where the
/// next large one does not.
const HOLD_US: i64 = 5_000_000;
/// How long after the last refusal the alert holds, microseconds: while the disk is full it cannot be written.
const ALERT_US: i64 = MICROS_PER_HOUR;

/// A time during which the disk was full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullDisk {
    /// Since when.
    pub since: Time,
    /// The last commit that was refused.
    pub last: Time,
    /// Commits that were refused.
    pub refused: u64,
    /// A commit has succeeded since, long enough after the last refusal.
    pub over: bool,
}

/// What is known of the disk.
#[derive(Debug, Default)]
pub struct Disk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    spell: Option<FullDisk>,
    /// Something changed that alerts should know of.
    news: bool,
}

impl Disk {
    /// Notes what became of a commit.
    pub(crate) fn note<T>(&self, now: Time, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => self.succeeded(now),
            Err(error @ StoreError::DiskFull { .. }) => self.refused(now, error),
            Err(_) => {}
        }
    }

    fn refused(&self, now: Time, error: &StoreError) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.spell {
            Some(spell) if !spell.over => {
                spell.last = now.max(spell.last);
                spell.refused += 1;
            }
            _ => {
                // Once for each spell: whoever is refused is told, too.
                tracing::error!(%error, "nothing can be written until there is room; reading goes on");
                state.spell = Some(FullDisk { since: now, last: now, refused: 1, over: false });
                state.news = true;
            }
        }
    }

    fn succeeded(&self, now: Time) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(spell) = state.spell.as_mut().filter(|spell| !spell.over) else { return };
        if now.micros_since(spell.last) >= HOLD_US {
            spell.over = true;
            tracing::info!(refused = spell.refused, since = %spell.since, "there is room again: commits succeed");
            state.news = true;
        }
    }

    /// Since when the disk is full, if it is now.
    pub fn full(&self) -> Option<FullDisk> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.spell.clone().filter(|spell| !spell.over)
    }

    /// Whether something has changed that alerts should know of, told once.
    pub(crate) fn take_news(&self, now: Time) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.spell.as_ref().is_some_and(|spell| spell.over && now.micros_since(spell.last) > ALERT_US) {
            state.spell = None;
            return true;
        }
        std::mem::take(&mut state.news)
    }

    /// The alert that holds while the disk is full, and for an hour after.
    pub(crate) fn alert(&self, now: Time) -> Option<AlertFinding> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spell = state.spell.as_ref()?;
        if spell.over && now.micros_since(spell.last) > ALERT_US {
            return None;
        }
        Some(AlertFinding {
            kind: AlertKind::DiskFull,
            entity: None,
            fingerprint: String::new(),
            message: format!(
                "no room left to write the database: {} commits were refused from {} to {}; free some space, or lower \
                 retention.max_bytes",
                spell.refused, spell.since, spell.last
            ),
            value: spell.refused as f64,
            threshold: 1.0,
            at: spell.since,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::EARLIEST.plus_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_spell_begins_with_a_refusal_and_ends_with_a_commit_well_after_the_last() {
        let disk = Disk::default();
        let full = || Err::<(), _>(StoreError::DiskFull { place: "d".to_owned() });
        assert_eq!((disk.full(), disk.alert(at(0)), disk.take_news(at(0))), (None, None, false));
        disk.note(at(0), &Ok(()));
        disk.note(at(1), &Err::<(), _>(StoreError::Closed));
        assert_eq!(disk.full(), None);
        disk.note(at(10), &full());
        disk.note(at(12), &full());
        // Too early to say that all is well.
        disk.note(at(13), &Ok(()));
        let spell = FullDisk { since: at(10), last: at(12), refused: 2, over: false };
        assert_eq!(disk.full(), Some(spell));
        assert!(disk.take_news(at(13)) && !disk.take_news(at(13)));
        disk.note(at(22), &Ok(()));
        assert_eq!(disk.full(), None);
        assert!(disk.take_news(at(22)) && !disk.take_news(at(22)));
        // The alert could not be written meanwhile: it holds for a while.
        let alert = disk.alert(at(23)).unwrap();
        assert_eq!((alert.kind, alert.value, alert.at), (AlertKind::DiskFull, 2.0, at(10)));
        assert!(alert.message.contains("2 commits were refused"), "{}", alert.message);
        assert_eq!(disk.alert(at(12 + 3_601)), None);
        assert!(disk.take_news(at(12 + 3_601)) && !disk.take_news(at(12 + 3_601)));
        disk.note(at(9_000), &full());
        assert_eq!(disk.full().map(|spell| spell.refused), Some(1));
    }
}
