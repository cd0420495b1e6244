//! What agents ask for, and the order of work.

use uplift_model::request::NewRequest;

/// A change to what agents ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestWrite {
    /// Puts a request on record; the receipt has its number.
    Put(Box<NewRequest>),
    /// Puts open opportunities in this order, before all others; the order that was planned before is forgotten.
    Plan {
        /// Their numbers, what is to be worked on first in front.
        order: Vec<i64>,
    },
}
