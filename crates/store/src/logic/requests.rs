//! What the thread that writes is asked for. It takes what waits, runs all of it in one transaction, and answers after
//! the commit, so that an fsync serves many requests.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::dictionary::Dictionary;
use super::fault::Fault;
use super::{intake, step};
use crate::error::{StoreError, StoreResult};
use crate::sql::Connection;
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt};

/// Requests that may wait for the writer; more wait in their senders.
pub(crate) const QUEUE: usize = 256;
/// Most events in one transaction: bounds how long a request waits for the others in its commit.
const EVENTS_PER_COMMIT: usize = 8_000;
/// A commit that takes longer is worth a line in the log.
const LONG_COMMIT: Duration = Duration::from_millis(50);

/// Work that only reads, on the writer's connection.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the writer can be asked for.
pub(crate) enum Request {
    /// Take in events.
    Intake(Box<IntakeBatch>, oneshot::Sender<StoreResult<IntakeReceipt>>),
    /// Write what a step decided.
    Step(Box<StepCommit>, oneshot::Sender<StoreResult<StepReceipt>>),
    /// Read, where there is only one connection.
    Read(Read),
    /// Finish.
    Close(oneshot::Sender<()>),
}

/// An answer that waits for the commit.
enum Answer {
    Intake(oneshot::Sender<StoreResult<IntakeReceipt>>, StoreResult<IntakeReceipt>),
    Step(oneshot::Sender<StoreResult<StepReceipt>>, StoreResult<StepReceipt>),
}

impl Answer {
    /// Tells the caller; `commit` is the fate of the transaction.
    fn send(self, commit: Result<(), &StoreError>) {
        // A caller that has gone away is nobody to tell.
        match self {
            Self::Intake(to, result) => drop(to.send(commit.map_err(Clone::clone).and(result))),
            Self::Step(to, result) => drop(to.send(commit.map_err(Clone::clone).and(result))),
        }
    }
}

/// A panic in one request must not end the only thread that writes: it becomes that request's error.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "it panicked; nothing of it was written".to_owned();
        Err(StoreError::Engine { context: "writing", reason }.into())
    })
}

/// The thread that writes to a database.
pub(crate) trait Host {
    /// The database, for errors.
    fn place(&self) -> &str;

    /// The connection, within a transaction or without.
    fn connection(&self) -> Result<&Connection, StoreError>;

    /// The connection and the caches.
    fn desk(&mut self) -> Result<(&Connection, &mut Dictionary), StoreError>;

    /// Drops what is cached of a transaction that is not committed.
    fn forget(&mut self);

    /// Begins a transaction.
    fn begin(&mut self) -> StoreResult<()>;

    /// Ends it well.
    fn commit(&mut self) -> StoreResult<()>;

    /// Whether a transaction is still under way after a failure.
    fn is_within(&self) -> bool;

    /// What is to be done between transactions.
    fn rest(&mut self);

    /// What is to be done at the end.
    fn finish(&mut self);
}

/// Serves requests until there are no more.
pub(crate) fn serve(mut host: impl Host, mut inbox: mpsc::Receiver<Request>) {
    while let Some(first) = inbox.blocking_recv() {
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Read(work) => {
                    // Without a connection nobody is answered, who then finds the store closed.
                    if let Ok(connection) = host.connection() {
                        work(connection);
                    }
                }
                Request::Close(reply) => {
                    inbox.close();
                    while let Ok(left) = inbox.try_recv() {
                        group(&mut host, left, &mut inbox);
                    }
                    host.finish();
                    // Before the answer: whoever gets it may end the process, and the last connection removes the log.
                    drop(host);
                    // Whoever asked may have gone away.
                    let _gone = reply.send(());
                    return;
                }
                write => next = group(&mut host, write, &mut inbox),
            }
        }
    }
    host.finish();
}

/// Runs `first` and what waits behind it in one transaction. Returns a request that does not belong to it.
fn group(host: &mut impl Host, first: Request, inbox: &mut mpsc::Receiver<Request>) -> Option<Request> {
    let mut left = None;
    let mut answers = Vec::new();
    let mut fate = host.begin();
    let (began, mut events, mut next) = (Instant::now(), 0, Some(first));
    while let Some(request) = next.take() {
        match request {
            Request::Intake(batch, reply) => {
                events += batch.events.len();
                let take = |connection: &Connection, dictionary: &mut Dictionary| {
                    intake::commit(connection, dictionary, &batch)
                };
                answers.push(Answer::Intake(reply, within(host, &mut fate, take)));
            }
            Request::Step(commit, reply) => {
                let write = |connection: &Connection, dictionary: &mut Dictionary| {
                    step::commit(connection, dictionary, &commit)
                };
                answers.push(Answer::Step(reply, within(host, &mut fate, write)));
            }
            other => {
                left = Some(other);
                break;
            }
        }
        if events < EVENTS_PER_COMMIT && fate.is_ok() {
            next = inbox.try_recv().ok();
        }
    }
    if fate.is_ok() {
        fate = host.commit();
    }
    if fate.is_err() {
        roll_back(host);
    }
    let (took, requests) = (began.elapsed(), answers.len());
    if took > LONG_COMMIT {
        tracing::debug!(?took, requests, events, "a commit took long");
    }
    for answer in answers {
        answer.send(fate.as_ref().copied());
    }
    host.rest();
    left
}

/// Runs one request within the transaction, undoing only it when it fails; where the failure took the whole
/// transaction with it (a full disk does), that becomes the fate of all.
fn within<T>(
    host: &mut impl Host,
    fate: &mut StoreResult<()>,
    work: impl FnOnce(&Connection, &mut Dictionary) -> Result<T, Fault>,
) -> StoreResult<T> {
    if let Err(error) = fate {
        return Err(error.clone());
    }
    let result = host.desk().map_err(Fault::from).and_then(|(connection, dictionary)| {
        connection.defer_batch("SAVEPOINT request")?;
        let value = guarded(|| work(connection, dictionary))?;
        connection.settle()?;
        connection.defer_batch("RELEASE request")?;
        Ok(value)
    });
    result.map_err(|fault| {
        let error = fault.into_store(host.place(), "writing");
        // What the failed request put into the caches is not in the database.
        host.forget();
        let undone = host.connection().map_err(Fault::from).and_then(|connection| {
            connection.forget_deferred();
            Ok(connection.execute_batch("ROLLBACK TO request; RELEASE request")?)
        });
        if undone.is_err() || !host.is_within() {
            *fate = Err(error.clone());
        }
        error
    })
}

fn roll_back(host: &mut impl Host) {
    host.forget();
    if host.is_within()
        && let Ok(connection) = host.connection()
    {
        connection.forget_deferred();
        if let Err(error) = connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
    }
}
