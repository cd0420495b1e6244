//! One connection that asks, as fast as it is answered or at a steady rate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::fleet::{Dice, Fleet};

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What came of asking.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// Requests answered.
    pub(super) requests: u64,
    /// Requests a second.
    pub(super) rate: f64,
    /// Time within which half of the answers came, microseconds.
    pub(super) p50_us: f64,
    /// Time within which 99 of 100 answers came, microseconds.
    pub(super) p99_us: f64,
}

impl Taken {
    /// From the time that each answer took, nanoseconds.
    pub(super) fn of(mut taken: Vec<u32>, all: Duration) -> Self {
        taken.sort_unstable();
        let quantile = |share: f64| {
            let place = (taken.len() as f64 * share) as usize;
            taken.get(place.min(taken.len().saturating_sub(1))).map_or(0.0, |ns| f64::from(*ns) / 1_000.0)
        };
        let requests = taken.len() as u64;
        Self { requests, rate: requests as f64 / all.as_secs_f64(), p50_us: quantile(0.5), p99_us: quantile(0.99) }
    }
}

/// A kept-alive connection with its questions, written beforehand: the generator must not take the server's share.
pub(super) struct Asker {
    stream: BufReader<TcpStream>,
    questions: Vec<String>,
    dice: Dice,
    line: String,
    body: Vec<u8>,
}

/// Questions that each connection asks in turn.
const QUESTIONS: usize = 4_096;

impl Asker {
    fn open(address: &str, number: usize, questions: Vec<String>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let dice = Dice((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Ok(Self { stream: BufReader::new(stream), questions, dice, line: String::new(), body: Vec::new() })
    }

    /// Asks a bare handler.
    pub(super) fn bare(address: &str, number: usize) -> anyhow::Result<Self> {
        Self::open(address, number, vec![format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n")])
    }

    /// Asks for configurations, each agent by its own token.
    pub(super) fn guarded(address: &str, tokens: &[String], fleet: &Fleet, number: usize) -> anyhow::Result<Self> {
        let mut dice = Dice((number as u64 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let questions = (0..QUESTIONS).map(|_| {
            let agent = dice.below(fleet.names.len());
            let (name, unit) = (&fleet.names[agent], &fleet.units[dice.below(fleet.units.len())]);
            format!(
                "GET /api/resolve/agent/{name}?unit={unit} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
                tokens[agent]
            )
        });
        let questions = questions.collect();
        Self::open(address, number, questions)
    }

    /// Asks for a time, at a rate (requests a second) or as fast as it is answered; nanoseconds that each answer took.
    /// Where an answer kept the next question waiting, the wait counts.
    pub(super) fn ask(mut self, rate: Option<f64>, time: Duration) -> anyhow::Result<Vec<u32>> {
        let (mut taken, began) = (Vec::new(), Instant::now());
        let mut asked = 0_u32;
        while began.elapsed() < time {
            let mut from = Instant::now();
            if let Some(rate) = rate {
                let due = began + Duration::from_secs_f64(f64::from(asked) / rate);
                if due <= from {
                    from = due;
                } else {
                    thread::sleep(due - from);
                    from = Instant::now();
                }
            }
            asked += 1;
            let question = self.dice.below(self.questions.len());
            self.stream.get_mut().write_all(self.questions[question].as_bytes())?;
            self.read_answer()?;
            taken.push(u32::try_from(from.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        Ok(taken)
    }

    fn read_answer(&mut self) -> anyhow::Result<()> {
        let Self { stream, line, body, .. } = self;
        line.clear();
        stream.read_line(line)?;
        let is_good = line.split(' ').nth(1) == Some("200");
        let status = if is_good { String::new() } else { line.trim_end().to_owned() };
        let mut length = None;
        loop {
            line.clear();
            stream.read_line(line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        body.resize(length.context("an answer without a length")?, 0);
        stream.read_exact(body)?;
        anyhow::ensure!(is_good, "{status}: {}", String::from_utf8_lossy(body));
        Ok(())
    }
}
