//! Who asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uplift_model::access::{Bound, Role};
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityType};
use uplift_model::event::{EntityRef, Event, EventKind, Source};
use uplift_runner::Engine;
use uplift_runner::access::Known;
use uplift_store::rows::EntitySelector;

use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// Who acts where no token is needed.
pub(crate) const LOCAL: &str = "local";

/// Who asks. Every handler that changes something, or tells something that is not for everybody, takes one.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Option<Arc<Known>>);

impl Caller {
    /// Somebody on this machine, where no token is needed: may do everything.
    pub(crate) const fn local() -> Self {
        Self(None)
    }

    /// Whoever shows this token.
    pub(crate) const fn with(token: Arc<Known>) -> Self {
        Self(Some(token))
    }

    /// Under which name their actions are written down.
    pub(crate) fn name(&self) -> &str {
        self.0.as_ref().map_or(LOCAL, |known| &known.token.name)
    }

    /// What they may.
    pub(crate) fn role(&self) -> Role {
        self.0.as_ref().map_or(Role::Admin, |known| known.token.role)
    }

    /// The token's number.
    pub(crate) fn token_id(&self) -> Option<i64> {
        self.0.as_ref().map(|known| known.token.id)
    }

    /// The token, where one was shown.
    pub(crate) fn known(&self) -> Option<&Arc<Known>> {
        self.0.as_ref()
    }

    /// Whether their token is still in force; who needs none may always stay.
    pub(crate) fn is_in_force(&self, engine: &Engine) -> bool {
        self.0.as_ref().is_none_or(|known| engine.tokens().holds(known, engine.now()))
    }

    /// Whom an agent's token stands for; empty for everybody else.
    pub(crate) fn entities(&self) -> &[Bound] {
        self.0.as_ref().map_or(&[], |known| &known.token.entities)
    }

    /// The environment of an agent's token, where all that it stands for is in one.
    pub(crate) fn environment(&self) -> Option<&str> {
        let (first, others) = self.entities().split_first()?;
        let same = others.iter().all(|bound| bound.environment == first.environment);
        first.environment.as_deref().filter(|_| same)
    }

    /// Whose tasks they may begin and end, where these are not everybody's: those of a token that agents hold themselves.
    pub(crate) fn stands_for(&self) -> Vec<Bound> {
        if self.is_an_agent() { self.entities().to_vec() } else { Vec::new() }
    }

    /// Whether they act for some entities only.
    pub(crate) fn is_bound(&self) -> bool {
        self.role() == Role::Agent
    }

    /// Whether they may act for an entity. Viewers act for nobody.
    pub(crate) fn acts_for(&self, environment: &str, entity_type: EntityType, name: &str) -> bool {
        match self.role() {
            Role::Viewer => false,
            Role::Operator | Role::Admin => true,
            Role::Agent => self.entities().iter().any(|bound| bound.covers(environment, entity_type, name)),
        }
    }

    /// As [`acts_for`](Self::acts_for), with the error that says so.
    ///
    /// # Errors
    /// Where they may not.
    pub(crate) fn must_act_for(
        &self,
        environment: &str,
        entity_type: EntityType,
        name: &str,
    ) -> Result<(), WebError> {
        if self.acts_for(environment, entity_type, name) {
            return Ok(());
        }
        Err(WebError::new(ErrorCode::Forbidden, self.not_for(environment, entity_type, name)))
    }

    /// The entity that they mean, if they may act for it: an agent that names no environment means its own.
    ///
    /// # Errors
    /// Where they may not; nothing is said about whether there is such an entity.
    pub(crate) fn own(&self, state: &AppState, mut who: EntitySelector) -> Result<EntitySelector, WebError> {
        if !self.is_bound() {
            return self.require(Role::Agent).map(|()| who);
        }
        if who.id_or_name.bytes().all(|byte| byte.is_ascii_digit()) {
            let served = state.engine.snapshot().served(None, who.entity_type, &who.id_or_name);
            return match served {
                Some(served) if self.acts_for(&served.environment, who.entity_type, &served.name) => Ok(who),
                _ => Err(WebError::new(ErrorCode::Forbidden, self.not_for("*", who.entity_type, &who.id_or_name))),
            };
        }
        if who.environment.is_none() {
            let covers = |bound: &&Bound| {
                bound.entity_type == who.entity_type
                    && bound.name.as_deref().is_none_or(|name| name == who.id_or_name)
            };
            let own = self.entities().iter().find(covers).and_then(|bound| bound.environment.clone());
            who.environment = Some(own.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned()));
        }
        let environment = who.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT);
        self.must_act_for(environment, who.entity_type, &who.id_or_name)?;
        Ok(who)
    }

    /// Whether what happens to an entity is for them to know.
    pub(crate) fn hears_of(&self, engine: &Engine, entity: EntityKey) -> bool {
        if !self.is_bound() {
            return true;
        }
        let served = engine.snapshot().served(None, entity.entity_type, &entity.entity_id.to_string());
        served.is_some_and(|served| self.acts_for(&served.environment, entity.entity_type, &served.name))
    }

    fn not_for(&self, environment: &str, entity_type: EntityType, name: &str) -> String {
        format!("the token `{}` does not stand for {environment}:{entity_type}/{name}", self.name())
    }

    /// Whether they may do what is meant for `role`.
    ///
    /// # Errors
    /// Where they may not.
    pub(crate) fn require(&self, role: Role) -> Result<(), WebError> {
        if self.role().covers(role) {
            return Ok(());
        }
        let detail = format!("this is for {role}s, and the token `{}` has the role {}", self.name(), self.role());
        Err(WebError::new(ErrorCode::Forbidden, detail))
    }

    /// Why an event is not taken from them, if it is not: an agent reports for itself, and is no person.
    pub(crate) fn objection(&self, event: &Event) -> Option<String> {
        if !self.is_bound() {
            return None;
        }
        match &event.entity {
            EntityRef::Key(key) => {
                return Some(format!("an agent's token needs names: send the name of {key}, not its number"));
            }
            EntityRef::Name(name) => {
                if !self.acts_for(&name.environment, name.entity_type, &name.name) {
                    return Some(self.not_for(&name.environment, name.entity_type, &name.name));
                }
            }
        }
        (event.source == Source::Human && self.is_an_agent())
            .then(|| "an agent's token cannot speak for a person: leave out `source`, or use `self`".to_owned())
    }

    /// Notes as the agent's own word a score that it sends of itself, whatever it says of its source: metrics that count
    /// what the environment says are not for an agent to fill. Events are sent with no source as a rule, so it is no
    /// reason to refuse them. `POST /api/feedback` is for agents that score the tasks of others.
    pub(crate) fn take_at_its_word(&self, event: &mut Event) {
        if event.kind == EventKind::Feedback && event.source == Source::Environment && self.is_an_agent() {
            event.source = Source::Own;
        }
    }

    /// Whether the token is held by an agent itself: it is bound by name. One for all agents is held by what runs them.
    pub(crate) fn is_an_agent(&self) -> bool {
        self.is_bound() && self.entities().iter().any(|bound| bound.name.is_some())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // Only a route that the middleware does not stand before could lack it: better nobody than anybody.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| WebError::new(ErrorCode::Unauthorized, "it is not known who asks"))
    }
}
