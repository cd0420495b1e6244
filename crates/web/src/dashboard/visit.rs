//! Who looks at a page, and how the whole stands at that moment.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uplift_model::Time;
use uplift_model::access::Role;

use super::failed::PageError;
use crate::access::Caller;
use crate::state::AppState;

/// Longest part of an address that is kept, bytes.
const MAX_ADDRESS: usize = 4_096;

/// A look at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) caller: Caller,
    /// What every form on the page has to carry.
    pub(crate) form_token: String,
    /// The server's time.
    pub(crate) now: Time,
    /// Whether the kill switch is on.
    pub(crate) paused: bool,
    /// How much happens by itself.
    pub(crate) mode: &'static str,
    /// What was done before the page was loaded anew, in a word of a closed set.
    pub(crate) done: Option<&'static str>,
    /// The page's own address, with its query.
    pub(crate) address: String,
}

impl Visit {
    /// Whether those who look may change things.
    pub(crate) fn operates(&self) -> bool {
        self.caller.role().covers(Role::Operator)
    }
}

/// What forms lead to, by the word in the address.
const DONE: &[(&str, &str)] = &[
    ("approved", "Approved. Its trial starts as soon as nothing stands before it."),
    ("rejected", "Rejected."),
    ("cancelled", "Called off. What is in place stays."),
    ("rolledback", "Taken back. The old revision serves all traffic."),
    ("dismissed", "Dismissed."),
    ("started", "Started. An improvement was put on record."),
    ("saved", "Saved."),
    ("paused", "Paused. No trial starts."),
    ("resumed", "Trials may start again."),
    ("acknowledged", "Acknowledged."),
    ("resolved", "Resolved."),
];

impl FromRequestParts<AppState> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let caller = Caller::from_request_parts(parts, state).await.map_err(PageError::bare)?;
        let form_token = state.access.keys.form_token(&caller, &parts.headers, state.access.guarding.tls);
        let query = parts.uri.query().unwrap_or_default();
        let word = query.split('&').find_map(|pair| pair.strip_prefix("done="));
        let done = word.and_then(|word| DONE.iter().find(|(name, _)| *name == word)).map(|(_, text)| *text);
        let address = parts.uri.path_and_query().map_or("/", |address| address.as_str());
        Ok(Self {
            form_token,
            now: state.engine.now(),
            paused: state.engine.is_paused(),
            mode: state.engine.policy().engine.mode.as_str(),
            done,
            address: address.chars().take(MAX_ADDRESS).collect(),
            caller,
        })
    }
}
