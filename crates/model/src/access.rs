//! Who may do what: roles, tokens, and the record of what was done by whom.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{DEFAULT_ENVIRONMENT, EntityType, UnknownName, check_name};
use crate::opportunity::names;
use crate::time::Time;

/// Most entities that one token stands for.
pub const MAX_BOUND: usize = 100;
/// Longest name of a token, in bytes.
pub const MAX_TOKEN_NAME_BYTES: usize = 100;

names! {
    /// What a caller may do.
    Role,
    "a role (viewer, agent, operator, admin)",
    {
        /// Reads everything but tokens and the audit log; changes nothing.
        Viewer = "viewer",
        /// Reports, asks, scores and reads, for the entities its token is bound to and for nobody else.
        Agent = "agent",
        /// What a viewer and agents may, for everybody; and approves, rejects, takes back, sets and declares.
        Operator = "operator",
        /// Everything, tokens too.
        Admin = "admin",
    }
}

impl Role {
    /// Whether whoever may do what `self` may, may do what is meant for `needed`. Agents stand aside: they may little,
    /// and only for themselves; operators and admins may that too.
    pub const fn covers(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => !matches!(needed, Self::Admin),
            Self::Viewer => matches!(needed, Self::Viewer),
            Self::Agent => matches!(needed, Self::Agent),
        }
    }
}

/// Whom an agent's token stands for: written `environment:type/name`, with `*` for every environment or every name. The
/// environment may be left out, and is the default one then.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bound {
    /// The environment; none for every one.
    pub environment: Option<String>,
    /// The kind.
    pub entity_type: EntityType,
    /// The name; none for every one.
    pub name: Option<String>,
}

/// Why a text names nobody a token could stand for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// It has no slash.
    #[error("`{text}` is no entity: write agent/NAME, ENVIRONMENT:agent/NAME, or * for any environment or name")]
    Form {
        /// As given, clipped.
        text: String,
    },
    /// The kind is unknown.
    #[error(transparent)]
    Type(#[from] UnknownName),
    /// A part cannot be a name.
    #[error("`{text}`: {source}")]
    Name {
        /// As given, clipped.
        text: String,
        /// Why.
        source: crate::entity::NameError,
    },
}

impl Bound {
    /// Whether an entity is meant.
    pub fn covers(&self, environment: &str, entity_type: EntityType, name: &str) -> bool {
        self.entity_type == entity_type
            && self.environment.as_deref().is_none_or(|bound| bound == environment)
            && self.name.as_deref().is_none_or(|bound| bound == name)
    }
}

impl FromStr for Bound {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let clipped = || text.chars().take(100).collect::<String>();
        let (front, name) = text.split_once('/').ok_or_else(|| BoundError::Form { text: clipped() })?;
        // A kind has no colon, so an environment may have some.
        let (environment, entity_type) = front.rsplit_once(':').unwrap_or((DEFAULT_ENVIRONMENT, front));
        let part = |part: &str| match part {
            "*" => Ok(None),
            _ => check_name(part)
                .map(|()| Some(part.to_owned()))
                .map_err(|source| BoundError::Name { text: clipped(), source }),
        };
        Ok(Self { environment: part(environment)?, entity_type: entity_type.parse()?, name: part(name)? })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment = self.environment.as_deref().unwrap_or("*");
        write!(f, "{environment}:{}/{}", self.entity_type, self.name.as_deref().unwrap_or("*"))
    }
}

impl From<Bound> for String {
    fn from(bound: Bound) -> Self {
        bound.to_string()
    }
}

impl TryFrom<String> for Bound {
    type Error = BoundError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A token as stored: what it opens, not the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Its name, by which actions are recorded; of the tokens in force each has another.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// SHA-256 of the token, 64 hexadecimal digits in lower case.
    pub hash: String,
    /// Whom it stands for; empty for all roles but agents.
    pub entities: Vec<Bound>,
    /// When it was made.
    pub created_at: Time,
    /// By whom.
    pub created_by: String,
    /// From when on it opens nothing any more; never where there is none.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// By whom.
    pub revoked_by: Option<String>,
    /// When it was last used, to about ten minutes.
    pub last_used_at: Option<Time>,
}

impl Token {
    /// Whether it opens anything at a moment.
    pub fn is_in_force(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }
}

/// A token to be put on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// As in [`Token`].
    pub name: String,
    /// As in [`Token`].
    pub role: Role,
    /// As in [`Token`].
    pub hash: String,
    /// As in [`Token`].
    pub entities: Vec<Bound>,
    /// As in [`Token`].
    pub created_by: String,
    /// As in [`Token`].
    pub expires_at: Option<Time>,
}

