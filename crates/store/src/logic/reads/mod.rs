//! Reads, one file per noun.
//!
//! Lists are cut by key, never by offset; cursors carry the key of the last item. What comes from outside reaches
//! SQL as a bound parameter only. In reading order:
//!
//! - `cursor`, `list`, `decode`: what the nouns share.
//! - `entities` (with `names`, for hints), `events` (with `place`, where a task is at home), `tasks`.
//! - `opportunities`, `detection` (with `window`), `reviews`, `improvements`, `trials` (with `units`), `processes`.
//! - `requests` (of agents).
//! - `served`, `system`.

mod access;
mod attention;
mod cursor;
mod decode;
mod detection;
mod entities;
mod events;
mod handed;
mod improvements;
mod list;
mod names;
mod opportunities;
mod place;
mod processes;
mod requests;
mod reviews;
mod served;
mod system;
mod tasks;
mod trials;
mod units;
mod window;
