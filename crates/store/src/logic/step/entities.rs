//! Entities, their ties and the revisions they run.

use uplift_model::entity::{EntityKey, EntityName, EntityType, check_name};
use uplift_model::policy::ImprovementConfig;
use uplift_model::relationship::{Relationship, RelationshipSource, check_relationship};
use uplift_model::revision::Revision;

use super::{Step, json};
use crate::error::StoreError;
use crate::logic::dictionary::Dictionary;
use crate::logic::fault::Fault;
use crate::logic::ties::relationships;

impl Step<'_> {
    pub(super) fn declare(&mut self, name: &EntityName, config: &ImprovementConfig) -> Result<(), Fault> {
        check_name(&name.name).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        config.check().map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        let known = match self.dictionary.entity(self.connection, name)? {
            Some(known) => known,
            None => self.dictionary.add_entity(self.connection, name, config, self.at)?,
        };
        self.receipt.entities.push(known.key);
        Ok(())
    }

    pub(super) fn declare_running(
        &mut self,
        name: &EntityName,
        config: &ImprovementConfig,
        revision: &Revision,
    ) -> Result<(), Fault> {
        if self.dictionary.entity(self.connection, name)?.is_some() {
            let what = format!("the {} `{}`", name.entity_type, name.name);
            return Err(StoreError::moved_on(what, "a name that nobody has").into());
        }
        self.declare(name, config)?;
        match self.receipt.entities.last().copied() {
            Some(key) => self.point_revision(key, revision),
            None => {
                Err(StoreError::Engine { context: "declaring an entity", reason: "it has no key".to_owned() }.into())
            }
        }
    }

    /// Changes one column of an entity; `column` is one of ours, never from outside.
    pub(super) fn change_entity(
        &mut self,
        entity: EntityKey,
        column: &'static str,
        value: &str,
    ) -> Result<(), Fault> {
        let sql = format!(
            "UPDATE entities SET {column} = ?3, version = version + 1 WHERE entity_type = ?1 AND entity_id = ?2"
        );
        let changed =
            self.connection.prepare_cached(&sql)?.execute((entity.entity_type.as_str(), entity.entity_id, value))?;
        if changed == 0 {
            return Err(StoreError::not_found(entity.entity_type.as_str(), entity.entity_id).into());
        }
        self.dictionary.forget_entities();
        self.reconfigured(entity)
    }

    /// What is served of the entity may have changed.
    pub(super) fn reconfigured(&mut self, entity: EntityKey) -> Result<(), Fault> {
        self.receipt.reconfigured.push(entity);
        self.configuration_changed()
    }

    pub(super) fn configuration_changed(&self) -> Result<(), Fault> {
        self.connection.prepare_cached("UPDATE config_seq SET seq = seq + 1")?.defer([])?;
        if self.connection.either(false, true) {
            // Heard once this is committed; what was said twice in a commit is heard once.
            let sql = "SELECT pg_notify('uplift_' || current_schema(), '\"configured\"')";
            self.connection.prepare_cached(sql)?.query([])?;
        }
        Ok(())
    }

    pub(super) fn set_config(&mut self, entity: EntityKey, config: &ImprovementConfig) -> Result<(), Fault> {
        config.check().map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        self.change_entity(entity, "improvement_config", &json(config, "improvement_config")?)?;
        if let Some(schedule) = config.review {
            self.connection
                .prepare_cached(
                    "INSERT INTO rolling_review_counters (entity_type, entity_id, review_type, task_threshold,
                        period_hours) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (entity_type, entity_id) DO UPDATE SET review_type = excluded.review_type,
                        task_threshold = excluded.task_threshold, period_hours = excluded.period_hours",
                )?
                .defer((
                    entity.entity_type.as_str(),
                    entity.entity_id,
                    schedule.kind.as_str(),
                    schedule.task_threshold,
                    schedule.period_hours,
                ))?;
        }
        Ok(())
    }

    pub(super) fn put_relationship(&mut self, tie: &Relationship) -> Result<(), Fault> {
        let existing = relationships(self.connection, None)?;
        check_relationship(&existing, tie).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        for end in [tie.from, tie.to] {
            if Dictionary::entity_by_key(self.connection, end)?.is_none() {
                return Err(StoreError::not_found(end.entity_type.as_str(), end.entity_id).into());
            }
        }
        let source = match tie.source {
            RelationshipSource::Declared => "declared",
            RelationshipSource::Learnt => "learnt",
        };
        self.connection
            .prepare_cached(
                "INSERT INTO entity_relationships AS r (from_type, from_id, kind, to_type, to_id, strength, source)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (from_type, from_id, kind, to_type, to_id)
                 DO UPDATE SET strength = excluded.strength, source = excluded.source
                 WHERE excluded.source = 'declared' OR r.source = 'learnt'",
            )?
            .defer((
                tie.from.entity_type.as_str(),
                tie.from.entity_id,
                tie.kind.as_str(),
                tie.to.entity_type.as_str(),
                tie.to.entity_id,
                tie.strength,
                source,
            ))?;
        Ok(())
    }

    pub(super) fn put_revision(&self, revision: &Revision) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO revisions (revision_id, configuration, created_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .defer((revision.id().as_str(), json(revision.configuration(), "configuration")?, self.at.micros()))?;
        Ok(())
    }

    pub(super) fn note_defaults(&mut self, entity: EntityKey, revision: &Revision) -> Result<(), Fault> {
        self.require_entity(entity)?;
        self.put_revision(revision)?;
        let noted = self
            .connection
            .prepare_cached(
                "INSERT INTO entity_defaults (entity_type, entity_id, seq, revision_id, first_seen_at)
                 SELECT CAST(?1 AS text), CAST(?2 AS bigint), coalesce(max(seq), 0) + 1, CAST(?3 AS text),
                    CAST(?4 AS bigint) FROM entity_defaults
                 WHERE entity_type = ?1 AND entity_id = ?2
                 ON CONFLICT (entity_type, entity_id, revision_id) DO NOTHING",
            )?
            .execute((entity.entity_type.as_str(), entity.entity_id, revision.id().as_str(), self.at.micros()))?;
        if noted > 0 { self.reconfigured(entity) } else { Ok(()) }
    }

    pub(super) fn point_revision(&mut self, entity: EntityKey, revision: &Revision) -> Result<(), Fault> {
        let id = revision.id().as_str();
        self.put_revision(revision)?;
        self.change_entity(entity, "revision_id", id)?;
        self.connection
            .prepare_cached(
                "INSERT INTO entity_revisions (entity_type, entity_id, seq, revision_id, since)
                 SELECT CAST(?1 AS text), CAST(?2 AS bigint), coalesce(max(seq), 0) + 1, CAST(?3 AS text),
                    CAST(?4 AS bigint) FROM entity_revisions
                 WHERE entity_type = ?1 AND entity_id = ?2",
            )?
            .defer((entity.entity_type.as_str(), entity.entity_id, id, self.at.micros()))?;
        if entity.entity_type == EntityType::Agent { self.spread(entity, revision) } else { Ok(()) }
    }

    /// Spreads an agent's tools and contexts out for queries.
    pub(super) fn spread(&self, entity: EntityKey, revision: &Revision) -> Result<(), Fault> {
        let configuration = revision.configuration();
        for table in ["agent_tools", "agent_contexts"] {
            self.connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE entity_id = ?1"))?
                .defer([entity.entity_id])?;
        }
        for tool in &configuration.tools {
            self.connection
                .prepare_cached(
                    "INSERT INTO agent_tools (entity_id, tool, required) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                )?
                .defer((entity.entity_id, &tool.name, tool.required))?;
        }
        for context in &configuration.contexts {
            self.connection
                .prepare_cached(
                    "INSERT INTO agent_contexts (entity_id, context) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .defer((entity.entity_id, context))?;
        }
        Ok(())
    }
}
