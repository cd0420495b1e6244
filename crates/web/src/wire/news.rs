//! What happened, for those who listen.

use serde::Serialize;
use uplift_model::Time;
use uplift_store::rows::NewsRow;

use super::entity::Key;

/// What became of an alert, an opportunity or an improvement.
#[derive(Debug, Serialize)]
pub(crate) struct News {
    /// Its number: later news has a higher one.
    seq: i64,
    /// When, by the server's clock.
    at: Time,
    /// The number of the alert, the opportunity or the improvement.
    id: i64,
    /// What happened: the status or the outcome that was reached.
    status: String,
    /// Whom it concerns; null for the system as a whole.
    entity: Option<Key>,
}

impl From<NewsRow> for News {
    fn from(row: NewsRow) -> Self {
        Self { seq: row.seq, at: row.at, id: row.id, status: row.word, entity: row.entity.map(Into::into) }
    }
}
