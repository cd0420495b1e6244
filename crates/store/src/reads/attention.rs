//! Reads about what needs attention: alerts, news, notifications; and how things went day by day.

use async_trait::async_trait;
use uplift_model::alert::Alert;
use uplift_model::entity::EntityKey;
use uplift_model::notification::{Delivery, Target};
use uplift_model::{Hour, Time};

use crate::error::StoreResult;
use crate::page::{PageRequest, Paged};
use crate::rows::{DayDecisions, DayTasks, DeliveryCounts, DeliveryFilter, EntityAnalyticsRow, NewsRow};

/// News, alerts one by one, and notifications.
#[async_trait]
pub trait NewsReads {
    /// News after a number, the earliest first, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn news(&self, after: i64, limit: u32) -> StoreResult<Vec<NewsRow>>;

    /// The number of the latest news; 0 where there never was any.
    ///
    /// # Errors
    /// When the engine fails.
    async fn last_news(&self) -> StoreResult<i64>;

    /// One alert.
    ///
    /// # Errors
    /// When there is none.
    async fn alert(&self, id: i64) -> StoreResult<Alert>;

    /// Alerts that somebody resolved by hand from a moment on, the earliest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn resolved_by_hand(&self, since: Time) -> StoreResult<Vec<Alert>>;

    /// Whom operators want to be told, by name.
    ///
    /// # Errors
    /// When the engine fails.
    async fn targets(&self) -> StoreResult<Vec<Target>>;

    /// Up to which number news has become deliveries.
    ///
    /// # Errors
    /// When the engine fails.
    async fn notified(&self) -> StoreResult<i64>;

    /// Deliveries that are due, of each target those that are due the longest, at most `each` of a target.
    ///
    /// # Errors
    /// When the engine fails.
    async fn due_deliveries(&self, now: Time, each: u32) -> StoreResult<Vec<Delivery>>;

    /// Deliveries, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> StoreResult<Paged<Delivery>>;

    /// How many deliveries wait, and how many were given up.
    ///
    /// # Errors
    /// When the engine fails.
    async fn delivery_counts(&self) -> StoreResult<DeliveryCounts>;
}

/// How things went day by day, and entity by entity.
#[async_trait]
pub trait TrendReads {
    /// Decisions by day (UTC) since a moment, the earliest day first; days without any are left out.
    ///
    /// # Errors
    /// When the engine fails.
    async fn decisions_by_day(&self, since: Time) -> StoreResult<Vec<DayDecisions>>;

    /// Tasks by agent and day (UTC) in the hours `from..=to` of event time, by day and agent, at most `limit`; days
    /// without any are left out. Of one agent where one is named.
    ///
    /// # Errors
    /// When the engine fails.
    async fn tasks_by_day(
        &self,
        agent: Option<EntityKey>,
        from: Hour,
        to: Hour,
        limit: u32,
    ) -> StoreResult<Vec<DayTasks>>;

    /// What came of improvements, entity by entity: those with the most decisions first, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn analytics_by_entity(&self, limit: u32) -> StoreResult<Vec<EntityAnalyticsRow>>;
}
