//! The bytes of a body as its client sends them, and how long it may take.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use crate::error::{ErrorCode, WebError};
use crate::telemetry;

/// A client that we have waited for so long altogether is slow: it is counted, and the log names it.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of a refused body that are read and thrown away, and how long that may take.
const MAX_DISCARDED: usize = 4 << 20;
const MAX_DISCARDING: Duration = Duration::from_secs(10);

/// Who sends a body, and how much patience there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// The route, as it is declared.
    pub(crate) path: &'static str,
    /// The client, where the connection is known.
    pub(crate) peer: Option<SocketAddr>,
    /// How long we wait for the body altogether; the time we take ourselves does not count.
    pub(crate) patience: Duration,
}

/// A body as it arrives.
pub(crate) struct Arriving {
    stream: BodyDataStream,
    sender: Sender,
    waited: Duration,
    received: u64,
    slow: bool,
}

impl Arriving {
    pub(crate) fn new(body: Body, sender: Sender) -> Self {
        Self { stream: body.into_data_stream(), sender, waited: Duration::ZERO, received: 0, slow: false }
    }

    /// Bytes received so far, as sent.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// When the client stops, or takes too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        loop {
            let allowed = if self.slow { self.sender.patience } else { SLOW.min(self.sender.patience) };
            let asked = Instant::now();
            let next = timeout(allowed.saturating_sub(self.waited), self.stream.next()).await;
            self.waited += asked.elapsed();
            match next {
                Ok(Some(Ok(bytes))) => {
                    self.received += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Ok(Some(Err(error))) => {
                    let detail = format!("the body broke off after {} bytes: {error}", self.received);
                    return Err(WebError::new(ErrorCode::BodyInterrupted, detail));
                }
                Ok(None) => return Ok(None),
                Err(_) => self.wait_on()?,
            }
        }
    }

    /// Time is up: once to say so, then for good.
    fn wait_on(&mut self) -> Result<(), WebError> {
        let Sender { path, peer, patience } = self.sender;
        if !self.slow {
            self.slow = true;
            telemetry::slow_body(path);
            let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
            tracing::warn!(path, peer, received = self.received, "a client sends its request slowly");
        }
        if self.waited < patience {
            return Ok(());
        }
        let (received, most) = (self.received, patience.as_secs());
        let detail = format!("the body was not there after {most} s of waiting for it; {received} bytes were");
        Err(WebError::new(ErrorCode::BodyTooSlow, detail))
    }

    /// Reads a little more and throws it away, while the answer is on its way: a client that is still sending would
    /// otherwise find the connection reset instead of the answer.
    pub(crate) fn discard_rest(mut self) {
        let discard = async move {
            let mut discarded = 0;
            while discarded < MAX_DISCARDED {
                match self.stream.next().await {
                    Some(Ok(bytes)) => discarded += bytes.len(),
                    _ => return,
                }
            }
        };
        tokio::spawn(timeout(MAX_DISCARDING, discard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(patience_s: u64) -> Sender {
        Sender { path: "/test", peer: None, patience: Duration::from_secs(patience_s) }
    }

    /// A body whose parts come at these distances, seconds.
    fn trickle(gaps: Vec<u64>) -> Body {
        Body::from_stream(futures::stream::iter(gaps).then(|gap| async move {
            tokio::time::sleep(Duration::from_secs(gap)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
        }))
    }

    async fn read(arriving: &mut Arriving) -> Result<u64, ErrorCode> {
        while arriving.next().await.map_err(|error| error.code())?.is_some() {}
        Ok(arriving.received())
    }

    #[tokio::test(start_paused = true)]
    async fn all_waiting_counts_together() {
        let table = [
            (vec![0, 0, 0], 30, Ok(3), false),
            (vec![1, 1, 1], 30, Ok(3), false),
            (vec![3, 3, 3], 30, Ok(3), true),
            (vec![1; 60], 30, Err(ErrorCode::BodyTooSlow), true),
            (vec![1000], 30, Err(ErrorCode::BodyTooSlow), true),
            (vec![3], 2, Err(ErrorCode::BodyTooSlow), true),
        ];
        for (gaps, patience, expected, slow) in table {
            let mut arriving = Arriving::new(trickle(gaps.clone()), sender(patience));
            assert_eq!((read(&mut arriving).await, arriving.slow), (expected, slow), "{gaps:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_time_does_not_count() {
        let mut arriving = Arriving::new(trickle(vec![1, 1, 1]), sender(4));
        while let Ok(Some(_)) = arriving.next().await {
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        assert_eq!((arriving.received(), arriving.slow), (3, false));
    }
}
