//! An empty schema for a test or a trial, gone afterwards.

use std::hash::{BuildHasher, Hasher, RandomState};

use futures::{SinkExt, TryStreamExt};

use super::blocking;
use super::session::Session;
use super::tls::Server;
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

    /// Copies the rows of a table into an empty one like it, with all its indexes, by one COPY: (rows, seconds). What such
    /// rows take at the least.
    ///
    /// # Errors
    /// When the server is not to be reached, or refuses.
    pub async fn copy(&self, table: &str) -> StoreResult<(u64, f64)> {
        let server = Server::read(&self.address())?;
        let copied = async {
            let (client, connection) = server.connect().await?;
            let driven = tokio::spawn(connection);
            let rows: Vec<bytes::Bytes> =
                client.copy_out(&format!("COPY {table} TO STDOUT (FORMAT binary)")).await?.try_collect().await?;
            client.batch_execute(&format!("CREATE TABLE twin_of_{table} (LIKE {table} INCLUDING ALL)")).await?;
            let began = std::time::Instant::now();
            let into = client.copy_in(&format!("COPY twin_of_{table} FROM STDIN (FORMAT binary)")).await?;
            let mut into = std::pin::pin!(into);
            for part in rows {
                into.feed(part).await?;
            }
            let copied = into.finish().await?;
            let seconds = began.elapsed().as_secs_f64();
            driven.abort();
            Ok((copied, seconds))
        };
        copied.await.map_err(|error: tokio_postgres::Error| {
            super::session::Refusal::from(error).into_store(server.place(), "copying a table")
        })
    }

    /// Runs statements in it.
    ///
    /// # Errors
    /// When the server is not to be reached, or refuses them.
    pub async fn run(&self, sql: String) -> StoreResult<()> {
        let address = self.address();
        blocking(move || {
            let server = Server::read(&address)?;
            let session = Session::open(&server)?;
            session.batch(&sql).map_err(|refusal| refusal.into_store(server.place(), "working on a schema"))
        })
        .await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (address, schema) = (self.address(), self.schema.clone());
        // On a thread of its own: it waits, and nothing says on what thread this is dropped.
        let dropping = std::thread::spawn(move || {
            let Ok(session) = Server::read(&address).and_then(|server| Session::open(&server)) else { return };
            // Who cannot drop it leaves it behind: it is in nobody's way.
            let _ = session.batch(&format!("SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE"));
        });
        let _ = dropping.join();
    }
}
