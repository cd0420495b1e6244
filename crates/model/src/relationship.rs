//! How entities hang together, and what a change to one of them can reach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, UnknownName};

/// The kinds of relationship, read "from ... to".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationshipKind {
    /// Calls or reads it.
    Uses,
    /// Cannot work without it.
    DependsOn,
    /// Makes it.
    Creates,
    /// Improves it.
    Optimizes,
    /// Starts it.
    Triggers,
    /// Mentions it.
    References,
    /// Is made of it, among others.
    Contains,
}

impl RelationshipKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Uses,
        Self::DependsOn,
        Self::Creates,
        Self::Optimizes,
        Self::Triggers,
        Self::References,
        Self::Contains,
    ];

    /// The name used on the wire and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uses => "uses",
            Self::DependsOn => "depends_on",
            Self::Creates => "creates",
            Self::Optimizes => "optimizes",
            Self::Triggers => "triggers",
            Self::References => "references",
            Self::Contains => "contains",
        }
    }

    /// Whether a change to the target can change what the source does.
    pub const fn carries_change(self) -> bool {
        matches!(self, Self::Uses | Self::DependsOn | Self::Triggers | Self::Contains)
    }

    /// Whether the two work on the same tasks (uses, dependence, hand-offs), so that trials on both at once would blur
    /// each other.
    pub const fn joins(self) -> bool {
        matches!(self, Self::Uses | Self::DependsOn | Self::Triggers)
    }
}

impl FromStr for RelationshipKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            UnknownName::new(
                text,
                "a relationship (uses, depends_on, creates, optimizes, triggers, references, contains)",
            )
        })
    }
}

/// Where a relationship is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationshipSource {
    /// Somebody declared it.
    Declared,
    /// Traffic showed it.
    Learnt,
}

/// One entity's tie to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relationship {
    /// Who uses, depends on, creates, ...
    pub from: EntityKey,
    /// ... whom.
    pub to: EntityKey,
    /// In which way.
    pub kind: RelationshipKind,
    /// How strong, from 0 to 1.
    pub strength: f64,
    /// Where it is known from.
    pub source: RelationshipSource,
}

/// Why a set of relationships cannot be taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RelationshipError {
    /// An entity tied to itself.
    #[error("{entity} cannot be related to itself by {kind}", kind = .kind.as_str())]
    SelfReference {
        /// The entity.
        entity: EntityKey,
        /// The kind of tie.
        kind: RelationshipKind,
    },
    /// `depends_on` or `contains` would go in a circle.
    #[error("{kind} would go in a circle: {path}", kind = .kind.as_str(), path = show_path(.path))]
    Cycle {
        /// The kind of tie.
        kind: RelationshipKind,
        /// The entities on the circle, the first one again at the end.
        path: Vec<EntityKey>,
    },
    /// Strength outside 0 to 1, or not a number.
    #[error("strength must be from 0 to 1, not {strength}")]
    Strength {
        /// As given.
        strength: f64,
    },
}

fn show_path(path: &[EntityKey]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}

/// Checks that `added` fits beside `existing`: no self-reference, strength in range, and no circle of
/// `depends_on` or of `contains` (the other kinds may go round: agents hand work back and forth).
///
/// # Errors
/// Names what is wrong, with the circle where there is one.
pub fn check_relationship(existing: &[Relationship], added: &Relationship) -> Result<(), RelationshipError> {
    if !(0.0..=1.0).contains(&added.strength) {
        return Err(RelationshipError::Strength { strength: added.strength });
    }
    if added.from == added.to {
        return Err(RelationshipError::SelfReference { entity: added.from, kind: added.kind });
    }
    if !matches!(added.kind, RelationshipKind::DependsOn | RelationshipKind::Contains) {
        return Ok(());
    }
    let mut came_from = BTreeMap::from([(added.to, added.to)]);
    let mut queue = VecDeque::from([added.to]);
    while let Some(at) = queue.pop_front() {
        if at == added.from {
            let mut path = vec![at];
            let mut step = at;
            while let Some(&before) = came_from.get(&step).filter(|&&before| before != step) {
                path.push(before);
                step = before;
            }
            path.push(added.from);
            path.reverse();
            return Err(RelationshipError::Cycle { kind: added.kind, path });
        }
        for next in existing.iter().filter(|tie| tie.kind == added.kind && tie.from == at) {
            came_from.entry(next.to).or_insert_with(|| {
                queue.push_back(next.to);
                at
            });
        }
    }
    Ok(())
}

/// Everything that a change to `entity` can reach: walks ties that carry change, backwards, each entity once.
pub fn dependants(relationships: &[Relationship], entity: EntityKey) -> BTreeSet<EntityKey> {
    let mut reached = BTreeSet::new();
    let mut queue = VecDeque::from([entity]);
    while let Some(at) = queue.pop_front() {
        for tie in relationships.iter().filter(|tie| tie.to == at && tie.kind.carries_change()) {
            if tie.from != entity && reached.insert(tie.from) {
                queue.push_back(tie.from);
            }
        }
    }
    reached
}

