//! Rows about the servers that share a database.

use uplift_model::Time;

/// A server that is, or was lately, at work on this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name among the holders of leases.
    pub node: String,
    /// Where it takes requests, if it does.
    pub url: Option<String>,
    /// Its version.
    pub version: String,
    /// When it began, by its own clock.
    pub started_at: Time,
    /// When it last said that it is there, by its own clock.
    pub seen_at: Time,
}

/// A lease as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// What is leased.
    pub name: String,
    /// Who holds it; empty where it was given back.
    pub holder: String,
    /// How often it has changed hands.
    pub epoch: i64,
    /// When it ends unless it is renewed.
    pub expires_at: Time,
}
