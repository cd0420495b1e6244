//! Who is told is for operators to say, in the words of the API; secrets and addresses are not shown again.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_runner::access::Wanted;
use uplift_runner::notifying;
use uplift_store::Write;
use uplift_store::writes::attention::AlertWrite;

const TARGETS: &str = "/api/notifications/targets";
const DELIVERIES: &str = "/api/notifications/deliveries";

async fn ask(server: &Server, token: &str, method: Method, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    server.request(method, path, &headers, Body::from(body.to_string())).await
}

async fn post(server: &Server, path: &str, body: Value) -> Answer {
    server.request(Method::POST, path, &[("content-type", "application/json")], Body::from(body.to_string())).await
}

#[tokio::test]
async fn only_operators_say_who_is_told_and_see_what_is_on_its_way() {
    let server = Server::new().asking_for_tokens();
    let target = json!({"name": "ops", "url": "https://hooks.example.org/hook"});
    let routes = [
        (Method::GET, TARGETS.to_owned(), 200),
        (Method::POST, TARGETS.to_owned(), 201),
        (Method::POST, format!("{TARGETS}/nobody/test"), 404),
        (Method::GET, DELIVERIES.to_owned(), 200),
        (Method::POST, format!("{DELIVERIES}/999/retry"), 404),
        (Method::DELETE, format!("{TARGETS}/ops"), 204),
    ];
    for (role, may) in [(Role::Viewer, false), (Role::Agent, false), (Role::Operator, true), (Role::Admin, true)] {
        let entities = if role == Role::Agent { vec!["agent/*".parse().unwrap()] } else { Vec::new() };
        let wanted = Wanted { name: role.as_str().to_owned(), role, entities, expires_at: None };
        let token = server.engine.make_token(wanted, "test").await.unwrap().secret;
        for (method, path, status) in &routes {
            let answer = ask(&server, &token, method.clone(), path, target.clone()).await;
            assert_eq!(
                answer.status.as_u16(),
                if may { *status } else { 403 },
                "{role:?} {method} {path}: {answer:?}"
            );
            if *status == 201 && may {
                assert_eq!(answer.json()["created_by"], role.as_str());
            }
        }
    }
    for (method, path, _) in &routes {
        let answer = server.request(method.clone(), path, &[], Body::empty()).await;
        assert_eq!(answer.status.as_u16(), 401, "{method} {path}");
    }
}

