//! The database that is moved to: emptied, filled in chunks, and marked until all of it is there.

use std::time::{Duration, Instant};

use super::shape::{self, Table, VERSIONS};
use super::side::{Side, listed, missing_right, quoted};
use super::source::Source;
use super::value::{read_key, write_key};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::postgres::migrate;
use crate::postgres::session::Session;
use crate::postgres::tls::Server;
use crate::sql::{Connection, Error, OptionalExtension, Value};
use crate::sqlite::LATEST_VERSION;

/// How a session is set up: what an administrator set for others must not end a long copy, and nobody waits for a lock
/// for long.
const SETTINGS: &str =
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '15s';
    SET synchronous_commit = on; SET client_min_messages = warning";
/// The tables that say how far a move is; gone when it is complete.
const MARKS: &str = "CREATE TABLE uplift_moving (
        one   bigint PRIMARY KEY CHECK (one = 1),
        state text NOT NULL -- of the source
    );
    CREATE TABLE uplift_moving_progress (
        name     text PRIMARY KEY, -- of the table
        last_key text,             -- of the row that went over last, a JSON list
        rows     bigint NOT NULL,  -- that went over so far
        finished bigint NOT NULL   -- whether that is all
    );";
/// The state of the source while the schema is made.
const NONE: &str = "";
/// How long to wait for an earlier run that was killed, until the server has noticed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// A PostgreSQL database.
pub(super) struct Target {
    pub(super) side: Side,
}

/// What is to be done.
pub(super) struct Begun {
    /// The tables of both sides, in the order in which they go over.
    pub(super) tables: Vec<Table>,
    /// Rows that are there already.
    pub(super) found: u64,
}

/// How far a table came.
#[derive(Default)]
pub(super) struct Note {
    /// The key of the row that went over last.
    pub(super) last_key: Option<Vec<Value>>,
    /// Rows that went over.
    pub(super) rows: u64,
    /// Whether that is all.
    pub(super) finished: bool,
}

