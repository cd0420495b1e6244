//! One run of the command: in a process group of its own, so that whatever it starts ends with it, and with limits on
//! its time, its output, and what of that is remembered.

use std::cell::Cell;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a run that is told to end may take to clean up.
const GRACE: Duration = Duration::from_secs(2);
/// How long what is left in its pipes may take to be read once it has ended.
const DRAIN: Duration = Duration::from_millis(500);
/// Longest line that can be a report, bytes.
const MAX_LINE_BYTES: usize = 1 << 20;
/// What is remembered of standard error, bytes.
const MAX_STDERR_BYTES: usize = 2_000;
/// Read at once, bytes.
const CHUNK_BYTES: usize = 16 << 10;
/// What an operator has in the environment and the command must not see: it runs an agent on recorded work, which is not
/// to be counted as live, and which the operator's token is not meant for.
const HIDDEN: [&str; 6] =
    ["UPLIFT_TOKEN", "UPLIFT_SERVER", "UPLIFT_URL", "UPLIFT_DATABASE", "UPLIFT_CONFIG", "UPLIFT_ENTITY"];

/// What holds for every run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest run.
    pub(super) timeout: Duration,
    /// Most bytes on standard output and standard error together.
    pub(super) max_output: u64,
}

/// A run to start.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// Program and arguments, at least one.
    pub(super) command: &'a [String],
    /// What it is told besides.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Where its outcome may be written.
    pub(super) outcome: PathBuf,
    /// What it reads.
    pub(super) input: &'a str,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that we did not send.
    Signalled(i32),
    /// It took too long.
    TimedOut,
    /// It said too much.
    TooMuchOutput,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) how: How,
    /// From its start to its end.
    pub(super) duration: Duration,
    /// The last line of its standard output that is not empty.
    pub(super) last_line: Option<String>,
    /// The end of its standard error.
    pub(super) stderr: String,
}

/// Runs the command to its end; `None` where it was told to stop before.
///
/// # Errors
///
/// A command that cannot be started.
pub(super) async fn run(
    run: &Run<'_>,
    limits: Limits,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<Option<Ended>> {
    let mut child = start(run)?;
    let since = Instant::now();
    let group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut last, mut end) = (LastLine::default(), End::default());
    let left = Cell::new(limits.max_output);
    let how;
    let duration;
    {
        let pipes = async {
            tokio::try_join!(feed(stdin, run.input), drain(stdout, &left, &mut last), drain(stderr, &left, &mut end))
        };
        tokio::pin!(pipes);
        let mut open = true;
        how = loop {
            tokio::select! {
                status = child.wait() => break Some(how_ended(status?)),
                all = &mut pipes, if open => match all {
                    Ok(_) => open = false,
                    Err(TooMuch) => break Some(How::TooMuchOutput),
                },
                () = tokio::time::sleep(limits.timeout.saturating_sub(since.elapsed())) => break Some(How::TimedOut),
                _ = stop.wait_for(|stop| *stop) => break None,
            }
        };
        duration = since.elapsed();
        if !matches!(how, Some(How::Exited(_) | How::Signalled(_))) {
            group.signal(Signal::TERM);
            // Whether it heeds that or not, what is left of the group is ended next.
            let _ = timeout(GRACE, child.wait()).await;
        }
        drop(group);
        child.wait().await?;
        if open && matches!(how, Some(How::Exited(_))) {
            // Whoever left the group may hold the pipes open for ever.
            let _ = timeout(DRAIN, &mut pipes).await;
        }
    }
    Ok(how.map(|how| Ended { how, duration, last_line: last.text(), stderr: end.text() }))
}

fn start(run: &Run<'_>) -> io::Result<Child> {
    let (program, arguments) = run.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in HIDDEN {
        command.env_remove(name);
    }
    command.envs(run.environment.iter().map(|(name, value)| (name, value)));
    command.env("UPLIFT_OUTCOME_FILE", &run.outcome);
    command.process_group(0).kill_on_drop(true).spawn()
}

fn how_ended(status: ExitStatus) -> How {
    status.code().map_or_else(|| How::Signalled(status.signal().unwrap_or(0)), How::Exited)
}

/// The group a run is in. Dropped, nothing of it is left: not when the run ended and something it started did not, nor
/// when we are about to end ourselves.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // A group that is empty by now is as good as one that was told.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// More was written than is allowed.
struct TooMuch;

/// Hands over the input; a command that does not want to read it all is free not to.
async fn feed(stdin: Option<ChildStdin>, input: &str) -> Result<(), TooMuch> {
    if let Some(mut stdin) = stdin {
        let _ = async {
            stdin.write_all(input.as_bytes()).await?;
            stdin.write_all(b"\n").await?;
            stdin.shutdown().await
        }
        .await;
    }
    Ok(())
}

