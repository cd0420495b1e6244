//! Configurations that the code of an entity brings along.
//!
//! The first one becomes its revision. A new one is a new base: what was kept is put on top of it, and a trial that
//! runs against the old base is stale until it is restarted. One that was seen before the present one changes nothing,
//! because during a roll-out two versions of the code run side by side.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use tokio::sync::Mutex;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, Entity, EntityKey, EntityName, EntityType, check_name};
use uplift_model::improvement::ImprovementStatus;
use uplift_model::revision::{Configuration, Revision, RevisionId};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_store::rows::{EntitySelector, ImprovementFilter};
use uplift_store::writes::{StepCommit, Write};
use uplift_store::{PageRequest, StoreError, StoreResult};

use super::rebase::{Kept, NotApplied, rebase};
use crate::Engine;

/// Largest configuration that code may bring along, bytes of JSON.
pub const MAX_DEFAULTS_BYTES: usize = 64 * 1024;
/// New defaults of one entity within an hour; beyond, something in them changes by itself.
pub const MAX_NEW_AN_HOUR: usize = 20;
/// Kept improvements that are put on top of new defaults; the latest ones.
const MAX_KEPT: usize = 500;
/// Texts whose revision is remembered, and older defaults that are.
const MAX_REMEMBERED: usize = 4_096;
/// How often to start again because the entity changed meanwhile.
const ATTEMPTS: usize = 5;
/// Entities that can be settled at the same time, at most.
const LANES: usize = 64;

/// Whose defaults they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The environment; the default one where none is named. Never another one that happens to have the name.
    pub environment: Option<String>,
    /// The type.
    pub entity_type: EntityType,
    /// All digits: its id; else its name.
    pub id_or_name: String,
}

/// What came of defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// They were seen before the present ones.
    pub older: bool,
    /// Kept edits that do not apply to them, where they were taken over just now.
    pub not_applied: Vec<NotApplied>,
    /// What the code's author should know.
    pub notice: Option<String>,
}

/// Why defaults cannot be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DefaultsError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They are not acceptable, or the name is not.
    #[error("{reason}")]
    Invalid {
        /// Why, and what would be.
        reason: String,
    },
    /// The entity is not known, and entities do not register themselves here.
    #[error("there is no {entity_type} `{name}`, and auto_register is off: declare it first")]
    NotRegistered {
        /// The type.
        entity_type: EntityType,
        /// The name.
        name: String,
    },
}

