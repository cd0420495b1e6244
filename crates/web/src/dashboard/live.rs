//! Tells open pages that they may be out of date: they ask for themselves again, and get what changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use uplift_runner::Engine;
use uplift_runner::snapshot::Change;

use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::listeners::ListenersPlace;
use crate::state::AppState;

/// How often pages look by themselves: events, looks and opportunities change no configuration.
const PACE: Duration = Duration::from_secs(3);
/// Changes that come together are one.
const TOGETHER: Duration = Duration::from_millis(250);
/// How soon a stream ends once the server shuts down, or the token of whoever looks has ended.
const CHECK: Duration = Duration::from_millis(200);
/// How often browsers hear that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream of `changed`.
pub(super) async fn listen(State(state): State<AppState>, caller: Caller) -> Result<impl IntoResponse, WebError> {
    if !state.engine.is_ready() {
        return Err(WebError::new(ErrorCode::NotReady, "the server is starting or shutting down"));
    }
    let place = state.listeners.place(&caller)?;
    let paced = |period| {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let listener = Listener {
        changes: state.engine.snapshot().changes(),
        engine: state.engine,
        caller,
        pace: paced(PACE),
        check: paced(CHECK),
        _place: place,
    };
    let stream = unfold(listener, |mut listener| async move {
        listener.next().await?;
        Some((Ok::<_, Infallible>(Event::default().event("changed").data("{}")), listener))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Listener {
    changes: Receiver<Change>,
    engine: Engine,
    caller: Caller,
    pace: Interval,
    check: Interval,
    _place: ListenersPlace,
}

impl Listener {
    /// Waits for the next change; none once the server shuts down, or the token has ended.
    async fn next(&mut self) -> Option<()> {
        loop {
            tokio::select! {
                received = self.changes.recv() => {
                    if matches!(received, Err(RecvError::Closed)) {
                        return None;
                    }
                    tokio::time::sleep(TOGETHER).await;
                    while matches!(self.changes.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
                    return Some(());
                }
                _ = self.pace.tick() => return Some(()),
                _ = self.check.tick() => if !self.engine.is_ready() || !self.caller.is_in_force(&self.engine) {
                    return None;
                },
            }
        }
    }
}
