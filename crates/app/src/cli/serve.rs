//! `uplift serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::log::{self, LogFormat};
use crate::usage::DONE;
use crate::{config, database, serve};

/// What is logged unless `RUST_LOG` says otherwise.
// The MCP library tells of every request.
const LOG_LEVEL: &str = "info,rmcp=warn";
/// Stands for no address.
const NOWHERE: &str = "none";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    database: database::Args,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7878")]
    listen: String,
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "UPLIFT_OTLP_GRPC_LISTEN",
        help = "Another address that takes OpenTelemetry over gRPC, which --listen does too; `none` for none [default: the \
                setting otlp.grpc_listen, 127.0.0.1:4317 unless changed]"
    )]
    otlp_grpc_listen: Option<String>,
    #[command(flatten)]
    settings: config::Args,
    #[arg(
        long,
        value_enum,
        default_value_t = LogFormat::Text,
        help = "Form of the log on standard error; RUST_LOG sets its level"
    )]
    log_format: LogFormat,
    /// Another name under which this server may be addressed, such as that of a proxy before it; may be repeated
    #[arg(long = "allow-host", value_name = "NAME")]
    allowed_hosts: Vec<String>,
    /// Certificate to speak TLS with, and those that lead to its root, PEM; read again when it changes
    #[arg(long, value_name = "FILE", env = "UPLIFT_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", env = "UPLIFT_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy before this server speaks TLS; tokens are asked for then, on the loopback interface too
    #[arg(long, conflicts_with = "tls_cert")]
    behind_proxy: bool,
    /// Threads that answer requests
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

/// Serves until asked to stop.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    log::start(args.log_format, LOG_LEVEL);
    let settings = args.settings.load()?;
    let database = args.database.place()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(args.threads.into()).enable_all().build()?;
    let grpc = args.otlp_grpc_listen.unwrap_or_else(|| settings.policy.otlp.grpc_listen.clone());
    let options = serve::Options {
        listen: args.listen,
        otlp_grpc_listen: (grpc != NOWHERE).then_some(grpc),
        allowed_hosts: args.allowed_hosts,
        tls: args.tls_cert.zip(args.tls_key),
        behind_proxy: args.behind_proxy,
    };
    runtime.block_on(serve::run(&database, &options, settings.policy))?;
    Ok(ExitCode::from(DONE))
}
