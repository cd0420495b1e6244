//! The shell around the pure steps: it knows the clock, queues and tasks; it loads an input, calls `cycle`, and
//! saves the output in one commit.
//!
//! It never decides what a step decides, and a step never learns that it runs here.
//!
//! In reading order:
//!
//! - [`clock`]: where time comes from.
//! - [`engine`]: the handle that servers and commands hold; the bounded queue in front of the writer.
//! - [`touched`]: who was touched since detection last looked: bounded and lossy, overflow means "everybody".
//! - [`load`]: from the store to the steps' inputs.
//! - [`watch`]: the loop that detects, reviews, alerts and empties the inbox.
//! - [`inbox`], [`alerting`], `returning` (is a solved problem back?): three of the things it does.
//! - [`processes`]: the loop that improves: what is due is stepped, under a lease, one commit a step.
//! - [`proposing`], [`validating`], [`units`]: what its steps look at.
//! - [`snapshot`]: what resolvers read, without a lock.
//! - [`control`]: what people do.
#![forbid(unsafe_code)]

pub mod alerting;
pub mod clock;
pub mod control;
pub mod engine;
pub mod inbox;
pub mod load;
pub mod processes;
pub mod proposing;
mod returning;
pub mod settings;
pub mod snapshot;
pub mod touched;
pub mod units;
pub mod validating;
pub mod watch;

pub use clock::{Clock, SystemClock};
pub use engine::{Admission, Engine, Overloaded};
