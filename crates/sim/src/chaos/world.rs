//! A fleet, a store that outlives every process, and the processes that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::Event;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::Arm;
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Clock, Engine, processes, watch};
use uplift_store::{SqlStore, Store, StoreError, StoreResult, Write};

use super::agents::{self, Agent, Noise};
use super::faulty::FaultyStore;
use super::ledger::Ledger;
use super::state::State;

/// Polls of a process within two seconds.
const POLLS: u32 = 8;

/// A process.
pub struct Node {
    /// Its number, counted from 1.
    pub number: usize,
    /// The engine.
    pub engine: Engine,
    /// Its way to the store.
    pub store: Arc<FaultyStore>,
    /// Whether it has got through its start.
    pub ready: bool,
    /// Whether it does not run, for now: as if its machine had been suspended.
    pub frozen: bool,
}

impl Node {
    /// Whether agents can ask it.
    pub fn serves(&self) -> bool {
        self.ready && !self.frozen && !self.store.is_down()
    }
}

/// Events under way.
#[derive(Debug, Clone)]
pub struct Letter {
    /// When they arrive, at the earliest.
    pub at: Time,
    /// The events.
    pub events: Vec<Event>,
}

/// What the world saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Events whose arrival was acknowledged: (task, id).
    pub acknowledged: BTreeSet<(String, String)>,
    /// Events that were sent without an answer so far.
    pub unanswered: BTreeSet<(String, String)>,
    /// Events that were refused.
    pub refused: u64,
    /// The arms that a unit was given, by trial and unit, by stage.
    pub arms: BTreeMap<(i64, String), BTreeMap<usize, Arm>>,
    /// Configurations as they were first read, by address.
    pub revisions: BTreeMap<String, String>,
    /// What was seen to be wrong on the spot: (invariant, what).
    pub wrong: Vec<(&'static str, String)>,
}

/// The world.
pub struct World {
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// The store behind all ways to it.
    pub inner: Arc<SqlStore>,
    /// Where each process has connections and caches of its own: the server's database. Elsewhere they share one store.
    pub server: Option<String>,
    /// What was committed.
    pub ledger: Arc<Ledger>,
    /// The settings that every process starts with.
    pub policy: Policy,
    /// The processes, dead ones included.
    pub nodes: Vec<Node>,
    /// The fleet.
    pub agents: Vec<Agent>,
    /// Events under way.
    pub mail: Vec<Letter>,
    /// What was seen.
    pub seen: Seen,
    /// What happened, in words, where somebody wants to know.
    pub log: Option<Vec<String>>,
}

impl World {
    /// An empty world.
    ///
    /// # Errors
    /// When there is no store to be had.
    pub fn new(policy: Policy, start: Time) -> StoreResult<Self> {
        Ok(Self::over(SqlStore::in_memory()?, policy, start))
    }

    /// A world over an empty store.
    pub fn over(inner: SqlStore, policy: Policy, start: Time) -> Self {
        Self {
            clock: Arc::new(ManualClock::at(start)),
            inner: Arc::new(inner),
            server: None,
            ledger: Arc::default(),
            policy,
            nodes: Vec::new(),
            agents: Vec::new(),
            mail: Vec::new(),
            seen: Seen::default(),
            log: None,
        }
    }

    /// The engine of a server that does nothing but what it is asked for.
    pub(super) fn another_engine(&self) -> Engine {
        let store = FaultyStore::new(Arc::clone(&self.inner), Arc::clone(&self.ledger));
        Engine::new(Arc::new(store), self.policy.clone(), self.clock.clone())
    }

    /// A process's own way to the database.
    async fn way(&self) -> StoreResult<Arc<SqlStore>> {
        match &self.server {
            Some(address) => Ok(Arc::new(SqlStore::connect(address).await?)),
            None => Ok(Arc::clone(&self.inner)),
        }
    }

