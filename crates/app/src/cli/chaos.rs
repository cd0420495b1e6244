//! `uplift chaos`: random courses with crashes, jumping clocks and bad input, against the numbered invariants.

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use uplift_sim::chaos::invariants::INVARIANTS;
use uplift_sim::chaos::seeds::{Outcome, Tally, play, play_on_server};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seeds to play, such as 1..1000, both included
    #[arg(long, default_value = "1..100", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// Play this seed alone, and say what happens
    #[arg(long)]
    seed: Option<u64>,
    /// Steps with faults, about ten minutes each; as many again as it takes to come to rest follow
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Threads; all processors if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Play over this PostgreSQL server, in schemas that are made for it: three processes share each database
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// List the invariants and stop
    #[arg(long)]
    list: bool,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let wanted = || "two numbers such as 1..1000".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wanted)?;
    let range = from.parse().map_err(|_| wanted())?..=to.parse().map_err(|_| wanted())?;
    if range.is_empty() { Err("the first seed must not be beyond the last".to_owned()) } else { Ok(range) }
}

/// Runs the command. Exit code 1 where an invariant did not hold.
///
/// # Errors
/// When a course cannot be played, or the output not written.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    if args.list {
        for invariant in &INVARIANTS {
            writeln!(out, "{:<4} {}", invariant.id, invariant.says)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seed) = args.seed {
        let outcome = super::block_on(played(&args, seed, true))?;
        for line in &outcome.log {
            writeln!(out, "{line}")?;
        }
        told(&outcome)?;
        writeln!(out, "{}", serde_json::to_string(&outcome.tally)?)?;
        return Ok(code(outcome.violations.len()));
    }
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let began = Instant::now();
    let (tally, bad) = all(&args, threads)?;
    let played = args.seeds.end() - args.seeds.start() + 1;
    writeln!(out, "{played} seeds in {:.0} s, {bad} of them with a violation", began.elapsed().as_secs_f64())?;
    writeln!(out, "{}", serde_json::to_string(&tally)?)?;
    Ok(code(bad))
}

async fn played(args: &Args, seed: u64, logged: bool) -> anyhow::Result<Outcome> {
    Ok(match &args.server {
        Some(server) => play_on_server(seed, args.steps, logged, server).await?,
        None => play(seed, args.steps, logged).await?,
    })
}

fn code(bad: usize) -> ExitCode {
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says what did not hold, if anything.
fn told(outcome: &Outcome) -> anyhow::Result<()> {
    for violation in &outcome.violations {
        writeln!(std::io::stdout(), "seed {}, step {}: {violation}", outcome.seed, outcome.steps)?;
    }
    Ok(())
}

/// Plays all seeds; what happened, and how many went wrong.
fn all(args: &Args, threads: usize) -> anyhow::Result<(Tally, usize)> {
    let next = AtomicU64::new(*args.seeds.start());
    let result = Mutex::new((Tally::default(), 0));
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *args.seeds.end() {
                return Ok(());
            }
            let outcome = super::block_on(played(args, seed, false)).with_context(|| format!("seed {seed}"))?;
            told(&outcome)?;
            let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
            result.0.add(&outcome.tally);
            result.1 += usize::from(!outcome.violations.is_empty());
        }
    };
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })?;
    Ok(result.into_inner().unwrap_or_else(PoisonError::into_inner))
}
