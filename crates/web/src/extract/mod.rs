//! Parameters and bodies, with errors that name what is wrong.

mod entity;
mod optional;
mod params;
mod peer;

pub(crate) use entity::{EntityQuery, named_entity, selector};
pub(crate) use optional::OptionalBody;
pub(crate) use params::{Body, Params, PathOf, page, parse, parse_flag, text};
pub(crate) use peer::Peer;
