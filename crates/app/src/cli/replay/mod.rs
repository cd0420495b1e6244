//! `uplift replay`: runs two revisions on recorded items, each item with both, and judges. For agents with little
//! traffic.
//!
//! Exit code 0 keep, 10 rollback, 11 inconclusive, 12 invalid, 2 bad usage, 1 not finished.

mod child;
mod items;
mod outcome;
mod plan;
mod record;
mod revisions;
mod running;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use uplift_model::verdict::Verdict;

use self::child::Limits;
use self::items::Item;
use self::record::{Counts, Results, Subject};
use self::revisions::Compared;
use self::running::Running;
use super::block_on;
use super::judge::{self, Criteria};
use crate::api;
use crate::declare::shown;
use crate::text::{clean, plural, print, print_json, put};
use crate::usage::Misuse;

/// Longest run that can be allowed.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);
/// Most runs at a time.
const MAX_PARALLEL: u16 = 256;
/// Most times that an item is repeated.
const MAX_REPEATS: u32 = 1_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recorded items: objects or texts as JSON, one after another or in a list, plain or gzipped
    #[arg(long, value_name = "FILE")]
    items: PathBuf,
    /// The field that names an item
    #[arg(long, value_name = "FIELD", default_value = "id")]
    item_id: String,
    /// Only the first N items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    limit: Option<u32>,
    #[command(flatten)]
    revisions: revisions::Args,
    #[arg(
        long,
        value_name = "CMD",
        conflicts_with = "command",
        required_unless_present = "command",
        help = "The command that runs one item: split into words as a shell would, without a shell. It reads the item \
                as JSON on standard input, and finds the configuration in the file that UPLIFT_REVISION_FILE names"
    )]
    exec: Option<String>,
    /// The same command, word by word
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
    /// Keep results here, and go on from those that are there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Forget what is in --out, and begin anew
    #[arg(long, requires = "out")]
    fresh: bool,
    /// How often each item is run with each revision; its runs count as one, by their mean
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_REPEATS)))]
    repeats: u32,
    #[arg(
        long,
        default_value_t = 1,
        help = "Decides which revision runs an item first, and is the root of UPLIFT_SEED"
    )]
    seed: u64,
    /// Items at a time; the two runs of one never overlap
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_PARALLEL)))]
    parallel: u16,
    /// Longest run, such as 90s or 10m; one that takes longer is ended and is an error
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = timeout)]
    timeout: Duration,
    /// Most bytes that a run may write to standard output and standard error
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    max_output: u64,
    /// Start no run once those on record have cost this much, as they report it
    #[arg(long, value_name = "USD", value_parser = cost)]
    max_cost: Option<f64>,
    #[command(flatten)]
    criteria: Criteria,
    /// Items a keep needs
    #[arg(long, value_name = "N", default_value_t = 20)]
    min_units: u64,
    /// Say nothing of progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    look: api::Args,
}

/// Runs what is not on record yet, and judges all of it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.criteria.check(Some(args.min_units)).map_err(|error| Misuse::error(format!("{error:#}")))?;
    let command = command(&args)?;
    let mut items = items::read(&args.items, &args.item_id).map_err(|error| Misuse::error(format!("{error:#}")))?;
    items.truncate(args.limit.map_or(usize::MAX, |limit| limit as usize));
    let compared = block_on(revisions::compared(&args.revisions, &args.look))?;
    let folder = tempfile::tempdir()?;
    let out = args.out.clone().unwrap_or_else(|| folder.path().join("results.ndjson"));
    let subject = Subject::new(&compared, &command, args.seed, limits(&args));
    let mut results = Results::open(&out, &subject, args.fresh)?;
    results.check_against(&items, args.repeats)?;
    let pairs = plan::pairs(&items, args.repeats, args.seed)?;
    let running = Running {
        command: &command,
        limits: limits(&args),
        parallel: args.parallel.into(),
        max_cost: args.max_cost,
        folder: folder.path(),
        quiet: args.quiet,
        kept: args.out.as_deref(),
    };
    block_on(running.all(&pairs, &compared, &mut results))?;
    let judging = judging(&args, &out);
    let (verdict, _) = judge::judged(&judging)?;
    tell(&args, &judging, &verdict, &compared, &items, &results)?;
    Ok(judge::exit_code(&verdict))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT)
        .ok_or_else(|| format!("it must be above 0 and at most {} hours", MAX_TIMEOUT.as_secs() / 3_600))
}

