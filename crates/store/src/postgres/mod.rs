//! The engine for many nodes: PostgreSQL, 14 or later.
//!
//! - `migrate`: the numbered migrations, run by one node at a time.
//! - `session`: a connection that is called like a library; `values` (with `numeric`), `rows`: what it carries.
//! - `ear`: hearing what other servers tell.
//! - [`scratch`]: an empty schema for a trial.
//! - `writer`: the thread that writes. Of all nodes' writers one writes at a time, so that each finds what the others
//!   wrote as if it had written all of it itself.

pub(crate) mod ear;
pub(crate) mod migrate;
mod numeric;
mod rows;
pub mod scratch;
pub(crate) mod session;
pub(crate) mod values;
pub(crate) mod writer;

use tokio_postgres::Config;

use self::ear::Ear;
use self::session::Session;
use self::writer::PostgresWriter;
use crate::error::{StoreError, StoreResult};
use crate::moving;
use crate::pool::Pool;
use crate::sql::Connection;
use crate::store::{SqlStore, Writer};

pub use self::migrate::MIGRATIONS;

/// Most readers of a node at a time.
const READERS: usize = 8;

/// Whether a name of a database means a PostgreSQL server.
pub fn is_address(database: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme))
}

impl SqlStore {
    /// Connects to a PostgreSQL database and brings its schema up to date. `address` is a URL,
    /// `postgres://user:password@host:5432/database`, with the options of libpq that the driver knows.
    ///
    /// # Errors
    /// When the address makes no sense, the server is not to be reached or refuses, or the schema is of a later version.
    pub async fn connect(address: &str) -> StoreResult<Self> {
        let (config, place) = read_address(address)?;
        let listening = config.clone();
        let (schema, store) = blocking(move || {
            let session = Session::open(&config, &place)?;
            moving::refuse_unfinished(&session, &place)?;
            migrate::run(&session, &place)?;
            let schema = schema(&session).map_err(|refusal| refusal.into_store(&place, "connecting"))?;
            let writer = PostgresWriter::start(session, config.clone(), place.clone())?;
            Ok((schema, Self::over_server(config, place, Some(writer))))
        })
        .await?;
        Ok(Self { ear: Some(Ear::open(listening, &schema)), ..store })
    }

    /// Connects to a PostgreSQL database for reading only. Writes are refused.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when the schema is of an earlier version or there is none.
    pub async fn connect_read_only(address: &str) -> StoreResult<Self> {
        let (config, place) = read_address(address)?;
        blocking(move || {
            let session = Session::open(&config, &place)?;
            moving::refuse_unfinished(&session, &place)?;
            migrate::check_readable(&session, &place)?;
            Ok(Self::over_server(config, place, None))
        })
        .await
    }

    fn over_server(config: Config, place: String, writer: Option<PostgresWriter>) -> Self {
        let of_pool = place.clone();
        let pool = Pool::new(place.clone(), READERS, move || {
            let session = Session::open(&config, &of_pool)?;
            let reading = session.batch("SET default_transaction_read_only = on");
            reading.map_err(|refusal| refusal.into_store(&of_pool, "opening a reader"))?;
            Ok(Connection::Postgres(Box::new(session)))
        });
        Self { pool: Some(pool), writer: writer.map(Writer::Postgres), place, file: None, ear: None }
    }
}

/// The schema that a session works in.
fn schema(session: &Session) -> Result<String, session::Refusal> {
    let rows = session.query("SELECT coalesce(current_schema(), '')", &[])?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default())
}

/// What an address says, and how to name the database without giving the password away.
pub(crate) fn read_address(address: &str) -> StoreResult<(Config, String)> {
    let mut config: Config = address.parse().map_err(|error| StoreError::Open {
        place: "the database".to_owned(),
        reason: format!(
            "{} (an address looks like postgres://user:password@host:5432/database)",
            session::reason_of(&error)
        ),
    })?;
    if config.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
        let reason = "sslmode=require is not supported yet: use a tunnel, or the local network".to_owned();
        return Err(StoreError::Open { place: name(&config), reason });
    }
    if config.get_application_name().is_none() {
        config.application_name("uplift");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(std::time::Duration::from_secs(5));
    }
    let place = name(&config);
    Ok((config, place))
}

/// The server and the database.
fn name(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().map(|port| format!(":{port}")).unwrap_or_default();
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or("postgres");
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{host}{port}/{database}")
}

/// Runs what waits, off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> StoreResult<T> + Send + 'static) -> StoreResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::Engine { context: "connecting to the database", reason: error.to_string() })
    })
}

/// An address for people: without the password and the options.
pub fn public_name(address: &str) -> String {
    address.parse().map_or_else(|_| "postgres://...".to_owned(), |config: Config| name(&config))
}
