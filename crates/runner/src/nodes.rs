//! Servers that share a database: which are at work, and which of them looks after which entities.
//!
//! Entities fall into shards. A node looks after those of the shards it holds a lease on: it evaluates their windows,
//! judges their marks and holds their reviews, and every commit of that names the lease, so that a node that was away
//! and does not know can do no harm. Each node keeps about as many shards as any other; those of a node that is no more
//! go over when their leases end. Whoever takes a shard over looks at all of its entities anew. The holder of the first
//! shard sees to what is not about one entity.
//!
//! Where nobody shares the database, there are no leases: the node looks after everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uplift_model::process::Lease;
use uplift_model::{EntityKey, Time};
use uplift_store::rows::{LeaseRow, NodeRow};
use uplift_store::writes::{StepCommit, StepReceipt, Write};
use uplift_store::{Notice, StoreError, StoreResult};

use crate::engine::Engine;
use crate::processes::lease::NAME as PROCESSES;

/// Shards that entities fall into: more than there will be nodes.
pub const SHARDS: u64 = 16;
/// What the leases on shards are called, before their number.
pub const PREFIX: &str = "detection/";
/// Leases are renewed, and nodes say that they are there, so many times while a lease lasts.
const RENEWALS: i64 = 6;

/// What a node knows of itself.
#[derive(Debug, Default)]
pub(crate) struct Nodes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    url: Option<String>,
    started_at: Option<Time>,
    held: BTreeMap<u64, Lease>,
    renew_at_us: i64,
}

impl Nodes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard of an entity, from 0 to [`SHARDS`], the same on every node.
pub fn shard_of(entity: EntityKey) -> u64 {
    // Ids count up: a multiplication spreads them, see Knuth, The Art of Computer Programming 3, section 6.4.
    let number =
        entity.entity_id.unsigned_abs().wrapping_mul(4).wrapping_add(entity.entity_type.code().unsigned_abs());
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % SHARDS
}

/// What a node is to do about its shards.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    claim: Vec<u64>,
    give_back: Vec<u64>,
}

/// Which shards to claim or renew and which to give back, for a node that holds `held`, `nodes` being at work.
fn plan(held: &BTreeSet<u64>, leases: &[LeaseRow], nodes: usize, now_us: i64) -> Plan {
    let share = SHARDS.div_ceil(nodes.max(1) as u64) as usize;
    let taken: BTreeSet<u64> = leases
        .iter()
        .filter(|lease| !lease.holder.is_empty() && lease.expires_at.micros() > now_us)
        .filter_map(|lease| lease.name.strip_prefix(PREFIX)?.parse().ok())
        .collect();
    let mut claim: Vec<u64> = held.iter().copied().take(share).collect();
    let free = (0..SHARDS).filter(|shard| !taken.contains(shard) && !held.contains(shard));
    claim.extend(free.take(share.saturating_sub(claim.len())));
    Plan { give_back: held.iter().copied().skip(share).collect(), claim }
}

impl Engine {
    /// Says where this node takes requests, for those who ask who is at work.
    pub fn set_url(&self, url: String) {
        self.nodes().state().url = Some(url);
    }

    /// Whether this node looks after an entity.
    pub(crate) fn sees_to(&self, entity: EntityKey) -> bool {
        !self.store().is_shared() || self.nodes().state().held.contains_key(&shard_of(entity))
    }

    /// Whether this node sees to what is not about one entity.
    pub(crate) fn leads(&self) -> bool {
        !self.store().is_shared() || self.nodes().state().held.contains_key(&0)
    }

    /// Writes what came of looking at an entity, under the lease on its shard where this node holds it.
    pub(crate) async fn commit_for(&self, entity: EntityKey, writes: Vec<Write>) -> StoreResult<StepReceipt> {
        let shard = shard_of(entity);
        let lease = self.nodes().state().held.get(&shard).cloned();
        let done = self.step(StepCommit { at: self.now(), lease, writes, ..StepCommit::default() }).await;
        if matches!(done, Err(StoreError::StaleLease { .. })) {
            self.nodes().state().held.remove(&shard);
        }
        done
    }

