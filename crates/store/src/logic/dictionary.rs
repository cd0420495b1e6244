//! Names, entities, traces and attributes as numbers, with caches in front of the tables.
//!
//! The caches hold only what is in the database (or in the transaction that is being written): whoever rolls back
//! drops them.

mod traces;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::sql::{Connection, OptionalExtension};
use uplift_model::entity::{EntityKey, EntityName, EntityType};
use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};
use uplift_model::policy::ImprovementConfig;
use uplift_model::trial::AssignmentUnit;
use uplift_model::{Hour, Time};

use super::arrivals::{self, Arrivals};
use super::cache::Cache;
use super::fault::{Fault, corrupt};
use super::spans::Lately;
use crate::writes::IntakeBatch;

/// A trace's address: a hash of its environment and key.
pub(crate) type TraceHash = [u8; 16];

/// The address of a trace.
pub(crate) fn trace_hash(environment: &str, key: &str) -> TraceHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(environment.len() as u64).to_le_bytes()).update(environment.as_bytes()).update(key.as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    first
}

/// An entity as the intake needs it.
pub(super) struct KnownEntity {
    pub(super) key: EntityKey,
    pub(super) environment: String,
    pub(super) config: ImprovementConfig,
}

/// A running trial as the intake needs it.
pub(super) struct RunningTrial {
    pub(super) id: i64,
    pub(super) unit: AssignmentUnit,
    pub(super) started_us: i64,
}

/// The caches.
pub(crate) struct Dictionary {
    names: Cache<String, i64>,
    entities: Cache<EntityName, Arc<KnownEntity>>,
    /// The same by their keys.
    entity_keys: Cache<EntityKey, Arc<KnownEntity>>,
    entity_names: Cache<EntityKey, String>,
    /// The entity and the trace asked for last: the events of a task come together.
    last_entity: Option<(EntityName, Arc<KnownEntity>)>,
    last_trace: Option<(String, String, i64)>,
    traces: Cache<TraceHash, i64>,
    /// Of the batch under way: traces that were looked up and are not there, and numbers for them, the next one last.
    unknown_traces: HashSet<TraceHash>,
    trace_numbers: Vec<i64>,
    /// Traces that this batch has made and that nothing but this batch has tasks in.
    new_traces: HashSet<i64>,
    /// Numbers of attributes, with the hour in which they were last noted as used.
    attributes: Cache<TraceHash, (i64, i64)>,
    errors: Cache<Fingerprint, i64>,
    ties: HashSet<(EntityKey, i64)>,
    /// What is known of the spans of traces that some came in for lately.
    pub(super) spans: Lately,
    /// Where events that know only their task belong: none while no task was ever linked to a trace.
    links: Option<Cache<TraceHash, Option<(i64, String)>>>,
    links_looked_up: bool,
    next_body: Option<i64>,
    next_attributes: Option<i64>,
    arrivals: Option<Arrivals>,
    /// Running trials by entity: none where they have not been looked up.
    trials: Option<Arc<HashMap<EntityKey, RunningTrial>>>,
    /// The last number that a change of a unit got.
    unit_seq: Option<i64>,
    pub(super) clock_us: Option<i64>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            names: Cache::of(20_000),
            entities: Cache::of(20_000),
            entity_keys: Cache::of(20_000),
            entity_names: Cache::of(20_000),
            last_entity: None,
            last_trace: None,
            traces: Cache::of(100_000),
            unknown_traces: HashSet::new(),
            trace_numbers: Vec::new(),
            new_traces: HashSet::new(),
            attributes: Cache::of(4_000),
            errors: Cache::of(20_000),
            ties: HashSet::new(),
            spans: Lately::default(),
            links: None,
            links_looked_up: false,
            next_body: None,
            next_attributes: None,
            arrivals: None,
            trials: None,
            unit_seq: None,
            clock_us: None,
        }
    }
}

