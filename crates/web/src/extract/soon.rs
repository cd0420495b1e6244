//! How long a small body may take to arrive.
//!
//! A connection whose request is being worked on is never quiet, so what a client does not send would hold its place for
//! ever. Bodies of events and telemetry may be long, and have limits of their own (`api::body`).

use std::time::Duration;

use tokio::time::timeout;

use crate::error::{ErrorCode, WebError};

/// As much as an exporter of telemetry has.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is read from a request.
///
/// # Errors
/// When it takes too long to arrive.
pub(crate) async fn soon<T>(reading: impl Future<Output = T>) -> Result<T, WebError> {
    timeout(PATIENCE, reading).await.map_err(|_| {
        let detail = format!("the body was not there after {} s of waiting for it", PATIENCE.as_secs());
        WebError::new(ErrorCode::BodyTooSlow, detail)
    })
}
