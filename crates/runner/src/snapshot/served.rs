//! What is served of one entity, and to whom.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::value::RawValue;
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::event::Exposure;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{Arm, Comparison, ShareStage, TrialKind, TrialRecord};
use uplift_store::rows::ServedRow;

use super::prefix::Prefix;

/// Why a configuration was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A trial is declared, but not in force: it has not begun, or the store has been out of reach for too long.
    Base,
    /// The unit was assigned to an arm of a trial.
    Trial,
    /// The unit was assigned to an arm of a hold-back.
    HoldBack,
    /// A trial runs, but no unit was named that could be assigned.
    NoUnit,
    /// No trial runs.
    NoTrial,
    /// The entity is inactive, archived or failed, so no trial is served.
    Inactive,
    /// A trial that compares with the time before runs: everybody gets the candidate.
    BeforeAfter,
    /// A trial runs against what is no longer in place, so it is not served.
    StaleTrial,
    /// The code brought defaults along that it had before its present ones: what is in place is served.
    OlderDefaults,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Base,
        Self::Trial,
        Self::HoldBack,
        Self::NoUnit,
        Self::NoTrial,
        Self::Inactive,
        Self::BeforeAfter,
        Self::StaleTrial,
        Self::OlderDefaults,
    ];

    /// The name used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Trial => "trial",
            Self::HoldBack => "hold_back",
            Self::NoUnit => "no_unit",
            Self::NoTrial => "no_trial",
            Self::Inactive => "inactive",
            Self::BeforeAfter => "before_after",
            Self::StaleTrial => "stale_trial",
            Self::OlderDefaults => "older_defaults",
        }
    }
}

/// A revision ready to be sent.
#[derive(Debug)]
pub struct Sealed {
    /// Its address.
    pub id: RevisionId,
    /// Its configuration as JSON.
    pub configuration: Box<RawValue>,
}

impl Sealed {
    fn new(id: RevisionId, configuration: String) -> Result<Self, serde_json::Error> {
        Ok(Self { id, configuration: RawValue::from_string(configuration)? })
    }
}

/// What is served of one entity. In memory, what every lookup touches comes first, beside the counters of the `Arc`: in
/// a large fleet it is waiting for memory that costs time, a line of 64 bytes each.
#[repr(C)]
pub struct Served {
    label: Label,
    /// Where it stands in its life.
    pub state: EntityState,
    running: Option<Box<Running>>,
    /// The entity.
    pub key: EntityKey,
    /// Its environment.
    pub environment: String,
    /// Its name.
    pub name: String,
    /// The revision it runs outside of trials.
    pub revision: Sealed,
    /// The latest configuration that its code brought along.
    pub defaults: Option<RevisionId>,
    /// The generation in which it was last seen in the store.
    pub(super) seen: AtomicU64,
}

/// Bytes of name and environment that a label has room for.
const LABEL: usize = 37;

/// Name and environment, if they are short: then they are compared without looking elsewhere.
struct Label {
    /// Bytes of the name; none of this means anything where it is [`Label::LONG`].
    name: u8,
    /// Bytes of both.
    both: u8,
    bytes: [u8; LABEL],
}

impl Label {
    const LONG: u8 = u8::MAX;

    fn of(name: &str, environment: &str) -> Self {
        let (split, both) = (name.len(), name.len() + environment.len());
        let mut bytes = [0; LABEL];
        if both > LABEL {
            return Self { name: Self::LONG, both: 0, bytes };
        }
        bytes[..split].copy_from_slice(name.as_bytes());
        bytes[split..both].copy_from_slice(environment.as_bytes());
        Self { name: split as u8, both: both as u8, bytes }
    }
}

/// The trial that runs on an entity.
struct Running {
    id: i64,
    kind: TrialKind,
    comparison: Comparison,
    started_us: i64,
    key: String,
    prefix: Prefix,
    stages: Box<[ShareStage]>,
    /// Whether it compares with what is in place. Otherwise the pointer was moved by hand, and it is not served.
    fits: bool,
    control: Sealed,
    candidate: Sealed,
}

