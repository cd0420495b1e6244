//! Trials: their start, their stages, the looks at them and their end.

use crate::sql::OptionalExtension;
use serde_json::Value;
use uplift_model::entity::EntityKey;
use uplift_model::trial::{ShareStage, Trial, TrialKind};
use uplift_model::verdict::Verdict;

use super::{Step, readable};
use crate::error::StoreError;
use crate::logic::fault::{Fault, corrupt};
use crate::writes::NewTrial;

/// What ended a hold-back.
const NEXT_BEGAN: &str = "the next trial began";
/// Most rows that one look goes through for what can be forgotten: the ones that changed longest ago.
const FORGET_AT_ONCE: i64 = 10_000;

/// What a look came to.
pub(super) struct Look<'w> {
    pub(super) id: i64,
    pub(super) expected_cursor: i64,
    pub(super) cursor: i64,
    pub(super) looked_us: i64,
    pub(super) state: &'w Value,
    pub(super) verdict: Option<&'w Verdict>,
    pub(super) summary: Option<&'w Value>,
    pub(super) forget_before_us: i64,
}

/// A trial as it is stored.
struct Stored {
    entity: EntityKey,
    cursor: i64,
    running: bool,
}

impl Step<'_> {
    pub(super) fn start_trial(&mut self, new: &NewTrial) -> Result<(), Fault> {
        self.require_entity(new.entity)?;
        let own = "SELECT 1 FROM improvements WHERE id = ?1 AND entity_type = ?2 AND entity_id = ?3";
        let key = (new.improvement_id, new.entity.entity_type.as_str(), new.entity.entity_id);
        if !self.connection.prepare_cached(own)?.exists(key)? {
            return Err(StoreError::not_found("improvement", new.improvement_id).into());
        }
        for revision in [&new.base, &new.candidate] {
            self.require_revision(revision)?;
        }
        check_stages(&new.trial)?;
        if new.trial.kind == TrialKind::Trial {
            self.require_unpaused()?;
        }
        self.make_room(new.entity)?;
        let id = self
            .connection
            .prepare_cached(
                "INSERT INTO trials (improvement_id, entity_type, entity_id, base, candidate, trial, looked_us,
                    started_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            )?
            .insert((
                new.improvement_id,
                new.entity.entity_type.as_str(),
                new.entity.entity_id,
                new.base.as_str(),
                new.candidate.as_str(),
                readable(&new.trial, "the trial")?,
                new.trial.started_us,
            ))?;
        self.receipt.trials.push(id);
        self.trials_changed(new.entity)
    }

    /// The kill switch is looked at in the transaction that starts a trial: none slips past it.
    fn require_unpaused(&self) -> Result<(), Fault> {
        let paused = "SELECT 1 FROM settings WHERE name = 'paused' AND value = 'true'";
        if self.connection.prepare_cached(paused)?.exists([])? {
            return Err(StoreError::invalid("trials are paused: resume them first").into());
        }
        Ok(())
    }

    /// Ends a running hold-back of the entity; any other running trial is in the way.
    fn make_room(&mut self, entity: EntityKey) -> Result<(), Fault> {
        let running: Option<(i64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT trial_id, trial ->> 'kind' = 'hold_back' FROM trials
                 WHERE entity_type = ?1 AND entity_id = ?2 AND ended_at IS NULL",
            )?
            .query_row((entity.entity_type.as_str(), entity.entity_id), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match running {
            None => Ok(()),
            Some((id, true)) => self.end_trial(id, NEXT_BEGAN, None),
            Some((id, false)) => Err(StoreError::Occupied { entity, by: format!("trial {id}") }.into()),
        }
    }

    pub(super) fn add_stage(&mut self, id: i64, stage: ShareStage) -> Result<(), Fault> {
        let entity = self.running_trial(id)?.entity;
        let text: String = self
            .connection
            .prepare_cached("SELECT trial FROM trials WHERE trial_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let mut trial: Trial = serde_json::from_str(&text).map_err(|error| corrupt("a trial", error))?;
        trial.stages.push(stage);
        check_stages(&trial)?;
        // In place: what was declared stays as it is, to the last digit.
        self.connection
            .prepare_cached(self.connection.either(
                "UPDATE trials SET trial = json_insert(trial, '$.stages[#]', json(?2)) WHERE trial_id = ?1",
                "UPDATE trials SET trial = CAST(jsonb_insert(CAST(trial AS jsonb), '{stages,-1}', CAST(CAST(?2 AS text) AS jsonb), true)
                    AS json) WHERE trial_id = ?1",
            ))?
            .defer((id, readable(&stage, "the stage")?))?;
        self.trials_changed(entity)
    }

    pub(super) fn save_look(&mut self, look: &Look<'_>) -> Result<(), Fault> {
        let stored = self.running_trial(look.id)?;
        if stored.cursor != look.expected_cursor {
            let what = format!("trial {}", look.id);
            return Err(StoreError::moved_on(what, format!("cursor {}", look.expected_cursor)).into());
        }
        if look.cursor < look.expected_cursor {
            let reason = format!("the cursor of a trial goes forward only: {} after {}", look.cursor, stored.cursor);
            return Err(StoreError::invalid(reason).into());
        }
        let verdict = look.verdict.map(|verdict| readable(verdict, "the verdict")).transpose()?;
        self.connection
            .prepare_cached(
                "UPDATE trials SET cursor = ?2, looked_us = ?3, state = ?4, verdict = coalesce(?5, verdict)
                 WHERE trial_id = ?1",
            )?
            .defer((look.id, look.cursor, look.looked_us, look.state.to_string(), verdict))?;
        if let Some(summary) = look.summary {
            self.connection
                .prepare_cached(
                    "INSERT INTO trial_looks (trial_id, at, summary) VALUES (?1, ?2, ?3)
                     ON CONFLICT (trial_id, at) DO UPDATE SET summary = excluded.summary",
                )?
                .defer((look.id, look.looked_us, summary.to_string()))?;
        }
        self.forget_units(look)
    }

    /// Forgets units whose changes were all taken in and that are older than anything that still counts: whole units
    /// only, because a unit that is read again must be read whole.
    fn forget_units(&self, look: &Look<'_>) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "DELETE FROM trial_units WHERE (trace_no, trial_id, unit) IN (
                    SELECT c.trace_no, CAST(?1 AS bigint), c.unit FROM (
                        SELECT trace_no, unit, last_us FROM trial_units INDEXED BY trial_units_by_seq
                        WHERE trial_id = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?4
                    ) AS c
                    WHERE c.last_us < ?3 AND NOT EXISTS (
                        SELECT 1 FROM trial_units AS o INDEXED BY trial_units_by_unit
                        WHERE o.trial_id = ?1 AND o.unit = c.unit AND (o.seq > ?2 OR o.last_us >= ?3)))",
            )?
            .defer((look.id, look.cursor, look.forget_before_us, FORGET_AT_ONCE))?;
        Ok(())
    }

    pub(super) fn end_trial(&mut self, id: i64, ending: &str, verdict: Option<&Verdict>) -> Result<(), Fault> {
        let entity = self.running_trial(id)?.entity;
        let verdict = verdict.map(|verdict| readable(verdict, "the verdict")).transpose()?;
        self.connection
            .prepare_cached(
                "UPDATE trials SET ended_at = ?2, ending = ?3, verdict = coalesce(?4, verdict) WHERE trial_id = ?1",
            )?
            .defer((id, self.at.micros(), ending, verdict))?;
        self.connection.prepare_cached("DELETE FROM trial_units WHERE trial_id = ?1")?.defer([id])?;
        self.trials_changed(entity)
    }

    /// A trial, which has to be running: no decision twice.
    fn running_trial(&self, id: i64) -> Result<Stored, Fault> {
        let found: Option<(String, i64, i64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT entity_type, entity_id, cursor, ended_at IS NULL FROM trials WHERE trial_id = ?1",
            )?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((entity_type, entity_id, cursor, running)) = found else {
            return Err(StoreError::not_found("trial", id).into());
        };
        let entity_type = entity_type.parse().map_err(|error| corrupt("a trial", error))?;
        let stored = Stored { entity: EntityKey::new(entity_type, entity_id), cursor, running };
        if stored.running {
            Ok(stored)
        } else {
            Err(StoreError::moved_on(format!("trial {id}"), "a running one").into())
        }
    }

    /// What is served of the entity, and which of its units are noted, has changed.
    fn trials_changed(&mut self, entity: EntityKey) -> Result<(), Fault> {
        self.dictionary.forget_trials();
        self.reconfigured(entity)
    }
}

/// Checks that the stages of a trial follow each other and have shares that are some.
fn check_stages(trial: &Trial) -> Result<(), Fault> {
    if !trial.stages.is_sorted_by(|before, after| before.from_us < after.from_us) {
        return Err(StoreError::invalid("a stage of a trial begins later than the one before").into());
    }
    let unit = 0.0..=1.0;
    match trial.stages.iter().find(|stage| !unit.contains(&stage.share)) {
        Some(stage) => {
            Err(StoreError::invalid(format!("a share of a trial is from 0 to 1, not {}", stage.share)).into())
        }
        None => Ok(()),
    }
}
