//! `/api/changes`: tells those who listen whose configuration has changed (server-sent events).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval};
use uplift_model::request::Answer as ModelAnswer;
use uplift_runner::Engine;
use uplift_runner::snapshot::Change as ModelChange;
use uplift_store::rows::NewsRow;

use super::failures::Failures;
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::listeners::ListenersPlace;
use crate::state::AppState;
use crate::wire::news::News;
use crate::wire::request::Answer;
use crate::wire::resolve::Change;

/// How often those who listen hear that the connection is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon a stream ends once the server shuts down, or the token of whoever listens has ended.
const CHECK: Duration = Duration::from_millis(200);

/// Whose configuration has changed, as it happens: `ready` first, then `revision`, `trial` and `state`; `reload` where
/// some were left out, because the client was too slow. `request` tells that what an agent asked for was decided. `alert`,
/// `opportunity`, `improvement` and `verdict` tell what became of one, for everybody but agents.
#[utoipa::path(
    get, path = "/api/changes", tag = "entities", operation_id = "listen_to_changes",
    responses((status = 200, body = Change, content_type = "text/event-stream"), Failures)
)]
pub(super) async fn listen(State(state): State<AppState>, caller: Caller) -> Result<impl IntoResponse, WebError> {
    if !state.engine.is_ready() {
        return Err(WebError::new(ErrorCode::NotReady, "the server is starting or shutting down"));
    }
    let place = state.listeners.place(&caller)?;
    let listener = Listener {
        changes: state.engine.snapshot().changes(),
        answers: state.engine.answers().listen(),
        news: state.engine.feed().listen(),
        engine: state.engine,
        caller,
        check: interval(CHECK),
        greeted: false,
        _place: place,
    };
    Ok(Sse::new(stream(listener)).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Listener {
    changes: Receiver<ModelChange>,
    answers: Receiver<ModelAnswer>,
    news: Receiver<NewsRow>,
    engine: Engine,
    caller: Caller,
    check: Interval,
    greeted: bool,
    _place: ListenersPlace,
}

fn stream(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        listener.may_stay().then_some((Ok(event), listener))
    })
}

impl Listener {
    /// Whether whoever asked listens here; everybody hears of it who may read requests.
    fn is_theirs(&self, answer: &ModelAnswer) -> bool {
        let asker = &answer.asker;
        !self.caller.is_bound() || self.caller.acts_for(&answer.environment, asker.entity_type, &answer.asker_name)
    }

    /// Whether there is any use in going on: the server runs, and the token is still in force.
    fn may_stay(&self) -> bool {
        self.engine.is_ready() && self.caller.is_in_force(&self.engine)
    }

    /// The next event; none once the server shuts down, or the token has ended.
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            return Some(Event::default().event("ready").data("{}"));
        }
        loop {
            tokio::select! {
                received = self.changes.recv() => return match received {
                    Ok(change) if !self.caller.hears_of(&self.engine, change.entity) => continue,
                    Ok(change) => Some(told(change)),
                    Err(RecvError::Lagged(_)) => {
                        // What is still waiting is no use to somebody who reads everything again.
                        self.changes = self.changes.resubscribe();
                        Some(Event::default().event("reload").data("{}"))
                    }
                    Err(RecvError::Closed) => None,
                },
                answered = self.answers.recv() => match answered {
                    Ok(answer) if self.is_theirs(&answer) => return Some(answered_event(answer)),
                    // What was left out is there to be asked for; without a sender there are no more.
                    Ok(_) | Err(_) => {}
                },
                happened = self.news.recv(), if !self.caller.is_bound() => return match happened {
                    Ok(news) => Some(news_event(news)),
                    Err(RecvError::Lagged(_)) => {
                        self.news = self.news.resubscribe();
                        Some(Event::default().event("reload").data("{}"))
                    }
                    Err(RecvError::Closed) => None,
                },
                _ = self.check.tick() => if !self.may_stay() {
                    return None;
                },
            }
        }
    }
}

/// An answer to a request, for whoever asked.
fn answered_event(answer: ModelAnswer) -> Event {
    let event = Event::default().event("request");
    event.json_data(Answer::from(answer)).unwrap_or_else(|_| Event::default().event("reload").data("{}"))
}

/// What became of something.
fn news_event(news: NewsRow) -> Event {
    let event = Event::default().event(news.kind.as_str());
    event.json_data(News::from(news)).unwrap_or_else(|_| Event::default().event("reload").data("{}"))
}

fn told(change: ModelChange) -> Event {
    let event = Event::default().event(change.kind.as_str()).id(change.seq.to_string());
    // Names and numbers always have a form in JSON; if not, the client learns that something changed.
    event.json_data(Change::from(change)).unwrap_or_else(|_| Event::default().event("reload").data("{}"))
}
