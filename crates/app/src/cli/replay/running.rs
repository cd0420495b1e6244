//! Runs what is planned and not on record: so many items at a time, each with one revision and then the other.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use futures::stream::{self, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use uplift_model::trial::Arm;

use super::child::{self, Ended, How, Limits, Run};
use super::outcome::{self, Grade, Outcome};
use super::plan::{self, Pair, name};
use super::record::{Done, Results};
use super::revisions::Compared;
use crate::text::{clean, clip, plural};
use crate::usage::Misuse;

/// How often the bar is drawn anew, times a second.
const DRAWS: u8 = 5;
/// How often a line says how far it is where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Failures and unusable reports that are told one by one.
const TOLD: u64 = 5;
/// Longest line about one of them, columns.
const TOLD_WIDTH: usize = 200;

/// How to run.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) command: &'a [String],
    pub(super) limits: Limits,
    /// Items at a time, at least 1.
    pub(super) parallel: usize,
    /// Dollars, above 0.
    pub(super) max_cost: Option<f64>,
    /// A folder for what the command is handed.
    pub(super) folder: &'a Path,
    pub(super) quiet: bool,
    /// Where results stay, if they do.
    pub(super) kept: Option<&'a Path>,
}

/// What the runs share.
struct Shared<'a> {
    running: &'a Running<'a>,
    compared: &'a Compared,
    /// Files with the configurations, by arm.
    files: [PathBuf; 2],
    results: RefCell<&'a mut Results>,
    teller: Teller,
    spent: Cell<bool>,
    /// Runs so far, which numbers their files.
    begun: Cell<u64>,
}

impl Running<'_> {
    /// Runs all that is missing.
    ///
    /// # Errors
    ///
    /// A command that cannot be started, results that cannot be written, and whatever keeps it from being finished.
    pub(super) async fn all(
        &self,
        pairs: &[Pair<'_>],
        compared: &Compared,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        let missing = |results: &Results| -> usize {
            let has = |pair: &Pair<'_>, arm| usize::from(!results.has(&pair.item.id, pair.repeat, arm));
            pairs.iter().map(|pair| has(pair, Arm::Control) + has(pair, Arm::Candidate)).sum()
        };
        let all = 2 * pairs.len();
        let done = all - missing(results);
        let files = [self.write(Arm::Control, compared)?, self.write(Arm::Candidate, compared)?];
        let teller = Teller::new(all, done, self.quiet);
        let shared = Shared {
            running: self,
            compared,
            files,
            results: RefCell::new(&mut *results),
            teller,
            spent: Cell::new(false),
            begun: Cell::new(0),
        };
        let (stopping, stop) = watch::channel(false);
        let work = stream::iter(pairs.iter().map(Ok)).try_for_each_concurrent(self.parallel, |pair| {
            let stop = stop.clone();
            let shared = &shared;
            async move { shared.pair(pair, stop).await }
        });
        let ended = tokio::select! {
            ended = work => ended,
            told = interrupted(&stopping) => told,
        };
        shared.teller.bar.finish_and_clear();
        let (spent, stopped) = (shared.spent.get(), *stop.borrow());
        let left = missing(results);
        let how_far = || format!("{} of {}", all - left, plural(all as i64, "run", "runs"));
        match (ended, left) {
            (Err(error), _) => Err(error.context(self.keeps(&how_far()))),
            (Ok(()), 0) => Ok(()),
            (Ok(()), _) if stopped => bail!("stopped after {}", self.keeps(&how_far())),
            (Ok(()), _) if spent => bail!("--max-cost is spent after {}", self.keeps(&how_far())),
            (Ok(()), _) => bail!("ended after {}", self.keeps(&how_far())),
        }
    }

    fn keeps(&self, how_far: &str) -> String {
        match self.kept {
            Some(out) => format!("{how_far}; they are in {}, and the same command goes on from there", out.display()),
            None => format!("{how_far}; with --out FILE they would have been kept"),
        }
    }

    /// Writes an arm's configuration for the command to read, and for it only to read.
    fn write(&self, arm: Arm, compared: &Compared) -> anyhow::Result<PathBuf> {
        let revision = compared.of(arm);
        let path = self.folder.join(format!("{}.json", name(arm)));
        let write = || -> io::Result<()> {
            std::fs::write(&path, serde_json::to_vec(revision.configuration())?)?;
            let mut permissions = std::fs::metadata(&path)?.permissions();
            permissions.set_readonly(true);
            std::fs::set_permissions(&path, permissions)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Ends runs at the first SIGINT or SIGTERM, and everything at the second.
async fn interrupted(stopping: &watch::Sender<bool>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stopping.send_replace(true) {
            return Ok(());
        }
    }
}

impl Shared<'_> {
    async fn pair(&self, pair: &Pair<'_>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        for arm in pair.arms {
            if *stop.borrow() || self.spent.get() {
                return Ok(());
            }
            if self.results.borrow().has(&pair.item.id, pair.repeat, arm) || self.has_spent() {
                continue;
            }
            self.run(pair, arm, &mut stop).await?;
        }
        Ok(())
    }

    fn has_spent(&self) -> bool {
        let cost: f64 = self.results.borrow().counts.iter().map(|arm| arm.cost_usd).sum();
        if self.running.max_cost.is_some_and(|most| cost >= most) {
            self.spent.set(true);
        }
        self.spent.get()
    }

    async fn run(&self, pair: &Pair<'_>, arm: Arm, stop: &mut watch::Receiver<bool>) -> anyhow::Result<()> {
        let unit = plan::unit(&pair.item.id, pair.repeat, arm);
        self.begun.set(self.begun.get() + 1);
        let report = self.running.folder.join(format!("outcome-{}.json", self.begun.get()));
        let mut environment = vec![
            ("UPLIFT_REVISION_FILE", self.files[arm.index()].display().to_string()),
            ("UPLIFT_REVISION", self.compared.of(arm).id().to_string()),
            ("UPLIFT_ARM", name(arm).to_owned()),
            ("UPLIFT_ITEM", pair.item.id.clone()),
            ("UPLIFT_REPEAT", pair.repeat.to_string()),
            ("UPLIFT_UNIT", unit),
            ("UPLIFT_SEED", pair.seed.to_string()),
        ];
        if let Some(entity) = &self.compared.entity {
            environment.push(("UPLIFT_ENTITY", format!("{}/{}", entity.entity_type, entity.name)));
        }
        let run = Run { command: self.running.command, environment, outcome: report, input: &pair.item.json };
        let started = Timestamp::now();
        let ended = child::run(&run, self.running.limits, stop).await.map_err(|error| self.not_started(error))?;
        let Some(ended) = ended else { return Ok(()) };
        let outcome = outcome::of(&ended, &run.outcome);
        // There may be none; what else it is goes with the folder.
        let _ = std::fs::remove_file(&run.outcome);
        self.teller.tell(pair, arm, &ended, &outcome);
        let exit_code = match ended.how {
            How::Exited(code) => Some(code),
            _ => None,
        };
        self.results.borrow_mut().add(&Done {
            item: pair.item,
            repeat: pair.repeat,
            arm,
            started,
            ended: Timestamp::now(),
            exit_code,
            stderr: &ended.stderr,
            outcome,
        })
    }

    fn not_started(&self, error: io::Error) -> anyhow::Error {
        let program = self.running.command.first().map_or("", String::as_str);
        let said = format!("cannot run {program}: {error}");
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
                Misuse::error(said)
            }
            _ => anyhow!(said),
        }
    }
}

