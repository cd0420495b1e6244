//! What every handler can reach.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use uplift_runner::Engine;
use uplift_store::rows::TaskCounts;

use crate::access::{Access, Guarding};
use crate::api::Room;
use crate::dashboard::{Decided, Ties, Trends};
use crate::guard::AllowedHosts;
use crate::kept::Kept;
use crate::listeners::Listeners;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub(crate) engine: Engine,
    pub(crate) prometheus: PrometheusHandle,
    pub(crate) allowed: Arc<AllowedHosts>,
    /// Places for those who listen to changes.
    pub(crate) listeners: Listeners,
    /// The memory for requests on their way to the queue.
    pub(crate) bodies: Room,
    /// Who is let in.
    pub(crate) access: Access,
    /// What the dashboard shows of the fleet, and of what was decided, and how it hangs together.
    pub(crate) trends: Kept<Trends>,
    pub(crate) decided: Kept<Decided>,
    pub(crate) ties: Kept<Ties>,
    /// How much was done.
    pub(crate) done: Kept<TaskCounts>,
}

impl AppState {
    /// A server over `engine`. `prometheus` renders the metrics of the installed recorder; whoever installed it
    /// also has to run its upkeep. `allowed_hosts` are names, with or without a port, under which the server may be
    /// addressed beside those of the loopback interface.
    pub fn new<S: AsRef<str>>(
        engine: Engine,
        prometheus: PrometheusHandle,
        allowed_hosts: impl IntoIterator<Item = S>,
    ) -> Self {
        let allowed = Arc::new(AllowedHosts::new(allowed_hosts));
        Self {
            engine,
            prometheus,
            allowed,
            listeners: Listeners::default(),
            bodies: Room::default(),
            access: Access::default(),
            trends: Kept::default(),
            decided: Kept::default(),
            ties: Kept::default(),
            done: Kept::default(),
        }
    }

    /// The same, asking for tokens as said. Without this, nobody needs one.
    #[must_use]
    pub fn guarding(self, guarding: Guarding) -> Self {
        Self { access: Access::new(guarding), ..self }
    }
}
