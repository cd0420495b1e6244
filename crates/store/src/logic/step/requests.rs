//! What agents ask for, and the order of work.

use uplift_model::request::NewRequest;

use super::{Step, json};
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::writes::requests::RequestWrite;

impl Step<'_> {
    pub(super) fn requests(&mut self, write: &RequestWrite) -> Result<(), Fault> {
        match write {
            RequestWrite::Put(request) => self.put_request(request),
            RequestWrite::Plan { order } => self.plan(order),
        }
    }

    fn put_request(&mut self, request: &NewRequest) -> Result<(), Fault> {
        self.require_entity(request.asker)?;
        self.require_entity(request.about)?;
        let own = if request.brings_change {
            let last = self.receipt.improvements.last().copied();
            Some(last.ok_or_else(|| StoreError::invalid("a request brings a change that is not there".to_owned()))?)
        } else {
            None
        };
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO improvement_requests (entity_type, entity_id, about_type, about_id, improvement_type,
                    description, rationale, evidence, checked, priority, confidence, opportunity_id, improvement_id,
                    asked_by, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) RETURNING id",
            )?
            .query_row(
                (
                    request.asker.entity_type.as_str(),
                    request.asker.entity_id,
                    request.about.entity_type.as_str(),
                    request.about.entity_id,
                    request.improvement_type.as_str(),
                    &request.description,
                    &request.rationale,
                    json(&request.evidence, "evidence")?,
                    json(&request.checked, "checked evidence")?,
                    request.priority.as_str(),
                    if request.confidence.is_finite() { request.confidence.clamp(0.0, 1.0) } else { 0.0 },
                    request.opportunity_id,
                    own,
                    &request.asked_by,
                    self.at.micros(),
                ),
                |row| row.get(0),
            )?;
        self.receipt.recorded.push(id);
        Ok(())
    }

    fn plan(&mut self, order: &[i64]) -> Result<(), Fault> {
        self.connection
            .prepare_cached("UPDATE optimization_opportunities SET planned = 0 WHERE planned <> 0")?
            .defer([])?;
        for (place, id) in order.iter().rev().enumerate() {
            self.require_open(*id)?;
            let rank = i64::try_from(place).unwrap_or(i64::MAX - 1) + 1;
            self.connection
                .prepare_cached("UPDATE optimization_opportunities SET planned = ?2 WHERE id = ?1")?
                .defer((*id, rank))?;
        }
        Ok(())
    }
}
