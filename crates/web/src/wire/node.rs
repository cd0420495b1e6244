//! Servers that share a database.

use serde::Serialize;
use uplift_model::Time;
use uplift_runner::nodes::{AtWork, SHARDS};
use utoipa::ToSchema;

/// Who does what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Nodes {
    /// The servers, by name.
    nodes: Vec<Node>,
    /// Shards that entities fall into.
    shards: u64,
}

/// A server.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    /// Its name among the holders of leases.
    node: String,
    /// Where it takes requests, if it does.
    url: Option<String>,
    /// Its version.
    version: String,
    /// When it began, by its own clock.
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    /// When it last said that it is there, by its own clock.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Time,
    /// Whether that was less than half a minute ago.
    at_work: bool,
    /// Whether it gave this answer.
    this: bool,
    /// Shards whose entities it looks after.
    shards: Vec<u64>,
    /// Whether it steps the improvements: one does.
    improves: bool,
}

impl From<Vec<AtWork>> for Nodes {
    fn from(nodes: Vec<AtWork>) -> Self {
        let node = |it: AtWork| Node {
            node: it.node.node,
            url: it.node.url,
            version: it.node.version,
            started_at: it.node.started_at,
            seen_at: it.node.seen_at,
            at_work: it.at_work,
            this: it.asked,
            shards: it.shards,
            improves: it.improves,
        };
        Self { nodes: nodes.into_iter().map(node).collect(), shards: SHARDS }
    }
}
