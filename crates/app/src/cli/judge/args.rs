//! What can be asked for on the command line.

use std::path::PathBuf;

use uplift_cycle::judge::Question;

use super::criteria::Criteria;
use super::select::Chosen;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recorded runs: NDJSON events, plain or gzipped
    pub(crate) runs: Vec<PathBuf>,
    /// Field that names the arm, such as attributes.variant
    #[arg(long)]
    pub(crate) split: Option<String>,
    /// Control: a value of --split, a filter (attributes.variant=A,attributes.trial=0), or a file of runs
    #[arg(long)]
    pub(crate) control: String,
    /// Candidate: as for --control
    #[arg(long)]
    pub(crate) candidate: String,
    /// Field that names the piece of work that both arms did
    #[arg(long, default_value = "attributes.item")]
    pub(crate) pair: String,
    #[command(flatten)]
    pub(crate) criteria: Criteria,
    /// Units an arm needs before a keep
    #[arg(long)]
    pub(crate) min_units: Option<u64>,
    /// Share the candidate was meant to have, if units were assigned at random
    #[arg(long)]
    pub(crate) share: Option<f64>,
    /// Field with a number known before a run, such as attributes.size, which explains part of the differences
    /// between runs; may be given several times
    #[arg(long)]
    pub(crate) covariate: Vec<String>,
    /// Field with the kind of a run's task, known before it, such as attributes.class; may be given several times
    #[arg(long)]
    pub(crate) strata: Vec<String>,
    /// Replay the runs in order and say where the live trial would have stopped
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// What to judge by.
    ///
    /// # Errors
    ///
    /// Unknown metrics and values out of range.
    pub(crate) fn question(&self, chosen: &Chosen) -> anyhow::Result<Question> {
        self.criteria.question(chosen, self.share, self.min_units)
    }
}
