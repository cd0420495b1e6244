//! A page of a list.

use serde::Serialize;
use uplift_store::Paged;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T: ToSchema> {
    /// The items.
    items: Vec<T>,
    /// The cursor of the next page; null at the end.
    next: Option<String>,
}

impl<T: ToSchema, M: Into<T>> From<Paged<M>> for Page<T> {
    fn from(paged: Paged<M>) -> Self {
        Self { items: paged.items.into_iter().map(Into::into).collect(), next: paged.next }
    }
}

impl<T: ToSchema> Page<T> {
    /// A page whose items were made one by one.
    pub(crate) fn part(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// A list that is never cut.
    pub(crate) fn whole<M: Into<T>>(items: impl IntoIterator<Item = M>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect(), next: None }
    }
}
