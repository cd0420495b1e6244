//! Answers that take longer to work out than a page may. Each is worked out by one at a time and kept for a few seconds.
//! Whoever finds it old waits a moment for a new one; where that takes longer, the page shows what there is, a minute old at
//! the most. So where working it out is quick, pages are never old, and where it is not, they are quick all the same: as
//! long as somebody looked within the hour, it is worked out now and then beforehand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use uplift_runner::Engine;
use uplift_store::{StoreError, StoreResult};

/// How long an answer is good.
const GOOD: Duration = Duration::from_secs(3);
/// How long it may be shown while a new one is worked out, and how long a page waits for that.
const SHOWN: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_millis(20);
/// How long after somebody looked it is still worked out beforehand, and how often: a two-hundredth of the time at most.
const WATCHED: Duration = Duration::from_hours(1);
const OFTENEST: Duration = Duration::from_secs(20);
const SELDOMEST: Duration = Duration::from_secs(50);
const SPARED: u32 = 200;

/// What takes long to work out.
pub(crate) trait Answer: Send + Sync + Sized + 'static {
    /// What it is, for the log.
    const WHAT: &'static str;
    /// What took less is worked out anew for everybody.
    const QUICK: Duration = Duration::ZERO;

    /// Works it out.
    fn work_out(engine: &Engine) -> impl Future<Output = StoreResult<Self>> + Send;
}

/// The latest answer. Cheap to clone: all clones are one.
pub(crate) struct Kept<T>(Arc<Inner<T>>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::new(Inner {
            latest: RwLock::new(None),
            looked_at: RwLock::new(Instant::now()),
            working: Mutex::new(()),
            warming: AtomicBool::new(false),
        }))
    }
}

struct Inner<T> {
    latest: RwLock<Option<Made<T>>>,
    looked_at: RwLock<Instant>,
    /// One works it out at a time.
    working: Mutex<()>,
    /// Whether somebody works it out beforehand.
    warming: AtomicBool,
}

struct Made<T> {
    at: Instant,
    took: Duration,
    value: Arc<T>,
}

impl<T> Clone for Made<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T: Answer> Made<T> {
    fn is_good(&self) -> bool {
        self.took >= T::QUICK && self.at.elapsed() < GOOD
    }
}

impl<T: Answer> Kept<T> {
    /// The answer, as young as can be had soon.
    pub(crate) async fn latest(&self, engine: &Engine) -> StoreResult<Arc<T>> {
        *self.0.looked_at.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let known = self.known();
        if let Some(known) = known.as_ref().filter(|known| known.is_good()) {
            return Ok(Arc::clone(&known.value));
        }
        // Goes on when the page does not wait for it any longer, or whoever asked for the page goes away.
        let (kept, working) = (self.clone(), engine.clone());
        let work = tokio::spawn(async move { kept.renew(&working).await });
        let made = match known.filter(|known| known.at.elapsed() < SHOWN) {
            None => work.await.unwrap_or(Err(StoreError::Closed))?,
            Some(known) => match tokio::time::timeout(PATIENCE, work).await {
                Ok(Ok(Ok(made))) => made,
                // What went wrong is in the log, and comes up when this one is too old.
                _ => known,
            },
        };
        self.keep_warm(engine);
        Ok(made.value)
    }

    fn known(&self) -> Option<Made<T>> {
        self.0.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works it out anew, unless somebody else just did.
    async fn renew(&self, engine: &Engine) -> StoreResult<Made<T>> {
        let _one = self.0.working.lock().await;
        if let Some(known) = self.known().filter(Made::is_good) {
            return Ok(known);
        }
        let began = Instant::now();
        let value = T::work_out(engine).await;
        let value = value.inspect_err(|error| tracing::warn!(%error, "{} cannot be worked out", T::WHAT))?;
        // As old as what was read first.
        let made = Made { at: began, took: began.elapsed(), value: Arc::new(value) };
        *self.0.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }

    /// Works it out beforehand until nobody has looked for long, where that takes longer than a page waits.
    fn keep_warm(&self, engine: &Engine) {
        let slow = |made: &Made<T>| made.took > PATIENCE;
        if !self.known().as_ref().is_some_and(slow) || self.0.warming.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, engine) = (Arc::downgrade(&self.0), engine.clone());
        tokio::spawn(async move {
            loop {
                let Some(kept) = inner.upgrade().map(Self) else { return };
                let looked_at = *kept.0.looked_at.read().unwrap_or_else(PoisonError::into_inner);
                let took = kept.known().filter(slow).map(|made| made.took);
                let (Some(took), true) = (took, looked_at.elapsed() < WATCHED) else {
                    return kept.0.warming.store(false, Ordering::Release);
                };
                // Nothing holds on to the answer while this sleeps.
                drop(kept);
                tokio::time::sleep((took * SPARED).clamp(OFTENEST, SELDOMEST)).await;
                let Some(kept) = inner.upgrade().map(Self) else { return };
                if kept.renew(&engine).await.is_err_and(|error| matches!(error, StoreError::Closed)) {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use uplift_model::Policy;
    use uplift_runner::SystemClock;
    use uplift_store::sqlite::SqliteStore;

    use super::*;

    static WORKED_OUT: AtomicU64 = AtomicU64::new(0);

    /// How often it was worked out before.
    struct Turn(u64);

    impl Answer for Turn {
        const WHAT: &'static str = "a turn";

        async fn work_out(_engine: &Engine) -> StoreResult<Self> {
            let turn = WORKED_OUT.fetch_add(1, Ordering::Relaxed);
            // The second one fails, the third one takes longer than anybody waits.
            match turn {
                1 => return Err(StoreError::not_found("turn", 1)),
                2 => tokio::time::sleep(PATIENCE * 3).await,
                _ => {}
            }
            Ok(Self(turn))
        }
    }

    fn age(kept: &Kept<Turn>, by: Duration) {
        let mut latest = kept.0.latest.write().unwrap();
        let made = latest.as_mut().unwrap();
        made.at = Instant::now().checked_sub(by).unwrap();
    }

    #[tokio::test]
    async fn an_old_answer_is_shown_only_while_a_new_one_is_on_its_way() {
        let engine =
            Engine::new(Arc::new(SqliteStore::in_memory().unwrap()), Policy::default(), Arc::new(SystemClock));
        let kept = Kept::<Turn>::default();
        let together = tokio::join!(kept.latest(&engine), kept.latest(&engine), kept.latest(&engine));
        assert_eq!((together.0.unwrap().0, together.1.unwrap().0, together.2.unwrap().0), (0, 0, 0));
        age(&kept, GOOD);
        assert_eq!(
            kept.latest(&engine).await.unwrap().0,
            0,
            "what fails is tried again, and the old one still shown"
        );
        assert_eq!(kept.latest(&engine).await.unwrap().0, 0, "the new one takes its time");
        // It went on by itself, and is there once whoever works on it is done.
        let done = kept.0.working.lock().await;
        drop(done);
        assert_eq!(kept.latest(&engine).await.unwrap().0, 2);
        age(&kept, SHOWN);
        assert_eq!(kept.latest(&engine).await.unwrap().0, 3, "too old to be shown");
    }
}
