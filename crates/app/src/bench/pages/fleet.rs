//! A large database: the demo's, and copies of its fleet beside it. So every row is one that the engine itself wrote, or
//! differs from such a row by its ids and times.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;
use uplift_model::Time;
use uplift_model::time::MICROS_PER_DAY;

use crate::database::Place;
use crate::demo::{self, Options, Pace};
use crate::text::Style;

/// What tells databases of this generator from those of another: raise it with every change of what it writes.
const VERSION: u32 = 1;
/// The run of the demo that is copied.
const SEED: u64 = 1;
const HOURS: f64 = 38.0;
/// Between the ids of one copy and the next: of entities, of traces, and of improvements and what belongs to them. What has
/// larger ids in the demo is built in, and there once.
const ENTITY_STEP: i64 = 1_000;
const TRACE_STEP: i64 = 1_000_000;
const STEP: i64 = 1_000;
/// Days between an improvement and its copy of the time before.
const DAYS_APART: i64 = 9;
/// Entries of the audit log.
const AUDITED: i64 = 20_000;
/// Of each kind of thing, so many are asked for.
const TARGETS: u32 = 40;

/// How large.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) tasks: u64,
    pub(super) improvements: u64,
}

/// What is in a database.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tasks: i64,
    pub(super) improvements: i64,
    pub(super) entities: i64,
    pub(super) bytes: u64,
    /// The engine's time when it was made.
    pub(super) now: Time,
    /// Addresses of single things, by what they are.
    pub(super) improvement_pages: Vec<String>,
    pub(super) opportunity_pages: Vec<String>,
    pub(super) entity_pages: Vec<String>,
    pub(super) revision_pages: Vec<String>,
    pub(super) task_pages: Vec<String>,
}

