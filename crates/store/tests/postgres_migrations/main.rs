//! The two schemas are one: the same statements, run by SQLite and by PostgreSQL, leave the same rows in every table and
//! show the same rows in every view. Passed over, with a line that says so, where no PostgreSQL server is named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../migrations/data.rs"]
#[allow(dead_code, reason = "the tests of SQLite's migrations use all of it")]
mod data;
mod pair;
mod refusals;
mod rows;
mod rules;
mod schema;
