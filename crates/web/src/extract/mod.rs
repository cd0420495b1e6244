//! Parameters and bodies, with errors that name what is wrong.

mod entity;
mod if_match;
mod if_none_match;
mod optional;
mod params;
mod peer;
mod soon;

pub(crate) use entity::{EntityQuery, named_entity, selector};
pub(crate) use if_match::{IfMatch, changed, tagged};
pub(crate) use if_none_match::is_known;
pub(crate) use optional::OptionalBody;
pub(crate) use params::{Body, Params, PathOf, page, parse, parse_flag, text};
pub(crate) use peer::Peer;
pub(crate) use soon::soon;
