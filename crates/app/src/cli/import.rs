//! `uplift import`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use uplift_model::Time;
use uplift_runner::{Clock as _, SystemClock, watch};

use super::block_on;
use crate::api::{self, Api, Client};
use crate::database::{Opened, Writable};
use crate::import::{self, Source, Summary, Teller};
use crate::lock::Holder;
use crate::text::{Style, print, print_json};
use crate::usage::{DONE, Misuse, PARTLY};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Events as NDJSON or a JSON array, or traces and logs of OpenTelemetry (OTLP) as JSON or protobuf, plain or gzip; - is
    /// standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The time of events without one, such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// Print nothing but errors and refused lines
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    look: api::Args,
}

/// Imports, looks at what came in, and says what was found.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let sources: Vec<Source> = args.files.iter().map(|file| Source::new(file)).collect();
    if sources.iter().filter(|source| source.is_stdin()).count() > 1 {
        return Err(Misuse::error("standard input can be read once only"));
    }
    check_at(args.at, args.look.settings.load()?.policy.intake.max_ahead_ms)?;
    sources.iter().try_for_each(Source::check)?;
    let mut teller = Teller::new(import::progress(&sources, args.quiet));
    let summary = block_on(import(&args, &sources, &mut teller));
    teller.progress().finish_and_clear();
    teller.finish();
    let summary = summary?;
    if args.look.json {
        print_json(&summary)?;
    } else if !args.quiet {
        print(&summary.render(Style::of_stdout()))?;
    }
    Ok(ExitCode::from(if summary.tally.refused > 0 { PARTLY } else { DONE }))
}

/// The time given for events without a clock has to be one that an event may bear.
fn check_at(at: Option<Time>, max_ahead_ms: i64) -> anyhow::Result<()> {
    let latest = SystemClock.now().plus_micros(max_ahead_ms.saturating_mul(1_000));
    match at {
        Some(at) if at < Time::EARLIEST || at > latest => {
            Err(Misuse::error(format!("--at must be from {} to {latest}, not {at}", Time::EARLIEST)))
        }
        _ => Ok(()),
    }
}

async fn import(args: &Args, sources: &[Source], teller: &mut Teller) -> anyhow::Result<Summary> {
    if let Some(server) = args.look.server() {
        return to_server(&server, args.at, sources, teller).await;
    }
    let place = args.look.database.place()?;
    match place.open(&Holder::this_process(None), || Ok(args.look.settings.load()?.policy)).await? {
        Opened::Held(Holder { url: Some(url), .. }) => to_server(&url, args.at, sources, teller).await,
        Opened::Held(holder) => bail!("{place} is being written by {holder}: try again when it is done"),
        Opened::Ours(store) => {
            let summary = to_file(&store, place.to_string(), args.at, sources, teller).await;
            store.close().await;
            summary
        }
    }
}

async fn to_file(
    store: &Writable,
    place: String,
    at: Option<Time>,
    sources: &[Source],
    teller: &mut Teller,
) -> anyhow::Result<Summary> {
    watch::prepare(&store.engine).await?;
    for source in sources {
        import::import_local(&store.engine, source, at, teller).await?;
    }
    watch::settle(&store.engine).await?;
    import::summarise(&Api::over(store.engine.clone()), teller.tally.clone(), place).await
}

async fn to_server(
    server: &str,
    at: Option<Time>,
    sources: &[Source],
    teller: &mut Teller,
) -> anyhow::Result<Summary> {
    let client = Client::new(server)?;
    for source in sources {
        import::import_remote(&client, source, at, teller).await?;
    }
    let api = Api::There(client);
    import::until_quiet(&api).await?;
    import::summarise(&api, teller.tally.clone(), server.to_owned()).await
}