fn cost(text: &str) -> Result<f64, String> {
    let cost: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if cost.is_finite() && cost > 0.0 { Ok(cost) } else { Err("it must be above 0".to_owned()) }
}

/// Program and arguments.
fn command(args: &Args) -> anyhow::Result<Vec<String>> {
    let words = match &args.exec {
        Some(line) => shlex::split(line).ok_or_else(|| Misuse::error("--exec has a quote that does not end"))?,
        None => args.command.clone(),
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(Misuse::error("--exec names no command"));
    }
    Ok(words)
}

fn limits(args: &Args) -> Limits {
    Limits { timeout: args.timeout, max_output: args.max_output }
}

/// The same question as one would put to `uplift judge`.
fn judging(args: &Args, out: &Path) -> judge::Args {
    judge::Args {
        runs: vec![out.to_owned()],
        split: Some("attributes.arm".to_owned()),
        control: "control".to_owned(),
        candidate: "candidate".to_owned(),
        pair: "attributes.item".to_owned(),
        criteria: args.criteria.clone(),
        min_units: Some(args.min_units),
        share: None,
        covariate: Vec::new(),
        strata: Vec::new(),
        watch: false,
        json: args.look.json,
    }
}

/// The command that judges the same results again.
fn again(judging: &judge::Args, out: &Path) -> Option<String> {
    let words = ["uplift", "judge", out.to_str()?, "--split", "attributes.arm"];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.extend(["--control", "control", "--candidate", "candidate"].map(str::to_owned));
    words.extend(judging.criteria.options());
    if let Some(units) = judging.min_units {
        words.extend(["--min-units".to_owned(), units.to_string()]);
    }
    shlex::try_join(words.iter().map(String::as_str)).ok()
}

fn tell(
    args: &Args,
    judging: &judge::Args,
    verdict: &Verdict,
    compared: &Compared,
    items: &[Item],
    results: &Results,
) -> anyhow::Result<()> {
    let again = args.out.as_deref().and_then(|out| again(judging, out));
    if args.look.json {
        let mut answer = judge::json(verdict, None);
        answer["replay"] = json!({
            "entity": compared.entity.as_ref().map(shown), "control": compared.control.id(), "candidate": compared.candidate.id(),
            "items": items.len(), "repeats": args.repeats, "found": results.found,
            "runs": {"control": results.counts[0], "candidate": results.counts[1]},
            "out": args.out, "judge": again,
        });
        return print_json(&answer);
    }
    let mut page = judge::text(verdict, None);
    put!(&mut page, "\n{}", said(compared, items, args.repeats, results));
    if let Some(again) = again {
        put!(&mut page, "The same verdict again: {}\n", clean(&again));
    }
    print(&page)
}

/// What was run, in a few lines.
fn said(compared: &Compared, items: &[Item], repeats: u32, results: &Results) -> String {
    let mut page = format!(
        "Replayed {}{}, {} with each revision",
        plural(items.len() as i64, "item", "items"),
        compared.entity.as_ref().map_or_else(String::new, |entity| format!(" of {}", clean(&shown(entity)))),
        if repeats == 1 { "once".to_owned() } else { format!("{repeats} times") },
    );
    if results.found > 0 {
        put!(&mut page, "; {} on record before", plural(results.found as i64, "run was", "runs were"));
    }
    page.push_str(".\n");
    for (name, counts) in ["control", "candidate"].into_iter().zip(results.counts) {
        let Counts { runs, failed, errors, timeouts, cost_usd } = counts;
        put!(&mut page, "  {name:<10} {failed} of {runs} failed");
        if errors > 0 {
            put!(&mut page, ", {} by an error", errors);
        }
        if timeouts > 0 {
            put!(&mut page, " ({} took too long)", timeouts);
        }
        if cost_usd > 0.0 {
            put!(&mut page, "; ${cost_usd:.4}");
        }
        page.push('\n');
    }
    page
}