/// Why a token cannot be as asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No name.
    #[error("a token needs a name of 1 to {MAX_TOKEN_NAME_BYTES} bytes without control characters")]
    Name,
    /// An agent's token for nobody.
    #[error("an agent's token says whom it stands for: name at least one entity, as in agent/researcher")]
    Nobody,
    /// Another role's token with entities.
    #[error("a token of role {role} stands for nobody in particular: entities are for the role agent")]
    NotAnAgent {
        /// The role.
        role: Role,
    },
    /// Too many of them.
    #[error("a token stands for at most {MAX_BOUND} entities, not {asked}: use * for a whole environment")]
    TooMany {
        /// How many were asked for.
        asked: usize,
    },
    /// It would open nothing.
    #[error("the token would have expired before it is made")]
    Expired,
}

impl NewToken {
    /// Checks it.
    ///
    /// # Errors
    /// When the name cannot be one, entities and role do not go together, or it expires before `now`.
    pub fn check(&self, now: Time) -> Result<(), TokenError> {
        let name = self.name.trim();
        if name.is_empty() || name.len() > MAX_TOKEN_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        match (self.role, self.entities.len()) {
            (Role::Agent, 0) => return Err(TokenError::Nobody),
            (Role::Agent, asked) if asked > MAX_BOUND => return Err(TokenError::TooMany { asked }),
            (Role::Agent, _) | (_, 0) => {}
            (role, _) => return Err(TokenError::NotAnAgent { role }),
        }
        if self.expires_at.is_some_and(|expires| expires <= now) { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// Something that somebody asked to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When it was asked for.
    pub at: Time,
    /// Who asked: the name of a token, or `local` where none is needed.
    pub actor: String,
    /// In which role.
    pub role: Role,
    /// By which token.
    pub token_id: Option<i64>,
    /// From which address.
    pub peer: Option<String>,
    /// What: a method and the pattern of a path, or a command.
    pub action: String,
    /// Of what: the path as asked for, or what a command names.
    pub subject: String,
    /// What else is to be known of it.
    pub detail: Option<String>,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number.
    pub id: i64,
    /// What was asked for.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The status of the answer; none while it is being worked on, and where nothing is known of it after a crash.
    pub status: Option<u16>,
    /// When it was answered.
    pub ended_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_token_stands_for() {
        for (text, written) in [
            ("agent/researcher", "default:agent/researcher"),
            ("production:agent/a/b", "production:agent/a/b"),
            ("team:eu:agent/*", "team:eu:agent/*"),
            ("*:tool/search", "*:tool/search"),
        ] {
            let bound: Bound = text.parse().unwrap();
            assert_eq!(bound.to_string(), written);
            assert_eq!(bound, bound.to_string().parse().unwrap());
        }
        for text in ["", "researcher", "agent/", "agnet/x", "agent/12", "9:agent/x", ":agent/x", "agent/a\nb"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
        let covers = |bound: &str, environment: &str, name: &str| {
            bound.parse::<Bound>().unwrap().covers(environment, EntityType::Agent, name)
        };
        assert!(covers("agent/a", "default", "a"));
        assert!(!covers("agent/a", "default", "b"));
        assert!(!covers("agent/a", "production", "a"));
        assert!(!covers("tool/a", "default", "a"));
        assert!(covers("production:agent/*", "production", "b"));
        assert!(!covers("production:agent/*", "default", "b"));
        assert!(covers("*:agent/a", "production", "a"));
    }

    #[test]
    fn roles_cover_roles() {
        use Role::{Admin, Agent, Operator, Viewer};
        for (role, covered) in [
            (Viewer, vec![Viewer]),
            (Agent, vec![Agent]),
            (Operator, vec![Viewer, Agent, Operator]),
            (Admin, vec![Viewer, Agent, Operator, Admin]),
        ] {
            for needed in [Viewer, Agent, Operator, Admin] {
                assert_eq!(role.covers(needed), covered.contains(&needed), "{role} {needed}");
            }
        }
    }

    #[test]
    fn tokens_are_checked() {
        let new = |name: &str, role, entities: &[&str], expires_at| NewToken {
            name: name.into(),
            role,
            hash: String::new(),
            entities: entities.iter().map(|text| text.parse().unwrap()).collect(),
            created_by: "local".into(),
            expires_at,
        };
        let now = Time::from_micros(1_000);
        assert_eq!(new("a", Role::Agent, &["agent/a"], None).check(now), Ok(()));
        assert_eq!(new("a", Role::Viewer, &[], Some(Time::from_micros(1_001))).check(now), Ok(()));
        assert_eq!(new(" ", Role::Viewer, &[], None).check(now), Err(TokenError::Name));
        assert_eq!(new("a", Role::Agent, &[], None).check(now), Err(TokenError::Nobody));
        assert_eq!(
            new("a", Role::Operator, &["agent/a"], None).check(now),
            Err(TokenError::NotAnAgent { role: Role::Operator })
        );
        assert_eq!(new("a", Role::Admin, &[], Some(now)).check(now), Err(TokenError::Expired));
        let many: Vec<&str> = std::iter::repeat_n("agent/a", MAX_BOUND + 1).collect();
        assert_eq!(new("a", Role::Agent, &many, None).check(now), Err(TokenError::TooMany { asked: MAX_BOUND + 1 }));
    }
}