/// Which revision of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    InPlace,
    Arm(Arm),
}

/// What an entity is to run. Holds the entity as it was when it was asked for; nothing is copied.
#[derive(Clone)]
pub struct Resolved {
    /// The entity.
    pub served: Arc<Served>,
    /// Why.
    pub reason: Reason,
    /// The trial in force and the arm whose revision this is.
    pub trial: Option<(i64, Arm)>,
    /// Whether this answer puts a unit into that arm, so that its events should say so.
    pub exposed: bool,
    side: Side,
}

/// What differs between two states of an entity, for those who wait for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Another revision is in place, or the first one.
    Revision,
    /// A trial began, ended or moved to another stage.
    Trial,
    /// It is in another state, or has another name.
    State,
}

impl ChangeKind {
    /// The name used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Trial => "trial",
            Self::State => "state",
        }
    }
}

impl Resolved {
    /// The revision to run.
    pub fn revision(&self) -> &Sealed {
        match (self.side, &self.served.running) {
            (Side::Arm(Arm::Control), Some(running)) => &running.control,
            (Side::Arm(Arm::Candidate), Some(running)) => &running.candidate,
            (Side::InPlace | Side::Arm(_), _) => &self.served.revision,
        }
    }

    /// What the unit's events should carry in their `exposures`.
    pub fn exposure(&self) -> Option<Exposure> {
        let (trial, arm) = self.trial.filter(|_| self.exposed)?;
        let revision = self.revision().id.as_str().to_owned();
        Some(Exposure { trial, arm: arm_name(arm).to_owned(), revision })
    }
}

/// An arm's name on the wire.
pub const fn arm_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Control => "control",
        Arm::Candidate => "candidate",
    }
}

impl Running {
    fn new(record: TrialRecord, control: String, candidate: String, in_place: &RevisionId) -> Option<Self> {
        let kept = if record.trial.kind == TrialKind::HoldBack { &record.candidate } else { &record.base };
        let fits = kept == in_place;
        let seal = |id: RevisionId, text: String| {
            let unreadable = |error| tracing::error!(trial = record.id, %error, "a stored configuration is no JSON");
            Sealed::new(id, text).map_err(unreadable).ok()
        };
        Some(Self {
            id: record.id,
            kind: record.trial.kind,
            comparison: record.trial.comparison,
            started_us: record.trial.started_us,
            prefix: Prefix::of(&record.trial.key),
            stages: record.trial.stages.as_slice().into(),
            fits,
            control: seal(record.base.clone(), control)?,
            candidate: seal(record.candidate.clone(), candidate)?,
            key: record.trial.key,
        })
    }

    fn is(&self, record: &TrialRecord) -> bool {
        let trial = &record.trial;
        record.running
            && self.id == record.id
            && self.key == trial.key
            && self.kind == trial.kind
            && self.comparison == trial.comparison
            && self.started_us == trial.started_us
            && *self.stages == *trial.stages
            && self.control.id == record.base
            && self.candidate.id == record.candidate
    }

    /// The share in force; none before the first stage.
    fn share(&self, now_us: i64) -> Option<f64> {
        let begun = self.stages.partition_point(|stage| stage.from_us <= now_us);
        self.stages.get(begun.checked_sub(1)?).map(|stage| stage.share)
    }
}

impl Served {
    /// What a row says; none where it runs no revision, or one that cannot be read.
    pub(super) fn of(row: ServedRow) -> Option<Self> {
        let (id, configuration) = row.revision.zip(row.configuration)?;
        let revision = Sealed::new(id, configuration)
            .map_err(|error| tracing::error!(entity = %row.entity, %error, "a stored configuration is no JSON"))
            .ok()?;
        let running = row
            .trial
            .filter(|(record, ..)| record.running)
            .and_then(|(record, control, candidate)| Running::new(*record, control, candidate, &revision.id))
            .map(Box::new);
        let (key, environment, name) = (row.entity, row.environment, row.name);
        let label = Label::of(&name, &environment);
        let (state, defaults, seen) = (row.state, row.defaults, AtomicU64::new(0));
        Some(Self { label, state, running, key, environment, name, revision, defaults, seen })
    }

