//! Placeholder map.
#![forbid(unsafe_code)]