    /// Renews the leases and takes what shards are free, where that is due. Returns the shards that are new here.
    pub(crate) async fn keep_shards(&self) -> StoreResult<BTreeSet<u64>> {
        let now = self.now();
        if !self.store().is_shared() || now.micros() < self.nodes().state().renew_at_us {
            return Ok(BTreeSet::new());
        }
        let ttl_us = self.policy().nodes.lease_us();
        let before = self.nodes().state().held.clone();
        let (nodes, leases) = (self.store().nodes().await?, self.store().leases().await?);
        let others = nodes
            .iter()
            .filter(|node| node.node != self.name() && node.seen_at.micros() > now.micros() - ttl_us)
            .count();
        let plan = plan(&before.keys().copied().collect(), &leases, others + 1, now.micros());
        let mut writes = vec![Write::NoteNode(self.node(now))];
        let names = plan.claim.iter().map(|shard| format!("{PREFIX}{shard}")).collect();
        writes.push(Write::ClaimLeases { names, holder: self.name().to_owned(), ttl_us });
        writes.extend(plan.give_back.iter().filter_map(|shard| before.get(shard).cloned()).map(Write::ReleaseLease));
        let receipt = self.commit(writes).await?;
        let number = |lease: &Lease| lease.name.strip_prefix(PREFIX)?.parse().ok();
        let held: BTreeMap<u64, Lease> =
            receipt.leases.into_iter().filter_map(|lease| Some((number(&lease)?, lease))).collect();
        let gained = held.iter().filter(|(shard, lease)| before.get(shard) != Some(lease)).map(|(shard, _)| *shard);
        let gained = gained.collect();
        let mut state = self.nodes().state();
        state.held = held;
        state.renew_at_us = now.micros() + ttl_us / RENEWALS;
        Ok(gained)
    }

    /// Gives all shards back, so that others need not wait for the end of the leases.
    pub(crate) async fn give_shards_back(&self) {
        let held = std::mem::take(&mut self.nodes().state().held);
        if held.is_empty() {
            return;
        }
        let gone =
            NodeRow { seen_at: self.now().plus_micros(-self.policy().nodes.lease_us()), ..self.node(self.now()) };
        let mut writes: Vec<Write> = held.into_values().map(Write::ReleaseLease).collect();
        writes.push(Write::NoteNode(gone));
        if let Err(error) = self.commit(writes).await {
            tracing::debug!(%error, "the shards were not given back; the leases end by themselves");
        }
    }

    fn node(&self, now: Time) -> NodeRow {
        let mut state = self.nodes().state();
        NodeRow {
            node: self.name().to_owned(),
            url: state.url.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: *state.started_at.get_or_insert(now),
            seen_at: now,
        }
    }

    /// Tells the others of entities with new data that they look after. Returns those that this node does.
    pub(crate) async fn hand_on(&self, touched: BTreeSet<EntityKey>) -> StoreResult<BTreeSet<EntityKey>> {
        if !self.store().is_shared() {
            return Ok(touched);
        }
        let (own, foreign): (BTreeSet<_>, BTreeSet<_>) =
            touched.into_iter().partition(|entity| self.sees_to(*entity));
        if !foreign.is_empty() {
            self.store().tell(Notice::Touched(foreign.into_iter().collect())).await?;
        }
        Ok(own)
    }
}

/// A server and what it looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtWork {
    /// Who it is, and when it last said so.
    pub node: NodeRow,
    /// Whether that was not too long ago.
    pub at_work: bool,
    /// Whether it is the one that is asked.
    pub asked: bool,
    /// Shards it looks after, in order.
    pub shards: Vec<u64>,
    /// Whether it steps the improvements.
    pub improves: bool,
}

