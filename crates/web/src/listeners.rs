//! Places for those who listen to changes: so many in all, and for one token no more than leaves room for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::access::Caller;
use crate::error::{ErrorCode, WebError};

/// Clients that may listen at the same time.
const MOST: usize = 1_000;
/// Those of them that may show the same token.
const MOST_OF_ONE: usize = 500;

/// The places. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<Taken>>);

/// Who has how many.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_token: HashMap<i64, usize>,
}

/// A place, free again once this is dropped.
#[derive(Debug)]
pub(crate) struct ListenersPlace {
    listeners: Listeners,
    token: Option<i64>,
}

impl Listeners {
    /// A place for this caller.
    ///
    /// # Errors
    /// When all places are taken, or too many of them by the same token.
    pub(crate) fn place(&self, caller: &Caller) -> Result<ListenersPlace, WebError> {
        self.of(caller.token_id()).map_err(|detail| WebError::new(ErrorCode::NotReady, detail))
    }

    fn of(&self, token: Option<i64>) -> Result<ListenersPlace, String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= MOST {
            return Err("too many clients listen for changes already".to_owned());
        }
        if let Some(token) = token {
            let own = taken.by_token.entry(token).or_default();
            if *own >= MOST_OF_ONE {
                return Err(format!("{MOST_OF_ONE} clients with this token listen for changes already"));
            }
            *own += 1;
        }
        taken.all += 1;
        Ok(ListenersPlace { listeners: self.clone(), token })
    }
}

impl Drop for ListenersPlace {
    fn drop(&mut self) {
        let mut taken = self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(token) = self.token
            && let Some(own) = taken.by_token.get_mut(&token)
        {
            *own -= 1;
            if *own == 0 {
                taken.by_token.remove(&token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_leaves_room_for_others() {
        let listeners = Listeners::default();
        let take = |n: usize, token| (0..n).map(|_| listeners.of(token)).collect::<Result<Vec<_>, _>>();
        let mut own = take(MOST_OF_ONE, Some(1)).unwrap();
        assert!(listeners.of(Some(1)).unwrap_err().contains("this token"));
        let others = take(MOST - MOST_OF_ONE, None).unwrap();
        assert!(listeners.of(Some(2)).unwrap_err().contains("too many clients"));
        own.pop();
        assert!(listeners.of(Some(1)).is_ok());
        drop((own, others));
        assert_eq!(
            (take(MOST, None).map(|all| all.len()), listeners.0.lock().unwrap().by_token.len()),
            (Ok(MOST), 0)
        );
    }
}
