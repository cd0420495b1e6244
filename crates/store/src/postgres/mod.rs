//! The engine for many nodes: PostgreSQL, 14 or later.
//!
//! - `address`, `tls`: where the server is, and whom it is trusted to be.
//! - `migrate`: the numbered migrations, run by one node at a time.
//! - `session`: a connection that is called like a library; `values` (with `numeric`), `rows`: what it carries.
//! - `ear`: hearing what other servers tell.
//! - [`scratch`]: an empty schema for a trial.
//! - `writer`: the thread that writes. Of all nodes' writers one writes at a time, so that each finds what the others
//!   wrote as if it had written all of it itself.

mod address;
pub(crate) mod ear;
pub(crate) mod migrate;
mod numeric;
mod rows;
pub mod scratch;
pub(crate) mod session;
pub(crate) mod tls;
pub(crate) mod values;
pub(crate) mod writer;

use self::ear::Ear;
use self::session::Session;
use self::tls::Server;
use self::writer::PostgresWriter;
use crate::error::{StoreError, StoreResult};
use crate::moving;
use crate::pool::Pool;
use crate::sql::Connection;
use crate::store::{SqlStore, Writer};

pub use self::address::public_name;
pub use self::migrate::MIGRATIONS;

/// Most readers of a node at a time.
const READERS: u32 = 8;

/// Whether a name of a database means a PostgreSQL server.
pub fn is_address(database: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme))
}

impl SqlStore {
    /// Connects to a PostgreSQL database and brings its schema up to date. `address` is a URL,
    /// `postgres://user:password@host:5432/database`, with the options of libpq that the driver knows, `sslmode` in all
    /// its values, and `sslrootcert`.
    ///
    /// # Errors
    /// When the address makes no sense, the server is not to be reached, is not trusted or refuses, or the schema is of a
    /// later version.
    pub async fn connect(address: &str) -> StoreResult<Self> {
        let address = address.to_owned();
        let (listening, schema, store) = blocking(move || {
            let server = Server::read(&address)?;
            let session = Session::open(&server)?;
            moving::refuse_unfinished(&session, server.place())?;
            migrate::run(&session, server.place())?;
            let schema = schema(&session).map_err(|refusal| refusal.into_store(server.place(), "connecting"))?;
            let writer = PostgresWriter::start(session, server.clone())?;
            Ok((server.clone(), schema, Self::over_server(server, Some(writer))))
        })
        .await?;
        Ok(Self { ear: Some(Ear::open(listening, &schema)), ..store })
    }

    /// Connects to a PostgreSQL database for reading only. Writes are refused.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when the schema is of an earlier version or there is none.
    pub async fn connect_read_only(address: &str) -> StoreResult<Self> {
        let address = address.to_owned();
        blocking(move || {
            let server = Server::read(&address)?;
            let session = Session::open(&server)?;
            moving::refuse_unfinished(&session, server.place())?;
            migrate::check_readable(&session, server.place())?;
            Ok(Self::over_server(server, None))
        })
        .await
    }

    fn over_server(server: Server, writer: Option<PostgresWriter>) -> Self {
        let place = server.place().to_owned();
        let pool = Pool::new(place.clone(), READERS, move || {
            let session = Session::open(&server)?;
            let reading = session.batch(READER_SETTINGS);
            reading.map_err(|refusal| refusal.into_store(server.place(), "opening a reader"))?;
            Ok(Connection::Postgres(Box::new(session)))
        });
        Self { pool: Some(pool), writer: writer.map(Writer::Postgres), place, file: None, ear: None }
    }
}

/// Questions here are small and many. The planner takes those over tables that it knows nothing of yet for large ones, and
/// would compile them anew each time, which takes half a second.
const READER_SETTINGS: &str = "SET default_transaction_read_only = on; SET jit = off";

/// The schema that a session works in.
fn schema(session: &Session) -> Result<String, session::Refusal> {
    let rows = session.query("SELECT coalesce(current_schema(), '')", &[])?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default())
}

/// Runs what waits, off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::Engine { context: "connecting to the database", reason: error.to_string() })
    })
}
