//! Processes that die, sleep, are cut off and come back.

use serde_json::json;
use uplift_model::entity::EntityState;
use uplift_store::{StoreResult, Write};

use super::Course;
use crate::chaos::faulty::{Interloper, When};
use crate::chaos::world::sealed;

/// Most processes at the same time.
const MOST_NODES: usize = 2;
/// Longest that mail is still under way once nothing goes wrong any more, microseconds.
const LATEST_MAIL_US: i64 = 3 * 3_600 * 1_000_000;

impl Course {
    pub(super) async fn faults(&mut self) -> StoreResult<()> {
        self.heal().await;
        let running = self.running();
        if running.is_empty() || (running.len() < MOST_NODES && self.dice.chance(0.04)) {
            let node = self.world.add_node().await?;
            let started = self.world.start(node).await?;
            self.world.note(|| format!("process {} starts: {started}", node + 1));
        }
        for node in self.running() {
            self.fault(node);
        }
        Ok(())
    }

    fn fault(&mut self, node: usize) {
        let store = std::sync::Arc::clone(&self.world.nodes[node].store);
        if self.dice.chance(0.12) {
            let (commits, when) = (self.dice.between(0, 9), self.dice.pick(&[When::Before, When::After]));
            store.crash_after(commits, when);
            self.world.note(|| format!("process {} will die at commit {commits} from now, {when:?}", node + 1));
        }
        if self.dice.chance(0.02) {
            self.world.nodes[node].frozen = true;
            let steps = self.dice.between(1, 6) as usize;
            self.healing.push((node, steps));
            self.world.note(|| format!("process {} freezes for {steps} steps", node + 1));
        }
        if self.dice.chance(0.02) {
            store.set_unreachable(true);
            let steps = self.dice.between(1, 4) as usize;
            self.healing.push((node, steps));
            self.world.note(|| format!("process {} is cut off for {steps} steps", node + 1));
        }
        if self.dice.chance(0.08) {
            let (commits, kind) = (self.dice.between(0, 6), self.dice.between(0, 3));
            if let Some(interloper) = self.interloper(kind) {
                store.interlope(commits, interloper);
                self.world
                    .note(|| format!("somebody will interfere at commit {commits} of process {}: {kind}", node + 1));
            }
        }
    }

    /// Somebody acts, at another server, between the moment a step was worked out and the moment it is written.
    fn interloper(&mut self, kind: u64) -> Option<Interloper> {
        let engine = self.world.another_engine();
        let which = self.dice.between(0, self.world.agents.len() as u64 - 1) as usize;
        let entity = self.world.agents[which].key;
        self.serial += 1;
        let revision = sealed(&format!("Set by hand, {}.", self.serial)).ok()?;
        Some(match kind {
            0 => Box::new(move || {
                Box::pin(async move {
                    let write = Write::PointRevision { entity, revision: Box::new(revision) };
                    drop(engine.commit(vec![write]).await);
                })
            }),
            1 => Box::new(move || {
                Box::pin(async move {
                    let write = Write::SetEntityState { entity, state: EntityState::Archived };
                    drop(engine.commit(vec![write]).await);
                })
            }),
            2 => Box::new(move || {
                Box::pin(async move {
                    drop(engine.pause(true, "ada".to_owned()).await);
                })
            }),
            _ => Box::new(move || {
                Box::pin(async move {
                    drop(engine.configure(json!({"max_concurrent_improvements": 1})).await);
                })
            }),
        })
    }

    async fn heal(&mut self) {
        for (node, steps) in std::mem::take(&mut self.healing) {
            if steps > 0 {
                self.healing.push((node, steps - 1));
                continue;
            }
            self.world.nodes[node].frozen = false;
            self.world.nodes[node].store.set_unreachable(false);
            self.world.note(|| format!("process {} is back", node + 1));
            // It has slept: the first thing it does is what it would have done then.
            self.world.poll(node).await;
        }
    }

    /// Counts the dead.
    pub(super) fn bury(&mut self) {
        let dead: Vec<usize> = (0..self.world.nodes.len())
            .filter(|node| self.world.nodes[*node].ready && self.world.nodes[*node].store.is_down())
            .collect();
        for node in dead {
            self.world.nodes[node].ready = false;
            self.tally.crashes += 1;
            self.world.note(|| format!("process {} is dead", node + 1));
        }
    }

    /// From now on nothing goes wrong: one new process, everything switched on, the settings as configured.
    pub(super) async fn calm_down(&mut self) -> StoreResult<()> {
        self.calm = true;
        self.healing.clear();
        for node in &self.world.nodes {
            node.store.kill();
        }
        self.bury();
        let node = self.world.add_node().await?;
        self.world.start(node).await?;
        let engine = self.world.nodes[node].engine.clone();
        let active = self.world.agents.iter().map(|agent| agent.key);
        let writes = active.map(|entity| Write::SetEntityState { entity, state: EntityState::Active }).collect();
        engine.commit(writes).await?;
        let reset = json!({
            "test_duration_hours": null, "max_concurrent_improvements": null, "cooldown_period": null,
            "improvement_batch_size": null, "mode": null,
        });
        for (what, result) in [
            ("settings", engine.configure(reset).await.map(drop)),
            ("resume", engine.resume("ada".to_owned()).await.map(drop)),
        ] {
            if let Err(error) = result {
                self.world.seen.wrong.push(("I16", format!("{what}: {error}")));
            }
        }
        // What is under way for longest, a second copy of a late report, comes while there is time to take it in.
        let soon = self.world.now().plus_micros(LATEST_MAIL_US);
        for letter in &mut self.world.mail {
            letter.at = letter.at.min(soon);
        }
        self.world.note(|| "from here on nothing goes wrong".to_owned());
        Ok(())
    }
}