/// What a change to `entity` can reach, with how strongly: over several ties the product of their strengths, the
/// strongest way where there are several. As [`dependants`], walked from the strongest on.
pub fn impact(relationships: &[Relationship], entity: EntityKey) -> BTreeMap<EntityKey, f64> {
    let mut onto: BTreeMap<EntityKey, Vec<&Relationship>> = BTreeMap::new();
    for tie in relationships.iter().filter(|tie| tie.kind.carries_change()) {
        onto.entry(tie.to).or_default().push(tie);
    }
    let mut reached: BTreeMap<EntityKey, f64> = BTreeMap::new();
    let mut queue = VecDeque::from([(entity, 1.0)]);
    while let Some((at, strength)) = queue.pop_front() {
        for tie in onto.get(&at).into_iter().flatten().filter(|tie| tie.from != entity) {
            let through = strength * tie.strength.clamp(0.0, 1.0);
            // Only a stronger way goes on from here, so circles come to an end.
            if reached.get(&tie.from).is_none_or(|known| *known < through) {
                reached.insert(tie.from, through);
                queue.push_back((tie.from, through));
            }
        }
    }
    reached
}

/// The entities that work on the same tasks as `entity`: tied to it directly, either way, by a kind that
/// [joins](RelationshipKind::joins).
pub fn joined(relationships: &[Relationship], entity: EntityKey) -> BTreeSet<EntityKey> {
    let other = |tie: &Relationship| if tie.from == entity { tie.to } else { tie.from };
    relationships
        .iter()
        .filter(|tie| tie.kind.joins() && (tie.from == entity || tie.to == entity))
        .map(other)
        .filter(|other| *other != entity)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType::{Agent, Tool};

    fn tie(from: i64, kind: RelationshipKind, to: i64) -> Relationship {
        Relationship {
            from: EntityKey::new(Agent, from),
            to: EntityKey::new(Agent, to),
            kind,
            strength: 1.0,
            source: RelationshipSource::Declared,
        }
    }

    #[test]
    fn circles_of_dependence_are_refused_and_shown() {
        let existing = [tie(1, RelationshipKind::DependsOn, 2), tie(2, RelationshipKind::DependsOn, 3)];
        let error = check_relationship(&existing, &tie(3, RelationshipKind::DependsOn, 1)).unwrap_err();
        assert_eq!(error.to_string(), "depends_on would go in a circle: agent/3 -> agent/1 -> agent/2 -> agent/3");
        assert!(check_relationship(&existing, &tie(3, RelationshipKind::Uses, 1)).is_ok());
        assert!(check_relationship(&existing, &tie(1, RelationshipKind::DependsOn, 3)).is_ok());
    }

    #[test]
    fn strength_and_self_reference_are_checked() {
        let mut bad = tie(1, RelationshipKind::Uses, 2);
        bad.strength = f64::NAN;
        assert!(matches!(check_relationship(&[], &bad), Err(RelationshipError::Strength { .. })));
        let own = tie(1, RelationshipKind::Contains, 1);
        assert!(matches!(check_relationship(&[], &own), Err(RelationshipError::SelfReference { .. })));
    }

    #[test]
    fn a_change_reaches_users_of_users_but_not_mere_mentions() {
        let tool = EntityKey::new(Tool, 7);
        let mut uses = tie(1, RelationshipKind::Uses, 1);
        uses.to = tool;
        let ties = [uses, tie(2, RelationshipKind::DependsOn, 1), tie(3, RelationshipKind::References, 1)];
        let reached: Vec<String> = dependants(&ties, tool).iter().map(ToString::to_string).collect();
        assert_eq!(reached, ["agent/1", "agent/2"]);
    }

    #[test]
    fn impact_takes_the_strongest_way_and_circles_end() {
        let strong = |from, to, strength| Relationship { strength, ..tie(from, RelationshipKind::DependsOn, to) };
        let ties = [
            strong(2, 1, 0.5),
            strong(3, 2, 0.5),
            strong(3, 1, 0.1),
            strong(2, 3, 1.0),
            strong(1, 3, 1.0),
            tie(4, RelationshipKind::References, 1),
        ];
        let found = impact(&ties, EntityKey::new(Agent, 1));
        let found: Vec<(i64, f64)> = found.iter().map(|(key, strength)| (key.entity_id, *strength)).collect();
        assert_eq!(found, [(2, 0.5), (3, 0.25)]);
    }

    #[test]
    fn joined_are_those_that_share_tasks_either_way_and_directly() {
        let ties = [
            tie(1, RelationshipKind::Uses, 2),
            tie(3, RelationshipKind::Triggers, 1),
            tie(1, RelationshipKind::References, 4),
            tie(2, RelationshipKind::Uses, 5),
        ];
        let found: Vec<i64> = joined(&ties, EntityKey::new(Agent, 1)).iter().map(|key| key.entity_id).collect();
        assert_eq!(found, [2, 3]);
    }
}
