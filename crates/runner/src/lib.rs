//! The shell around the pure steps: it knows the clock, queues and tasks; it loads an input, calls `cycle`, and
//! saves the output in one commit.
//!
//! It never decides what a step decides, and a step never learns that it runs here.
//!
//! In reading order:
//!
//! - [`clock`]: where time comes from.
//! - [`engine`]: the handle that servers and commands hold; the bounded queue in front of the writer.
//! - `preparing`: what is stored of an event.
//! - [`touched`]: who was touched since detection last looked: bounded and lossy, overflow means "everybody".
//! - [`load`]: from the store to the steps' inputs.
//! - [`watch`]: the loop that detects, reviews, alerts and empties the inbox.
//! - [`inbox`], `settling` (traces that became quiet), [`alerting`], `returning` (is a solved problem back?): four of the
//!   things it does.
//! - [`retention`]: the loop that deletes what is old; [`disk`]: whether there is room to write.
//! - [`nodes`]: who looks after what where several servers share a database.
//! - [`processes`]: the loop that improves: what is due is stepped, under a lease, one commit a step.
//! - [`proposing`], [`validating`], [`units`], `known` (of units, before they are assigned): what its steps look at;
//!   `attached`: processes that come with a change.
//! - [`snapshot`]: what resolvers read, without a lock.
//! - [`notifying`]: news for others, by webhook and for those who listen.
//! - [`helped`]: which kept improvements may be said to have helped.
//! - [`requests`]: what agents ask for. [`control`]: what people do. [`access`]: the tokens by which others are known.
#![forbid(unsafe_code)]

pub mod access;
pub mod alerting;
mod attached;
pub mod clock;
pub mod control;
pub mod disk;
pub mod engine;
pub mod helped;
pub mod inbox;
mod known;
pub mod load;
pub mod nodes;
pub mod notifying;
mod preparing;
pub mod processes;
pub mod proposing;
pub mod requests;
pub mod retention;
mod returning;
pub mod settings;
mod settling;
pub mod snapshot;
pub mod touched;
pub mod units;
pub mod validating;
pub mod watch;

pub use clock::{Clock, SystemClock};
pub use engine::{Admission, Engine, Overloaded};
