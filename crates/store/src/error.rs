//! What can go wrong, with the place and the remedy.

use uplift_model::entity::EntityKey;
use uplift_model::opportunity::OpportunityStatus;

/// The result of a call to the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// What can go wrong in a store.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a later version.
    #[error("{place} has schema {found}, this uplift knows up to {known}: use a newer uplift; nothing was changed")]
    NewerDatabase {
        /// The database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// It is not a database of ours.
    #[error("{place} is not an uplift database ({reason}); nothing was changed: name another file with --database")]
    NotADatabase {
        /// The file.
        place: String,
        /// What the engine said.
        reason: String,
    },
    /// It cannot be opened.
    #[error("cannot open {place}: {reason}")]
    Open {
        /// The database.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// It cannot be written to.
    #[error("{place} is read-only: check its permissions and those of its folder")]
    ReadOnly {
        /// The database.
        place: String,
    },
    /// The disk is full, or the system refuses to let the files grow for another reason.
    #[error(
        "no room left to write {place}: free some space (or raise the quota); what was acknowledged before is safe"
    )]
    DiskFull {
        /// The database.
        place: String,
    },
    /// Another process holds the write lock for too long.
    #[error("{place} is being written by another process: try again, or send the request to that server")]
    Busy {
        /// The database.
        place: String,
    },
    /// The database's server does not answer, or ended the connection.
    #[error("cannot reach {place}: {reason}; what was acknowledged before is safe: try again once it answers")]
    Unreachable {
        /// The database.
        place: String,
        /// What happened.
        reason: String,
    },
    /// There is no such thing.
    #[error("there is no {what} `{name}`{hint}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name or id, clipped.
        name: String,
        /// What else could be meant, starting with "; " where there is anything to say.
        hint: String,
    },
    /// The name exists in more than one environment.
    #[error("{what} `{name}` exists in several environments ({environments}): say which")]
    Ambiguous {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// The environments, listed.
        environments: String,
    },
    /// Somebody else was faster.
    #[error("{what} has changed meanwhile ({expected} was expected): read it again")]
    VersionConflict {
        /// What has changed.
        what: String,
        /// What was expected: a version, a cursor, a state.
        expected: String,
    },
    /// Something else is under way on the entity.
    #[error("{entity} is occupied by {by}: one at a time")]
    Occupied {
        /// The entity.
        entity: EntityKey,
        /// What occupies it: `improvement 7`, `trial 3`.
        by: String,
    },
    /// The lease has gone to another worker.
    #[error("the lease `{name}` is no longer held (epoch {epoch})")]
    StaleLease {
        /// The lease.
        name: String,
        /// The epoch that was claimed.
        epoch: i64,
    },
    /// The opportunity is in a state that does not allow this.
    #[error("opportunity {id} is {status} already")]
    NotOpen {
        /// The opportunity.
        id: i64,
        /// Its status.
        status: OpportunityStatus,
    },
    /// What should be written breaks a rule.
    #[error("{reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// A page cursor that this store did not give out.
    #[error("`{cursor}` is not a cursor of this list: start again without one")]
    BadCursor {
        /// As given, clipped.
        cursor: String,
    },
    /// What is stored cannot be read back.
    #[error("{place} holds {what} that cannot be read: {reason}")]
    Corrupt {
        /// The database.
        place: String,
        /// What kind of row.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else the engine said.
    #[error("{context}: {reason}")]
    Engine {
        /// What was being done.
        context: &'static str,
        /// What the engine said.
        reason: String,
    },
}

impl StoreError {
    /// A [`StoreError::NotFound`] without a hint.
    pub fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string().chars().take(200).collect(), hint: String::new() }
    }

    /// A [`StoreError::Invalid`].
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    /// A [`StoreError::VersionConflict`].
    pub(crate) fn moved_on(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::VersionConflict { what: what.into(), expected: expected.into() }
    }
}