    /// Whether this is its name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        if self.label.name == Label::LONG {
            return self.name == name;
        }
        self.label.bytes.get(..self.label.name.into()) == Some(name.as_bytes())
    }

    /// Whether it is in this environment.
    pub(super) fn is_in(&self, environment: &str) -> bool {
        if self.label.name == Label::LONG {
            return self.environment == environment;
        }
        self.label.bytes.get(self.label.name.into()..self.label.both.into()) == Some(environment.as_bytes())
    }

    /// Whether a row says what this says.
    pub(super) fn is(&self, row: &ServedRow) -> bool {
        let same_trial = match (&self.running, &row.trial) {
            (Some(running), Some((record, ..))) => running.is(record),
            (None, Some((record, ..))) => !record.running,
            (None, None) => true,
            (Some(_), None) => false,
        };
        same_trial
            && row.revision.as_ref() == Some(&self.revision.id)
            && (self.state, &self.name, &self.environment) == (row.state, &row.name, &row.environment)
            && self.defaults == row.defaults
    }

    /// What others should know of the step from `before` to this, if anything.
    pub(super) fn change_since(&self, before: &Self) -> Option<ChangeKind> {
        let trial = |served: &Self| served.running.as_ref().map(|running| (running.id, running.stages.len()));
        if self.revision.id != before.revision.id {
            Some(ChangeKind::Revision)
        } else if trial(self) != trial(before) {
            Some(ChangeKind::Trial)
        } else if (self.state, &self.name, &self.environment) != (before.state, &before.name, &before.environment) {
            Some(ChangeKind::State)
        } else {
            None
        }
    }

    /// What a unit is to run now. `cut_off` says that the store has been out of reach for too long: then a trial may
    /// have been taken back without our knowing, so its base is served.
    pub fn resolve(self: Arc<Self>, unit: Option<&str>, now_us: i64, cut_off: bool) -> Resolved {
        let (side, reason, trial, exposed) = self.decide(unit, now_us, cut_off);
        Resolved { served: self, reason, trial, exposed, side }
    }

    fn decide(&self, unit: Option<&str>, now_us: i64, cut_off: bool) -> (Side, Reason, Option<(i64, Arm)>, bool) {
        if matches!(self.state, EntityState::Inactive | EntityState::Archived | EntityState::Failed) {
            return (Side::InPlace, Reason::Inactive, None, false);
        }
        let Some(running) = &self.running else { return (Side::InPlace, Reason::NoTrial, None, false) };
        if !running.fits {
            return (Side::InPlace, Reason::StaleTrial, None, false);
        }
        if cut_off {
            return (Side::Arm(Arm::Control), Reason::Base, None, false);
        }
        // Whoever is not assigned gets what is in place: control of a trial, the kept change of a hold-back.
        let in_place = if running.kind == TrialKind::HoldBack { Arm::Candidate } else { Arm::Control };
        let unassigned = |reason| (Side::Arm(in_place), reason, Some((running.id, in_place)), false);
        if running.comparison == Comparison::BeforeAfter {
            if now_us < running.started_us {
                return unassigned(Reason::Base);
            }
            let arm = Arm::Candidate;
            return (Side::Arm(arm), Reason::BeforeAfter, Some((running.id, arm)), true);
        }
        let Some(share) = running.share(now_us) else { return unassigned(Reason::Base) };
        let Some(unit) = unit else { return unassigned(Reason::NoUnit) };
        let arm = if running.prefix.bucket(unit) < share { Arm::Candidate } else { Arm::Control };
        let reason = if running.kind == TrialKind::HoldBack { Reason::HoldBack } else { Reason::Trial };
        (Side::Arm(arm), reason, Some((running.id, arm)), true)
    }
}
