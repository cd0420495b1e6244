//! The server: store, engine, detection and HTTP in one process, until somebody asks it to stop.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uplift_model::Policy;
use uplift_model::policy::TokensNeeded;
use uplift_runner::Engine;
use uplift_web::{AppState, ConnectionLimits, Guarding, Kept, Tls, check_listen, is_loopback};

use crate::database::{Opened, Place};
use crate::lock::Holder;
use crate::usage::Misuse;

/// The pause before a loop is started again after it ended by itself.
const RESTART: std::time::Duration = std::time::Duration::from_secs(5);

/// How often histograms are tidied; without it they grow for ever.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long requests may go on once the server was asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// What the line begins with that says where the server listens.
const ANNOUNCEMENT: &str = "listening on ";
/// What the line begins with that says where else telemetry is taken.
const GRPC_ANNOUNCEMENT: &str = "taking OpenTelemetry over gRPC also on ";

/// Where and to whom it listens.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The address of everything.
    pub(crate) listen: String,
    /// Another one, for telemetry over gRPC only.
    pub(crate) otlp_grpc_listen: Option<String>,
    /// Names under which it may be addressed beside those of the loopback interface.
    pub(crate) allowed_hosts: Vec<String>,
    /// The files of a certificate and its key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// A proxy before the server speaks TLS.
    pub(crate) behind_proxy: bool,
}

impl Options {
    /// What keeps others out; said with the reason where the addresses ask for more.
    fn guarding(&self, engine: &Engine, addresses: &[SocketAddr]) -> anyhow::Result<Guarding> {
        let any = engine.tokens().any();
        self.check(any, addresses)?;
        let asked = engine.policy().access.tokens == TokensNeeded::Always;
        let tokens = asked || self.behind_proxy || !addresses.iter().copied().all(is_loopback);
        if tokens && !any {
            return Err(Misuse::error(
                "tokens are asked for, and there are none that would let anybody in: create one first, with \
                 uplift token create admin --role admin",
            ));
        }
        Ok(Guarding { tokens, behind_proxy: self.behind_proxy, tls: self.is_sealed() })
    }

    /// Whether what is said cannot be overheard.
    fn is_sealed(&self) -> bool {
        self.tls.is_some() || self.behind_proxy
    }

    fn check(&self, tokens: bool, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let kept = Kept { tokens, sealed: self.is_sealed() };
        let checked = addresses.iter().try_for_each(|address| check_listen(*address, kept));
        checked.map_err(|error| Misuse::error(error.to_string()))
    }
}

/// The addresses it listens on.
struct Listeners {
    all: TcpListener,
    grpc: Option<TcpListener>,
    tls: Option<Tls>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(database: &Place, options: &Options, policy: Policy) -> anyhow::Result<()> {
    let address = resolve(&options.listen)?;
    let grpc_address = options.otlp_grpc_listen.as_deref().map(resolve).transpose()?;
    let tls = options.tls.as_ref().map(|(certificate, key)| Tls::load(certificate, key)).transpose()?;
    let addresses: Vec<SocketAddr> = std::iter::once(address).chain(grpc_address).collect();
    // Before anything listens where others could already reach it.
    if !addresses.iter().copied().all(is_loopback) {
        let tokens = has_tokens(database, &policy).await;
        options.check(tokens, &addresses)?;
    }
    let listener = bind(address).await?;
    let bound = listener.local_addr()?;
    let url = format!("{}://{bound}", if tls.is_some() { "https" } else { "http" });
    let store = match database.open(&Holder::this_process(Some(url.clone())), || Ok(policy)).await? {
        Opened::Ours(store) => store,
        Opened::Held(holder) => {
            bail!("{database} is in use by {holder}: stop that first, or serve another database with --database")
        }
    };
    store.engine.set_url(url.clone());
    uplift_runner::watch::prepare(&store.engine).await?;
    store.engine.tokens().load(store.engine.store()).await?;
    let guarding = match options.guarding(&store.engine, &addresses) {
        Ok(guarding) => guarding,
        Err(error) => {
            store.close().await;
            return Err(error);
        }
    };
    let mut announced = announcement(&url, database);
    let grpc = match grpc_address {
        Some(address) => bind_beside(address, &url).await,
        None => None,
    };
    if let Some(address) = grpc.as_ref().and_then(|listener| listener.local_addr().ok()) {
        announced = format!("{announced}{GRPC_ANNOUNCEMENT}{address}\n");
    }
    let listeners = Listeners { all: listener, grpc, tls };
    let ended = until_stopped(&store.engine, listeners, &announced, (&options.allowed_hosts, guarding)).await;
    store.close().await;
    ended
}

async fn until_stopped(
    engine: &Engine,
    listeners: Listeners,
    announcement: &str,
    (allowed_hosts, guarding): (&[String], Guarding),
) -> anyhow::Result<()> {
    let signal = stop_signal()?;
    let (stop, stopped) = watch::channel(false);
    let state = AppState::new(engine.clone(), install_metrics()?, allowed_hosts).guarding(guarding);
    let (tls, limits) = (listeners.tls.as_ref().map(Tls::acceptor).transpose()?, ConnectionLimits::default());
    if let Some(tls) = listeners.tls {
        tokio::spawn(tls.keep_current());
    }
    let mut beside = listeners.grpc.map_or_else(
        || tokio::spawn(until(stopped.clone())),
        |grpc| {
            let app = uplift_web::grpc_router(state.clone());
            tokio::spawn(uplift_web::serve(grpc, app, limits, tls.clone(), until(stopped.clone())))
        },
    );
    let app = uplift_web::router(state);
    let mut server = tokio::spawn(uplift_web::serve(listeners.all, app, limits, tls, until(stopped.clone())));
    let mut loops = spawn_loops(engine, &stopped);
    crate::text::print(announcement)?;
    tokio::select! {
        () = signal => {}
        ended = &mut server => {
            ended.context("the server ended unexpectedly")?;
        }
    }
    engine.set_ready(false);
    // An error means that both have ended already.
    let _ = stop.send(true);
    let all = async {
        let loops = async { while loops.join_next().await.is_some() {} };
        drop(tokio::join!(&mut server, &mut beside, loops));
    };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut off; what was acknowledged is safe");
        server.abort();
        beside.abort();
        loops.abort_all();
    }
    Ok(())
}

