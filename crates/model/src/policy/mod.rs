//! Every configurable number of Uplift, with its default.

pub mod trial;