/// The database of this size: the one that is kept, or a new one.
pub(super) async fn prepare(folder: &Path, size: Size) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("pages-{VERSION}-{}-{}.db", size.tasks, size.improvements));
    if path.exists() {
        return Ok(path);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let played = folder.join(format!("demo-{VERSION}-{SEED}.db"));
    if !played.exists() {
        let part = empty(folder, "demo.part.db")?;
        tracing::info!("playing the demo");
        play(&part).await?;
        std::fs::rename(&part, &played).with_context(|| format!("{} cannot be made", played.display()))?;
    }
    tracing::info!("copying its fleet");
    let part = empty(folder, "pages.part.db")?;
    std::fs::copy(&played, &part).with_context(|| format!("{} cannot be copied", played.display()))?;
    multiply(&part, size).context("the fleet cannot be copied")?;
    std::fs::rename(&part, &path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(path)
}

/// Where a database is made, without what an earlier attempt left.
fn empty(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    for end in ["", "-wal", "-shm"] {
        let left = folder.join(format!("{name}{end}"));
        if left.exists() {
            std::fs::remove_file(&left).with_context(|| format!("{} cannot be removed", left.display()))?;
        }
    }
    Ok(folder.join(name))
}

async fn play(path: &Path) -> anyhow::Result<()> {
    let options = Options {
        seed: SEED,
        hours: HOURS,
        pace: Pace::Max,
        silent: true,
        stay: false,
        database: Place::File(path.to_owned()),
    };
    demo::play(&options, Style::of_stdout(), |_| Ok(())).await?;
    // Whoever copies the file copies all of it.
    Connection::open(path)?.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Copies the fleet until there are so many tasks, and its improvements into the past until there are so many.
fn multiply(path: &Path, size: Size) -> anyhow::Result<()> {
    let mut connection = Connection::open(path)?;
    // A crash leaves a part that nobody uses.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF")?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (tasks, improvements) =
        (number("SELECT count(*) FROM task_rows")?, number("SELECT count(*) FROM improvements")?);
    let ended = number(&format!("SELECT count(*) FROM improvements WHERE {ENDED}"))?;
    anyhow::ensure!(tasks > 0 && ended > 0, "the demo left nothing to copy");
    let fleets = (i64::try_from(size.tasks)? / tasks).max(1);
    let wanted = i64::try_from(size.improvements)? / fleets;
    let pasts = ((wanted - improvements) / ended).max(0);
    let writing = connection.transaction()?;
    // What they make of every row is among what is copied.
    let triggers = texts(&writing, "SELECT sql FROM sqlite_master WHERE type = 'trigger'")?;
    for name in texts(&writing, "SELECT name FROM sqlite_master WHERE type = 'trigger'")? {
        writing.execute_batch(&format!("DROP TRIGGER \"{name}\""))?;
    }
    for fleet in 0..fleets {
        if fleet > 0 {
            copy_all(&writing, FLEET, Copy { fleet, block: fleet * (pasts + 1), past: 0 })?;
        }
        for past in 1..=pasts {
            copy_all(&writing, PAST, Copy { fleet, block: fleet * (pasts + 1) + past, past })?;
        }
    }
    fill_audit_log(&writing)?;
    for trigger in triggers {
        writing.execute_batch(&trigger)?;
    }
    writing.commit()?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    Ok(())
}

/// Which copy: of which fleet, of which block of ids, how far in the past.
#[derive(Debug, Clone, Copy)]
struct Copy {
    fleet: i64,
    block: i64,
    past: i64,
}

/// What has ended, and occupies nobody.
const ENDED: &str = "status IN ('deployed', 'rolled_back', 'rejected', 'cancelled')";

/// A table, which of its rows are copied, and how columns change: the others stay. `:e`, `:t`, `:b` are the steps of
/// entities, traces and blocks, `:p` the microseconds back in time, `:f` the number of the fleet.
type Rule = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What belongs to a fleet.
const FLEET: &[Rule] = &[
    ("entities", OWN, &[ENTITY, ("name", "name || '-' || :f")]),
    ("entity_revisions", OWN, &[ENTITY]),
    ("entity_defaults", OWN, &[ENTITY]),
    (
        "entity_relationships",
        "from_id < :most AND to_id < :most",
        &[("from_id", "from_id + :e"), ("to_id", "to_id + :e")],
    ),
    ("agent_tools", OWN, &[ENTITY]),
    ("agent_contexts", OWN, &[ENTITY]),
    ("rollup_ops", OWN, &[ENTITY]),
    ("rollup_errors", OWN, &[ENTITY]),
    ("rolling_review_counters", OWN, &[ENTITY]),
    ("reviews", "entity_id < :most", &[ENTITY, ("id", "NULL")]),
    ("improvement_alerts", "entity_id BETWEEN 1 AND :most AND id < :step", &[ENTITY, ("id", "id + :b")]),
    (
        "traces",
        "trace_no < :trace",
        &[
            ("trace_no", "trace_no + :t"),
            ("trace_hash", "randomblob(length(trace_hash))"),
            ("trace_key", "trace_key || '-' || :f"),
        ],
    ),
    ("task_rows", "trace_no < :trace", &[("trace_no", "trace_no + :t"), ENTITY]),
    ("optimization_opportunities", "id < :step", &[("id", "id + :b"), ENTITY]),
    ("improvements", "id < :step", &[("id", "id + :b"), OPPORTUNITY, ENTITY]),
    ("improvement_history", "id < :step", &[("id", "id + :b"), IMPROVEMENT, ENTITY]),
    ("trials", "trial_id < :step", &[TRIAL, IMPROVEMENT, ENTITY]),
    ("trial_looks", "trial_id < :step", &[TRIAL]),
    ("process_instances", "id < :step", &[("id", "id + :b"), SUBJECT]),
    ("process_steps", "instance_id < :step", &[("instance_id", "instance_id + :b")]),
];

/// What happened to a fleet in the past.
const PAST: &[Rule] = &[
    (
        "optimization_opportunities",
        "id < :step",
        &[
            ("id", "id + :b"),
            ENTITY,
            ("status", "CASE status WHEN 'dismissed' THEN status ELSE 'completed' END"),
            ("created_at", "created_at - :p"),
            ("updated_at", "updated_at - :p"),
            ("last_seen_at", "last_seen_at - :p"),
        ],
    ),
    (
        "improvements",
        "id < :step AND status IN ('deployed', 'rolled_back', 'rejected', 'cancelled')",
        &[
            ("id", "id + :b"),
            OPPORTUNITY,
            ENTITY,
            ("created_at", "created_at - :p"),
            ("updated_at", "updated_at - :p"),
        ],
    ),
    (
        "improvement_history",
        "id < :step",
        &[
            ("id", "id + :b"),
            IMPROVEMENT,
            ENTITY,
            ("started_at", "started_at - :p"),
            ("decided_at", "decided_at - :p"),
        ],
    ),
    (
        "trials",
        "trial_id < :step AND ended_at IS NOT NULL",
        &[TRIAL, IMPROVEMENT, ENTITY, ("started_at", "started_at - :p"), ("ended_at", "ended_at - :p")],
    ),
    (
        "trial_looks",
        "trial_id IN (SELECT trial_id FROM trials WHERE trial_id < :step AND ended_at IS NOT NULL)",
        &[TRIAL, ("at", "at - :p")],
    ),
    (
        "process_instances",
        "id < :step AND ended_at IS NOT NULL",
        &[("id", "id + :b"), SUBJECT, ("created_at", "created_at - :p"), ("ended_at", "ended_at - :p")],
    ),
    (
        "process_steps",
        "instance_id IN (SELECT id FROM process_instances WHERE id < :step AND ended_at IS NOT NULL)",
        &[("instance_id", "instance_id + :b"), ("at", "at - :p")],
    ),
];

const OWN: &str = "entity_id < :most";
const ENTITY: (&str, &str) = ("entity_id", "entity_id + :e");
const OPPORTUNITY: (&str, &str) = ("opportunity_id", "opportunity_id + :b");
const IMPROVEMENT: (&str, &str) = ("improvement_id", "improvement_id + :b");
const TRIAL: (&str, &str) = ("trial_id", "trial_id + :b");
/// Subjects are written `improvement/12`.
const SUBJECT: (&str, &str) = (
    "subject",
    "CASE WHEN subject LIKE 'improvement/%' THEN 'improvement/' || (CAST(substr(subject, 13) AS INTEGER) + :b) \
     ELSE subject || '-' || :b END",
);

fn copy_all(connection: &Connection, rules: &[Rule], copy: Copy) -> anyhow::Result<()> {
    for (table, which, changes) in rules {
        let columns = texts(connection, &format!("SELECT name FROM pragma_table_info('{table}')"))?;
        for (column, _) in *changes {
            anyhow::ensure!(columns.iter().any(|name| name == column), "{table} has no {column} any more");
        }
        let values: Vec<&str> = columns.iter().map(|name| changed(changes, name)).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {which}",
            columns.join(", "),
            values.join(", ")
        );
        let filled = sql
            .replace(":most", &ENTITY_STEP.to_string())
            .replace(":step", &STEP.to_string())
            .replace(":trace", &TRACE_STEP.to_string())
            .replace(":e", &(copy.fleet * ENTITY_STEP).to_string())
            .replace(":t", &(copy.fleet * TRACE_STEP).to_string())
            .replace(":b", &(copy.block * STEP).to_string())
            .replace(":p", &(copy.past * DAYS_APART * MICROS_PER_DAY).to_string())
            .replace(":f", &copy.fleet.to_string());
        connection.execute(&filled, []).with_context(|| format!("rows of {table}"))?;
    }
    Ok(())
}

/// How a column is copied.
fn changed<'a>(changes: &[(&str, &'a str)], name: &'a str) -> &'a str {
    changes.iter().find(|(column, _)| *column == name).map_or(name, |(_, value)| value)
}

