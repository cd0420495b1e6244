//! The routes, one file per noun. Handlers read, translate and answer; what takes more is done elsewhere.

mod actions;
mod alerts;
mod body;
mod changes;
mod config;
mod declare;
mod entities;
mod events;
mod failures;
mod improvements;
mod index;
mod ingest;
mod nodes;
mod opportunities;
mod otlp;
mod probes;
mod processes;
mod resolve;
mod reviews;
mod status;
mod tasks;
mod trials;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(crate) use body::room_for_bodies;
pub(crate) use index::index;
pub(crate) use otlp::{Way, grpc};

use otlp::http::encoding as otlp_form;
pub(crate) use probes::openapi_answer;

/// Largest body that may hold a whole configuration, bytes: an instruction has up to 200,000 characters.
const MAX_CONFIGURATION_BODY: usize = 2 * 1024 * 1024;

/// All routes that the description of the API lists.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(ingest::ingest, events::list))
        .routes(routes!(ingest::saved::saved))
        .routes(routes!(events::lookup))
        .routes(routes!(otlp::http::traces))
        .routes(routes!(otlp::http::logs))
        .routes(routes!(otlp::http::metrics))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::one))
        .routes(routes!(entities::list))
        .routes(routes!(entities::one))
        .merge(whole_configurations())
        .routes(routes!(declare::set_state))
        .routes(routes!(resolve::by_query, resolve::by_body))
        .routes(routes!(resolve::many))
        .routes(routes!(changes::listen))
        .routes(routes!(status::status))
        .routes(routes!(opportunities::list))
        .routes(routes!(opportunities::one))
        .routes(routes!(opportunities::dismiss))
        .routes(routes!(reviews::queue))
        .routes(routes!(improvements::one))
        .routes(routes!(improvements::active))
        .routes(routes!(improvements::history))
        .routes(routes!(improvements::analytics))
        .routes(routes!(improvements::effectiveness))
        .routes(routes!(actions::fill))
        .routes(routes!(actions::approve))
        .routes(routes!(actions::reject))
        .routes(routes!(actions::cancel))
        .routes(routes!(actions::rollback))
        .routes(routes!(actions::trigger))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::resume))
        .routes(routes!(trials::list))
        .routes(routes!(trials::one))
        .routes(routes!(processes::list))
        .routes(routes!(alerts::list))
        .routes(routes!(nodes::list))
        .routes(routes!(config::config, config::set))
        .routes(routes!(probes::alive))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::metrics))
        .routes(routes!(probes::error_page))
}

/// Routes whose bodies may hold a whole configuration with a long instruction.
fn whole_configurations() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(improvements::list, actions::propose))
        .routes(routes!(declare::declare))
        .layer(DefaultBodyLimit::max(MAX_CONFIGURATION_BODY))
}
