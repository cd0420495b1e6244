//! The binary `uplift`.
fn main() {}
