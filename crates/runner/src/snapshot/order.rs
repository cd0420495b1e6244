//! How far the snapshot has kept up with the store.
//!
//! One number in the store counts every change that matters, our own and those of other processes. Our own are read
//! again at once, entity by entity; a number that moved without us means that everything is read. But when we move the
//! number, somebody else's move beside ours would go unseen. So every refresh that finds a new number is followed by a
//! sweep: the following polls read everything once more, a page each. Nothing is missed, nothing is read in one burst,
//! and up to a thousand entities the very next poll has seen it all.

use uplift_store::PageRequest;
use uplift_store::page::MAX_PAGE;

/// The bookkeeping of reads; whoever holds it is the only one who reads.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The number up to which everything was read, or will have been when the sweep is through.
    pub(super) seq: i64,
    /// False until everything was read once, and after a read that failed.
    pub(super) whole: bool,
    /// Counts loads and refreshes: what a load has not seen is gone.
    pub(super) generation: u64,
    sweep: Option<Sweep>,
}

#[derive(Debug, Default)]
struct Sweep {
    cursor: Option<String>,
    /// A refresh came after it began: what was swept before has to be swept again.
    again: bool,
}

impl Order {
    /// A load begins at this number.
    pub(super) fn begin_load(&mut self, seq: i64) -> u64 {
        self.seq = seq;
        self.whole = false;
        self.sweep = None;
        self.generation += 1;
        self.generation
    }

    /// Some entities were read at this number.
    pub(super) fn refreshed(&mut self, seq: i64) {
        if seq == self.seq {
            return;
        }
        self.seq = seq;
        match &mut self.sweep {
            Some(sweep) => sweep.again = true,
            None => self.sweep = Some(Sweep::default()),
        }
    }

    /// The page that is to be swept next, if any.
    pub(super) fn sweep(&self) -> Option<PageRequest> {
        self.sweep.as_ref().map(|sweep| PageRequest { limit: MAX_PAGE, cursor: sweep.cursor.clone() })
    }

    /// A page was swept; `next` follows it.
    pub(super) fn swept(&mut self, next: Option<String>) {
        let again = self.sweep.as_ref().is_some_and(|sweep| sweep.again);
        self.sweep = match next {
            Some(cursor) => Some(Sweep { cursor: Some(cursor), again }),
            None => again.then(Sweep::default),
        };
    }
}
