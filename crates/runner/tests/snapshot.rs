//! The snapshot against a real store: keeping up with our own commits and with those of other processes.
#![allow(clippy::unwrap_used, reason = "a panic is how a test says no")]

use std::sync::Arc;

use uplift_model::entity::{EntityKey, EntityName, EntityType};
use uplift_model::policy::ImprovementConfig;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::{Policy, Time};
use uplift_runner::Engine;
use uplift_runner::clock::ManualClock;
use uplift_runner::snapshot::{STALE_AFTER, Snapshot};
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::{StepCommit, Write};
use uplift_store::{Store, Writes};

const NOW: Time = Time::from_micros(1_769_860_800_000_000);

fn agent(id: i64) -> EntityKey {
    EntityKey::new(EntityType::Agent, id)
}

fn revision(model: &str) -> Box<Revision> {
    let configuration = Configuration { model: Some(model.to_owned()), ..Configuration::default() };
    Box::new(Revision::seal(configuration).unwrap())
}

fn declare(name: &str) -> Write {
    let (environment, entity_type) = ("default".to_owned(), EntityType::Agent);
    let name = EntityName { environment, entity_type, name: name.to_owned() };
    Write::DeclareEntity { name, config: ImprovementConfig::default() }
}

fn point(id: i64, model: &str) -> Write {
    Write::PointRevision { entity: agent(id), revision: revision(model) }
}

/// A commit that no snapshot is told of, as another process would make it.
async fn elsewhere(store: &SqliteStore, writes: Vec<Write>) {
    store.commit_step(StepCommit { at: NOW, writes, ..StepCommit::default() }).await.unwrap();
}

fn model_of(snapshot: &Snapshot, id: i64) -> String {
    let found = snapshot.resolve_key(agent(id), None, NOW.micros()).unwrap();
    let read: Configuration = serde_json::from_str(found.revision().configuration.get()).unwrap();
    read.model.unwrap()
}

/// A store with this many agents that run the model `a`; numbered from 1.
async fn fleet(agents: i64) -> Arc<SqliteStore> {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let names = (1..=agents).map(|id| declare(&format!("agent-{id}"))).collect();
    elsewhere(&store, names).await;
    elsewhere(&store, (1..=agents).map(|id| point(id, "a")).collect()).await;
    store
}

#[tokio::test]
async fn all_pages_are_loaded() {
    let store = fleet(2_500).await;
    let snapshot = Snapshot::default();
    snapshot.load(store.as_ref()).await.unwrap();
    assert_eq!(snapshot.len(), 2_500);
    for id in [1, 1_000, 1_001, 2_500] {
        assert_eq!(model_of(&snapshot, id), "a");
    }
}

#[tokio::test]
async fn other_processes_are_noticed_by_polling() {
    let store = fleet(3).await;
    let snapshot = Snapshot::default();
    snapshot.load(store.as_ref()).await.unwrap();
    elsewhere(&store, vec![point(2, "b")]).await;
    assert_eq!(model_of(&snapshot, 2), "a");
    snapshot.poll(store.as_ref(), NOW).await.unwrap();
    assert_eq!((model_of(&snapshot, 1), model_of(&snapshot, 2)), ("a".to_owned(), "b".to_owned()));
}

#[tokio::test]
async fn a_change_elsewhere_beside_one_of_ours_is_not_missed() {
    let store = fleet(2_500).await;
    let snapshot = Snapshot::default();
    snapshot.load(store.as_ref()).await.unwrap();
    // Both have moved the number; only ours is known.
    elsewhere(&store, vec![point(7, "b"), point(2_400, "b")]).await;
    elsewhere(&store, vec![point(9, "ours")]).await;
    snapshot.refresh(store.as_ref(), &[agent(9)]).await.unwrap();
    assert_eq!(model_of(&snapshot, 9), "ours");
    assert_eq!((model_of(&snapshot, 7), model_of(&snapshot, 2_400)), ("a".to_owned(), "a".to_owned()));
    // A page each: the first poll sees the first thousand, the third all.
    snapshot.poll(store.as_ref(), NOW).await.unwrap();
    assert_eq!((model_of(&snapshot, 7), model_of(&snapshot, 2_400)), ("b".to_owned(), "a".to_owned()));
    for _ in 0..2 {
        snapshot.poll(store.as_ref(), NOW).await.unwrap();
    }
    assert_eq!(model_of(&snapshot, 2_400), "b");
}

#[tokio::test]
async fn our_own_commits_are_served_before_they_are_answered() {
    let store = fleet(2).await;
    let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    let engine = Engine::new(shared, Policy::default(), Arc::new(ManualClock::at(NOW)));
    engine.snapshot().load(engine.store()).await.unwrap();
    for round in 0..50 {
        let model = format!("m{round}");
        engine.commit(vec![point(1, &model)]).await.unwrap();
        assert_eq!(model_of(engine.snapshot(), 1), model);
    }
    assert_eq!(model_of(engine.snapshot(), 2), "a");
}

#[tokio::test]
async fn whoever_reads_later_puts_in_place_later() {
    let store = fleet(1).await;
    let snapshot = Arc::new(Snapshot::default());
    snapshot.load(store.as_ref()).await.unwrap();
    for round in 0..20 {
        // Refreshes, loads and polls of many at once, while the pointer moves on.
        let mut work = Vec::new();
        for step in 0..10 {
            let (store, snapshot) = (Arc::clone(&store), Arc::clone(&snapshot));
            work.push(tokio::spawn(async move {
                elsewhere(&store, vec![point(1, &format!("r{round}-{step}"))]).await;
                match step % 3 {
                    0 => snapshot.load(store.as_ref()).await.unwrap(),
                    1 => snapshot.poll(store.as_ref(), NOW).await.unwrap(),
                    _ => snapshot.refresh(store.as_ref(), &[agent(1)]).await.unwrap(),
                }
            }));
        }
        for work in work {
            work.await.unwrap();
        }
        let shared: &dyn Store = store.as_ref();
        let stored = shared.served(Some(vec![agent(1)]), uplift_store::PageRequest::first(1)).await.unwrap();
        let found = snapshot.resolve_key(agent(1), None, NOW.micros()).unwrap();
        assert_eq!(Some(&found.revision().id), stored.items[0].revision.as_ref(), "round {round}");
    }
}

#[tokio::test]
async fn a_store_out_of_reach_for_a_minute_cuts_trials_off_until_it_answers() {
    let (store, gone) = (fleet(1).await, fleet(1).await);
    gone.close().await;
    let snapshot = Snapshot::default();
    snapshot.load(store.as_ref()).await.unwrap();
    let minute = STALE_AFTER.as_micros() as i64;
    // (does the store answer, after how long, are trials cut off)
    let table = [
        (true, 0, false),
        (false, 10, false),
        (false, minute + 9, false),
        (false, minute + 10, true),
        (false, 3 * minute, true),
        (true, 3 * minute + 1, false),
        (false, 5 * minute, false),
        (false, 6 * minute - 1, false),
        (true, 6 * minute, false),
        (false, 6 * minute + 1, false),
        (false, 7 * minute, false),
        (false, 7 * minute + 1, true),
    ];
    for (answers, after, cut_off) in table {
        let store: &dyn Store = if answers { store.as_ref() } else { gone.as_ref() };
        assert_eq!(snapshot.poll(store, NOW.plus_micros(after)).await.is_ok(), answers);
        assert_eq!(snapshot.is_cut_off(), cut_off, "after {after} us");
        assert_eq!(model_of(&snapshot, 1), "a", "what has no trial goes on");
    }
}
