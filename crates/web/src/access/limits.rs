//! How often somebody may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use uplift_model::policy::AccessPolicy;

use crate::error::WebError;

/// What is no longer needed is forgotten once in so many failures: there are as many addresses as anybody likes.
const FORGET_EVERY: u32 = 256;

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, MonotonicClock>;

/// Limits by token, and on wrong tokens by address.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    current: ArcSwapOption<Current>,
    failures: AtomicU32,
}

/// The limits that a policy sets.
#[derive(Debug)]
struct Current {
    requests_per_second: u32,
    burst: u32,
    failures_per_minute: u32,
    by_token: Keyed<i64>,
    by_address: Keyed<IpAddr>,
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

impl Current {
    fn of(policy: &AccessPolicy) -> Self {
        let requests =
            Quota::per_second(at_least_one(policy.requests_per_second)).allow_burst(at_least_one(policy.burst));
        let failures = Quota::per_minute(at_least_one(policy.failures_per_minute));
        Self {
            requests_per_second: policy.requests_per_second,
            burst: policy.burst,
            failures_per_minute: policy.failures_per_minute,
            by_token: RateLimiter::new(requests, DashMapStateStore::default(), MonotonicClock),
            by_address: RateLimiter::new(failures, DashMapStateStore::default(), MonotonicClock),
        }
    }

    fn is(&self, policy: &AccessPolicy) -> bool {
        self.requests_per_second == policy.requests_per_second
            && self.burst == policy.burst
            && self.failures_per_minute == policy.failures_per_minute
    }
}

impl Limits {
    fn current(&self, policy: &AccessPolicy) -> Arc<Current> {
        match self.current.load_full() {
            Some(current) if current.is(policy) => current,
            // Two requests may make one each when a setting changes: one of them counts.
            _ => {
                let made = Arc::new(Current::of(policy));
                self.current.store(Some(Arc::clone(&made)));
                made
            }
        }
    }

    /// Counts a request of a token.
    ///
    /// # Errors
    /// When it was one too many.
    pub(crate) fn request(&self, policy: &AccessPolicy, token: i64) -> Result<(), WebError> {
        self.current(policy).by_token.check_key(&token).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now()).as_secs().saturating_add(1);
            WebError::RateLimited {
                detail: format!("more than {} requests a second with one token", policy.requests_per_second),
                retry_after_s: wait,
            }
        })
    }

    /// Counts a wrong token from an address.
    ///
    /// # Errors
    /// When it was one too many: nothing more is said about tokens for a while.
    pub(crate) fn failure(&self, policy: &AccessPolicy, address: Option<IpAddr>) -> Result<(), WebError> {
        let Some(address) = address else { return Ok(()) };
        let current = self.current(policy);
        if self.failures.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            current.by_address.retain_recent();
        }
        current.by_address.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now()).as_secs().saturating_add(1);
            WebError::RateLimited {
                detail: format!("more than {} wrong tokens a minute from {address}", policy.failures_per_minute),
                retry_after_s: wait,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn too_much_is_too_much() {
        let limits = Limits::default();
        let policy =
            AccessPolicy { requests_per_second: 1, burst: 3, failures_per_minute: 2, ..AccessPolicy::default() };
        for _ in 0..3 {
            limits.request(&policy, 1).unwrap();
        }
        let refused = limits.request(&policy, 1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        assert!(refused.retry_after_s().is_some_and(|seconds| (1..=3).contains(&seconds)));
        // Others are not kept waiting for it.
        limits.request(&policy, 2).unwrap();
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        limits.failure(&policy, address).unwrap();
        limits.failure(&policy, address).unwrap();
        assert!(limits.failure(&policy, address).is_err());
        limits.failure(&policy, Some(IpAddr::from([192, 0, 2, 2]))).unwrap();
        // A setting that changes acts at once.
        let wider = AccessPolicy { burst: 10, ..policy };
        limits.request(&wider, 1).unwrap();
    }
}
