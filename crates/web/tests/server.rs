//! What holds for every route: errors, Host and Origin, probes, the description of the API.

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Version};
use common::{Server, lines};

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let server = Server::new();
    assert_eq!(server.post_events(lines(1)).await.status, StatusCode::OK);
    let long = format!("/api/events?tool={}", "x".repeat(600));
    let table = [
        ("/api/nothing", 404, "unknown_route", "/api/nothing"),
        ("/api/tasks/a/b", 404, "unknown_route", "/api/tasks/a/b"),
        ("/api/tasks?limit=0", 400, "invalid_parameter", "`limit`"),
        ("/api/tasks?limit=1001", 400, "invalid_parameter", "`limit`"),
        ("/api/tasks?limit=x", 400, "invalid_parameter", "`limit`"),
        ("/api/tasks?limit=1&limit=2", 400, "invalid_parameter", "limit"),
        ("/api/tasks?colour=red", 400, "invalid_parameter", "colour"),
        ("/api/tasks?since=2026-01-31", 400, "invalid_parameter", "`since`"),
        ("/api/tasks?has_errors=maybe", 400, "invalid_parameter", "`has_errors`"),
        ("/api/tasks?outcome=good", 400, "invalid_parameter", "`outcome`"),
        ("/api/tasks?session_id=", 400, "invalid_parameter", "`session_id`"),
        ("/api/tasks?cursor=nonsense", 400, "bad_cursor", "nonsense"),
        ("/api/tasks?agent=a&entity_type=agent", 400, "invalid_parameter", "`agent`"),
        ("/api/tasks?entity=a", 400, "invalid_parameter", "`entity_type`"),
        ("/api/tasks?entity_type=agent", 400, "invalid_parameter", "`entity`"),
        ("/api/tasks?agent=nobody", 404, "not_found", "nobody"),
        ("/api/events?event_type=DANCE", 400, "invalid_parameter", "`event_type`"),
        (&long, 400, "invalid_parameter", "`tool`"),
        ("/api/events/lookup?id=1", 400, "invalid_parameter", "trace_key"),
        ("/api/events/lookup?id=1&trace_key=t", 404, "not_found", "1"),
        ("/api/entities?state=asleep", 400, "invalid_parameter", "`state`"),
        ("/api/entities/robot/x", 400, "invalid_parameter", "`entity_type`"),
        ("/api/entities/agent/%ff", 400, "invalid_parameter", "path"),
        ("/api/improvements/opportunities?status=pending,odd", 400, "invalid_parameter", "`status`"),
        ("/api/improvements/opportunities/one", 400, "invalid_parameter", "path"),
        ("/api/improvements/opportunities/77", 404, "not_found", "77"),
        ("/api/improvements/effectiveness/agent/nobody", 404, "not_found", "nobody"),
        ("/errors/nothing", 404, "not_found", "nothing"),
    ];
    for (path, status, code, says) in table {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path} {answer:?}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{path} {answer:?}");
    }
}

#[tokio::test]
async fn methods() {
    let server = Server::new();
    for (method, path) in [(Method::POST, "/api/tasks"), (Method::DELETE, "/api/events"), (Method::PUT, "/healthz")] {
        let answer = server.request(method, path, &[], Body::empty()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method_not_allowed"));
        assert!(answer.header("allow").contains("GET"), "{answer:?}");
    }
    let head = server.request(Method::HEAD, "/api/tasks", &[], Body::empty()).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn strange_hosts_and_origins_are_refused_on_every_route() {
    let server = Server::new();
    let ask = async |path: &str, host: Option<&str>, origin: Option<&str>| {
        let mut request = Request::builder().method(Method::GET).uri(path);
        for (name, value) in [("host", host), ("origin", origin)] {
            request = if let Some(value) = value { request.header(name, value) } else { request };
        }
        let request = request.body(Body::empty()).unwrap_or_else(|error| panic!("{error}"));
        let answer = server.send(request).await;
        if answer.status == StatusCode::OK { "ok".to_owned() } else { answer.code() }
    };
    let paths = [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/tasks",
        "/errors/not_found",
        "/api/improvements/status",
    ];
    for path in paths {
        assert_eq!(ask(path, Some("localhost:8080"), None).await, "ok", "{path}");
        assert_eq!(ask(path, Some("[::1]:8080"), Some("http://[::1]:8080")).await, "ok", "{path}");
        assert_eq!(ask(path, Some("uplift.example"), Some("https://uplift.example")).await, "ok", "{path}");
        assert_eq!(ask(path, Some("evil.example"), None).await, "host_not_allowed", "{path}");
        assert_eq!(ask(path, None, None).await, "host_not_allowed", "{path}");
        assert_eq!(ask(path, Some("localhost:8080"), Some("null")).await, "origin_not_allowed", "{path}");
        let other = Some("http://evil.example");
        assert_eq!(ask(path, Some("localhost:8080"), other).await, "origin_not_allowed", "{path}");
    }
    assert_eq!(ask("/no/such/path", Some("evil.example"), None).await, "host_not_allowed");
    let by_authority = Request::builder()
        .version(Version::HTTP_2)
        .uri("http://localhost:8080/healthz")
        .body(Body::empty())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(server.send(by_authority).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ready_means_that_the_store_answers() {
    let server = Server::new();
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    server.engine.set_ready(false);
    let answer = server.get("/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "not_ready"));
    server.engine.set_ready(true);
    server.store.close().await;
    assert_eq!(server.get("/readyz").await.code(), "not_ready");
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(server.get("/api/tasks").await.code(), "store_closed");
}

#[tokio::test]
async fn every_problem_has_its_page_and_the_front_page_lists_the_routes() {
    let server = Server::new();
    for code in uplift_web::pages::CODES {
        let page = server.get(&format!("/errors/{code}")).await;
        assert!(page.status == StatusCode::OK && page.text.contains("## What to do"), "{code}");
    }
    let front = server.get("/api").await;
    assert!(front.header("content-type").starts_with("text/html"));
    assert!(front.text.contains("<a href=\"/api/improvements/status\">"), "{}", front.text);
    assert!(front.text.contains("/api/entities/{entity_type}/{entity}"));
    assert_eq!(front.header("x-content-type-options"), "nosniff");
    assert_eq!(server.get("/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_description_of_the_api_lists_every_route() {
    let described = Server::new().get("/api/openapi.json").await.json();
    let mut listed = Vec::new();
    for (path, methods) in described["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let statuses: Vec<_> =
                operation["responses"].as_object().into_iter().flatten().map(|(status, _)| status.as_str()).collect();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names: Vec<_> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
            listed.push(format!("{} {path} [{}] {}", method.to_uppercase(), names.join(" "), statuses.join(" ")));
        }
    }
    insta::assert_snapshot!(listed.join("\n"));
    let text = described.to_string();
    for schema in ["Problem", "IngestReport", "EventBody", "Opportunity", "Status"] {
        assert!(described["components"]["schemas"][schema].is_object(), "{schema}");
    }
    // A reference to a schema that is not there would break every generator of clients.
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(described["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn problems_look_like_this() {
    let server = Server::new();
    let rejected = server.post_events("[{\"id\":\"x\",\"event_type\":\"ERROR\"},7]").await.json();
    insta::assert_json_snapshot!("all_rejected", rejected);
    insta::assert_json_snapshot!("not_found", server.get("/api/entities/agent/nobody").await.json());
    insta::assert_json_snapshot!("invalid_parameter", server.get("/api/tasks?limit=many").await.json());
}
