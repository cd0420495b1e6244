//! The kill switch.

use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::trial::{TrialKind, TrialRecord};
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::TrialFilter;
use uplift_store::writes::Write;
use uplift_store::{PageRequest, StoreError};

use super::{ControlError, Paused};
use crate::engine::Engine;
use crate::settings::PAUSED;

/// Tries to end a trial that others change meanwhile.
const STOP_TRIES: usize = 10;

impl Engine {
    /// Turns the kill switch on: no trial starts. With `roll_back_running`, every running trial ends and its entity goes
    /// on with the revision in place.
    ///
    /// # Errors
    /// When the store says no.
    pub async fn pause(&self, roll_back_running: bool, by: String) -> Result<Paused, ControlError> {
        let setting = Write::SetSetting { name: PAUSED.to_owned(), value: true.into() };
        self.commit(vec![setting]).await?;
        self.set_paused(true);
        tracing::info!(%by, roll_back_running, "trials are paused");
        let mut paused = Paused { paused: true, ..Paused::default() };
        for record in self.running_trials().await? {
            if !roll_back_running {
                paused.still_running.push(record.improvement_id);
                continue;
            }
            if self.stopped(record.improvement_id, &by).await? {
                paused.rolled_back.push(record.improvement_id);
            }
        }
        Ok(paused)
    }

    /// Ends a trial because everything is paused; false where it ended by itself in the same moment.
    async fn stopped(&self, improvement_id: i64, by: &str) -> Result<bool, ControlError> {
        for _ in 0..STOP_TRIES {
            let improvement = self.store().improvement(improvement_id).await?;
            match self.stop_trial(&improvement, by, "everything was paused", true).await {
                Ok(_) => return Ok(true),
                Err(ControlError::WrongStatus { .. }) => return Ok(false),
                // A look was saved, or the entity changed, in between: it is read again.
                Err(ControlError::Store(StoreError::VersionConflict { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ControlError::Invalid {
            reason: format!("improvement {improvement_id} changes all the time: roll it back by itself"),
        })
    }

    /// Turns the kill switch off.
    ///
    /// # Errors
    /// When the store says no.
    pub async fn resume(&self, by: String) -> Result<Paused, ControlError> {
        let writes = vec![
            Write::SetSetting { name: PAUSED.to_owned(), value: false.into() },
            Write::WakeProcess { name: IMPROVEMENT_PROCESS.to_owned(), subject: None, at: self.now() },
        ];
        self.commit(writes).await?;
        self.set_paused(false);
        tracing::info!(%by, "trials may start again");
        let still_running = self.running_trials().await?.iter().map(|record| record.improvement_id).collect();
        Ok(Paused { paused: false, rolled_back: Vec::new(), still_running })
    }

    async fn running_trials(&self) -> Result<Vec<TrialRecord>, ControlError> {
        let mut all = Vec::new();
        let mut page = PageRequest::first(MAX_PAGE);
        loop {
            let filter = TrialFilter { running: true, ..TrialFilter::default() };
            let list = self.store().trials(filter, page.clone()).await?;
            all.extend(list.items.into_iter().filter(|record| record.trial.kind == TrialKind::Trial));
            match list.next {
                Some(cursor) => page.cursor = Some(cursor),
                None => return Ok(all),
            }
        }
    }
}