/// Does what a server does beside answering, until SIGINT or SIGTERM: for whoever has the store open and answers already.
pub(crate) async fn go_on(engine: &Engine, url: &str, database: &Place) -> anyhow::Result<()> {
    let signal = stop_signal()?;
    let (stop, stopped) = watch::channel(false);
    let mut loops = spawn_loops(engine, &stopped);
    crate::text::print(&announcement(url, database))?;
    signal.await;
    engine.set_ready(false);
    // An error means that all have ended already.
    let _ = stop.send(true);
    if tokio::time::timeout(GRACE, async { while loops.join_next().await.is_some() {} }).await.is_err() {
        loops.abort_all();
    }
    Ok(())
}

/// Everything that a server does beside answering.
pub(crate) fn spawn_loops(engine: &Engine, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let (engine, stopped) = (|| engine.clone(), || stopped.clone());
    loops.spawn(keep_going(engine(), stopped(), "detection", uplift_runner::watch::run));
    loops.spawn(keep_going(engine(), stopped(), "improving", uplift_runner::processes::run));
    loops.spawn(keep_going(engine(), stopped(), "resolving", uplift_runner::processes::keep_up));
    loops.spawn(keep_going(engine(), stopped(), "telling of verdicts", uplift_runner::requests::answers::run));
    loops.spawn(keep_going(engine(), stopped(), "notifying", uplift_runner::notifying::run));
    loops.spawn(keep_going(engine(), stopped(), "retention", uplift_runner::retention::run));
    loops
}

/// Runs one of the loops, and starts it again should it ever end by itself: a server that takes events and does nothing
/// with them would look healthy.
async fn keep_going<Run, Running>(engine: Engine, stopped: watch::Receiver<bool>, what: &'static str, run: Run)
where
    Run: Fn(Engine, watch::Receiver<bool>) -> Running,
    Running: Future<Output = ()> + Send + 'static,
{
    while !*stopped.borrow() {
        let ended = tokio::spawn(run(engine.clone(), stopped.clone())).await;
        if *stopped.borrow() {
            return;
        }
        tracing::error!(?ended, "{what} ended by itself and is started again");
        tokio::time::sleep(RESTART).await;
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as being told.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Completes at the first SIGINT or SIGTERM.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Whether there are tokens in a database; there are none in one that does not exist or cannot be read.
async fn has_tokens(database: &Place, policy: &Policy) -> bool {
    let Ok(engine) = database.read_only(policy.clone()).await else { return false };
    engine.tokens().load(engine.store()).await.is_ok() && engine.tokens().any()
}

fn resolve(listen: &str) -> anyhow::Result<SocketAddr> {
    listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Misuse::error(format!("`{listen}` is not an address to listen on, such as 127.0.0.1:7878")))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another program: stop that, or choose another with --listen")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// Something else may well listen where exporters send by default, such as a collector: that is no reason not to start.
async fn bind_beside(address: SocketAddr, url: &str) -> Option<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(
                %address,
                %error,
                "cannot listen there for OpenTelemetry over gRPC: it is taken at {url}, or choose another address with \
                 --otlp-grpc-listen (`none` for none)"
            );
            None
        }
    }
}

fn announcement(url: &str, database: &Place) -> String {
    format!("listening on {url}, database {database}\n")
}

/// Host and port in the line by which a server says where it listens.
pub(crate) fn address_in(line: &str) -> Option<&str> {
    line.strip_prefix(ANNOUNCEMENT)?.split_once("://")?.1.split(',').next()
}

/// Installs the recorder of metrics and keeps it tidy.
fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let tidied = handle.clone();
    tokio::spawn(async move {
        let mut due = tokio::time::interval(UPKEEP);
        loop {
            due.tick().await;
            tidied.run_upkeep();
        }
    });
    Ok(handle)
}

/// The HTTP API over an engine, for this process's own questions: nothing is measured.
pub(crate) fn router(engine: Engine) -> Router {
    let nothing: [&str; 0] = [];
    uplift_web::router(AppState::new(engine, PrometheusBuilder::new().build_recorder().handle(), nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_can_be_read_back() {
        let line = announcement("http://127.0.0.1:7878", &Place::File("/data/fleet, all.db".into()));
        assert_eq!(address_in(&line), Some("127.0.0.1:7878"));
        assert_eq!(address_in("something else"), None);
    }

    #[test]
    fn addresses_are_addresses() {
        for listen in ["nonsense", "127.0.0.1"] {
            assert!(resolve(listen).unwrap_err().is::<Misuse>(), "{listen}");
        }
        assert!(resolve("127.0.0.1:0").is_ok());
    }
}