impl Target {
    /// Connects, and sees to it that no other move goes to the same place.
    pub(super) fn connect(server: &Server) -> StoreResult<Self> {
        let (session, place) = (Session::open(server)?, server.place().to_owned());
        let target = Self { side: Side { connection: Connection::Postgres(Box::new(session)), place } };
        target.side.ask_server("connecting", |session| Ok(session.batch(SETTINGS)?))?;
        target.require_schema()?;
        let began = Instant::now();
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('uplift move ' || current_schema(), 0))";
        loop {
            let ours: bool =
                target.side.ask("locking", |connection| Ok(connection.query_row(lock, (), |row| row.get(0))?))?;
            match ours {
                true => return Ok(target),
                false if began.elapsed() > PATIENCE => {
                    return Err(StoreError::invalid(format!(
                        "another `uplift migrate` is moving to {} just now",
                        target.place()
                    )));
                }
                false => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Checks that there is a schema to work in.
    fn require_schema(&self) -> StoreResult<()> {
        let sql = "SELECT current_schema() IS NOT NULL";
        let there: bool =
            self.side.ask("connecting", |connection| Ok(connection.query_row(sql, (), |row| row.get(0))?))?;
        if there {
            return Ok(());
        }
        let reason = "there is no schema to work in: none of its search_path exists, or its user may not use it";
        Err(StoreError::Open { place: self.place().to_owned(), reason: reason.to_owned() })
    }

    /// How to name it to people.
    pub(super) fn place(&self) -> &str {
        &self.side.place
    }

    /// Checks that a move to it was completed.
    pub(super) fn require_finished(&self) -> StoreResult<Begun> {
        self.side.ask_server("looking at the target", |session| {
            refuse_unfinished(session, self.place())?;
            if migrate::version(session, self.place())? == 0 {
                return Err(StoreError::invalid(format!("nothing was moved to {} yet", self.place())).into());
            }
            Ok(migrate::check_readable(session, self.place())?)
        })?;
        Ok(Begun { tables: shape::read(&self.side)?, found: 0 })
    }

    /// Makes the schema and empties it, or finds out how far an earlier run came.
    pub(super) fn begin(&self, source: &Source, start_over: bool) -> StoreResult<Begun> {
        self.make_schema()?;
        let tables = shape::read(&self.side)?;
        let state = source.state(&tables)?;
        // Nothing went over yet where it has no state of a source.
        let noted = self.noted()?.filter(|noted| noted != NONE);
        if let Some(noted) = noted.as_ref().filter(|_| !start_over) {
            if *noted != state {
                return Err(StoreError::invalid(format!(
                    "{} has a part of another database, or {} was written to since that was moved: begin again with \
                     --start-over, which forgets that part",
                    self.place(),
                    source.place()
                )));
            }
            let sql = "SELECT CAST(coalesce(sum(rows), 0) AS bigint) FROM uplift_moving_progress";
            let found: i64 = self
                .side
                .ask("looking at the target", |connection| Ok(connection.query_row(sql, (), |row| row.get(0))?))?;
            return Ok(Begun { tables, found: found.unsigned_abs() });
        }
        self.within("emptying the target", |session| {
            // No server's writer gets past this; and when it does, the row it looks for is gone.
            session.batch("LOCK TABLE writer_turns IN ACCESS EXCLUSIVE MODE")?;
            if noted.is_none() {
                self.require_new(&tables)?;
            }
            let all = tables.iter().filter(|table| table.goes_over()).map(|table| table.name.as_str());
            let sql = format!(
                "DROP TABLE IF EXISTS uplift_moving, uplift_moving_progress; {MARKS}
                 INSERT INTO uplift_moving (one, state) VALUES (1, '{state}'); TRUNCATE {}",
                listed(all)
            );
            Ok(session.batch(&sql)?)
        })?;
        Ok(Begun { tables, found: 0 })
    }

    /// The state of the source that it was marked with; none where no move to it is under way.
    fn noted(&self) -> StoreResult<Option<String>> {
        if !self.side.ask_server("looking at the target", |session| Ok(is_marked(session)?))? {
            return Ok(None);
        }
        let sql = "SELECT state FROM uplift_moving";
        self.side.ask("looking at the target", |connection| {
            Ok(connection.query_row(sql, (), |row| row.get(0)).optional()?)
        })
    }

    /// Makes the schema where there is none, marked from the beginning: a schema that is not whole is ours to finish.
    fn make_schema(&self) -> StoreResult<()> {
        let marked = self.noted()?.is_some();
        self.side.ask_server("making the schema", |session| {
            let version = migrate::version(session, self.place())?;
            if !marked && version > 0 && version < LATEST_VERSION {
                return Err(in_use(self.place(), "it is an Uplift database of an earlier version").into());
            }
            if !marked && version == 0 {
                session.batch(&format!("{MARKS} INSERT INTO uplift_moving (one, state) VALUES (1, '{NONE}')"))?;
            }
            match migrate::run(session, self.place()) {
                // Of a server, that is what a missing right comes as.
                Err(StoreError::ReadOnly { place }) => {
                    Err(missing_right(place, "permission denied to make tables").into())
                }
                made => Ok(made?),
            }
        })
    }

    /// Checks that the target holds no more than a new database does.
    fn require_new(&self, tables: &[Table]) -> Result<(), Fault> {
        for table in tables {
            // No count of what may be many.
            let sql = format!("SELECT 1 FROM {} LIMIT {}", quoted(&table.name), table.at_first + 1);
            let rows = self.side.connection.prepare_cached(&sql)?.query_map((), |_| Ok(()))?.count();
            if i64::try_from(rows).is_ok_and(|rows| rows > table.at_first) {
                return Err(in_use(self.place(), &format!("there are rows in {}", table.name)).into());
            }
        }
        Ok(())
    }

    /// How far a table came.
    pub(super) fn note(&self, table: &Table) -> StoreResult<Note> {
        let sql = "SELECT last_key, rows, finished FROM uplift_moving_progress WHERE name = ?1";
        let noted: Option<(Option<String>, i64, bool)> = self.side.ask("looking how far it is", |connection| {
            let read = |row: &crate::sql::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            Ok(connection.query_row(sql, [&table.name], read).optional()?)
        })?;
        let Some((key, rows, finished)) = noted else { return Ok(Note::default()) };
        let last_key = match key.as_deref().map(read_key) {
            Some(None) => {
                let reason = format!("how far {} came", table.name);
                return Err(StoreError::Corrupt { place: self.place().to_owned(), what: "a note", reason });
            }
            key => key.flatten(),
        };
        Ok(Note { last_key, rows: rows.unsigned_abs(), finished })
    }

    /// Adds rows to a table and notes how far it came, in one transaction.
    pub(super) fn add(&self, table: &Table, rows: &[Vec<Value>], note: &Note) -> StoreResult<()> {
        let name = quoted(&table.name);
        let first = || rows.first().map_or_else(String::new, |row| write_key(&key_of(table, row)));
        let added = self.within("copying rows", |session| {
            let triggers = |what: &str| {
                let sql = format!("ALTER TABLE {name} {what} TRIGGER USER");
                if table.has_triggers { session.batch(&sql) } else { Ok(()) }
            };
            let copy = format!("COPY {name} ({}) FROM STDIN (FORMAT binary)", table.columns());
            // What they would note is among what is copied.
            triggers("DISABLE")?;
            if !rows.is_empty() {
                session.copy_in(&copy, &table.kinds(), rows)?;
            }
            triggers("ENABLE")?;
            let sql = "INSERT INTO uplift_moving_progress (name, last_key, rows, finished) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (name) DO UPDATE SET last_key = excluded.last_key, rows = excluded.rows,
                    finished = excluded.finished";
            let key = note.last_key.as_deref().map(write_key);
            let values: [&dyn crate::sql::ToSql; 4] = [&table.name, &key, &(note.rows as i64), &note.finished];
            session.execute(sql, &values)?;
            Ok(())
        });
        added.map_err(|error| match error {
            StoreError::Engine { context, reason } => {
                let reason = format!("table {}, from the row with key {}: {reason}", table.name, first());
                StoreError::Engine { context, reason }
            }
            error => error,
        })
    }

    /// Lets columns that count by themselves go on behind every number that was ever given.
    pub(super) fn set_numbers(&self, source: &Source, tables: &[Table]) -> StoreResult<()> {
        for table in tables {
            let Some(column) = &table.counter else { continue };
            let last = source.last_number(table, column)?;
            let sql = "SELECT setval(CAST(pg_get_serial_sequence(?1, ?2) AS regclass), ?3, ?4)";
            self.side.ask("setting the next numbers", |connection| {
                let values = (&quoted(&table.name), column, last.max(1), last > 0);
                Ok(connection.query_row(sql, values, |_| Ok(()))?)
            })?;
        }
        Ok(())
    }

    /// Lets the server learn what is in the tables, by which it plans.
    pub(super) fn analyze(&self, tables: &[Table]) -> StoreResult<()> {
        let all = tables.iter().filter(|table| table.name != VERSIONS).map(|table| table.name.as_str());
        let sql = format!("ANALYZE {}", listed(all));
        self.side.ask_server("analysing", |session| Ok(session.batch(&sql)?))
    }

    /// Marks it as complete.
    pub(super) fn finish(&self) -> StoreResult<()> {
        self.side
            .ask_server("finishing", |session| Ok(session.batch("DROP TABLE uplift_moving, uplift_moving_progress")?))
    }

    /// Does something in one transaction.
    fn within(&self, context: &'static str, work: impl FnOnce(&Session) -> Result<(), Fault>) -> StoreResult<()> {
        self.side.ask_server(context, |session| {
            session.batch("BEGIN")?;
            let done = work(session).and_then(|()| Ok(session.batch("COMMIT")?));
            if done.is_err() {
                // What is told is why; the server gives up the transaction in any case.
                drop(session.batch("ROLLBACK"));
            }
            done
        })
    }
}

/// The values of a row's key.
pub(super) fn key_of(table: &Table, row: &[Value]) -> Vec<Value> {
    table.key.iter().filter_map(|place| row.get(*place).cloned()).collect()
}

/// The error for a target that cannot be emptied.
fn in_use(place: &str, why: &str) -> StoreError {
    StoreError::invalid(format!(
        "{place} is in use: {why}, and nothing there was changed; name an empty database, or a schema of its own \
         (if it was moved there before, --verify-only compares)"
    ))
}

/// Whether a move to the database is under way.
fn is_marked(session: &Session) -> Result<bool, Error> {
    let rows = session.query("SELECT to_regclass('uplift_moving') IS NOT NULL", &[])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Refuses a database that is being moved to.
pub(crate) fn refuse_unfinished(session: &Session, place: &str) -> StoreResult<()> {
    match is_marked(session) {
        Ok(false) => Ok(()),
        Ok(true) => Err(StoreError::Open {
            place: place.to_owned(),
            reason: "a database is being moved to it, and not all of it is there: `uplift migrate` goes on"
                .to_owned(),
        }),
        Err(error) => Err(Fault::from(error).into_store(place, "looking whether it is complete")),
    }
}
