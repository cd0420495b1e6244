//! How a task of each agent goes. What is planted is marked where it happens.

pub(super) mod coder;
pub(super) mod planner;
pub(super) mod researcher;
pub(super) mod support;
