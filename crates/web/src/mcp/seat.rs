//! Who calls, and which tools are for them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use serde::Deserialize;
use uplift_cycle::validate::BUILT_IN_ENVIRONMENT;
use uplift_model::access::Bound;
use uplift_model::entity::{Entity, EntityType};

use crate::access::{Caller, client_address};
use crate::api::requests;
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// From where tools are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// An agent of the fleet.
    Fleet,
    /// The agent that writes proposals.
    Optimizer,
    /// The agent that orders the work.
    Planning,
    /// The agent that looks for what to try after harm was taken back.
    Recovery,
    /// An operator, or anybody where no token is needed and nobody says who it is.
    Any,
}

/// A caller: with the agent that it is, where that is known before it says so.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Who asks.
    pub(super) caller: Caller,
    /// From where, as far as it is known.
    pub(super) address: Option<IpAddr>,
    /// The agent, and its environment.
    pub(super) agent: Option<(String, Option<String>)>,
    /// Which tools it has.
    pub(super) seat: Seat,
}

/// What the address of the server may say.
#[derive(Debug, Default, Deserialize)]
struct Named {
    agent: Option<String>,
    environment: Option<String>,
}

impl Client {
    /// Whoever sent a request: the agent that its address names, else the only one that its token stands for.
    pub(super) fn of(state: &AppState, parts: Option<&Parts>) -> Result<Self, WebError> {
        let unknown = || WebError::new(ErrorCode::Unauthorized, "it is not known who asks");
        let parts = parts.ok_or_else(unknown)?;
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(unknown)?;
        let named = axum::extract::Query::<Named>::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
        let agent = match named.agent {
            Some(agent) => Some((agent, named.environment)),
            None => only(caller.entities()),
        };
        let seat = match &agent {
            Some((name, Some(environment))) if environment == BUILT_IN_ENVIRONMENT => match name.as_str() {
                "optimizer" => Seat::Optimizer,
                "planning" => Seat::Planning,
                "recovery" => Seat::Recovery,
                _ => Seat::Fleet,
            },
            None if !caller.is_bound() => Seat::Any,
            _ => Seat::Fleet,
        };
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied();
        let address = client_address(state.access.guarding.behind_proxy, peer, &parts.headers);
        let client = Self { caller, address, agent, seat };
        client.may_sit()?;
        Ok(client)
    }

    /// Tools are listed by what the address says, so it has to be true.
    fn may_sit(&self) -> Result<(), WebError> {
        match (self.seat, &self.agent) {
            (Seat::Any | Seat::Fleet, _) | (_, None) => Ok(()),
            (_, Some((name, _))) => self.caller.must_act_for(BUILT_IN_ENVIRONMENT, EntityType::Agent, name),
        }
    }

    /// The agent that acts: as the call says, else as the address or the token does.
    pub(super) async fn acting(
        &self,
        state: &AppState,
        agent: Option<String>,
        environment: Option<String>,
    ) -> Result<Entity, WebError> {
        let (agent, environment) = match (agent, &self.agent) {
            (Some(agent), _) => (Some(agent), environment),
            (None, Some((agent, own))) => (Some(agent.clone()), environment.or_else(|| own.clone())),
            (None, None) => (None, environment),
        };
        requests::agent(state, &self.caller, agent, environment).await
    }
}

fn only(bounds: &[Bound]) -> Option<(String, Option<String>)> {
    match bounds {
        [Bound { environment, entity_type: EntityType::Agent, name: Some(name) }] => {
            Some((name.clone(), environment.clone()))
        }
        _ => None,
    }
}
