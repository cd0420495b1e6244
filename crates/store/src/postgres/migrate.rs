//! The numbered migrations: each runs once, in order, in a transaction of its own, by one node at a time.

use super::session::Session;
use crate::error::{StoreError, StoreResult};
use crate::migrations::{self, LATEST_VERSION};

/// Name and text of every migration, in order; a migration's number is its place, from 1. The names are those of
/// SQLite's.
pub const MIGRATIONS: &[(&str, &str)] = migrations::POSTGRES;

/// Held while migrations run: any number, but ours.
const LOCK: i64 = 0x7570_6c69_6674;

/// The schema's version; 0 where there is none.
pub(crate) fn version(session: &Session, place: &str) -> StoreResult<i64> {
    let said = |refusal: super::session::Refusal| refusal.into_store(place, "reading the schema version");
    let sql = "SELECT to_regclass('schema_migrations') IS NOT NULL, to_regclass('event_rows') IS NOT NULL";
    let row = session.query(sql, &[]).map_err(said)?;
    let known = row.first().map(|row| (row.get::<_, bool>(0), row.get::<_, bool>(1)));
    match known {
        Some((true, _)) => {}
        Some((false, true)) => {
            let reason = "it has tables of these names that another program made".to_owned();
            return Err(StoreError::NotADatabase { place: place.to_owned(), reason });
        }
        _ => return Ok(0),
    }
    let row = session.query("SELECT coalesce(max(version), 0) FROM schema_migrations", &[]).map_err(said)?;
    let found = row.first().map_or(0, |row| row.get::<_, i64>(0));
    if found > LATEST_VERSION {
        return Err(StoreError::NewerDatabase { place: place.to_owned(), found, known: LATEST_VERSION });
    }
    Ok(found)
}

/// Checks that a database can be read by this code as it is.
pub(crate) fn check_readable(session: &Session, place: &str) -> StoreResult<()> {
    let version = version(session, place)?;
    if version < LATEST_VERSION {
        let reason = format!(
            "its schema is version {version} of {LATEST_VERSION}: `uplift serve` or `uplift import` bring it up to date"
        );
        return Err(StoreError::Open { place: place.to_owned(), reason });
    }
    Ok(())
}

/// Brings the schema up to date.
pub(crate) fn run(session: &Session, place: &str) -> StoreResult<()> {
    let said = |refusal: super::session::Refusal| refusal.into_store(place, "migrating the schema");
    if version(session, place)? == LATEST_VERSION {
        return Ok(());
    }
    session.batch(&format!("SELECT pg_advisory_lock({LOCK})")).map_err(said)?;
    let done = run_locked(session, place);
    session.batch(&format!("SELECT pg_advisory_unlock({LOCK})")).map_err(said)?;
    done
}

fn run_locked(session: &Session, place: &str) -> StoreResult<()> {
    let said = |refusal: super::session::Refusal| refusal.into_store(place, "migrating the schema");
    loop {
        let version = version(session, place)?;
        let Some((name, text)) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version)) else {
            return Ok(());
        };
        let number = version + 1;
        let first = if version == 0 {
            "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, name text NOT NULL UNIQUE);"
        } else {
            ""
        };
        let whole = format!(
            "BEGIN; {first} {text}\n; INSERT INTO schema_migrations (version, name) VALUES ({number}, '{name}'); COMMIT;"
        );
        if let Err(refusal) = session.batch(&whole) {
            session.batch("ROLLBACK").map_err(said)?;
            return Err(said(refusal));
        }
    }
}
