//! `/api/notifications/...`: whom to tell, and messages on their way.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use axum::response::AppendHeaders;
use serde::Deserialize;
use uplift_model::notification::{DeliveryState, NewTarget, NotificationKind, TargetFormat};
use uplift_store::StoreError;
use uplift_store::rows::DeliveryFilter;
use utoipa::IntoParams;

use super::actions::known;
use super::failures::{Failures, Missing, Moved, Unacceptable};
use crate::access::Caller;
use crate::error::WebError;
use crate::extract::{Body, Params, PathOf, page, parse};
use crate::state::AppState;
use crate::wire::notification::{Delivery, MadeTarget, Revived, Target, TargetBody, TargetTrial};
use crate::wire::page::Page;

/// Whom operators want to be told. No secret is ever shown again, and no address whole.
#[utoipa::path(
    get, path = "/api/notifications/targets", tag = "operations", operation_id = "list_notification_targets",
    responses((status = 200, body = Page<Target>), Failures)
)]
pub(super) async fn targets(State(state): State<AppState>) -> Result<Json<Page<Target>>, WebError> {
    Ok(Json(Page::whole(state.engine.store().targets().await?)))
}

/// Sets a target. The answer is the only place where its secret is ever shown.
#[utoipa::path(
    post, path = "/api/notifications/targets", tag = "operations", operation_id = "set_notification_target",
    request_body = TargetBody, responses((status = 201, body = MadeTarget), Failures, Unacceptable)
)]
pub(super) async fn set_target(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<TargetBody>,
) -> Result<(StatusCode, AppendHeaders<[(HeaderName, &'static str); 1]>, Json<MadeTarget>), WebError> {
    let format = match body.format.as_deref() {
        None => TargetFormat::CloudEvents,
        Some(name) => known("format", name)?,
    };
    let kinds = body.kinds.unwrap_or_default();
    let kinds: Result<Vec<NotificationKind>, WebError> = kinds.iter().map(|name| known("kinds", name)).collect();
    let target = NewTarget { name: body.name, url: body.url, format, kinds: kinds?, secret: body.secret };
    let made = state.engine.set_target(target, caller.name()).await?;
    Ok((StatusCode::CREATED, AppendHeaders([(CACHE_CONTROL, "no-store")]), Json(made.into())))
}

/// Removes a target, and what is on its way to it.
#[utoipa::path(
    delete, path = "/api/notifications/targets/{name}", tag = "operations", operation_id = "remove_notification_target",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is removed."), Failures, Missing)
)]
pub(super) async fn remove_target(
    State(state): State<AppState>,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, WebError> {
    state.engine.remove_target(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a message to a target, once, and tells how it went.
#[utoipa::path(
    post, path = "/api/notifications/targets/{name}/test", tag = "operations", operation_id = "try_notification_target",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = TargetTrial), Failures, Missing)
)]
pub(super) async fn try_target(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<Json<TargetTrial>, WebError> {
    Ok(Json(state.engine.try_target(&name, caller.name()).await?.into()))
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveriesQuery {
    /// Only those that have come so far: `pending`, `delivered` or `dead`.
    state: Option<String>,
    /// Only those to the target of this name.
    target: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Messages on their way, delivered and given up, the latest first.
#[utoipa::path(
    get, path = "/api/notifications/deliveries", tag = "operations", operation_id = "list_notification_deliveries",
    params(DeliveriesQuery), responses((status = 200, body = Page<Delivery>), Failures, Missing)
)]
pub(super) async fn deliveries(
    State(state): State<AppState>,
    Params(query): Params<DeliveriesQuery>,
) -> Result<Json<Page<Delivery>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let wanted: Option<DeliveryState> = parse("state", query.state.as_deref())?;
    let store = state.engine.store();
    let target_id = match query.target {
        None => None,
        Some(name) => {
            let found = store.targets().await?.into_iter().find(|target| target.target.name == name);
            let missing = || StoreError::NotFound {
                what: "notification target",
                name: name.chars().take(200).collect(),
                hint: String::new(),
            };
            Some(found.ok_or_else(missing)?.id)
        }
    };
    Ok(Json(store.deliveries(DeliveryFilter { state: wanted, target_id }, page).await?.into()))
}

/// Takes up a delivery that was given up.
#[utoipa::path(
    post, path = "/api/notifications/deliveries/{id}/retry", tag = "operations",
    operation_id = "retry_notification_delivery", params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Revived), Failures, Missing, Moved)
)]
pub(super) async fn retry(State(state): State<AppState>, PathOf(id): PathOf<i64>) -> Result<Json<Revived>, WebError> {
    let reached = state.engine.revive_delivery(id).await?;
    Ok(Json(Revived { id, state: reached.as_str() }))
}