/// Says how far it is, and what went wrong, on standard error.
struct Teller {
    bar: ProgressBar,
    /// Whether lines take the bar's place.
    lines: bool,
    quiet: bool,
    told: Cell<u64>,
    last_line: Cell<Instant>,
}

impl Teller {
    fn new(all: usize, done: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS))
        };
        bar.set_length(all as u64);
        // What was there already says nothing about how long the rest takes.
        bar.set_position(done as u64);
        bar.reset_eta();
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} runs, {eta} left") {
            bar.set_style(style);
        }
        Self { bar, lines: !quiet && !terminal, quiet, told: Cell::new(0), last_line: Cell::new(Instant::now()) }
    }

    fn tell(&self, pair: &Pair<'_>, arm: Arm, ended: &Ended, outcome: &Outcome) {
        self.bar.inc(1);
        if self.lines && self.last_line.get().elapsed() >= LINE_EVERY {
            self.last_line.set(Instant::now());
            eprintln!("{} of {} runs", self.bar.position(), self.bar.length().unwrap_or(0));
        }
        let Some(what) = what_went_wrong(ended, outcome) else { return };
        if self.quiet || self.told.get() > TOLD {
            return;
        }
        self.told.set(self.told.get() + 1);
        let line = if self.told.get() > TOLD {
            "further runs that go wrong are counted, and no longer told".to_owned()
        } else {
            clip(&clean(&format!("{} of {}: {what}", name(arm), pair.item.id)), TOLD_WIDTH)
        };
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

/// In words; nothing where a run failed in an orderly way, which is what runs may do.
fn what_went_wrong(ended: &Ended, outcome: &Outcome) -> Option<String> {
    if !outcome.unusable.is_empty() {
        return Some(outcome.unusable.join("; "));
    }
    let how = match ended.how {
        How::Exited(0) => return None,
        How::Exited(_) if outcome.result == Grade::Success => return None,
        How::Exited(code) => format!("it exited with code {code}"),
        How::Signalled(signal) => format!("it was ended by signal {signal}"),
        How::TimedOut => "it took too long and was ended".to_owned(),
        How::TooMuchOutput => "it wrote too much and was ended".to_owned(),
    };
    Some(match ended.stderr.lines().last() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    })
}
