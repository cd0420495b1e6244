//! What lasts: streams that stay open while tokens end, and bodies that never arrive whole.
#![allow(clippy::unwrap_used, reason = "all of it is a test: what is unexpected should stop it")]

mod common;

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{Method, Request};
use common::{Server, event_of};
use futures::{SinkExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::ServiceExt;
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::policy::IntakePolicy;
use uplift_runner::access::{Made, Wanted};
use uplift_web::Guarding;

const GUARDED: Guarding = Guarding { tokens: true, behind_proxy: false, tls: false };
/// Longer than anything here takes; nothing waits for it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

async fn token(server: &Server, name: &str, role: Role, entities: &[&str], expires_s: Option<i64>) -> Made {
    let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
    let expires_at = expires_s.map(|seconds| common::NOW.plus_micros(seconds * 1_000_000));
    server.engine.make_token(Wanted { name: name.into(), role, entities, expires_at }, "test").await.unwrap()
}

fn request(method: Method, path: &str, secret: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(secret) = secret {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    request.body(body).unwrap()
}

/// Opens a stream of events.
async fn listen(server: &Server, path: &str, secret: &str) -> BodyDataStream {
    let request = request(Method::GET, path, Some(secret), Body::empty());
    let answer = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    answer.into_body().into_data_stream()
}

async fn ends(mut stream: BodyDataStream) -> bool {
    timeout(PATIENCE, async { while stream.next().await.is_some() {} }).await.is_ok()
}

#[tokio::test]
async fn whoever_listens_hears_no_more_once_the_token_has_ended() {
    let server = Server::guarded(Policy::default(), GUARDED);
    for (path, role, entities) in [
        ("/api/changes", Role::Viewer, vec![]),
        ("/api/changes", Role::Agent, vec!["agent/a"]),
        ("/ui/changes", Role::Viewer, vec![]),
    ] {
        let made = token(&server, "revoked", role, &entities, None).await;
        let listening = listen(&server, path, &made.secret).await;
        server.engine.revoke_token(made.token.id, "test").await.unwrap();
        assert!(ends(listening).await, "{path} {role}: it goes on after the token was revoked");
    }
    let expiring = token(&server, "expiring", Role::Viewer, &[], Some(60)).await;
    let lasting = token(&server, "lasting", Role::Viewer, &[], None).await;
    let listening = listen(&server, "/api/changes", &expiring.secret).await;
    let mut others = listen(&server, "/api/changes", &lasting.secret).await;
    server.clock.set(common::NOW.plus_micros(60_000_000));
    assert!(ends(listening).await, "it goes on after the token has expired");
    // Nobody else is sent away with them.
    assert!(timeout(PATIENCE, others.next()).await.unwrap().is_some());
    assert!(timeout(Duration::from_millis(500), others.next()).await.is_err());
}

#[tokio::test]
async fn what_arrives_after_the_token_has_ended_is_not_taken() {
    let intake = IntakePolicy { chunk_events: 1, ..IntakePolicy::default() };
    let server = Server::guarded(Policy { intake, ..Policy::default() }, GUARDED);
    let made = token(&server, "a", Role::Agent, &["agent/a"], None).await;
    let (mut sending, arriving) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let request = request(Method::POST, "/api/events", Some(&made.secret), Body::from_stream(arriving));
    let answer = tokio::spawn(server.router.clone().oneshot(request));
    let line = |id: &str| Ok(Bytes::from(format!("{}\n", event_of("a", id, "t"))));
    sending.send(line("1")).await.unwrap();
    let stored = async { while server.engine.store().task_counts().await.unwrap().events < 1 {} };
    timeout(PATIENCE, stored).await.unwrap();
    server.engine.revoke_token(made.token.id, "test").await.unwrap();
    // Whether there is still somebody who reads does not matter.
    let _ = sending.send(line("2")).await;
    drop(sending);
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert_eq!(server.engine.store().task_counts().await.unwrap().events, 1);
}

/// A body that says when somebody waits for it, and never comes.
fn never(asked: oneshot::Sender<()>) -> Body {
    Body::from_stream(futures::stream::once(async move {
        let _ = asked.send(());
        std::future::pending::<Result<Bytes, std::io::Error>>().await
    }))
}

/// Every route that takes a body, by its method and a path of it; but for those whose bodies may take minutes.
fn routes() -> Vec<(Method, String)> {
    let document = uplift_web::openapi();
    let mut routes = Vec::new();
    for (path, item) in &document.paths.paths {
        if ["/api/events", "/v1/"].iter().any(|long| path.starts_with(long)) {
            continue;
        }
        let path = path.replace("{entity_type}", "agent").replace("{id}", "1").replace(['{', '}'], "");
        for (method, there) in [(Method::POST, item.post.is_some()), (Method::PUT, item.put.is_some())] {
            if there {
                routes.push((method, path.clone()));
            }
        }
    }
    for form in ["/login", "/logout", "/settings", "/settings/pause", "/opportunities/1/dismiss", "/alerts/1/resolve"]
    {
        routes.push((Method::POST, form.to_owned()));
    }
    routes.push((Method::POST, "/mcp".to_owned()));
    routes
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up_on_every_route() {
    let server = Server::new();
    let mut waited = 0;
    for (method, path) in routes() {
        let (asked, is_asked) = oneshot::channel();
        let mut request = request(method.clone(), &path, None, never(asked));
        let form = if path.starts_with("/api") || path.starts_with("/ofrep") || path == "/mcp" {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        request.headers_mut().insert("content-type", form.parse().unwrap());
        let answer = tokio::spawn(server.router.clone().oneshot(request));
        // A route that takes no body answers, and drops it.
        if is_asked.await.is_ok() {
            waited += 1;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(31)).await;
            tokio::time::resume();
        }
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path} waits for ever")).unwrap().unwrap();
        assert!(answer.status().is_client_error() || answer.status().is_success(), "{method} {path}: {answer:?}");
    }
    assert!(waited > 15, "only {waited} routes took a body");
}