/// The servers that share the database, by name, with what each looks after. A server that has its database for itself
/// looks after everything; of one that is not asked nothing is known then.
///
/// # Errors
/// When the store cannot be read.
pub async fn at_work(engine: &Engine) -> StoreResult<Vec<AtWork>> {
    let now = engine.now();
    if !engine.store().is_shared() {
        let serves = engine.nodes().state().url.is_some();
        let all = AtWork {
            node: engine.node(now),
            at_work: true,
            asked: true,
            shards: (0..SHARDS).collect(),
            improves: true,
        };
        return Ok(if serves { vec![all] } else { Vec::new() });
    }
    let ttl_us = engine.policy().nodes.lease_us();
    let leases = engine.store().leases().await?;
    let holds = |node: &NodeRow, lease: &LeaseRow| lease.holder == node.node && lease.expires_at > now;
    let nodes = engine.store().nodes().await?.into_iter().map(|node| {
        let held = leases.iter().filter(|lease| holds(&node, lease));
        let mut shards: Vec<u64> =
            held.clone().filter_map(|lease| lease.name.strip_prefix(PREFIX)?.parse().ok()).collect();
        shards.sort_unstable();
        AtWork {
            at_work: node.seen_at.micros() > now.micros() - ttl_us,
            asked: node.node == engine.name(),
            shards,
            improves: held.into_iter().any(|lease| lease.name == PROCESSES),
            node,
        }
    });
    Ok(nodes.collect())
}

/// Waits for the next notice of other nodes; for ever where there are none.
pub(crate) async fn hear(ear: &mut Option<Receiver<Notice>>) -> Notice {
    let Some(receiver) = ear else { return std::future::pending().await };
    match receiver.recv().await {
        Ok(notice) => notice,
        Err(RecvError::Lagged(_)) => Notice::Anything,
        Err(RecvError::Closed) => {
            *ear = None;
            Notice::Anything
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_model::EntityType;

    fn lease(shard: u64, holder: &str, expires_us: i64) -> LeaseRow {
        let (name, holder) = (format!("{PREFIX}{shard}"), holder.to_owned());
        LeaseRow { name, holder, epoch: 1, expires_at: Time::from_micros(expires_us) }
    }

    fn all(holder: &str, shards: std::ops::Range<u64>) -> Vec<LeaseRow> {
        shards.map(|shard| lease(shard, holder, 100)).collect()
    }

    #[test]
    fn every_node_gets_its_share() {
        let held = |shards: std::ops::Range<u64>| shards.collect::<BTreeSet<u64>>();
        let numbers = |shards: std::ops::Range<u64>| shards.collect::<Vec<u64>>();
        for (name, held, leases, nodes, claim, give_back) in [
            ("alone", held(0..0), vec![], 1, numbers(0..16), vec![]),
            ("alone, again", held(0..16), all("a", 0..16), 1, numbers(0..16), vec![]),
            ("a second comes", held(0..16), all("a", 0..16), 2, numbers(0..8), numbers(8..16)),
            ("it finds nothing free", held(0..0), all("a", 0..16), 2, vec![], vec![]),
            ("then it does", held(0..0), all("a", 0..8), 2, numbers(8..16), vec![]),
            ("a third, uneven", held(0..0), all("a", 0..16), 3, vec![], vec![]),
            ("its part of three", held(0..8), all("a", 0..8), 3, numbers(0..6), numbers(6..8)),
            ("given back is free", held(0..1), all("", 1..16), 1, numbers(0..16), vec![]),
            ("another's lease is not", held(0..1), all("b", 1..16), 1, numbers(0..1), vec![]),
        ] {
            assert_eq!(plan(&held, &leases, nodes, 50), Plan { claim, give_back }, "{name}");
        }
        // What has ended is free.
        assert_eq!(plan(&held(0..0), &all("b", 0..16), 1, 100).claim, numbers(0..16));
    }

    #[test]
    fn entities_are_spread_over_the_shards() {
        let mut counts = [0; SHARDS as usize];
        for id in 1..=16_000 {
            counts[shard_of(EntityKey::new(EntityType::Agent, id)) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
