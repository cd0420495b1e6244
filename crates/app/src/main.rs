//! The binary `uplift`.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes a fleet of agents better while it runs, and never worse.
#[derive(Debug, Parser)]
#[command(name = "uplift", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verdict on recorded runs
    Judge(cli::judge::Args),
    /// Speed of looks
    #[command(hide = true)]
    BenchDecide(cli::bench_decide::Args),
    /// Quality of decisions, by simulation
    Simulate(cli::simulate::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Judge(args) => cli::judge::run(args),
        Command::BenchDecide(args) => cli::bench_decide::run(args),
        Command::Simulate(args) => cli::simulate::run(args),
    }
}
