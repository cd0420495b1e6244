//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod receiver;
pub(crate) mod writer;
