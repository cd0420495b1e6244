//! A running server.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::place::Place;
use super::programs::Programs;
use super::user::User;

/// How the cluster is made: text in the order of its bytes, whoever comes is let in, nobody waits for the disk.
const INITDB: &[&str] =
    &["--username=postgres", "--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions"];

/// Reached by TCP on this machine only, durable as in earnest, room for all tests at once.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=128MB",
    "max_wal_size=256MB",
    "fsync=on",
];

/// Longest time until a server answers, and until it has ended.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Ports that are tried: another program may take one between finding it free and using it.
const PORTS: usize = 3;

/// Lines of the log that an error shows.
const LINES: usize = 15;

/// A server that ends with this value, and with this process however that ends.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    process: Child,
    _guard: Guard,
    programs: Programs,
    user: User,
    /// The last to go: with it others may use the folder.
    place: Place,
}

impl Server {
    /// Starts one, on a cluster of an earlier run if there is a healthy one.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it does not start.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let programs = Programs::find_or_install()?;
        let user = User::find()?;
        let place = Place::take(root, user)?;
        // The place is ours, so a server in it was left behind by a run that was killed.
        stop(&programs, user, &place, "immediate");
        let made = format!("{}\n{}\n{user:?}\n", programs.version, INITDB.join(" "));
        if !place.is_healthy(&made) {
            place.clear()?;
            make_cluster(&programs, user, &place)?;
            place.note(&made)?;
        }
        let guard = Guard::start(&programs, user, &place)?;
        let mut tried = 0;
        let (port, process) = loop {
            tried += 1;
            let port = free_port()?;
            match launch(&programs, user, &place, port) {
                Ok(process) => break (port, process),
                Err(error) if tried == PORTS => return Err(error),
                Err(_) => {}
            }
        };
        Ok(Self { port, process, _guard: guard, programs, user, place })
    }

    /// Its address, as the tests are told.
    pub(crate) fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// One line for the reader.
    pub(crate) fn says(&self) -> String {
        let data = self.place.data();
        format!("PostgreSQL {}: runs on port {}, in {}", self.programs.number(), self.port, data.display())
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.place.log()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait().context("the server cannot be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&self.programs, self.user, &self.place, "fast");
        // Where that did nothing, the process is still ours by its number.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn make_cluster(programs: &Programs, user: User, place: &Place) -> anyhow::Result<()> {
    let mut command = user.command(&programs.path("initdb"));
    command.args(INITDB).arg("--pgdata").arg(place.data());
    let output = command.output().context("`initdb` cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`initdb` made no cluster in {}:\n{said}", place.data().display());
    Ok(())
}

/// Starts the server and waits until it lets clients in. It is in a group of processes of its own: a Ctrl-C is for those
/// who use it, and it ends after them.
fn launch(programs: &Programs, user: User, place: &Place, port: u16) -> anyhow::Result<Child> {
    let log = File::create(place.log()).with_context(|| format!("{} cannot be written", place.log().display()))?;
    let mut command = user.command(&programs.path("postgres"));
    command.arg("-D").arg(place.data()).arg("-p").arg(port.to_string());
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut server = command.spawn().context("`postgres` cannot be started")?;
    let deadline = Instant::now() + PATIENCE;
    while !is_ready(&place.data(), server.id()) {
        if let Some(status) = server.try_wait()? {
            bail!("the server ended with {status}:\n{}", last_lines(&place.log()));
        }
        if Instant::now() > deadline {
            stop(programs, user, place, "immediate");
            let _ = server.wait();
            bail!("the server does not let clients in:\n{}", last_lines(&place.log()));
        }
        thread::sleep(PAUSE);
    }
    Ok(server)
}

/// A shell that waits for the end of its input, which comes with the end of this process, to stop the server then.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    fn start(programs: &Programs, user: User, place: &Place) -> anyhow::Result<Self> {
        let mut command = user.command(Path::new("sh"));
        command.args(["-c", "read -r _; exec \"$0\" stop -s -m fast -D \"$1\""]);
        command.arg(programs.path("pg_ctl")).arg(place.data());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Self(command.spawn().context("`sh` cannot be started")?))
    }
}

impl Drop for Guard {
    /// It goes before its input does, so that it stops nothing that runs in this folder later.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops the server of a folder, if there is one.
fn stop(programs: &Programs, user: User, place: &Place, mode: &str) {
    if !place.is_served() {
        return;
    }
    let mut command = user.command(&programs.path("pg_ctl"));
    command.args(["stop", "-s", "-w", "-m", mode, "-t", &PATIENCE.as_secs().to_string(), "-D"]).arg(place.data());
    // What it says is of no use to anybody: whoever starts a server in this folder next is told.
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Whether the server of a folder lets clients in, as it writes into the file of its process: first its number, in the
/// eighth line its state.
fn is_ready(data: &Path, server: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first().is_some_and(|line| *line == server.to_string()) && lines.get(7) == Some(&"ready")
}

/// A port that nobody uses at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
