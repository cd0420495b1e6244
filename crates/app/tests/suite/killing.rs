//! Killing a server under load, round by round: what the tests of events and of OTLP have in common.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;

use crate::http::Answer;
use crate::support::{Server, read};

/// Says how many rounds there are to be, in place of the few of an ordinary run.
const ROUNDS: &str = "UPLIFT_KILL_ROUNDS";
/// Threads that send at the same time.
const SENDERS: u64 = 3;
/// Numbers that a sender has to itself in a round.
const NUMBERS: u64 = 1_000_000;
/// Requests of a round that are sent once more although they were acknowledged.
const AGAIN: usize = 5;

/// Requests, known by number: what one holds follows from it.
pub trait Load: Sync {
    /// Sends one.
    fn send(&self, address: &str, number: u64) -> io::Result<Answer>;

    /// Checks that an answer with status 200 says that all of it was taken.
    fn verify_answer(&self, answer: &Answer);

    /// What has to be sent yet once these were, for the sums to come out.
    fn rest(&self, sent: &BTreeSet<u64>) -> Vec<u64>;

    /// Checks that what these hold is stored, each thing once.
    fn verify_stored(&self, connection: &Connection, acknowledged: &BTreeSet<u64>);

    /// Checks every sum, all of these being acknowledged.
    fn verify_sums(&self, connection: &Connection, sent: &BTreeSet<u64>);
}

/// What was sent, and what was acknowledged.
pub struct Log<'l, L> {
    load: &'l L,
    sent: Mutex<BTreeSet<u64>>,
    acknowledged: Mutex<BTreeSet<u64>>,
}

impl<'l, L: Load> Log<'l, L> {
    pub fn of(load: &'l L) -> Self {
        Self { load, sent: Mutex::default(), acknowledged: Mutex::default() }
    }

    /// Sends a request; false means that the server is gone.
    pub fn send(&self, address: &str, number: u64) -> bool {
        self.sent.lock().unwrap().insert(number);
        match self.load.send(address, number) {
            Ok(answer) if matches!(answer.status, 429 | 503) => true,
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                self.load.verify_answer(&answer);
                self.acknowledged.lock().unwrap().insert(number);
                true
            }
            Err(_) => false,
        }
    }

    /// Sends these, none of which may be refused, and checks that by now all that was sent is acknowledged.
    pub fn send_all(&self, address: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            assert!(self.send(address, number), "the server is gone");
        }
        assert_eq!(self.unacknowledged(), BTreeSet::new());
    }

    pub fn sent(&self) -> BTreeSet<u64> {
        self.sent.lock().unwrap().clone()
    }

    fn acknowledged(&self) -> BTreeSet<u64> {
        self.acknowledged.lock().unwrap().clone()
    }

    fn unacknowledged(&self) -> BTreeSet<u64> {
        &self.sent() - &self.acknowledged()
    }

    /// One round: the server dies at some moment while everybody sends.
    fn kill_under_load(&self, database: &Path, round: u64) {
        let server = Server::start(database);
        let address = server.address.clone();
        let moment = Duration::from_millis(SmallRng::seed_from_u64(round).random_range(20..500));
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let address = address.as_str();
                scope.spawn(move || {
                    let mut number = (round * SENDERS + sender) * NUMBERS;
                    while self.send(address, number) {
                        number += 1;
                    }
                });
            }
            // The moment of death is what is tried here, not a wait for a result.
            std::thread::sleep(moment);
            server.kill();
        });
    }
}

/// Kills the server at some moment under load, `rounds` times, each time checks what is there, sends again what was not
/// acknowledged and some of what was, and checks the sums. Returns all that was sent.
pub fn kill_at_any_moment<L: Load>(load: &L, database: &Path, rounds: u64) -> BTreeSet<u64> {
    let rounds = std::env::var(ROUNDS).map_or(rounds, |rounds| rounds.parse().expect("a number of rounds"));
    let log = Log::of(load);
    let mut caught = 0;
    for round in 0..rounds {
        log.kill_under_load(database, round);
        let open = log.unacknowledged();
        caught += u64::from(!open.is_empty());
        let of_round = log.acknowledged().split_off(&(round * SENDERS * NUMBERS));
        load.verify_stored(&read(database), &of_round);
        let server = Server::start(database);
        let again: Vec<u64> = of_round.iter().rev().take(AGAIN).copied().collect();
        let rest = load.rest(&log.sent());
        log.send_all(&server.address, open.into_iter().chain(again).chain(rest));
        load.verify_sums(&read(database), &log.sent());
        server.kill();
    }
    assert!(caught >= rounds / 2, "the kills came between requests: {caught} of {rounds} caught one");
    load.verify_stored(&read(database), &log.acknowledged());
    assert_eq!(Server::start(database).end_by("-TERM"), 0);
    let verdict: String = read(database).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    log.sent()
}
