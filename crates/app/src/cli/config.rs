//! `uplift config`.

use std::process::ExitCode;

use crate::config;
use crate::text::{print, print_json};
use crate::usage::DONE;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Every setting, with the default beside what was changed
    Show {
        #[command(flatten)]
        settings: config::Args,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Shows the settings.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Action::Show { settings, json } = args.action;
    let settings = settings.load()?;
    if json {
        print_json(&settings.policy)?;
        return Ok(ExitCode::from(DONE));
    }
    let from = match &settings.file {
        Some(file) => {
            format!("# {} and variables UPLIFT__*; what neither names is as by default\n\n", file.display())
        }
        None => "# No settings file; variables UPLIFT__* and defaults\n\n".to_owned(),
    };
    print(&format!("{from}{}", config::as_toml(&settings.policy)?))?;
    Ok(ExitCode::from(DONE))
}
