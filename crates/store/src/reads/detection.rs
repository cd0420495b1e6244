//! What detection and reviews ask of the store.

use async_trait::async_trait;
use uplift_model::entity::EntityKey;
use uplift_model::review::{Review, ReviewCounter};
use uplift_model::rollup::OperationDelta;
use uplift_model::{Hour, Time};

use crate::error::StoreResult;
use crate::page::{PageRequest, Paged};
use crate::rows::{DecisionRow, EntityTrend, EntityWindowRows, ErrorHistory, ErrorHour, Mark, OperationHistory};

/// What detectors look at.
#[async_trait]
pub trait DetectionReads {
    /// What rules in the database marked and no detector has judged yet, oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn unconfirmed_marks(&self, limit: u32) -> StoreResult<Vec<Mark>>;

    /// Open, confirmed opportunities of this entity that a rule in the database can mark, and slower operations that
    /// were withdrawn in the last 8 days of the engine's clock: the rule fires on crossing only, so nothing else brings
    /// those up again when they become worse.
    ///
    /// # Errors
    /// When the engine fails.
    async fn open_marks(&self, entity: EntityKey) -> StoreResult<Vec<Mark>>;

    /// An error group of an entity.
    ///
    /// # Errors
    /// When there is none.
    async fn error_history(&self, entity: EntityKey, fingerprint: String) -> StoreResult<ErrorHistory>;

    /// What an operation of an entity came to in each of the hours `from..=to` in which there was any.
    ///
    /// # Errors
    /// When the engine fails.
    async fn operation_hours(
        &self,
        entity: EntityKey,
        operation: String,
        from: Hour,
        to: Hour,
    ) -> StoreResult<Vec<(Hour, OperationDelta)>>;

    /// The same hours, and some of the slowest events of the last day.
    ///
    /// # Errors
    /// When the engine fails.
    async fn operation_history(
        &self,
        entity: EntityKey,
        operation: String,
        from: Hour,
        to: Hour,
    ) -> StoreResult<OperationHistory>;

    /// The latest ended tasks of an entity: at most `max_tasks`, none that was last seen more than `days` before
    /// the entity's latest event.
    ///
    /// # Errors
    /// When the engine fails.
    async fn entity_window(&self, entity: EntityKey, days: u32, max_tasks: u32) -> StoreResult<EntityWindowRows>;

    /// Decisions since a moment, oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn decisions(&self, since: Time) -> StoreResult<Vec<DecisionRow>>;

    /// For each agent with tasks: its last 24 hours and the 7 days before.
    ///
    /// # Errors
    /// When the engine fails.
    async fn entity_trends(&self) -> StoreResult<Vec<EntityTrend>>;

    /// Error groups with at least `at_least` errors in one hour, from hour `since` on.
    ///
    /// # Errors
    /// When the engine fails.
    async fn error_hours(&self, since: Hour, at_least: i64) -> StoreResult<Vec<ErrorHour>>;
}

/// Rolling reviews.
#[async_trait]
pub trait ReviewReads {
    /// Counters, due ones first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn review_queue(&self, due_only: bool, page: PageRequest) -> StoreResult<Paged<ReviewCounter>>;

    /// Reviews that were held of an entity, the latest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn reviews(&self, entity: EntityKey, limit: u32) -> StoreResult<Vec<Review>>;
}
