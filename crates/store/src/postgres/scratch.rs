//! An empty schema for a test or a trial, gone afterwards.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::session::Session;
use super::{blocking, read_address};
use crate::error::StoreResult;

/// A schema of its own in a database; dropped with everything in it when this is.
pub struct Scratch {
    server: String,
    schema: String,
}

impl Scratch {
    /// Makes one in the database of this address.
    ///
    /// # Errors
    /// When the server is not to be reached, or lets no schema be made.
    pub async fn make(server: &str) -> StoreResult<Self> {
        // Random keys are all that tells one from another here.
        let random = RandomState::new().build_hasher().finish();
        let scratch = Self { server: server.to_owned(), schema: format!("scratch_{random:016x}") };
        scratch.run(format!("CREATE SCHEMA {}", scratch.schema)).await?;
        Ok(scratch)
    }

    /// The address of a database that knows only this schema.
    pub fn address(&self) -> String {
        let join = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{join}options=-csearch_path%3D{}", self.server, self.schema)
    }

    /// The same, for sessions that can be told from others by this name.
    pub fn address_of(&self, sessions: &str) -> String {
        format!("{}&application_name={}", self.address(), self.named(sessions))
    }

    fn named(&self, sessions: &str) -> String {
        format!("{}_{sessions}", self.schema)
    }

    /// Ends all sessions of this name, as a restart of the server would.
    ///
    /// # Errors
    /// When the server is not to be reached, or does not let us.
    pub async fn end_sessions(&self, sessions: &str) -> StoreResult<()> {
        let name = self.named(sessions);
        self.run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"))
            .await
    }

    /// Runs statements in it.
    ///
    /// # Errors
    /// When the server is not to be reached, or refuses them.
    pub async fn run(&self, sql: String) -> StoreResult<()> {
        let (config, place) = read_address(&self.address())?;
        blocking(move || {
            let session = Session::open(&config, &place)?;
            session.batch(&sql).map_err(|refusal| refusal.into_store(&place, "working on a schema"))
        })
        .await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (address, schema) = (self.address(), self.schema.clone());
        // On a thread of its own: it waits, and nothing says on what thread this is dropped.
        let dropping = std::thread::spawn(move || {
            let Ok((config, place)) = read_address(&address) else { return };
            let Ok(session) = Session::open(&config, &place) else { return };
            // Who cannot drop it leaves it behind: it is in nobody's way.
            let _ = session.batch(&format!("SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE"));
        });
        let _ = dropping.join();
    }
}