async fn drain(
    pipe: Option<impl AsyncRead + Unpin>,
    left: &Cell<u64>,
    memory: &mut impl Memory,
) -> Result<(), TooMuch> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut chunk = vec![0; CHUNK_BYTES];
    // A pipe that breaks has nothing more to say.
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        left.set(left.get().checked_sub(read as u64).ok_or(TooMuch)?);
        memory.take(&chunk[..read]);
    }
    Ok(())
}

/// What is remembered of an output of any length.
trait Memory {
    fn take(&mut self, bytes: &[u8]);
}

/// The last line that is not empty, if it is not too long.
#[derive(Debug, Default)]
struct LastLine {
    /// The last whole one; none where it was too long.
    whole: Option<Vec<u8>>,
    /// The one that is being written.
    current: Vec<u8>,
    /// It is too long already.
    overlong: bool,
}

impl LastLine {
    fn end_line(&mut self) {
        if self.overlong {
            self.whole = None;
        } else if !self.current.trim_ascii().is_empty() {
            self.whole = Some(std::mem::take(&mut self.current));
        }
        self.current.clear();
        self.overlong = false;
    }

    fn text(mut self) -> Option<String> {
        self.end_line();
        self.whole.map(|line| String::from_utf8_lossy(&line).trim().to_owned())
    }
}

impl Memory for LastLine {
    fn take(&mut self, bytes: &[u8]) {
        for (place, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if place > 0 {
                self.end_line();
            }
            self.overlong |= self.current.len() + part.len() > MAX_LINE_BYTES;
            if self.overlong {
                self.current.clear();
            } else {
                self.current.extend_from_slice(part);
            }
        }
    }
}

/// The last bytes.
#[derive(Debug, Default)]
struct End(Vec<u8>);

impl End {
    fn text(self) -> String {
        String::from_utf8_lossy(&self.0).trim().to_owned()
    }
}

impl Memory for End {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(MAX_STDERR_BYTES);
        self.0.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(chunks: &[&[u8]]) -> Option<String> {
        let mut last = LastLine::default();
        for chunk in chunks {
            last.take(chunk);
        }
        last.text()
    }

    #[test]
    fn the_last_line_is_found_however_it_comes() {
        for (chunks, expected) in [
            (&[&b"a\nb\n"[..]][..], Some("b")),
            (&[b"a\nb"], Some("b")),
            (&[b"a\n", b"{\"x\"", b":1}", b"\n\n  \n"], Some("{\"x\":1}")),
            (&[b"a\r\n"], Some("a")),
            (&[b"\n\n"], None),
            (&[], None),
            (&[b"\xff\n"], Some("\u{fffd}")),
        ] {
            assert_eq!(last_line(chunks).as_deref(), expected, "{chunks:?}");
        }
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        assert_eq!(last_line(&[b"a\n", &long]), None);
        assert_eq!(last_line(&[&long, b"x\nb"]).as_deref(), Some("b"));
        let mut end = End::default();
        end.take(&long);
        assert_eq!(end.text().len(), MAX_STDERR_BYTES);
    }

    #[tokio::test]
    async fn runs_end_one_way_or_another() {
        let (_hold, stop) = watch::channel(false);
        for (script, expected, line) in [
            ("cat", How::Exited(0), Some("{\"id\":1}")),
            ("echo a; exit 3", How::Exited(3), Some("a")),
            ("kill -9 $$", How::Signalled(9), None),
            ("sleep 1000", How::TimedOut, None),
            // One that heeds nothing, and leaves another behind that holds the pipe.
            ("trap '' TERM; sleep 1000 & while :; do sleep 1; done", How::TimedOut, None),
            ("sleep 1000 & echo b", How::Exited(0), Some("b")),
            ("yes", How::TooMuchOutput, Some("y")),
            ("yes >&2", How::TooMuchOutput, None),
        ] {
            let short = expected == How::TimedOut;
            let timeout = Duration::from_millis(if short { 100 } else { 100_000 });
            let command = ["sh", "-c", script].map(str::to_owned);
            let asked =
                Run { command: &command, environment: Vec::new(), outcome: PathBuf::new(), input: "{\"id\":1}" };
            let limits = Limits { timeout, max_output: 100_000 };
            let ended = run(&asked, limits, &mut stop.clone()).await.unwrap().unwrap();
            assert_eq!((ended.how, ended.last_line.as_deref()), (expected, line), "{script}");
        }
    }

    #[tokio::test]
    async fn a_run_is_stopped_and_one_that_is_none_is_said() {
        let (stopping, mut stop) = watch::channel(false);
        let command = ["sleep", "1000"].map(str::to_owned);
        let asked = Run { command: &command, environment: Vec::new(), outcome: PathBuf::new(), input: "" };
        let limits = Limits { timeout: Duration::from_secs(1_000), max_output: 1_000 };
        let (ended, ()) = tokio::join!(run(&asked, limits, &mut stop), async {
            tokio::task::yield_now().await;
            stopping.send_replace(true);
        });
        assert_eq!(ended.unwrap(), None);
        let command = ["/nonexistent/agent".to_owned()];
        let none = Run { command: &command, ..asked };
        let error = run(&none, limits, &mut stopping.subscribe()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
