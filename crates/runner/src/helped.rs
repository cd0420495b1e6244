//! Which kept improvements may be said to have helped: reads the history in the order of its decisions, and asks
//! `cycle`. The history is only added to, so what was read of it is kept, and a question reads what is new.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Mutex;
use uplift_cycle::decide::claims::{self, Entry, Helped};
use uplift_model::Time;
use uplift_model::history::HistoryOutcome;
use uplift_model::verdict::Verdict;
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::HistoryRow;
use uplift_store::{PageRequest, StoreResult};

use crate::engine::Engine;

/// Most pages of the history that are read: 200,000 decisions. The sequence begins with the first decision, so beyond
/// that nothing is claimed at all.
const MAX_PAGES: usize = 200;
/// Size of a page where only what is new is read.
const NEW: u32 = 20;

/// What may be claimed of all improvements so far.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatHelped {
    /// Expected share of false claims among those that stand.
    pub false_claims: f64,
    /// Kept improvements of which something could be claimed, by their number.
    pub improvements: BTreeMap<i64, Helped>,
    /// Claims that stand, by type of improvement; types without any are absent.
    pub by_type: BTreeMap<String, u64>,
}

impl WhatHelped {
    /// How many claims stand.
    pub fn standing(&self) -> usize {
        self.improvements.values().filter(|helped| helped.stands).count()
    }
}

/// What was read of the history so far.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Read>);

#[derive(Debug, Default)]
struct Read {
    /// In the order of the decisions.
    decided: Vec<Decided>,
    /// True where the history is longer than may be read.
    too_long: bool,
    /// What was answered last, after which decision.
    answered: Option<(i64, Arc<WhatHelped>)>,
}

#[derive(Debug)]
struct Decided {
    at: Time,
    improvement_type: String,
    entry: Entry,
}

impl Engine {
    /// Which kept improvements may be said to have helped, with `engine.false_claims` of those sayings expected to be
    /// wrong at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn what_helped(&self) -> StoreResult<Arc<WhatHelped>> {
        let false_claims = self.policy().engine.false_claims;
        let mut known = self.helped().0.lock().await;
        // Read before the history, so that what is decided meanwhile is asked for the next time.
        let last = self.store().last_decision().await?;
        if let Some((at, answer)) = &known.answered
            && *at == last
            && answer.false_claims.to_bits() == false_claims.to_bits()
        {
            return Ok(Arc::clone(answer));
        }
        let decided = self.store().metrics().await?.decided;
        read_new(self, &mut known).await?;
        if !known.too_long && known.counted() < decided {
            // The clock went back, and something was decided before what was read last.
            *known = Read::default();
            read_new(self, &mut known).await?;
        }
        let entries: Vec<Entry> = known.decided.iter().map(|decided| decided.entry).collect();
        let improvements = if known.too_long { BTreeMap::new() } else { claims::of_fleet(&entries, false_claims) };
        let mut by_type = BTreeMap::new();
        for decided in known.decided.iter().filter(|decided| decided.entry.outcome == HistoryOutcome::Kept) {
            if improvements.get(&decided.entry.improvement_id).is_some_and(|helped| helped.stands) {
                *by_type.entry(decided.improvement_type.clone()).or_insert(0) += 1;
            }
        }
        let answer = Arc::new(WhatHelped { false_claims, improvements, by_type });
        known.answered = Some((last, Arc::clone(&answer)));
        Ok(answer)
    }
}

impl Read {
    /// Entries that `MetricsRow::decided` counts too.
    fn counted(&self) -> i64 {
        let counts = |outcome| {
            matches!(outcome, HistoryOutcome::Kept | HistoryOutcome::RolledBack | HistoryOutcome::Inconclusive)
        };
        self.decided.iter().filter(|decided| counts(decided.entry.outcome)).count() as i64
    }
}

/// Reads what was decided since the last decision that is known. What was decided at that very moment is read again:
/// there may be more of it now.
async fn read_new(engine: &Engine, known: &mut Read) -> StoreResult<()> {
    if known.too_long {
        return Ok(());
    }
    let since = known.decided.last().map(|decided| decided.at);
    let mut page = PageRequest::first(if since.is_some() { NEW } else { MAX_PAGE });
    let mut new = Vec::new();
    for _ in 0..MAX_PAGES {
        let found = engine.store().history(None, page).await?;
        let all_new = found.items.iter().all(|row| since.is_none_or(|since| row.decided_at >= since));
        new.extend(
            found.items.iter().filter(|row| since.is_none_or(|since| row.decided_at >= since)).filter_map(decided),
        );
        match found.next {
            Some(cursor) if all_new => page = PageRequest { limit: MAX_PAGE, cursor: Some(cursor) },
            _ => {
                known.decided.retain(|decided| Some(decided.at) != since);
                new.reverse();
                known.decided.append(&mut new);
                return Ok(());
            }
        }
    }
    tracing::warn!("the history is too long to say which improvements helped");
    *known = Read { too_long: true, ..Read::default() };
    Ok(())
}

/// What a claim needs of an entry; none where its outcome is not one of today's.
fn decided(row: &HistoryRow) -> Option<Decided> {
    let outcome = HistoryOutcome::from_str(&row.outcome).ok()?;
    let verdict: Option<Verdict> = row.verdict.as_ref().and_then(|verdict| Verdict::deserialize(verdict).ok());
    let log_helped = claims::log_helped(row.started_at.is_some(), outcome, verdict.as_ref());
    let entry = Entry { improvement_id: row.improvement_id, outcome, log_helped };
    Some(Decided { at: row.decided_at, improvement_type: row.improvement_type.clone(), entry })
}
