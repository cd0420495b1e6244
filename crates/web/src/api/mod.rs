//! The routes, one file per noun. Handlers read, translate and answer; what takes more is done elsewhere.

mod alerts;
mod config;
mod entities;
mod events;
mod failures;
mod improvements;
mod index;
mod ingest;
mod opportunities;
mod probes;
mod reviews;
mod status;
mod tasks;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(crate) use index::index;
pub(crate) use probes::openapi_answer;

/// All routes that the description of the API lists.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ingest::ingest, events::list))
        .routes(routes!(events::lookup))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::one))
        .routes(routes!(entities::list))
        .routes(routes!(entities::one))
        .routes(routes!(status::status))
        .routes(routes!(opportunities::list))
        .routes(routes!(opportunities::one))
        .routes(routes!(opportunities::dismiss))
        .routes(routes!(reviews::queue))
        .routes(routes!(improvements::active))
        .routes(routes!(improvements::history))
        .routes(routes!(improvements::analytics))
        .routes(routes!(improvements::effectiveness))
        .routes(routes!(alerts::list))
        .routes(routes!(config::config))
        .routes(routes!(probes::alive))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::metrics))
        .routes(routes!(probes::error_page))
}