/// Repeats what the demo's people did until the log is long.
fn fill_audit_log(connection: &Connection) -> anyhow::Result<()> {
    let columns = texts(connection, "SELECT name FROM pragma_table_info('audit_log') WHERE name <> 'id'")?;
    let columns = columns.join(", ");
    let entries = connection.query_row("SELECT count(*) FROM audit_log", [], |row| row.get::<_, i64>(0))?;
    if entries > 0 {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
             INSERT INTO audit_log ({columns}) SELECT {columns} FROM audit_log, n",
            AUDITED / entries
        );
        connection.execute(&sql, [])?;
    }
    Ok(())
}

fn texts(connection: &Connection, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

/// What there is, and pages of single things spread over all of it.
pub(super) fn look(path: &Path) -> anyhow::Result<Found> {
    let connection = Connection::open(path)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let some = |sql: &str| -> anyhow::Result<Vec<String>> {
        let found = texts(&connection, &format!("{sql} LIMIT {TARGETS}"))?;
        anyhow::ensure!(!found.is_empty(), "nothing comes of: {sql}");
        Ok(found)
    };
    // A multiplication scatters ids without a dice, so that every run asks for the same.
    Ok(Found {
        tasks: number("SELECT count(*) FROM task_rows")?,
        improvements: number("SELECT count(*) FROM improvements")?,
        entities: number("SELECT count(*) FROM entities")?,
        bytes: path.metadata()?.len(),
        now: Time::from_micros(number("SELECT now_us FROM engine_clock")?),
        improvement_pages: some("SELECT '/improvements/' || id FROM improvements ORDER BY (id * 7919) % 10007")?,
        opportunity_pages: some(
            "SELECT '/opportunities/' || id FROM optimization_opportunities ORDER BY (id * 7919) % 10007",
        )?,
        entity_pages: some(
            "SELECT '/entities/agent/' || entity_id FROM entities WHERE entity_type = 'agent' AND revision_id IS NOT NULL
             ORDER BY (entity_id * 7919) % 10007",
        )?,
        revision_pages: some(
            "SELECT '/entities/agent/' || entity_id || '/revisions/' || revision_id FROM entity_revisions
             WHERE entity_type = 'agent' ORDER BY (entity_id * 7919) % 10007",
        )?,
        // Events are those of the first fleet.
        task_pages: some(
            "SELECT '/tasks/' || trace_key FROM traces JOIN task_rows USING (trace_no)
             WHERE trace_no < 1000000 AND task = '' ORDER BY (trace_no * 7919) % 10007",
        )?,
    })
}