#[tokio::test]
async fn targets_are_checked_and_their_secrets_shown_once() {
    let server = Server::new();
    let url = "https://hooks.example.org:8443/services/s3cret?key=s3cret";
    let made = post(&server, TARGETS, json!({"name": "ops", "url": url, "kinds": ["alert.opened"]})).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"), "{made:?}");
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40, "{made:#}");
    assert!(!made["url"].as_str().unwrap().contains("s3cret"), "{made:#}");
    let listed = server.get(TARGETS).await;
    assert!(!listed.text.contains("s3cret") && !listed.text.contains(secret), "{listed:?}");
    let only = &listed.json()["items"][0];
    assert_eq!(
        (&only["name"], &only["signed"], &only["format"]),
        (&json!("ops"), &json!(true), &json!("cloudevents"))
    );
    assert_eq!(only["kinds"], json!(["alert.opened"]));
    let fine = "https://hooks.example.org/";
    for (body, code) in [
        (json!({"name": "ops", "url": fine}), "invalid_value"),
        (json!({"name": "", "url": fine}), "invalid_value"),
        (json!({"name": "a/b", "url": fine}), "invalid_value"),
        (json!({"name": "a b", "url": fine}), "invalid_value"),
        (json!({"name": "<b>", "url": fine}), "invalid_value"),
        (json!({"name": "x".repeat(65), "url": fine}), "invalid_value"),
        (json!({"name": "x", "url": ""}), "invalid_value"),
        (json!({"name": "x", "url": format!("{fine}{}", "x".repeat(3_000))}), "invalid_value"),
        (json!({"name": "x", "url": "http://hooks.example.org/"}), "invalid_value"),
        (json!({"name": "x", "url": "https://127.0.0.1/"}), "invalid_value"),
        (json!({"name": "x", "url": "https://[::ffff:169.254.169.254]/"}), "invalid_value"),
        (json!({"name": "x", "url": "https://ops:key@hooks.example.org/"}), "invalid_value"),
        (json!({"name": "x", "url": "javascript:alert(1)"}), "invalid_value"),
        (json!({"name": "x", "url": fine, "format": "fax"}), "invalid_value"),
        (json!({"name": "x", "url": fine, "kinds": ["everything"]}), "invalid_value"),
        (json!({"name": "x", "url": fine, "kinds": ["test"]}), "invalid_value"),
        (json!({"name": "x", "url": fine, "secret": "whsec_AAAA"}), "invalid_value"),
        (json!({"name": "x", "url": fine, "secret": "hello"}), "invalid_value"),
        (json!({"name": "x", "url": fine, "created_by": "me"}), "invalid_body"),
        (json!({"name": "x"}), "invalid_body"),
    ] {
        let answer = post(&server, TARGETS, body.clone()).await;
        assert_eq!(answer.code(), code, "{body}: {answer:?}");
    }
    assert_eq!(server.get(TARGETS).await.json()["items"].as_array().unwrap().len(), 1);
    for (method, path, status) in [
        (Method::DELETE, format!("{TARGETS}/nobody"), 404),
        (Method::DELETE, format!("{TARGETS}/%2e%2e"), 404),
        (Method::DELETE, format!("{TARGETS}/ops"), 204),
        (Method::DELETE, format!("{TARGETS}/ops"), 404),
        (Method::POST, format!("{TARGETS}/ops/test"), 404),
    ] {
        let answer = server.request(method, &path, &[], Body::empty()).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn deliveries_are_listed_by_state_and_target_page_by_page() {
    // The program does so when it begins; a second time changes nothing.
    let _installed = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let mut policy = Policy::default();
    (policy.notifications.allow_private, policy.notifications.allow_http) = (true, true);
    let server = Server::with(policy);
    for name in ["a", "b"] {
        // A port at which nobody listens.
        let target = json!({"name": name, "url": "http://127.0.0.1:1/", "format": "slack"});
        assert_eq!(post(&server, TARGETS, target).await.status.as_u16(), 201);
    }
    for number in 0..3 {
        let finding = AlertFinding {
            kind: AlertKind::OpportunityBacklog,
            entity: None,
            fingerprint: number.to_string(),
            message: format!("number {number}"),
            value: 51.0,
            threshold: 50.0,
            at: server.engine.now(),
        };
        server.engine.commit(vec![Write::Alerts(AlertWrite::Raise(finding))]).await.unwrap();
    }
    for _ in 0..4 {
        notifying::settle(&server.engine).await.unwrap();
    }
    let all = server.get(DELIVERIES).await.json();
    let ids = |list: &Value| -> Vec<i64> {
        list["items"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&all).len(), 6, "{all:#}");
    let first = &all["items"][0];
    assert_eq!((&first["state"], &first["attempts"]), (&json!("pending"), &json!(1)), "{first:#}");
    assert!(first["last_error"].as_str().unwrap().starts_with("it cannot be reached"), "{first:#}");
    let mut paged = Vec::new();
    let mut path = format!("{DELIVERIES}?limit=4");
    for _ in 0..2 {
        let page = server.get(&path).await.json();
        paged.extend(ids(&page));
        path = format!("{DELIVERIES}?limit=4&cursor={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!((paged, path.ends_with("cursor=")), (ids(&all), true));
    for (query, count) in
        [("?target=a", 3), ("?state=pending", 6), ("?state=dead", 0), ("?state=delivered&target=b", 0)]
    {
        assert_eq!(ids(&server.get(&format!("{DELIVERIES}{query}")).await.json()).len(), count, "{query}");
    }
    let pending = format!("{DELIVERIES}/{}/retry", first["id"]);
    assert_eq!(post(&server, &pending, json!({})).await.status.as_u16(), 409, "it was not given up");
    for (path, status) in [("?target=nobody", 404), ("?state=lost", 400), ("?limit=0", 400), ("?cursor=x", 400)] {
        assert_eq!(server.get(&format!("{DELIVERIES}{path}")).await.status.as_u16(), status, "{path}");
    }
}
