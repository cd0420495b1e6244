//! Commands.

pub(crate) mod judge;
pub(crate) mod simulate;
