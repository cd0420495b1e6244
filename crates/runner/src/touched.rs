//! Who was touched since detection last looked.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use uplift_model::EntityKey;

/// Most entities remembered; beyond, detection looks at everybody.
const CAPACITY: usize = 10_000;

/// A bounded, lossy set with a bell.
#[derive(Debug, Default)]
pub struct Touched {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    entities: BTreeSet<EntityKey>,
    overflow: bool,
}

/// Whom to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// These.
    Entities(BTreeSet<EntityKey>),
    /// Everybody: too many were touched to remember, or nobody remembers.
    Everybody,
}

impl Touched {
    /// Notes that these entities have new data.
    pub fn add(&self, entities: impl IntoIterator<Item = EntityKey>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for entity in entities {
            if state.entities.len() < CAPACITY || state.entities.contains(&entity) {
                state.entities.insert(entity);
            } else {
                state.overflow = true;
            }
        }
        drop(state);
        self.bell.notify_one();
    }

    /// Takes what was noted and starts anew.
    pub fn take(&self) -> Scope {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *state);
        if taken.overflow { Scope::Everybody } else { Scope::Entities(taken.entities) }
    }

    /// Waits until something is noted.
    pub async fn wait(&self) {
        self.bell.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_model::EntityType;

    #[test]
    fn overflow_means_everybody() {
        let touched = Touched::default();
        touched.add([EntityKey::new(EntityType::Agent, 1)]);
        assert!(matches!(touched.take(), Scope::Entities(set) if set.len() == 1));
        touched.add((0..=CAPACITY as i64).map(|id| EntityKey::new(EntityType::Agent, id)));
        assert_eq!(touched.take(), Scope::Everybody);
        assert!(matches!(touched.take(), Scope::Entities(set) if set.is_empty()));
    }
}
