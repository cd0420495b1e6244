//! The routes, one file per noun. Handlers read, translate and answer; what takes more is done elsewhere.

pub(crate) mod actions;
mod alerts;
mod analytics;
mod body;
mod changes;
mod config;
mod declare;
mod entities;
mod events;
mod failures;
pub(crate) mod feedback;
mod improvements;
mod index;
mod ingest;
mod nodes;
mod notifications;
mod opportunities;
mod otlp;
mod probes;
mod processes;
pub(crate) mod requests;
pub(crate) mod resolve;
mod reviews;
mod status;
mod tasks;
mod tokens;
mod trials;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub(crate) use actions::{MAX_REASON_CHARS, words};
pub(crate) use body::Room;
pub(crate) use improvements::{Entities, configurations, entity_of};
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
        .routes(routes!(feedback::give))
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
        .routes(routes!(opportunities::start))
        .routes(routes!(requests::list, requests::ask))
        .routes(routes!(requests::one))
        .routes(routes!(reviews::queue))
        .routes(routes!(improvements::one))
        .routes(routes!(improvements::active))
        .routes(routes!(improvements::history))
        .routes(routes!(analytics::analytics))
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
        .routes(routes!(alerts::one))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::resolve))
        .routes(routes!(notifications::targets, notifications::set_target))
        .routes(routes!(notifications::remove_target))
        .routes(routes!(notifications::try_target))
        .routes(routes!(notifications::deliveries))
        .routes(routes!(notifications::retry))
        .routes(routes!(nodes::list))
        .routes(routes!(config::config, config::set))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::audit))
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
