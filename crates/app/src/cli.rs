//! Commands.

pub(crate) mod bench_decide;
pub(crate) mod judge;
pub(crate) mod simulate;
