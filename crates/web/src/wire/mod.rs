//! The types on the wire, one file per noun. They are the API's own, so that the house can change inside without
//! changing what clients see.
#![allow(clippy::struct_field_names, reason = "fields are called what the wire calls them")]

pub(crate) mod action;
pub(crate) mod alert;
pub(crate) mod analytics;
pub(crate) mod entity;
pub(crate) mod event;
pub(crate) mod feedback;
pub(crate) mod improvement;
pub(crate) mod ingest;
pub(crate) mod news;
pub(crate) mod node;
pub(crate) mod notification;
pub(crate) mod opportunity;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod review;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod token;
pub(crate) mod trial;
