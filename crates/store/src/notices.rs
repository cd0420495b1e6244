//! What the servers that share a database tell each other. Any of it may be lost: whoever listens has another way to find
//! out, which takes longer.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uplift_model::entity::EntityKey;

use crate::error::StoreResult;
use crate::store::SqlStore;

/// Notices that a listener may lag behind before it has to take everything for news.
pub(crate) const LAG: usize = 1_024;

/// What one server tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// What resolvers serve has changed.
    Configured,
    /// These entities have new data.
    Touched(Vec<EntityKey>),
    /// Notices may have been lost: anything may have happened.
    Anything,
}

/// Telling and hearing.
#[async_trait]
pub trait Notices {
    /// Whether other servers may be at work on this database.
    fn is_shared(&self) -> bool;

    /// Tells the others. Nothing where there are none.
    ///
    /// # Errors
    /// When the engine fails.
    async fn tell(&self, notice: Notice) -> StoreResult<()>;

    /// What is told from now on, by others and by oneself; none where there are no others.
    fn listen(&self) -> Option<broadcast::Receiver<Notice>>;
}

#[async_trait]
impl Notices for SqlStore {
    fn is_shared(&self) -> bool {
        self.is_on_server()
    }

    async fn tell(&self, notice: Notice) -> StoreResult<()> {
        let Some(ear) = &self.ear else { return Ok(()) };
        for text in crate::postgres::ear::texts(notice) {
            let channel = ear.channel().to_owned();
            self.read("telling other servers", move |connection| {
                connection.prepare_cached("SELECT pg_notify(?1, ?2)")?.query((channel, text))?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn listen(&self) -> Option<broadcast::Receiver<Notice>> {
        Some(self.ear.as_ref()?.listen())
    }
}
