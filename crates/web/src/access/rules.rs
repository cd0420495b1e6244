//! Who may do what, route by route. What stands in no rule is done by nobody.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;
use uplift_model::access::Role;

use crate::api::grpc;

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, without a token.
    Everybody,
    /// Everybody with a token; the handler tells each what is for them.
    Known,
    /// Whoever may read: everybody with a token but agents.
    Readers,
    /// As readers; who shows no token is led to the login.
    Pages,
    /// Agents, for themselves, which the handler sees to; and operators.
    Agents,
    /// As agents; and what is done is written down.
    Askers,
    /// Operators. What they change is written down.
    Operators,
    /// Admins. What they change is written down.
    Admins,
}

impl Who {
    /// The role that is needed beside a token, if any.
    pub(crate) const fn role(self) -> Option<Role> {
        match self {
            Self::Everybody | Self::Known => None,
            Self::Readers | Self::Pages => Some(Role::Viewer),
            Self::Agents | Self::Askers => Some(Role::Agent),
            Self::Operators => Some(Role::Operator),
            Self::Admins => Some(Role::Admin),
        }
    }
}

use Who::{Admins, Agents, Askers, Everybody, Known, Operators, Pages, Readers};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Every route, by method and the pattern of its path. HEAD is as GET.
const RULES: &[(Method, &str, Who)] = &[
    // Whether it lives, and what it is.
    (GET, "/healthz", Everybody),
    (GET, "/readyz", Everybody),
    (GET, "/errors/{code}", Everybody),
    (GET, "/api", Everybody),
    (GET, "/api/openapi.json", Everybody),
    (GET, "/metrics", Readers),
    // What agents do.
    (POST, "/api/events", Agents),
    (POST, "/api/events/otlp", Agents),
    (POST, "/api/feedback", Agents),
    (POST, "/v1/traces", Agents),
    (POST, "/v1/logs", Agents),
    (POST, "/v1/metrics", Agents),
    (POST, grpc::TRACES, Agents),
    (POST, grpc::LOGS, Agents),
    (GET, "/api/resolve/{entity_type}/{entity}", Agents),
    (POST, "/api/resolve/{entity_type}/{entity}", Agents),
    (POST, "/api/resolve", Agents),
    (POST, "/ofrep/v1/evaluate/flags", Agents),
    (POST, "/ofrep/v1/evaluate/flags/{*key}", Agents),
    // As the description of the API writes it.
    (POST, "/ofrep/v1/evaluate/flags/{key}", Agents),
    (GET, "/api/changes", Known),
    // Over MCP each tool sees to it that agents act for themselves, and is written down where it changes something.
    (POST, "/mcp", Agents),
    (GET, "/mcp", Agents),
    (DELETE, "/mcp", Agents),
    (POST, "/api/improvements/requests", Askers),
    (GET, "/api/improvements/requests", Known),
    (GET, "/api/improvements/requests/{id}", Known),
    // What can be read.
    (GET, "/api/events", Readers),
    (GET, "/api/events/lookup", Readers),
    (GET, "/api/tasks", Readers),
    (GET, "/api/tasks/{task_id}", Readers),
    (GET, "/api/entities", Readers),
    (GET, "/api/entities/{entity_type}/{entity}", Readers),
    (GET, "/api/improvements", Readers),
    (GET, "/api/improvements/{id}", Readers),
    (GET, "/api/improvements/active", Readers),
    (GET, "/api/improvements/alerts", Readers),
    (GET, "/api/improvements/alerts/{id}", Readers),
    (GET, "/api/improvements/analytics", Readers),
    (GET, "/api/improvements/config", Readers),
    (GET, "/api/improvements/effectiveness/{entity_type}/{entity}", Readers),
    (GET, "/api/improvements/history", Readers),
    (GET, "/api/improvements/opportunities", Readers),
    (GET, "/api/improvements/opportunities/{id}", Readers),
    (GET, "/api/improvements/review-queue", Readers),
    (GET, "/api/improvements/status", Readers),
    (GET, "/api/nodes", Readers),
    (GET, "/api/processes", Readers),
    (GET, "/api/trials", Readers),
    (GET, "/api/trials/{id}", Readers),
    // What people do.
    (POST, "/api/improvements", Operators),
    (POST, "/api/improvements/{id}/approve", Operators),
    (POST, "/api/improvements/{id}/cancel", Operators),
    (POST, "/api/improvements/{id}/propose", Operators),
    (POST, "/api/improvements/{id}/reject", Operators),
    (POST, "/api/improvements/{id}/rollback", Operators),
    (POST, "/api/improvements/opportunities/{id}/dismiss", Operators),
    (POST, "/api/improvements/opportunities/{id}/start", Operators),
    (POST, "/api/improvements/pause", Operators),
    (POST, "/api/improvements/resume", Operators),
    (POST, "/api/improvements/trigger-improvement/{entity_type}/{entity}", Operators),
    (PUT, "/api/improvements/config", Operators),
    (PUT, "/api/entities/{entity_type}/{entity}", Operators),
    (PUT, "/api/entities/{entity_type}/{entity}/state", Operators),
    (POST, "/api/improvements/alerts/{id}/acknowledge", Operators),
    (POST, "/api/improvements/alerts/{id}/resolve", Operators),
    // Whom to tell.
    (GET, "/api/notifications/targets", Operators),
    (POST, "/api/notifications/targets", Operators),
    (DELETE, "/api/notifications/targets/{name}", Operators),
    (POST, "/api/notifications/targets/{name}/test", Operators),
    (GET, "/api/notifications/deliveries", Operators),
    (POST, "/api/notifications/deliveries/{id}/retry", Operators),
    // Who is let in.
    (GET, "/api/tokens", Admins),
    (POST, "/api/tokens", Admins),
    (DELETE, "/api/tokens/{id}", Admins),
    (GET, "/api/audit", Admins),
    // Pages.
    (GET, "/login", Everybody),
    (POST, "/login", Everybody),
    (POST, "/logout", Pages),
    (GET, "/", Pages),
    (GET, "/opportunities", Pages),
    (GET, "/opportunities/{id}", Pages),
    (GET, "/improvements", Pages),
    (GET, "/improvements/{id}", Pages),
    (GET, "/entities", Pages),
    (GET, "/entities/{entity_type}/{entity}", Pages),
    (GET, "/entities/{entity_type}/{entity}/revisions/{revision}", Pages),
    (GET, "/tasks", Pages),
    (GET, "/tasks/{task_id}", Pages),
    (GET, "/analytics", Pages),
    (GET, "/alerts", Pages),
    (GET, "/settings", Pages),
    (GET, "/audit", Pages),
    (GET, "/ui/changes", Readers),
    (GET, "/ui/{file}", Everybody),
    (POST, "/opportunities/{id}/dismiss", Operators),
    (POST, "/opportunities/{id}/start", Operators),
    (POST, "/improvements/{id}/approve", Operators),
    (POST, "/improvements/{id}/reject", Operators),
    (POST, "/improvements/{id}/cancel", Operators),
    (POST, "/improvements/{id}/rollback", Operators),
    (POST, "/entities/{entity_type}/{entity}/settings", Operators),
    (POST, "/alerts/{id}/acknowledge", Operators),
    (POST, "/alerts/{id}/resolve", Operators),
    (POST, "/settings", Operators),
    (POST, "/settings/pause", Operators),
    (POST, "/settings/resume", Operators),
];

