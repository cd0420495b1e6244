//! `uplift simulate`: how good the decisions are, by simulation with the product's own monitor and decide.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use uplift_model::policy::trial::TrialPolicy;
use uplift_sim::decisions::replicate::Setup;
use uplift_sim::decisions::scenario::{self, Scenario};
use uplift_sim::decisions::score::{Score, score};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scenarios to run, comma-separated; all of them if none is given
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// Tasks in a day, both arms together
    #[arg(long, default_value_t = 2_000)]
    tasks: usize,
    /// Share of the candidate, above 0 and below 1
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// Simulated trials per scenario
    #[arg(long, default_value_t = 1_000)]
    replicates: u64,
    /// Seed; the same seed gives the same numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; all processors if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the scenarios and stop
    #[arg(long)]
    list: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Unwritable output. Bad usage is exit code 2.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.list {
        for scenario in scenario::all() {
            writeln!(std::io::stdout(), "{:<18} {}", scenario.name, scenario.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let scenarios = match chosen(&args) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(ExitCode::from(2));
        }
    };
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let scores = all(&args, &scenarios, threads)?;
    if args.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "scenarios": scores }))?;
        writeln!(std::io::stdout(), "{text}")?;
    } else {
        table(&args, &scores)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(args: &Args) -> anyhow::Result<Vec<Scenario>> {
    if !(args.share > 0.0 && args.share < 1.0) {
        bail!("--share must be above 0 and below 1");
    }
    if args.replicates == 0 || args.tasks == 0 {
        bail!("--replicates and --tasks must be above 0");
    }
    if args.scenario.is_empty() {
        return Ok(scenario::all());
    }
    args.scenario
        .iter()
        .map(|name| scenario::named(name).with_context(|| format!("there is no scenario {name}; see --list")))
        .collect()
}

fn all(args: &Args, scenarios: &[Scenario], threads: usize) -> anyhow::Result<Vec<Score>> {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(args.replicates * scenarios.len() as u64)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len} {eta}")?);
    let scores = scenarios
        .iter()
        .map(|scenario| {
            bar.set_message(scenario.name);
            let setup = Setup {
                scenario: *scenario,
                tasks: args.tasks,
                share: args.share,
                seed: args.seed,
                policy: TrialPolicy::default(),
            };
            score(&setup, args.replicates, threads, &|| bar.inc(1))
        })
        .collect();
    bar.finish_and_clear();
    Ok(scores)
}

fn table(args: &Args, scores: &[Score]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} tasks a day, share {}, {} replicates, seed {}; a look after every task. Rates with Monte-Carlo standard errors.\n",
        args.tasks, args.share, args.replicates, args.seed
    )?;
    writeln!(
        out,
        "| scenario | rollback | of it early | keep proven | keep supported | inconclusive | invalid | median candidate tasks to rollback | exposed tasks |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for score in scores {
        writeln!(
            out,
            "| {} | {:.3} ± {:.3} | {:.3} | {:.3} ± {:.3} | {:.3} | {:.3} | {:.3} | {} | {:.0} |",
            score.name,
            score.p_rollback,
            score.se_rollback,
            score.early_rollbacks,
            score.p_keep_proven,
            score.se_keep_proven,
            score.p_keep_supported,
            score.p_inconclusive,
            score.p_invalid,
            score.median_candidate_tasks.map_or_else(|| "-".to_owned(), |tasks| format!("{tasks:.0}")),
            score.exposed_tasks,
        )?;
    }
    Ok(())
}
