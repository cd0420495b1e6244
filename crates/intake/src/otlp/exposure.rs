//! The arms of trials that a span claims: as Uplift's own attributes, or as a flag that was evaluated.

use uplift_model::event::Exposure;

use super::keys::Field;
use super::read::Read;
use super::view::{SpanEvent, Value};

/// Most arms one span may claim.
const MAX_EXPOSURES: usize = 64;
/// Longest name of a revision, bytes.
const MAX_REVISION_BYTES: usize = 128;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) exposures: Vec<Exposure>,
    /// Something claims to be one and is not.
    pub(super) broken: bool,
}

impl Claims {
    /// Those of a span or log record. Attributes that are understood are marked as used.
    pub(super) fn of(read: &mut Read<'_, '_>, events: &[SpanEvent<'_>]) -> Self {
        let mut claims = Self::default();
        if let Some(value) = read.value(Field::Exposures) {
            match value.said().map(|text| serde_json::from_str::<Vec<Exposure>>(&text)) {
                Some(Ok(list)) if list.len() <= MAX_EXPOSURES && list.iter().all(is_valid) => {
                    for exposure in list {
                        claims.add(exposure);
                    }
                    read.take(Field::Exposures);
                }
                _ => claims.broken = true,
            }
        }
        if let Some(trial) = read.value(Field::Trial) {
            match exposure(Some(trial), read.value(Field::Arm), read.value(Field::Revision)) {
                Some(found) => {
                    claims.add(found);
                    for field in [Field::Trial, Field::Arm, Field::Revision] {
                        read.take(field);
                    }
                }
                None => claims.broken = true,
            }
        }
        let flag = [Field::FlagSet, Field::FlagVariant, Field::FlagVersion].map(|field| read.value(field));
        claims.flag(flag);
        for event in events.iter().filter(|event| event.name.starts_with("feature_flag")) {
            let get = |keys: [&str; 2]| keys.iter().find_map(|key| event.attributes.get(key));
            let variant = get(["feature_flag.result.variant", "feature_flag.variant"]);
            claims.flag([
                event.attributes.get("feature_flag.set.id"),
                variant,
                event.attributes.get("feature_flag.version"),
            ]);
        }
        claims
    }

    /// Flags of others are nothing of ours: only those are taken that name a trial and one of its arms.
    fn flag(&mut self, [set, variant, version]: [Option<&Value<'_>>; 3]) {
        if let Some(found) = exposure(set, variant, version) {
            self.add(found);
        }
    }

    fn add(&mut self, exposure: Exposure) {
        if self.exposures.len() < MAX_EXPOSURES && !self.exposures.contains(&exposure) {
            self.exposures.push(exposure);
        }
    }
}

fn exposure(trial: Option<&Value<'_>>, arm: Option<&Value<'_>>, revision: Option<&Value<'_>>) -> Option<Exposure> {
    let trial = match trial? {
        Value::Int(trial) => *trial,
        Value::Text(text) => text.trim().strip_prefix("trial/").unwrap_or(text.trim()).parse().ok()?,
        _ => return None,
    };
    let found = Exposure { trial, arm: arm?.text()?.to_owned(), revision: revision?.text()?.to_owned() };
    is_valid(&found).then_some(found)
}

fn is_valid(exposure: &Exposure) -> bool {
    let revision = &exposure.revision;
    exposure.trial > 0
        && matches!(exposure.arm.as_str(), "control" | "candidate")
        && !revision.is_empty()
        && revision.len() <= MAX_REVISION_BYTES
        && !revision.chars().any(char::is_control)
}
