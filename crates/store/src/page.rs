//! Lists, a page at a time.

use serde::{Deserialize, Serialize};

/// The largest page.
pub const MAX_PAGE: u32 = 1_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items, from 1 to [`MAX_PAGE`]; values outside are clamped.
    pub limit: u32,
    /// Where the page before ended, as it said in [`Paged::next`].
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, cursor: None }
    }
}

impl PageRequest {
    /// The first page of at most `limit` items.
    pub fn first(limit: u32) -> Self {
        Self { limit, cursor: None }
    }

    /// The limit within its range.
    pub fn clamped(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}
