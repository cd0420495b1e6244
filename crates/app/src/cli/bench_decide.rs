//! `uplift bench-decide`: task outcomes through monitor and decide on one core, with a look at each.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use uplift_sim::throughput;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Task outcomes
    #[arg(long, default_value_t = 1_000_000)]
    tasks: usize,
}

/// Runs the measurement: the first tenth beside the whole, so that a cost that grows shows.
///
/// # Errors
///
/// Unwritable output.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    for tasks in [args.tasks / 10, args.tasks] {
        let day = throughput::day(tasks, 1).context("the scenario without effect is missing")?;
        let start = Instant::now();
        let looked = day.look_at_each();
        let seconds = start.elapsed().as_secs_f64();
        writeln!(
            std::io::stdout(),
            "{} outcomes, a look at each: {:.2} s on one core, {:.2} us a look; {} findings in full, {} units waiting",
            looked.looks,
            seconds,
            1e6 * seconds / (looked.looks.max(1) as f64),
            looked.decisions,
            looked.immature,
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
