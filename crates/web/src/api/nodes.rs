//! `/api/nodes`: which servers share the database, and who does what.

use axum::Json;
use axum::extract::State;

use super::failures::Failures;
use crate::error::WebError;
use crate::state::AppState;
use crate::wire::node::Nodes;

/// The servers that share the database, with what each looks after.
#[utoipa::path(
    get, path = "/api/nodes", tag = "system", operation_id = "list_nodes",
    responses((status = 200, body = Nodes), Failures)
)]
pub(super) async fn list(State(state): State<AppState>) -> Result<Json<Nodes>, WebError> {
    Ok(Json(uplift_runner::nodes::at_work(&state.engine).await?.into()))
}
