//! The commands: one file each, with its arguments and a `run`.

mod alerts;
mod apply;
mod approve;
mod bench_decide;
mod bench_engine;
mod bench_intake;
mod bench_nodes;
mod bench_pages;
mod bench_resolve;
mod cancel;
mod chaos;
mod config;
mod demo;
mod diff;
mod entities;
mod events;
mod export;
mod import;
mod improvements;
mod judge;
mod log;
mod mcp;
mod migrate;
mod nodes;
mod notifications;
mod opportunities;
mod pause;
mod reject;
mod replay;
mod requests;
mod resume;
mod reviews;
mod rollback;
mod serve;
mod show;
mod simulate;
mod status;
mod tasks;
mod token;
mod top;
mod trigger;
mod try_change;

use std::process::ExitCode;

use clap::Parser;

/// What commands other than the server log: what keeps an answer from being whole.
const QUIET_LEVEL: &str = "error";

/// Uplift improves fleets of LLM agents by live trials, and never makes them worse.
#[derive(Debug, Parser)]
#[command(name = "uplift", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Declares the table of commands: a variant, the module with its arguments and its `run`.
macro_rules! commands {
    ($($(#[$attribute:meta])* $variant:ident => $module:ident),+ $(,)?) => {
        #[derive(Debug, clap::Subcommand)]
        enum Command {
            $($(#[$attribute])* $variant($module::Args)),+
        }

        impl Command {
            fn run(self) -> anyhow::Result<ExitCode> {
                match self {
                    $(Self::$variant(args) => $module::run(args)),+
                }
            }
        }
    };
}

commands! {
    /// Take in events over HTTP, watch them, and answer questions about them
    Serve => serve,
    /// Watch a fleet with planted flaws getting better, and harm being taken back
    Demo => demo,
    /// Take in recorded events from files
    Import => import,
    /// How the fleet and its improvement are doing
    Status => status,
    /// Running trials, alerts and health, as they change
    Top => top,
    /// What could be better, and why we think so
    Opportunities => opportunities,
    /// What is being tried, and what came of it
    Improvements => improvements,
    /// What agents asked for, and what came of it
    Requests => requests,
    /// Try a change of your own, from a file
    #[command(name = "try")]
    Try => try_change,
    /// Ask for an improvement in words
    Trigger => trigger,
    /// Say yes to an improvement that waits
    Approve => approve,
    /// Say no to an improvement that waits
    Reject => reject,
    /// Call an improvement off, before or during its trial
    Cancel => cancel,
    /// Take a change back
    Rollback => rollback,
    /// Let no trial start
    Pause => pause,
    /// Let trials start again
    Resume => resume,
    /// Put files in place, merged with what was kept
    Apply => apply,
    /// Give back what is in place, as files
    Export => export,
    /// What an improvement changes, or what was kept
    Diff => diff,
    /// Agents, tools, contexts and processes
    Entities => entities,
    /// What agents did
    Tasks => tasks,
    /// What agents reported
    Events => events,
    /// Which entities are reviewed when
    Reviews => reviews,
    /// What needs attention, and who looks after it
    Alerts => alerts,
    /// Who is told of alerts and verdicts, and what is on its way
    Notifications => notifications,
    /// Tokens by which others are let in: make, list, revoke
    Token => token,
    /// Which servers share the database, and who does what
    Nodes => nodes,
    /// The tools for agents (MCP) over standard input and output
    Mcp => mcp,
    /// A verdict on recorded runs, for evaluation in CI
    Judge => judge,
    /// Run two revisions on recorded items and judge, where traffic is little
    Replay => replay,
    /// How often decisions are right, by simulation
    Simulate => simulate,
    /// Move a database from SQLite to PostgreSQL
    Migrate => migrate,
    /// The settings: show them, or change the engine's
    Config => config,
    /// Measure how fast a trial is looked at
    #[command(hide = true)]
    BenchDecide => bench_decide,
    /// Measure what running trials cost
    #[command(hide = true)]
    BenchEngine => bench_engine,
    /// Measure intake over HTTP against bare inserts
    #[command(hide = true)]
    BenchIntake => bench_intake,
    /// Measure servers that share a PostgreSQL database
    #[command(hide = true)]
    BenchNodes => bench_nodes,
    /// Measure how fast pages are made of a large database
    #[command(hide = true)]
    BenchPages => bench_pages,
    /// Measure how fast configurations are resolved
    #[command(hide = true)]
    BenchResolve => bench_resolve,
    /// Crashes, jumping clocks and bad input, against what must always hold
    #[command(hide = true)]
    Chaos => chaos,
}

/// Parses the command line and runs what it asks for.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let command = Cli::parse().command;
    if !matches!(command, Command::Serve(_)) {
        log::start(log::LogFormat::Text, QUIET_LEVEL);
    }
    command.run()
}

/// Runs a command's work on a runtime of this one thread; what reads files gets threads of its own.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
