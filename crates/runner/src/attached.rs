//! Processes that come with an improvement: what has their names already, and what declares them.

use std::collections::BTreeSet;

use uplift_model::entity::{Entity, EntityKey, EntityName, EntityState, EntityType, check_name};
use uplift_model::improvement::{Improvement, ProcessTemplate};
use uplift_model::revision::{Configuration, Revision, RevisionId};
use uplift_store::rows::EntitySelector;
use uplift_store::{StoreError, StoreResult, Write};

use crate::engine::Engine;

/// Where the configuration of a process lists the tools it calls, in order.
const STEPS: &str = "steps";

/// Who has the name of a process.
enum Name {
    /// Nobody.
    Free,
    /// A process that was declared and never given steps.
    Empty(EntityKey),
    /// The same process, from an earlier improvement: it stays as it is.
    Same,
    /// Another one, or one that is out of use.
    Taken,
}

/// Names of processes that come with an improvement and that others have: those must not be overwritten.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn taken(
    engine: &Engine,
    entity: &Entity,
    improvement: &Improvement,
) -> StoreResult<BTreeSet<String>> {
    let mut taken = BTreeSet::new();
    // Names that cannot be names are refused by validation.
    for template in improvement.proposal.processes.iter().filter(|template| check_name(&template.name).is_ok()) {
        if matches!(name(engine, entity, template).await?, Name::Taken) {
            taken.insert(template.name.clone());
        }
    }
    Ok(taken)
}

/// What declares the processes that come with an improvement. The commit is refused where somebody has taken a name
/// since it was looked at.
///
/// # Errors
/// When the store cannot be read, or a name is taken.
pub(crate) async fn declared(engine: &Engine, entity: &Entity, improvement: &Improvement) -> StoreResult<Vec<Write>> {
    let mut writes = Vec::new();
    for template in &improvement.proposal.processes {
        let revision = || -> StoreResult<Box<Revision>> {
            let mut configuration = Configuration::default();
            configuration.extra.insert(STEPS.to_owned(), serde_json::json!(template.steps));
            let sealed = Revision::seal(configuration);
            sealed.map(Box::new).map_err(|error| StoreError::Invalid { reason: error.to_string() })
        };
        writes.push(match name(engine, entity, template).await? {
            Name::Same => continue,
            Name::Empty(entity) => Write::PointRevision { entity, revision: revision()? },
            Name::Free => {
                let name = EntityName {
                    environment: entity.environment.clone(),
                    entity_type: EntityType::Process,
                    name: template.name.clone(),
                };
                Write::DeclareRunning { name, config: engine.policy().entity.clone(), revision: revision()? }
            }
            Name::Taken => {
                let reason = format!("the name `{}` is taken by another process", template.name);
                return Err(StoreError::Invalid { reason });
            }
        });
    }
    Ok(writes)
}

async fn name(engine: &Engine, entity: &Entity, template: &ProcessTemplate) -> StoreResult<Name> {
    let selector = EntitySelector {
        entity_type: EntityType::Process,
        id_or_name: template.name.clone(),
        environment: Some(entity.environment.clone()),
    };
    let found = match engine.store().entity(selector).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Ok(Name::Free),
        Err(error) => return Err(error),
    };
    if found.state != EntityState::Active {
        return Ok(Name::Taken);
    }
    let Some(id) = found.revision else { return Ok(Name::Empty(found.key)) };
    let configuration = engine.store().revision(RevisionId::from_stored(id)).await?;
    let same = configuration.extra.get(STEPS) == Some(&serde_json::json!(template.steps));
    Ok(if same { Name::Same } else { Name::Taken })
}
