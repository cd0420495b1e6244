//! What the tests share: running the binary, servers that end with the test, records, waiting without sleeping for
//! luck.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_uplift");
/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Most lines that a server says before it listens.
const MAX_LINES: usize = 1_000;

/// The binary, untouched by the settings of whoever runs the tests.
pub fn uplift() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("UPLIFT")) {
        command.env_remove(name);
    }
    // Servers of other tests, or of whoever runs them, listen on the default port.
    command.env("UPLIFT_OTLP_GRPC_LISTEN", "none");
    command.env("RUST_LOG", "warn").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ran {
    Ran::of(uplift().args(arguments).output().expect("the binary runs"))
}

/// Runs the binary with something on its standard input.
pub fn run_with_input<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>, input: &[u8]) -> Ran {
    let mut child = uplift()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the input is written");
    Ran::of(output)
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code and returns the run.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A running server, killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts one on a free port and waits until it listens.
    pub fn start(database: &Path) -> Self {
        Self::start_by(uplift(), database)
    }

    /// Starts one whose files cannot grow beyond a soft limit, in blocks of 512 or 1,024 bytes, whichever the shell
    /// counts in. A write beyond it fails, as it would by a quota.
    pub fn start_limited(database: &Path, blocks: u32) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, BINARY]).env("RUST_LOG", "warn").stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("UPLIFT")) {
            shell.env_remove(name);
        }
        shell.env("UPLIFT_OTLP_GRPC_LISTEN", "none");
        Self::start_by(shell, database)
    }

    /// Starts one by this command, the binary with whatever goes before its arguments.
    pub fn start_by(mut command: Command, database: &Path) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(database);
        Self::started(command)
    }

    /// Starts one by a whole command line, which says where it listens: on its first line, or after others.
    pub fn started(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let announced = lines.take(MAX_LINES).find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
        let announced = announced.expect("it says where it listens");
        let address = announced.split_once("://").and_then(|(_, rest)| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("not an announcement: {announced}")).to_owned();
        Self { child, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is finished, nothing is written back.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ends");
    }

    /// Sends a signal and waits for the end; the exit code.
    pub fn end_by(mut self, signal: &str) -> i32 {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let status = until("the server ends", || self.child.try_wait().expect("it is ours"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask)
}

/// Asks again until there is an answer, no longer than `patience`.
#[track_caller]
pub fn within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder for a test, gone afterwards.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The database for reading, beside whoever has it open.
pub fn read(database: &Path) -> Connection {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens")
}

/// A number from the database.
pub fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Every row of a query as text, sorted, so that two databases can be compared.
pub fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = statement.column_count();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let values: Result<Vec<rusqlite::types::Value>, _> = (0..columns).map(|column| row.get(column)).collect();
            Ok(format!("{:?}", values?))
        })
        .expect("it can be asked")
        .collect::<Result<_, _>>()
        .expect("it can be read");
    rows.sort();
    rows
}

/// An event that a test sends.
pub fn event(id: &str, event_type: &str, task: &str, more: Value) -> String {
    let mut event = json!({
        "id": id, "ts": "2026-01-05T10:00:00Z", "event_type": event_type, "agent": "tester", "task_id": task,
    });
    let fields = event.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    event.to_string()
}

/// Writes lines to a file of the folder.
pub fn file(folder: &tempfile::TempDir, name: &str, lines: &[String]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, lines.join("\n") + "\n").expect("it can be written");
    path
}

/// Bytes as gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("memory takes everything");
    packed.finish().expect("memory takes everything")
}

/// A set of recorded events, or nothing, said aloud, where there is none.
pub fn recorded(set: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("UPLIFT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = folder.join(set).join("events.ndjson.gz");
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: no data at {}", path.display());
    None
}
