//! What a request is judged by.

use std::collections::{BTreeMap, BTreeSet};

use uplift_cycle::detect::requests::{Input, Named, fingerprint};
use uplift_model::entity::{Entity, EntityKey, EntityType, check_name};
use uplift_model::opportunity::{EventRef, Opportunity, OpportunityKind, OpportunityStatus};
use uplift_model::request::AskingRecord;
use uplift_model::revision::{Configuration, RevisionId};
use uplift_model::task::Task;
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::{EntitySelector, OpportunityFilter};
use uplift_store::{PageRequest, StoreError, StoreResult};

use super::Asking;
use crate::engine::Engine;

/// Most tasks of the entity that are counted to say which share is touched.
const MOST_TASKS: u32 = 1_000;

/// What was found in the store.
pub(super) struct Looked {
    tasks: Vec<Task>,
    events: BTreeMap<EventRef, EntityKey>,
    tools: Option<BTreeSet<String>>,
    tool_is_known: bool,
    recent_tasks: u64,
    open: Option<Opportunity>,
}

impl Looked {
    /// Looks everything up that a request names.
    pub(super) async fn at(engine: &Engine, asking: &Asking, about: &Entity, named: &Named) -> StoreResult<Self> {
        let store = engine.store();
        let ids = named.failed_tasks.iter().chain(&named.tasks).cloned().collect();
        let tasks = store.named_tasks(about.environment.clone(), ids).await?;
        let mut events = BTreeMap::new();
        for event in &named.events {
            match store.event(event.trace_key.clone(), event.id.clone()).await {
                Ok(found) if found.environment == about.environment => {
                    events.insert(event.clone(), found.entity);
                }
                Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let configuration = configuration(engine, about).await?;
        let tools = configuration.map(|it| it.tools.into_iter().map(|tool| tool.name).collect());
        let days = engine.policy().detection.window_days;
        let recent = store.entity_window(about.key, days, MOST_TASKS).await?;
        let fingerprint = fingerprint(asking.improvement_type, named, &asking.description);
        Ok(Self {
            tasks,
            events,
            tools,
            tool_is_known: is_known(engine, about, named.tool.as_deref()).await?,
            recent_tasks: recent.tasks.len() as u64,
            open: open(engine, about.key, &fingerprint).await?,
        })
    }

    /// The input of the step.
    pub(super) fn input<'a>(
        &'a self,
        engine: &Engine,
        asking: &'a Asking,
        (asker, about): (&'a Entity, &'a Entity),
        named: &'a Named,
        record: AskingRecord,
    ) -> Input<'a> {
        let before = self.open.as_ref().map_or(0, |open| open.finding.evidence.count);
        Input {
            now: engine.now(),
            asker: &asker.name,
            about: about.key,
            about_name: &about.name,
            improvement_type: asking.improvement_type,
            description: &asking.description,
            priority: asking.priority,
            named,
            tasks: &self.tasks,
            events: &self.events,
            tools: self.tools.as_ref(),
            tool_is_known: self.tool_is_known,
            record,
            recent_tasks: self.recent_tasks,
            open: self.open.as_ref(),
            asked_before: u64::try_from(before).unwrap_or_default(),
            least_confidence: about.improvement_config.min_confidence(&engine.policy().engine),
        }
    }
}

/// The configuration that an entity runs, if one is known.
pub(super) async fn configuration(engine: &Engine, entity: &Entity) -> StoreResult<Option<Configuration>> {
    match &entity.revision {
        Some(id) => engine.store().revision(RevisionId::from_stored(id.clone())).await.map(Some),
        None => Ok(None),
    }
}

async fn is_known(engine: &Engine, about: &Entity, tool: Option<&str>) -> StoreResult<bool> {
    let Some(tool) = tool.filter(|tool| check_name(tool).is_ok()) else { return Ok(false) };
    let selector = EntitySelector {
        entity_type: EntityType::Tool,
        id_or_name: tool.to_owned(),
        environment: Some(about.environment.clone()),
    };
    match engine.store().entity(selector).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The open request of this fingerprint.
pub(super) async fn open(engine: &Engine, about: EntityKey, fingerprint: &str) -> StoreResult<Option<Opportunity>> {
    let filter = OpportunityFilter {
        entity: Some(about),
        kind: Some(OpportunityKind::Request),
        status: vec![OpportunityStatus::Pending, OpportunityStatus::InProgress],
        ..OpportunityFilter::default()
    };
    let open = engine.store().opportunities(filter, PageRequest::first(MAX_PAGE)).await?;
    Ok(open.items.into_iter().find(|one| one.finding.fingerprint == fingerprint))
}
