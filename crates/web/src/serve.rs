//! Connections: how many there may be, how long one may be quiet, and how they end.
//!
//! A request that has begun has limits of its own (see `api::body`). What is watched here is the time between requests,
//! in which a client may open a connection and say nothing, or send the headers of a request one byte at a time.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Connections that may be open at any time. Others wait until one of them ends.
const MAX_CONNECTIONS: u32 = 2_000;
/// A connection may be quiet for so long: longer than the pauses of exporters, and than those between the signs of life
/// that listeners to changes are sent.
const QUIET: Duration = Duration::from_mins(1);
/// How long a connection that was asked to end has for it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a connection may have read ahead, bytes: headers have to fit, and thousands of connections into memory.
const MAX_BUFFER: usize = 128 << 10;
/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Limits on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many may be open at any time, at least one.
    pub most: u32,
    /// How long one may be quiet, no request of it being worked on and nothing being sent to it: it is closed after this
    /// time at the earliest, and after twice as long at the latest.
    pub quiet: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { most: MAX_CONNECTIONS, quiet: QUIET }
    }
}

/// Answers requests over HTTP/1 and HTTP/2, gRPC among them, and over TLS where `tls` is given, until `stop` completes; then takes no more connections and
/// returns once those that are open have been answered and have ended.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(limits.most as usize));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            // What goes wrong with one connection, or for a while with all, it looks after itself.
            (slot, Listener::accept(&mut listener).await)
        };
        let (slot, (stream, peer)) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
        tokio::spawn(async move {
            match tls {
                None => attend(stream, peer, router, limits.quiet, stopped).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => attend(stream, peer, router, limits.quiet, stopped).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a client could not agree on TLS"),
                    Err(_) => tracing::debug!(%peer, "a client was too slow to agree on TLS"),
                },
            }
            drop(slot);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    // All of them are free once every connection has ended; they are never closed.
    drop(slots.acquire_many(limits.most).await);
}

/// Serves one connection to its end.
async fn attend<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    quiet: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let life = Arc::new(Life::default());
    let io = TokioIo::new(Watched { stream, life: Arc::clone(&life) });
    let signs = Arc::clone(&life);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (router, working) = (router.clone(), Working::on(&signs));
        async move {
            let answer = router.oneshot(request).await;
            answer.map(|answer| answer.map(|body| Answer { body, _working: working }))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_BUFFER);
    let mut connection = pin!(builder.serve_connection(io, service));
    let (mut seen, mut stopping, mut asked) = (life.signs(), false, false);
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection broke");
                }
                return;
            }
            () = told(&mut stopped), if !stopping => {
                // One that says nothing, or does not say that it has heard, is not waited for.
                (stopping, asked) = (true, true);
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(if asked { quiet.min(LAST_WORDS) } else { quiet }) => {
                let now = life.signs();
                let is_quiet = life.requests() == 0 && now == seen;
                seen = now;
                if is_quiet && asked {
                    tracing::debug!(%peer, "a connection was quiet and is cut off");
                    return;
                }
                if is_quiet {
                    asked = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

async fn told(stopped: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good as being told.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Life {
    /// Requests that are being worked on.
    requests: AtomicUsize,
    /// Counts up with each request that begins, and with whatever the client takes of an answer.
    signs: AtomicU64,
}

impl Life {
    fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }

    fn signs(&self) -> u64 {
        self.signs.load(Ordering::Acquire)
    }

    fn sign(&self) {
        self.signs.fetch_add(1, Ordering::AcqRel);
    }
}

/// What is answered: its request is being worked on until all of it was handed over.
struct Answer {
    body: Body,
    _working: Working,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is being worked on.
struct Working(Arc<Life>);

impl Working {
    fn on(life: &Arc<Life>) -> Self {
        life.sign();
        life.requests.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(life))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.sign();
    }
}

/// A stream that notes what goes out. What comes in is no sign of life: it may be a byte at a time.
struct Watched<S> {
    stream: S,
    life: Arc<Life>,
}

impl<S> Watched<S> {
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.life.sign();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