static BY_PATH: LazyLock<HashMap<&'static str, Vec<(Method, Who)>>> = LazyLock::new(|| {
    let mut by_path: HashMap<&'static str, Vec<(Method, Who)>> = HashMap::new();
    for (method, path, who) in RULES {
        by_path.entry(path).or_default().push((method.clone(), *who));
    }
    by_path
});

/// What is known of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The rule.
    Rule(Who),
    /// The path takes other methods.
    OtherMethod,
    /// No rule names the path.
    Nothing,
}

/// The rule for a method and the pattern of a path.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let Some(rules) = BY_PATH.get(path) else { return Found::Nothing };
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    match rules.iter().find(|(of, _)| of == method) {
        Some((_, who)) => Found::Rule(*who),
        None => Found::OtherMethod,
    }
}

/// Whether a request is written down in the audit log.
pub(crate) fn is_audited(method: &Method, who: Who) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    !reads && matches!(who, Askers | Operators | Admins)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every route that the description of the API lists has a rule, and none is there twice.
    #[test]
    fn every_route_has_a_rule() {
        let document = crate::openapi();
        let mut missing = Vec::new();
        for (path, item) in &document.paths.paths {
            let methods = [
                (GET, item.get.is_some()),
                (POST, item.post.is_some()),
                (PUT, item.put.is_some()),
                (DELETE, item.delete.is_some()),
            ];
            for (method, there) in methods {
                if there && !matches!(find(&method, path), Found::Rule(_)) {
                    missing.push(format!("{method} {path}"));
                }
            }
        }
        assert!(missing.is_empty(), "no rule in access::rules says who may do {missing:?}");
        let all: BTreeSet<_> = RULES.iter().map(|(method, path, _)| (method.as_str(), *path)).collect();
        assert_eq!(all.len(), RULES.len(), "a rule is there twice");
    }

    #[test]
    fn what_changes_something_is_written_down() {
        for (method, path, who) in RULES {
            let audited = is_audited(method, *who);
            assert!(!audited || *method != GET, "{path}");
            if *method != GET && matches!(who, Operators | Admins) {
                assert!(audited, "{method} {path}");
            }
        }
        assert_eq!(find(&Method::HEAD, "/healthz"), Found::Rule(Everybody));
        assert_eq!(find(&PUT, "/healthz"), Found::OtherMethod);
        assert_eq!(find(&GET, "/nowhere"), Found::Nothing);
        assert_eq!(find(&POST, "/api/improvements/{id}/approve"), Found::Rule(Operators));
    }
}
