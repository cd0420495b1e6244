//! What agents asked for.

use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::request::{Answer, AskingRecord, ImprovementRequest};
use uplift_model::task::Task;

use crate::error::StoreResult;
use crate::page::{PageRequest, Paged};
use crate::rows::RequestFilter;

/// Requests of agents, and what came of them.
#[async_trait]
pub trait RequestReads {
    /// Requests, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn requests(&self, filter: RequestFilter, page: PageRequest) -> StoreResult<Paged<ImprovementRequest>>;

    /// One request.
    ///
    /// # Errors
    /// When there is none.
    async fn request(&self, id: i64) -> StoreResult<ImprovementRequest>;

    /// What an agent has asked for before, and what came of it.
    ///
    /// # Errors
    /// When the engine fails.
    async fn asking_record(&self, asker: EntityKey, now: Time) -> StoreResult<AskingRecord>;

    /// Those of these tasks that are on record in an environment.
    ///
    /// # Errors
    /// When the engine fails.
    async fn named_tasks(&self, environment: String, task_ids: Vec<String>) -> StoreResult<Vec<Task>>;

    /// The text of a context that comes with Uplift, if it is one.
    ///
    /// # Errors
    /// When the engine fails.
    async fn document(&self, context: EntityKey) -> StoreResult<Option<String>>;

    /// Answers to requests by decisions after the one of this number, in their order, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn answers(&self, after: i64, limit: u32) -> StoreResult<Vec<Answer>>;

    /// The number of the last decision; 0 where nothing was decided yet.
    ///
    /// # Errors
    /// When the engine fails.
    async fn last_decision(&self) -> StoreResult<i64>;
}
