//! Everything the store holds about the loop, read past all faults.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value, json};
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::event::EventKind;
use uplift_model::improvement::Improvement;
use uplift_model::opportunity::Opportunity;
use uplift_model::revision::{Configuration, RevisionId};
use uplift_model::trial::TrialRecord;
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::{
    EntityFilter, EventFilter, HistoryRow, ImprovementFilter, OpportunityFilter, OutboxRow, ProcessRow,
    RevisionSince, TaskCounts, TrialFilter,
};
use uplift_store::{PageRequest, Paged, Store, StoreResult};

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Entities that are not Uplift's own.
    pub entities: Vec<Entity>,
    /// Improvements, the earliest first.
    pub improvements: Vec<Improvement>,
    /// Trials, the earliest first.
    pub trials: Vec<TrialRecord>,
    /// The history, in the order of improvements.
    pub history: Vec<HistoryRow>,
    /// Opportunities.
    pub opportunities: Vec<Opportunity>,
    /// Actions that wait.
    pub outbox: Vec<OutboxRow>,
    /// Process instances with their steps.
    pub processes: Vec<ProcessRow>,
    /// Which revisions entities ran.
    pub trails: BTreeMap<EntityKey, Vec<RevisionSince>>,
    /// The configurations of all revisions that are named anywhere here.
    pub revisions: BTreeMap<RevisionId, Configuration>,
    /// Uplift's own events, where they were read: (id, text).
    pub own_events: Option<Vec<(String, String)>>,
    /// How much there is.
    pub counts: TaskCounts,
    /// The kill switch as stored.
    pub paused: bool,
    /// The engine's settings as stored.
    pub settings: Option<Value>,
}

/// All pages of a list.
async fn all<T, F>(mut page: impl FnMut(PageRequest) -> F) -> StoreResult<Vec<T>>
where
    F: Future<Output = StoreResult<Paged<T>>>,
{
    let (mut items, mut request) = (Vec::new(), PageRequest::first(MAX_PAGE));
    loop {
        let read = page(request.clone()).await?;
        items.extend(read.items);
        match read.next {
            Some(cursor) => request.cursor = Some(cursor),
            None => return Ok(items),
        }
    }
}

impl State {
    /// Reads everything.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(store: &dyn Store) -> StoreResult<Self> {
        let mut state = Self {
            entities: all(|page| store.entities(EntityFilter::default(), page)).await?,
            improvements: all(|page| store.improvements(ImprovementFilter::default(), page)).await?,
            trials: all(|page| store.trials(TrialFilter::default(), page)).await?,
            history: all(|page| store.history(None, page)).await?,
            opportunities: all(|page| store.opportunities(OpportunityFilter::default(), page)).await?,
            outbox: store.outbox(MAX_PAGE).await?,
            counts: store.task_counts().await?,
            paused: store.setting("paused".to_owned()).await?.is_some_and(|value| value == json!(true)),
            settings: store.setting("engine".to_owned()).await?,
            ..Self::default()
        };
        state.improvements.sort_by_key(|improvement| improvement.id);
        state.trials.sort_by_key(|record| record.id);
        // Listed with the latest first, also among those of one moment.
        state.history.reverse();
        state.history.sort_by_key(|row| (row.improvement_id, row.decided_at));
        state.opportunities.sort_by_key(|opportunity| opportunity.id);
        for improvement in &state.improvements {
            state.processes.extend(store.processes_of(format!("improvement/{}", improvement.id)).await?);
        }
        state.load_revisions(store).await?;
        Ok(state)
    }

    async fn load_revisions(&mut self, store: &dyn Store) -> StoreResult<()> {
        for entity in &self.entities {
            let trail = store.revision_trail(entity.key, MAX_PAGE).await?;
            self.trails.insert(entity.key, trail);
        }
        let of_trails = self.trails.values().flatten().map(|since| since.revision.clone());
        let of_improvements = self.improvements.iter().flat_map(|one| one.base.iter().chain(&one.candidate).cloned());
        let named: Vec<RevisionId> = of_trails.chain(of_improvements).collect();
        for id in named {
            if let Entry::Vacant(place) = self.revisions.entry(id) {
                let configuration = store.revision(place.key().clone()).await?;
                place.insert(configuration);
            }
        }
        Ok(())
    }

    /// Reads Uplift's own events as well.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load_own_events(&mut self, store: &dyn Store) -> StoreResult<()> {
        let mut own = Vec::new();
        for kind in EventKind::ALL.into_iter().filter(|kind| kind.is_own()) {
            let filter = EventFilter { kind: Some(kind), ..EventFilter::default() };
            let events = all(|page| store.events(filter.clone(), page)).await?;
            own.extend(events.into_iter().map(|event| (event.id, event.content.unwrap_or_default())));
        }
        own.sort();
        self.own_events = Some(own);
        Ok(())
    }

    /// An entity by its key.
    pub fn entity(&self, key: EntityKey) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.key == key)
    }

    /// The trial that runs on an entity.
    pub fn running(&self, key: EntityKey) -> Option<&TrialRecord> {
        self.trials.iter().find(|record| record.running && record.entity == key)
    }

    /// An improvement by its number.
    pub fn improvement(&self, id: i64) -> Option<&Improvement> {
        self.improvements.iter().find(|improvement| improvement.id == id)
    }
}