impl Dictionary {
    /// The number of a tool's or an error type's name.
    pub(super) fn name(&mut self, connection: &Connection, name: &str) -> Result<i64, Fault> {
        let key = name.to_owned();
        if let Some(number) = self.names.get(&key) {
            return Ok(number);
        }
        let found = connection
            .prepare_cached("SELECT name_no FROM names WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => connection.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.insert([name])?,
        };
        self.names.put(key, number);
        Ok(number)
    }

    /// The entity of this name, if there is one.
    pub(super) fn entity(
        &mut self,
        connection: &Connection,
        name: &EntityName,
    ) -> Result<Option<Arc<KnownEntity>>, Fault> {
        if let Some(known) = self.entities.get(name) {
            return Ok(Some(known));
        }
        let found: Option<(i64, String)> = connection
            .prepare_cached(
                "SELECT entity_id, improvement_config FROM entities
                 WHERE environment = ?1 AND entity_type = ?2 AND name = ?3",
            )?
            .query_row((&name.environment, name.entity_type.as_str(), &name.name), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((entity_id, config)) = found else { return Ok(None) };
        let config = serde_json::from_str(&config).map_err(|error| corrupt("improvement_config", error))?;
        let key = EntityKey::new(name.entity_type, entity_id);
        let known = Arc::new(KnownEntity { key, environment: name.environment.clone(), config });
        self.entities.put(name.clone(), Arc::clone(&known));
        self.entity_keys.put(key, Arc::clone(&known));
        Ok(Some(known))
    }

    /// The entity of this key, where its name was asked for lately.
    pub(super) fn entity_known_by(&mut self, key: EntityKey) -> Option<Arc<KnownEntity>> {
        self.entity_keys.get(&key)
    }

    /// The settings of an entity that was named by its key, if it exists.
    pub(super) fn entity_by_key(connection: &Connection, key: EntityKey) -> Result<Option<Arc<KnownEntity>>, Fault> {
        let found: Option<(String, String)> = connection
            .prepare_cached(
                "SELECT environment, improvement_config FROM entities WHERE entity_type = ?1 AND entity_id = ?2",
            )?
            .query_row((key.entity_type.as_str(), key.entity_id), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        found
            .map(|(environment, config)| {
                let config = serde_json::from_str(&config).map_err(|error| corrupt("improvement_config", error))?;
                Ok(Arc::new(KnownEntity { key, environment, config }))
            })
            .transpose()
    }

    /// Writes a new entity.
    pub(super) fn add_entity(
        &mut self,
        connection: &Connection,
        name: &EntityName,
        config: &ImprovementConfig,
        at: Time,
    ) -> Result<Arc<KnownEntity>, Fault> {
        // Those that come with Uplift have numbers of their own, far above.
        let entity_id: i64 = connection
            .prepare_cached(
                "SELECT coalesce(max(entity_id), 0) + 1 FROM entities WHERE entity_type = ?1 AND entity_id < 2000000000",
            )?
            .query_row([name.entity_type.as_str()], |row| row.get(0))?;
        let text = serde_json::to_string(config).map_err(|error| corrupt("improvement_config", error))?;
        connection
            .prepare_cached(
                "INSERT INTO entities (entity_type, entity_id, environment, name, improvement_config, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .defer((name.entity_type.as_str(), entity_id, &name.environment, &name.name, text, at.micros()))?;
        let key = EntityKey::new(name.entity_type, entity_id);
        let known = Arc::new(KnownEntity { key, environment: name.environment.clone(), config: config.clone() });
        self.entities.put(name.clone(), Arc::clone(&known));
        self.entity_keys.put(key, Arc::clone(&known));
        Ok(known)
    }

    /// The name of an entity.
    pub(super) fn entity_name(&mut self, connection: &Connection, key: EntityKey) -> Result<String, Fault> {
        if let Some(name) = self.entity_names.get(&key) {
            return Ok(name);
        }
        let name: String = connection
            .prepare_cached("SELECT name FROM entities WHERE entity_type = ?1 AND entity_id = ?2")?
            .query_row((key.entity_type.as_str(), key.entity_id), |row| row.get(0))?;
        self.entity_names.put(key, name.clone());
        Ok(name)
    }

    /// Forgets what is cached of entities: their settings have changed.
    pub(super) fn forget_entities(&mut self) {
        self.entities = Cache::of(20_000);
        self.entity_keys = Cache::of(20_000);
        self.last_entity = None;
    }

    /// The tool of this name, registered if need be, and the tie that `agent` uses it.
    pub(super) fn learn_tool(
        &mut self,
        connection: &Connection,
        agent: EntityKey,
        environment: &str,
        (tool_no, tool): (i64, &str),
        batch: &IntakeBatch,
    ) -> Result<(), Fault> {
        if !self.ties.insert((agent, tool_no)) {
            return Ok(());
        }
        let name =
            EntityName { environment: environment.to_owned(), entity_type: EntityType::Tool, name: tool.to_owned() };
        let known = match self.entity(connection, &name)? {
            Some(known) => known,
            None => self.add_entity(connection, &name, &batch.defaults, batch.received_at)?,
        };
        connection
            .prepare_cached(
                "INSERT INTO entity_relationships (from_type, from_id, kind, to_type, to_id, strength, source)
                 VALUES (?1, ?2, 'uses', ?3, ?4, 1.0, 'learnt') ON CONFLICT DO NOTHING",
            )?
            .defer((
                agent.entity_type.as_str(),
                agent.entity_id,
                known.key.entity_type.as_str(),
                known.key.entity_id,
            ))?;
        Ok(())
    }

    /// Says when what comes in now was received: to be called before anything else of a batch.
    pub(super) fn begin_arrivals(&mut self, connection: &Connection, received: Hour) -> Result<(), Fault> {
        let before = self.arrivals.take();
        let hour = before.as_ref().map(Arrivals::hour);
        let arrivals = Arrivals::at(connection, before, received, self.next_attributes)?;
        if hour != Some(arrivals.hour()) {
            // So that what comes in for it is noted in this hour, too.
            self.last_trace = None;
        }
        self.arrivals = Some(arrivals);
        Ok(())
    }

    fn note_arrival(&mut self, connection: &Connection, trace_no: i64) -> Result<(), Fault> {
        match &mut self.arrivals {
            Some(arrivals) => arrivals.trace(connection, trace_no),
            None => Ok(()),
        }
    }

    /// Ends the hour of arrivals that is under way.
    pub(super) fn end_arrivals(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.arrivals = None;
        arrivals::close(connection, self.next_attributes)
    }

    /// Forgets attributes that were last used before an hour: they may be gone.
    pub(super) fn forget_attributes(&mut self, before: i64) {
        self.attributes.retain(|(_, hour)| *hour >= before);
    }

    /// Forgets what is known of the spans of a trace: some of them are gone.
    pub(super) fn forget_spans(&mut self, trace_no: i64) {
        self.spans.forget(trace_no);
    }

    /// Forgets traces that are gone.
    pub(super) fn forget_traces(&mut self, gone: &HashSet<i64>) {
        self.last_trace = None;
        self.traces.retain(|number| !gone.contains(number));
        if let Some(links) = &mut self.links {
            links.retain(|home| home.as_ref().is_none_or(|(trace_no, _)| !gone.contains(trace_no)));
        }
        for trace_no in gone {
            self.forget_spans(*trace_no);
        }
    }

    /// The number of an error group, written if need be.
    pub(super) fn error(&mut self, connection: &Connection, group: &ErrorTemplate) -> Result<i64, Fault> {
        if let Some(number) = self.errors.get(&group.fingerprint) {
            return Ok(number);
        }
        let fingerprint = group.fingerprint.to_string();
        let found = connection
            .prepare_cached("SELECT error_no FROM error_groups WHERE fingerprint = ?1")?
            .query_row([&fingerprint], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => connection
                .prepare_cached(
                    "INSERT INTO error_groups (fingerprint, error_type, tool, template) VALUES (?1, ?2, ?3, ?4)",
                )?
                .insert((&fingerprint, &group.error_type, &group.tool, &group.template))?,
        };
        self.errors.put(group.fingerprint, number);
        Ok(number)
    }

    /// The number the next text gets. Texts are only appended.
    pub(super) fn next_body(&mut self, connection: &Connection) -> Result<i64, Fault> {
        if let Some(number) = self.next_body {
            return Ok(number);
        }
        let number =
            connection.query_row("SELECT coalesce(max(body_no), 0) + 1 FROM bodies", [], |row| row.get(0))?;
        self.next_body = Some(number);
        Ok(number)
    }

    /// Stores a text under the [next number](Self::next_body).
    pub(super) fn add_body(&mut self, connection: &Connection, number: i64, content: &str) -> Result<(), Fault> {
        connection
            .prepare_cached("INSERT INTO bodies (body_no, content) VALUES (?1, ?2)")?
            .append((number, content))?;
        self.next_body = Some(number + 1);
        Ok(())
    }

    /// Stores attributes and returns their number. The events of a task mostly share theirs: what was stored lately
    /// is not stored again.
    pub(super) fn attributes(&mut self, connection: &Connection, attributes: &str) -> Result<i64, Fault> {
        let hash = trace_hash("", attributes);
        let now = self.arrivals.as_ref().map_or(0, Arrivals::hour);
        if let Some((number, hour)) = self.attributes.get(&hash) {
            if hour < now {
                arrivals::used(connection, number, now)?;
                self.attributes.put(hash, (number, now));
            }
            return Ok(number);
        }
        let number = match self.next_attributes {
            Some(number) => number,
            None => {
                connection.query_row("SELECT coalesce(max(attributes_no), 0) + 1 FROM attribute_sets", [], |row| {
                    row.get(0)
                })?
            }
        };
        self.next_attributes = Some(number + 1);
        connection
            .prepare_cached("INSERT INTO attribute_sets (attributes_no, attributes) VALUES (?1, ?2)")?
            .append((number, attributes))?;
        self.attributes.put(hash, (number, now));
        Ok(number)
    }

    /// The running trials, one an entity.
    pub(super) fn trials(&mut self, connection: &Connection) -> Result<Arc<HashMap<EntityKey, RunningTrial>>, Fault> {
        if let Some(trials) = &self.trials {
            return Ok(Arc::clone(trials));
        }
        let mut statement = connection.prepare_cached(
            "SELECT entity_type, entity_id, trial_id, trial ->> 'unit', CAST(trial ->> 'started_us' AS bigint)
             FROM trials
             WHERE ended_at IS NULL",
        )?;
        let mut rows = statement.query([])?;
        let mut trials = HashMap::new();
        while let Some(row) = rows.next()? {
            let entity_type: String = row.get(0)?;
            let entity_type = entity_type.parse().map_err(|error| corrupt("a trial", error))?;
            let unit: String = row.get(3)?;
            let unit = serde_json::from_value(unit.into()).map_err(|error| corrupt("a trial", error))?;
            let trial = RunningTrial { id: row.get(2)?, unit, started_us: row.get(4)? };
            trials.insert(EntityKey::new(entity_type, row.get(1)?), trial);
        }
        let trials = Arc::new(trials);
        self.trials = Some(Arc::clone(&trials));
        Ok(trials)
    }

    /// Forgets the running trials: one has begun, changed or ended.
    pub(super) fn forget_trials(&mut self) {
        self.trials = None;
    }

    /// The next number for a change of a unit. It never goes back: below it are the numbers of all rows, and the
    /// cursors of all trials that may get more.
    pub(super) fn next_unit_seq(&mut self, connection: &Connection) -> Result<i64, Fault> {
        let last = match self.unit_seq {
            Some(last) => last,
            None => connection.query_row(
                "SELECT coalesce(max(seq), 0) FROM (
                    SELECT cursor AS seq FROM trials WHERE ended_at IS NULL
                    UNION ALL
                    SELECT (SELECT max(u.seq) FROM trial_units AS u WHERE u.trial_id = t.trial_id)
                    FROM trials AS t WHERE t.ended_at IS NULL) AS numbers",
                [],
                |row| row.get(0),
            )?,
        };
        self.unit_seq = Some(last + 1);
        Ok(last + 1)
    }
}
