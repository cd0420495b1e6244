//! The thread of a node that writes. Of all nodes' writers one writes at a time: a transaction begins by taking the turn,
//! a row that it holds until its end. Whoever finds that another had the turn since forgets what it has cached.

use tokio::sync::{mpsc, oneshot};

use super::session::{Refusal, Session};
use super::tls::Server;
use crate::error::{StoreError, StoreResult};
use crate::logic::dictionary::Dictionary;
use crate::logic::requests::{Host, QUEUE, Request, serve};
use crate::sql::{Connection, Row};

/// How a writer's session is set up: a node that stops in the middle of a transaction loses it, and with it the turn,
/// after a while; nobody waits for the turn longer than for that. What a writer asks for it finds by an index; plans that
/// were made while a table was nearly empty would read all of it, until statistics are taken the next time.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '5s'; SET lock_timeout = '15s';
    SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// The handle of the writing thread.
pub(crate) struct PostgresWriter {
    requests: mpsc::Sender<Request>,
}

impl PostgresWriter {
    /// Starts the thread on a session of its own.
    pub(super) fn start(session: Session, server: Server) -> StoreResult<Self> {
        let (requests, inbox) = mpsc::channel(QUEUE);
        let mut state =
            State { connection: None, within: false, turn: None, dictionary: Dictionary::default(), server };
        state.set_up(session)?;
        std::thread::Builder::new()
            .name("uplift-writer".into())
            .spawn(move || serve(state, inbox))
            .map_err(|error| StoreError::Engine { context: "starting a thread", reason: error.to_string() })?;
        Ok(Self { requests })
    }

    /// Hands a request over, waiting for room.
    pub(crate) async fn send(&self, request: Request) -> StoreResult<()> {
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Finishes what was accepted and ends the thread.
    pub(crate) async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // An error means that the thread has ended already.
            drop(done.await);
        }
    }
}

struct State {
    /// None after it was lost, until the next transaction begins.
    connection: Option<Connection>,
    /// A transaction is under way.
    within: bool,
    /// Of the transaction that was committed last, and of the one that is under way.
    turn: Option<(i64, i64)>,
    dictionary: Dictionary,
    server: Server,
}

impl State {
    fn said(&self, refusal: Refusal, context: &'static str) -> StoreError {
        refusal.into_store(self.server.place(), context)
    }

    fn set_up(&mut self, session: Session) -> StoreResult<()> {
        session.batch(SETTINGS).map_err(|refusal| self.said(refusal, "setting up a session"))?;
        self.connection = Some(Connection::Postgres(Box::new(session)));
        Ok(())
    }

    fn session(&self) -> StoreResult<&Session> {
        match &self.connection {
            Some(Connection::Postgres(session)) if !session.is_closed() => Ok(session),
            _ => {
                let reason = "the connection was lost".to_owned();
                Err(StoreError::Unreachable { place: self.server.place().to_owned(), reason })
            }
        }
    }

    /// Begins a transaction and waits for the turn.
    fn take_turn(&mut self) -> StoreResult<()> {
        if self.session().is_err() {
            self.connection = None;
            let session = Session::open(&self.server)?;
            self.set_up(session)?;
        }
        let context = "beginning a transaction";
        let session = self.session()?;
        session.defer_batch("BEGIN");
        let rows = session.query("UPDATE writer_turns SET turn = turn + 1 RETURNING turn", &[]);
        let rows = rows.map_err(|refusal| self.said(refusal, context))?;
        let turn = rows.first().and_then(|row| Row::Postgres(row).get::<i64>(0).ok());
        let Some(turn) = turn else {
            let reason = "the table writer_turns has lost its row".to_owned();
            return Err(StoreError::Engine { context, reason });
        };
        let last = self.turn.map_or(0, |(last, _)| last);
        if turn != last + 1 {
            self.dictionary = Dictionary::default();
        }
        self.turn = Some((last, turn));
        Ok(())
    }

    fn give_up(&mut self) {
        if let Ok(session) = self.session() {
            session.forget_deferred();
            if session.batch("ROLLBACK").is_ok() {
                return;
            }
        }
        self.connection = None;
    }
}

impl Host for State {
    fn place(&self) -> &str {
        self.server.place()
    }

    fn connection(&self) -> Result<&Connection, StoreError> {
        self.session()?;
        self.connection.as_ref().ok_or(StoreError::Closed)
    }

    fn desk(&mut self) -> Result<(&Connection, &mut Dictionary), StoreError> {
        self.session()?;
        let connection = self.connection.as_ref().ok_or(StoreError::Closed)?;
        Ok((connection, &mut self.dictionary))
    }

    fn forget(&mut self) {
        self.dictionary = Dictionary::default();
    }

    fn begin(&mut self) -> StoreResult<()> {
        let mut begun = self.take_turn();
        if matches!(begun, Err(StoreError::Unreachable { .. })) {
            // An idle connection that the server ended meanwhile: a new one may do.
            self.connection = None;
            begun = self.take_turn();
        }
        if begun.is_err() {
            self.give_up();
        }
        self.within = begun.is_ok();
        begun
    }

    fn commit(&mut self) -> StoreResult<()> {
        let committed = self.session()?.batch("COMMIT").map_err(|refusal| self.said(refusal, "committing"));
        if committed.is_ok() {
            self.within = false;
            self.turn = self.turn.map(|(_, turn)| (turn, turn));
        }
        committed
    }

    fn is_within(&self) -> bool {
        self.within && self.session().is_ok()
    }

    fn rest(&mut self) {
        self.within = false;
    }

    fn finish(&mut self) {
        self.connection = None;
    }
}
