//! Recorded events and saved telemetry in: into a database of our own, or to the server that has it open.

mod local;
mod remote;
mod saved;
mod source;
mod summary;
mod tally;

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) use local::{import as import_local, import_bytes};
pub(crate) use remote::import as import_remote;
pub(crate) use source::Source;
pub(crate) use summary::{Summary, summarise, until_quiet};
pub(crate) use tally::{Tally, Teller};

/// How often the bar is drawn anew, times a second.
const DRAWS: u8 = 5;

/// A bar over the bytes of these sources as they are stored, on standard error; hidden where nobody would see it.
pub(crate) fn progress(sources: &[Source], quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes: Option<u64> = sources.iter().map(Source::size).sum();
    let bar = ProgressBar::with_draw_target(sizes, ProgressDrawTarget::stderr_with_hz(DRAWS));
    let template = match sizes {
        Some(_) => "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
        None => "{spinner} {bytes} {bytes_per_sec}",
    };
    // Without a style of ours the default one serves.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
