//! The dashboard: pages made by the server, readable without scripts, that tell how the fleet stands and take decisions.
//!
//! Nothing is built and nothing is loaded from elsewhere: one style sheet, one script that exchanges parts of a page when
//! they change, charts drawn as SVG. Forms are forms: they are posted, checked for the token they carry, and answered with
//! the way to a page. What a form does is what the route of the API does: the same calls of the engine.
//!
//! In reading order:
//!
//! - [`visit`], [`csrf`], [`failed`]: who looks, that a form is ours, and what is shown when something is wrong.
//! - [`layout`], [`parts`], [`format`], [`chart`], [`assets`]: the frame, and what several pages share.
//! - [`live`]: tells open pages that something changed.
//! - [`trends`]: what the fleet did; `kept`: answers that take long, kept for a few seconds.
//! - The pages: [`overview`], [`opportunities`], [`improvements`] and [`improvement`], [`entities`] and [`entity`],
//!   [`tasks`] and [`task`], [`analytics`], [`alerts`], [`settings`], [`audit`].
//! - [`acts`]: what forms do. [`login`]: who looks, where tokens are asked for.

mod acts;
mod alerts;
mod analytics;
mod assets;
mod audit;
mod changes;
mod chart;
mod configuration;
mod csrf;
mod entities;
mod entity;
mod failed;
mod format;
mod improvement;
mod improvements;
mod layout;
mod live;
mod login;
mod markdown;
mod opportunities;
mod overview;
mod own_settings;
mod parts;
mod settings;
mod task;
mod tasks;
mod trends;
mod visit;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::state::AppState;

pub(crate) use analytics::Decided;
pub(crate) use entity::Ties;
pub(crate) use failed::instead_of_a_page;
pub(crate) use trends::Trends;

/// All pages, and what they need.
pub(crate) fn routes() -> Router<AppState> {
    let pages = Router::new()
        .route("/", get(overview::page))
        .route("/opportunities", get(opportunities::list))
        .route("/opportunities/{id}", get(opportunities::one))
        .route("/improvements", get(improvements::list))
        .route("/improvements/{id}", get(improvement::page))
        .route("/entities", get(entities::list))
        .route("/entities/{entity_type}/{entity}", get(entity::page))
        .route("/entities/{entity_type}/{entity}/revisions/{revision}", get(entity::revision))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{task_id}", get(task::page))
        .route("/analytics", get(analytics::page))
        .route("/alerts", get(alerts::page))
        .route("/settings", get(settings::page))
        .route("/audit", get(audit::page))
        .layer(middleware::from_fn(layout::unless_the_same));
    Router::new()
        .merge(pages)
        .route("/opportunities/{id}/dismiss", post(acts::dismiss))
        .route("/opportunities/{id}/start", post(acts::start))
        .route("/improvements/{id}/approve", post(acts::approve))
        .route("/improvements/{id}/reject", post(acts::reject))
        .route("/improvements/{id}/cancel", post(acts::cancel))
        .route("/improvements/{id}/rollback", post(acts::roll_back))
        .route("/entities/{entity_type}/{entity}/settings", post(acts::set_entity))
        .route("/alerts/{id}/acknowledge", post(acts::acknowledge))
        .route("/alerts/{id}/resolve", post(acts::resolve))
        .route("/settings", post(acts::set))
        .route("/settings/pause", post(acts::pause))
        .route("/settings/resume", post(acts::resume))
        .route("/login", get(login::page).post(login::begin))
        .route("/logout", post(login::end))
        .route("/ui/changes", get(live::listen))
        .route("/ui/{file}", get(assets::file))
}
