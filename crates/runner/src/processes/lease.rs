//! The lease under which this node steps processes.

use uplift_model::process::Lease;
use uplift_store::{StoreError, StoreResult, Write};

use crate::engine::Engine;

/// What is leased: all processes together.
pub(crate) const NAME: &str = "processes";

/// A lease that is held, and the moment from which on it should be renewed.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    lease: Lease,
    renew_at_us: i64,
}

impl Held {
    /// The lease itself.
    pub(crate) fn into_lease(self) -> Lease {
        self.lease
    }
}

/// The lease, claimed or renewed where that is due; none while another node holds it.
pub(super) async fn hold(engine: &Engine) -> StoreResult<Option<Lease>> {
    let (now_us, ttl_us) = (engine.now().micros(), engine.policy().nodes.lease_us());
    let before = engine.held_lease();
    if let Some(held) = &before
        && now_us < held.renew_at_us
    {
        return Ok(Some(held.lease.clone()));
    }
    let claim = Write::ClaimLease { name: NAME.to_owned(), holder: engine.name().to_owned(), ttl_us };
    match engine.commit(vec![claim]).await {
        Ok(receipt) => {
            let held = receipt.lease.map(|lease| Held { lease, renew_at_us: now_us + ttl_us / 2 });
            let epoch = |held: &Option<Held>| held.as_ref().map(|held| held.lease.epoch);
            if epoch(&before) != epoch(&held) {
                // Whoever had it in between may have changed the settings.
                engine.read_settings().await?;
            }
            engine.set_lease(held.clone());
            Ok(held.map(|held| held.lease))
        }
        Err(StoreError::StaleLease { .. }) => {
            engine.set_lease(None);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Gives the lease back, so that the next process need not wait for its end.
pub(super) async fn release(engine: &Engine) {
    let Some(held) = engine.held_lease() else { return };
    engine.set_lease(None);
    if let Err(error) = engine.commit(vec![Write::ReleaseLease(held.lease)]).await {
        tracing::debug!(%error, "the lease was not given back; it ends by itself");
    }
}
