//! Bodies that are taken a little at a time, with limits on their size, their time and what they hold in memory.
//!
//! - [`arriving`]: the bytes as a client sends them: how long it may take, and what is said of those who are slow.
//! - [`plain`]: the same, unpacked, never more than allowed.
//! - [`whole`]: all of it in memory, for what cannot be read in pieces.

mod arriving;
mod plain;
mod whole;

pub(super) use arriving::{Arriving, Sender};
pub(super) use plain::{Limit, PlainBody};
pub(crate) use whole::Room;
pub(super) use whole::{Held, Whole};
