//! `uplift demo`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::bail;

use crate::database::Place;
use crate::demo::{self, Options, Outcome, Pace};
use crate::text::{Style, print, print_json};
use crate::usage::{DONE, FAILED};

/// Threads: one for the server and one for the fleet.
const THREADS: usize = 2;
/// Most hours to play: four weeks.
const MOST_HOURS: f64 = 672.0;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where chance starts from: the same seed gives the same run at any speed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Hours to play after the week of history
    #[arg(long, value_name = "H", default_value_t = 38.0, value_parser = hours)]
    hours: f64,
    /// Hours a second, or `max`
    #[arg(long, value_name = "X", default_value = "0.7")]
    speed: Speed,
    /// Tell nothing on the way
    #[arg(long)]
    headless: bool,
    /// A new database file, or an empty database of PostgreSQL, to keep it in [default: a file in a temporary folder]
    #[arg(long, value_name = "PATH|URL")]
    database: Option<PathBuf>,
    /// Print the outcome as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Go on serving when it is over, until Ctrl-C, with time standing still
    #[arg(long)]
    stay: bool,
    /// Play this many seeds from the given one on, one line each, and keep nothing
    #[arg(long, value_name = "N", hide = true)]
    seeds: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Speed(Pace);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self(Pace::Max));
        }
        let pace = text.parse::<f64>().ok().filter(|pace| pace.is_finite() && *pace > 0.0);
        pace.map(|pace| Self(Pace::HoursPerSecond(pace))).ok_or_else(|| "a number above 0, or `max`".to_owned())
    }
}

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| (0.0..=MOST_HOURS).contains(hours));
    hours.ok_or_else(|| format!("a number from 0 to {MOST_HOURS}"))
}

/// Plays the demo; fails if anything was decided wrongly.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    if let Some(seeds) = args.seeds {
        return runtime.block_on(many(&args, seeds));
    }
    let database = match args.database.clone().map(Place::named) {
        Some(Place::File(path)) if path.exists() => bail!("{} exists already: name a new file", path.display()),
        Some(place) => place,
        None => Place::File(demo::own_folder()?),
    };
    let style = Style::of_stdout();
    let tell = |outcome: &Outcome| if args.json { print_json(outcome) } else { print(&demo::render(outcome, style)) };
    let outcome = runtime.block_on(demo::play(&options(&args, args.seed, database), style, tell))?;
    Ok(ExitCode::from(if outcome.score.wrong.is_empty() { DONE } else { FAILED }))
}

fn options(args: &Args, seed: u64, database: Place) -> Options {
    let silent = args.headless || args.json || args.seeds.is_some();
    Options { seed, hours: args.hours, pace: args.speed.0, silent, stay: args.stay && args.seeds.is_none(), database }
}

async fn many(args: &Args, seeds: u64) -> anyhow::Result<ExitCode> {
    let (mut fixed, mut wrong) = (0, 0);
    for seed in args.seed..args.seed.saturating_add(seeds) {
        let database = demo::own_folder()?;
        let options = options(args, seed, Place::File(database.clone()));
        let played = demo::play(&options, Style::of_stdout(), |_| Ok(())).await;
        demo::remove(&database);
        let outcome = played?;
        fixed += outcome.score.fixed;
        wrong += outcome.score.wrong.len();
        print(&line(&outcome))?;
    }
    let mean = fixed as f64 / seeds.max(1) as f64;
    print(&format!("{seeds} seeds: {mean:.2} flaws mended on average, {wrong} wrong decisions\n"))?;
    Ok(ExitCode::from(if wrong == 0 { DONE } else { FAILED }))
}

fn line(outcome: &Outcome) -> String {
    let score = &outcome.score;
    let not_right: Vec<String> = score
        .planted
        .iter()
        .filter(|planted| planted.outcome != if planted.kind == "flaw" { "kept" } else { "rolled_back" })
        .map(|planted| format!("{} {}", planted.agent, planted.outcome))
        .collect();
    let wrong: Vec<String> =
        score.wrong.iter().map(|ended| format!("WRONG {} #{}", ended.agent, ended.improvement)).collect();
    format!(
        "seed {}: {} of 6 mended, {} kept, {} taken back, {} undecided, {:.1} s {} {}\n",
        outcome.seed,
        score.fixed,
        score.kept.len(),
        score.rolled_back.len(),
        score.undecided.len(),
        outcome.seconds,
        not_right.join(", "),
        wrong.join(", ")
    )
}