/// What is remembered of defaults, so that those seen before cost neither parsing nor a question to the store.
pub(crate) struct Known {
    /// Addresses by the hash of the text.
    addresses: RwLock<HashMap<[u8; 32], RevisionId>>,
    /// Defaults that are not the latest of their entity. Once older they stay so.
    older: RwLock<HashSet<(EntityKey, RevisionId)>>,
    /// One entity is settled once at a time.
    lanes: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            addresses: RwLock::default(),
            older: RwLock::default(),
            lanes: (0..LANES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Known {
    fn address(&self, hash: &[u8; 32]) -> Option<RevisionId> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn is_older(&self, entity: EntityKey, id: &RevisionId) -> bool {
        self.older.read().unwrap_or_else(PoisonError::into_inner).contains(&(entity, id.clone()))
    }

    // Both are bounded by starting anew, which costs some work again and nothing else.

    fn remember_address(&self, hash: [u8; 32], id: RevisionId) {
        let mut addresses = self.addresses.write().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MAX_REMEMBERED {
            addresses.clear();
        }
        addresses.insert(hash, id);
    }

    fn remember_older(&self, entity: EntityKey, id: RevisionId) {
        let mut older = self.older.write().unwrap_or_else(PoisonError::into_inner);
        if older.len() >= MAX_REMEMBERED {
            older.clear();
        }
        older.insert((entity, id));
    }

    fn lane(&self, owner: &Owner) -> &Mutex<()> {
        let key = (&owner.environment, owner.entity_type, &owner.id_or_name);
        &self.lanes[self.hasher.hash_one(key) as usize % LANES]
    }
}

/// Makes sure that the defaults of an entity are on record, and are its base if they are new; registers it if need be.
/// Defaults that are known take no question to the store. Runs to its end even if the caller goes away.
///
/// # Errors
/// When they are not acceptable, the entity may not register itself, or the store cannot be asked.
pub async fn settle(engine: &Engine, owner: Owner, text: &str) -> Result<Settled, DefaultsError> {
    let owner = Owner { environment: owner.environment.or_else(|| Some(DEFAULT_ENVIRONMENT.to_owned())), ..owner };
    if text.len() > MAX_DEFAULTS_BYTES {
        let reason = format!("the defaults have {} bytes, at most {MAX_DEFAULTS_BYTES} are allowed", text.len());
        return Err(DefaultsError::Invalid { reason });
    }
    let known = engine.snapshot().known();
    let hash = *blake3::hash(text.as_bytes()).as_bytes();
    let (id, parsed) = if let Some(id) = known.address(&hash) {
        (id, None)
    } else {
        let revision = parse(text)?;
        known.remember_address(hash, revision.id().clone());
        (revision.id().clone(), Some(revision))
    };
    if let Some(settled) = settled_before(engine, &owner, &id) {
        return Ok(settled);
    }
    let revision = match parsed {
        Some(revision) => revision,
        None => parse(text)?,
    };
    let engine = engine.clone();
    let work = tokio::spawn(async move {
        let _lane = engine.snapshot().known().lane(&owner).lock().await;
        // Somebody else may have settled them while this waited.
        match settled_before(&engine, &owner, revision.id()) {
            Some(settled) => Ok(settled),
            None => settle_in_store(&engine, &owner, &revision).await,
        }
    });
    work.await.unwrap_or(Err(DefaultsError::Store(StoreError::Closed)))
}

/// A configuration in JSON, checked and sealed.
fn parse(text: &str) -> Result<Revision, DefaultsError> {
    let invalid = |reason: String| DefaultsError::Invalid { reason: format!("the defaults: {reason}") };
    // Depth is limited to 128 levels by the parser.
    let configuration: Configuration = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    Revision::seal(configuration).map_err(|error| invalid(error.to_string()))
}

/// What the snapshot alone can say.
fn settled_before(engine: &Engine, owner: &Owner, id: &RevisionId) -> Option<Settled> {
    let served = engine.snapshot().served(owner.environment.as_deref(), owner.entity_type, &owner.id_or_name)?;
    if served.defaults.as_ref() == Some(id) {
        return Some(Settled::default());
    }
    let older = engine.snapshot().known().is_older(served.key, id);
    older.then(|| Settled { older: true, ..Settled::default() })
}

async fn settle_in_store(engine: &Engine, owner: &Owner, revision: &Revision) -> Result<Settled, DefaultsError> {
    for attempt in 1.. {
        let entity = match find(engine, owner).await? {
            Some(entity) => entity,
            None => register(engine, owner).await?,
        };
        match settle_for(engine, &entity, revision).await {
            // It was kept, rolled back or configured meanwhile: that is what the edits are put on top of now.
            Err(StoreError::VersionConflict { .. }) if attempt < ATTEMPTS => {}
            settled => {
                let settled = settled?;
                // The commit has refreshed it already, unless another process settled these defaults.
                engine.snapshot().refresh(engine.store(), &[entity.key]).await?;
                return Ok(settled);
            }
        }
    }
    Ok(Settled::default())
}

async fn find(engine: &Engine, owner: &Owner) -> StoreResult<Option<Entity>> {
    let selector = EntitySelector {
        entity_type: owner.entity_type,
        id_or_name: owner.id_or_name.clone(),
        environment: owner.environment.clone(),
    };
    match engine.store().entity(selector).await {
        Ok(entity) => Ok(Some(entity)),
        // An id that nobody has cannot be registered: ids are given out here.
        Err(StoreError::NotFound { .. }) if !is_id(&owner.id_or_name) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_id(id_or_name: &str) -> bool {
    id_or_name.bytes().all(|byte| byte.is_ascii_digit())
}

async fn register(engine: &Engine, owner: &Owner) -> Result<Entity, DefaultsError> {
    let invalid = |what: &str, error| DefaultsError::Invalid { reason: format!("the {what}: {error}") };
    let environment = owner.environment.clone().unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    check_name(&owner.id_or_name).map_err(|error| invalid("name", error))?;
    check_name(&environment).map_err(|error| invalid("environment", error))?;
    let policy = engine.policy();
    if !policy.engine.auto_register {
        let (entity_type, name) = (owner.entity_type, owner.id_or_name.clone());
        return Err(DefaultsError::NotRegistered { entity_type, name });
    }
    let name = EntityName { environment, entity_type: owner.entity_type, name: owner.id_or_name.clone() };
    engine.commit(vec![Write::DeclareEntity { name, config: policy.entity.clone() }]).await?;
    find(engine, owner).await?.ok_or_else(|| StoreError::not_found("entity", &owner.id_or_name).into())
}

async fn settle_for(engine: &Engine, entity: &Entity, revision: &Revision) -> StoreResult<Settled> {
    let seen = engine.store().defaults(entity.key).await?;
    let is_known = seen.iter().any(|defaults| defaults.revision == *revision.id());
    if is_known && entity.revision.is_some() {
        let older = seen.first().is_some_and(|latest| latest.revision != *revision.id());
        if older {
            engine.snapshot().known().remember_older(entity.key, revision.id().clone());
        }
        return Ok(Settled { older, ..Settled::default() });
    }
    let hour_ago = engine.now().plus_micros(-MICROS_PER_HOUR);
    if seen.iter().filter(|defaults| defaults.since > hour_ago).count() >= MAX_NEW_AN_HOUR {
        let notice = format!(
            "not taken over: {MAX_NEW_AN_HOUR} new defaults came within an hour; take out of them what changes by itself"
        );
        tracing::warn!(entity = %entity.key, "{notice}");
        return Ok(Settled { older: true, notice: Some(notice), ..Settled::default() });
    }
    let (base, not_applied) = match &entity.revision {
        None => (revision.clone(), Vec::new()),
        Some(_) => rebase(revision, &kept(engine, entity.key).await?),
    };
    let mut writes = vec![Write::NoteDefaults { entity: entity.key, revision: Box::new(revision.clone()) }];
    if entity.revision.as_deref() != Some(base.id().as_str()) {
        writes.push(Write::PointRevision { entity: entity.key, revision: Box::new(base) });
    }
    let expected_versions = vec![(entity.key, entity.version)];
    engine.step(StepCommit { at: engine.now(), expected_versions, writes, ..StepCommit::default() }).await?;
    for edit in &not_applied {
        tracing::warn!(
            entity = %entity.key, improvement = edit.improvement, edit = edit.edit, reason = edit.reason,
            "a kept edit does not apply to the new defaults"
        );
    }
    Ok(Settled { not_applied, ..Settled::default() })
}

/// The kept improvements of an entity in the order in which they were kept, the latest [`MAX_KEPT`] of them.
async fn kept(engine: &Engine, entity: EntityKey) -> StoreResult<Vec<Kept>> {
    let mut improvements = Vec::new();
    let mut page = PageRequest::first(MAX_KEPT as u32);
    while improvements.len() < MAX_KEPT {
        let filter = ImprovementFilter {
            entity: Some(entity),
            status: vec![ImprovementStatus::Deployed],
            ..ImprovementFilter::default()
        };
        let read = engine.store().improvements(filter, page.clone()).await?;
        improvements.extend(read.items);
        match read.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    improvements.truncate(MAX_KEPT);
    // Nothing follows a keep but a rollback, so the last change of a kept one is its keep.
    improvements.sort_by_key(|improvement| (improvement.updated_at, improvement.id));
    let mut kept = Vec::with_capacity(improvements.len());
    for improvement in improvements {
        let base = match improvement.base {
            Some(id) => Some(engine.store().revision(id).await?),
            None => None,
        };
        kept.push(Kept { improvement: improvement.id, edits: improvement.proposal.edits, base });
    }
    Ok(kept)
}