    /// The moment it is.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Notes what happened.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.push(format!("{now} {}", text()));
        }
    }

    /// Declares an agent with a first revision, past all faults.
    ///
    /// # Errors
    /// When the store says no.
    pub async fn declare(&mut self, name: &str, success: f64, pace_us: i64) -> StoreResult<EntityKey> {
        let engine = self.another_engine();
        let entity = EntityName {
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            entity_type: EntityType::Agent,
            name: name.to_owned(),
        };
        let declare = Write::DeclareEntity { name: entity, config: self.policy.entity.clone() };
        let receipt = engine.commit(vec![declare]).await?;
        let missing = || StoreError::Engine { context: "declaring an agent", reason: "it has no key".to_owned() };
        let key = *receipt.entities.first().ok_or_else(missing)?;
        let revision = Box::new(sealed(&format!("You are {name}."))?);
        engine.commit(vec![Write::PointRevision { entity: key, revision }]).await?;
        self.agents.push(Agent {
            name: name.to_owned(),
            key,
            success,
            pace_us,
            next_us: self.now().micros() + pace_us,
            reports: true,
            serial: 0,
        });
        Ok(key)
    }

    /// A new process, not started yet; its place in the list.
    ///
    /// # Errors
    /// When it does not get through to the store.
    pub async fn add_node(&mut self) -> StoreResult<usize> {
        let store = Arc::new(FaultyStore::new(self.way().await?, Arc::clone(&self.ledger)));
        let engine = Engine::new(store.clone(), self.policy.clone(), self.clock.clone());
        let number = self.nodes.len() + 1;
        self.nodes.push(Node { number, engine, store, ready: false, frozen: false });
        Ok(number - 1)
    }

    /// Starts a process, as the server does; true where it got through.
    ///
    /// # Errors
    /// When it fails for another reason than a planned one.
    pub async fn start(&mut self, node: usize) -> StoreResult<bool> {
        let node = &mut self.nodes[node];
        match watch::prepare(&node.engine).await {
            Ok(()) => {
                node.ready = true;
                // Nobody remembers what came in before this process began.
                node.engine.touched().add(self.agents.iter().map(|agent| agent.key));
                Ok(true)
            }
            Err(_) if node.store.is_down() || node.store.is_unreachable() => Ok(false),
            Err(StoreError::Unreachable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tasks of all agents that started since, asked of the processes in turn, their reports in the mail. `noise` is
    /// asked for each task: what is done to it, and how late it arrives, microseconds.
    pub fn traffic(&mut self, noise: impl FnMut() -> (Noise, i64)) {
        self.traffic_of(self.now(), noise);
    }

    /// The tasks of all agents until a moment that has not come yet, without any noise.
    pub fn traffic_until(&mut self, until: Time) {
        self.traffic_of(until, || (Noise::default(), 0));
    }

    fn traffic_of(&mut self, now: Time, mut noise: impl FnMut() -> (Noise, i64)) {
        let mut agents = std::mem::take(&mut self.agents);
        for agent in &mut agents {
            while agent.next_us <= now.micros() {
                let at = Time::from_micros(agent.next_us);
                agent.next_us += agent.pace_us;
                agent.serial += 1;
                let name = format!("{}-{}", agent.name, agent.serial);
                let (noise, late_us) = noise();
                let events = self.task(agent, &name, at, noise);
                if agent.reports {
                    self.mail.push(Letter { at: now.plus_micros(late_us), events });
                }
            }
        }
        self.agents = agents;
    }

    fn task(&mut self, agent: &Agent, name: &str, at: Time, noise: Noise) -> Vec<Event> {
        let serving: Vec<&Node> = self.nodes.iter().filter(|node| node.serves()).collect();
        let turn = agent.serial as usize % serving.len().max(1);
        let resolved =
            serving.get(turn).and_then(|node| node.engine.snapshot().resolve_key(agent.key, Some(name), at.micros()));
        let (configuration, exposure) = match resolved {
            Some(resolved) => {
                let configuration = serde_json::from_str(resolved.revision().configuration.get()).unwrap_or_default();
                (configuration, resolved.exposure())
            }
            // Nobody answers: the code runs what it came with.
            None => (Configuration::default(), None),
        };
        agents::task(agent, name, at, &configuration, exposure, noise)
    }

    /// Delivers the mail that is due to a process. What is not acknowledged stays in the mail: senders try again.
    pub async fn deliver(&mut self, node: usize) {
        let now = self.now();
        let (due, later): (Vec<Letter>, Vec<Letter>) =
            std::mem::take(&mut self.mail).into_iter().partition(|letter| letter.at <= now);
        self.mail = later;
        let events: Vec<Event> = due.iter().flat_map(|letter| letter.events.iter().cloned()).collect();
        if events.is_empty() {
            return;
        }
        let ids: BTreeSet<(String, String)> =
            events.iter().map(|event| (event.task_id.clone().unwrap_or_default(), event.id.clone())).collect();
        let (engine, count) = (self.nodes[node].engine.clone(), events.len() as u64);
        let admission = engine.admit(events.len()).await;
        let Ok(receipt) = engine.ingest(admission, events).await else {
            let known = &self.seen.acknowledged;
            self.seen.unanswered.extend(ids.into_iter().filter(|id| !known.contains(id)));
            self.mail.extend(due);
            return;
        };
        if receipt.accepted + receipt.duplicates + receipt.refused.len() as u64 != count {
            self.seen.wrong.push(("I5", format!("{count} events were answered by {receipt:?}")));
        }
        self.seen.refused += receipt.refused.len() as u64;
        for id in &ids {
            self.seen.unanswered.remove(id);
        }
        self.seen.acknowledged.extend(ids);
    }

    /// One tick of a process's loop. Errors that were planned, and a lease that has gone to somebody else, are none.
    pub async fn tick(&mut self, node: usize) -> Option<processes::Report> {
        let (engine, store) = (self.nodes[node].engine.clone(), Arc::clone(&self.nodes[node].store));
        match processes::tick(&engine).await {
            Ok(report) => Some(report),
            Err(_) if store.is_down() || store.is_unreachable() => None,
            Err(StoreError::StaleLease { .. } | StoreError::Unreachable { .. }) => None,
            Err(error) => {
                self.seen.wrong.push(("I16", format!("a tick failed: {error}")));
                None
            }
        }
    }

    /// One pass of a process's watch.
    pub async fn watch(&mut self, node: usize) {
        let (engine, store) = (self.nodes[node].engine.clone(), Arc::clone(&self.nodes[node].store));
        match watch::settle(&engine).await {
            Err(StoreError::Unreachable { .. }) => {}
            Err(error) if !store.is_down() && !store.is_unreachable() => {
                self.seen.wrong.push(("I16", format!("a pass of the watch failed: {error}")));
            }
            _ => {}
        }
    }

    /// A process looks whether others changed what it serves, as often as it would within two seconds: when the
    /// database's server ended its sessions, each connection is found dead once.
    pub async fn poll(&mut self, node: usize) {
        let (engine, store) = (self.nodes[node].engine.clone(), Arc::clone(&self.nodes[node].store));
        for _ in 0..POLLS {
            match engine.snapshot().poll(engine.store(), self.now()).await {
                Err(StoreError::Unreachable { .. }) => continue,
                Err(error) if !store.is_down() && !store.is_unreachable() => {
                    self.seen.wrong.push(("I16", format!("a poll failed: {error}")));
                }
                _ => {}
            }
            return;
        }
    }

    /// Remembers revisions as they were first seen.
    pub fn remember(&mut self, state: &State) {
        for (id, configuration) in &state.revisions {
            if !self.seen.revisions.contains_key(id.as_str()) {
                let text = serde_json::to_string(configuration).unwrap_or_default();
                self.seen.revisions.insert(id.as_str().to_owned(), text);
            }
        }
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn state(&self) -> StoreResult<State> {
        State::load(self.inner.as_ref() as &dyn Store).await
    }
}

/// A configuration with this instruction.
///
/// # Errors
/// Never: it is small.
pub fn sealed(instruction: &str) -> StoreResult<Revision> {
    let mut configuration = Configuration::default();
    instruction.clone_into(&mut configuration.instruction.text);
    Revision::seal(configuration).map_err(|error| StoreError::Invalid { reason: error.to_string() })
}
