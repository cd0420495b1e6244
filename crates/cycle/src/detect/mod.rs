//! What could be better, and whether what was marked holds up.
//!
//! Rules in the database mark in the transaction that stores the events: [`errors`] and [`degradation`] confirm
//! those marks with evidence and impact, or withdraw them. The others look at a window of an entity's latest tasks
//! ([`waste`], [`patterns`], [`sequences`], [`bottlenecks`], [`change_points`]; all of them in [`review`]), at what was
//! decided ([`rollbacks`]), or at the whole ([`alerts`], [`health`]). What a rule says rests on numbers that come with it; times in it are event times.
//! [`returns`] tells whether a solved problem is back; [`requests`] what the word of an agent that asks is worth.
//!
//! [`confidence`] and [`fisher`] hold the maths they share.

pub mod alerts;
pub mod bottlenecks;
pub mod change_points;
pub mod confidence;
pub mod degradation;
pub mod errors;
pub mod fisher;
pub mod health;
pub mod input;
pub mod patterns;
pub mod requests;
pub mod returns;
pub mod review;
pub mod rollbacks;
pub mod sequences;
mod text;
pub mod waste;
