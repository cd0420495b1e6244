//! A whole server over a store in memory.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tower::ServiceExt;
use uplift_intake::otlp::proto::{ExportTraceServiceRequest, Message};
use uplift_model::{Policy, Time};
use uplift_runner::Engine;
use uplift_runner::clock::ManualClock;
use uplift_store::Store;
use uplift_store::sqlite::SqliteStore;
use uplift_web::{AppState, Guarding};

/// The time of every test: 2026-01-31T12:00:00Z.
pub(crate) const NOW: Time = Time::from_micros(1_769_860_800_000_000);

/// After all records of real agents: 2027-01-01.
pub(crate) const LATER: Time = Time::from_micros(1_798_761_600_000_000);

/// Every form of the pages, and the login, which everybody may send.
pub(crate) const FORMS: &[&str] = &[
    "/login",
    "/logout",
    "/opportunities/1/dismiss",
    "/opportunities/1/start",
    "/improvements/1/approve",
    "/improvements/1/reject",
    "/improvements/1/cancel",
    "/improvements/1/rollback",
    "/entities/agent/1/settings",
    "/alerts/1/acknowledge",
    "/alerts/1/resolve",
    "/settings",
    "/settings/pause",
    "/settings/resume",
];

/// A server under test.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) router: Router,
    /// The one that takes telemetry over gRPC only.
    pub(crate) grpc: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body as it is.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The code of a problem; checks that it is one.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        for field in ["title", "detail", "remedy"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {problem}");
        }
        let code = problem["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(problem["type"], format!("/errors/{code}"));
        code
    }
}

impl Server {
    /// A server with these settings over an empty store in memory.
    pub(crate) fn with(policy: Policy) -> Self {
        Self::over(SqliteStore::in_memory().unwrap_or_else(|error| panic!("{error}")), policy)
    }

    /// A server over a store.
    pub(crate) fn over(store: SqliteStore, policy: Policy) -> Self {
        Self::measured(store, policy, PrometheusBuilder::new().build_recorder().handle())
    }

    /// A server over a store that shows the metrics of this recorder.
    pub(crate) fn measured(store: SqliteStore, policy: Policy, prometheus: PrometheusHandle) -> Self {
        Self::build(store, policy, prometheus, NOW)
    }

    /// A server at another time.
    pub(crate) fn at(now: Time) -> Self {
        let store = SqliteStore::in_memory().unwrap_or_else(|error| panic!("{error}"));
        Self::build(store, Policy::default(), PrometheusBuilder::new().build_recorder().handle(), now)
    }

    /// A server that asks for tokens.
    pub(crate) fn guarded(policy: Policy, guarding: Guarding) -> Self {
        let store = SqliteStore::in_memory().unwrap_or_else(|error| panic!("{error}"));
        let prometheus = PrometheusBuilder::new().build_recorder().handle();
        Self::build_guarded(store, policy, prometheus, (NOW, guarding))
    }

    fn build(store: SqliteStore, policy: Policy, prometheus: PrometheusHandle, now: Time) -> Self {
        Self::build_guarded(store, policy, prometheus, (now, Guarding::default()))
    }

    fn build_guarded(
        store: SqliteStore,
        policy: Policy,
        prometheus: PrometheusHandle,
        (now, guarding): (Time, Guarding),
    ) -> Self {
        let store = Arc::new(store);
        let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
        let clock = Arc::new(ManualClock::at(now));
        let engine = Engine::new(shared, policy, Arc::<ManualClock>::clone(&clock));
        let state = AppState::new(engine.clone(), prometheus, ["uplift.example"]).guarding(guarding);
        Self { engine, store, clock, router: uplift_web::router(state.clone()), grpc: uplift_web::grpc_router(state) }
    }

    /// The same server, which asks for tokens from now on.
    pub(crate) fn asking_for_tokens(self) -> Self {
        let prometheus = PrometheusBuilder::new().build_recorder().handle();
        let guarding = Guarding { tokens: true, behind_proxy: false, tls: false };
        let state = AppState::new(self.engine.clone(), prometheus, ["uplift.example"]).guarding(guarding);
        Self { router: uplift_web::router(state.clone()), grpc: uplift_web::grpc_router(state), ..self }
    }

    /// A server as it is out of the box.
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_else(|error| panic!("{error}"));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text, bytes: bytes.to_vec() }
    }

    /// Sends a request with these headers, from this machine.
    pub(crate) async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body).unwrap_or_else(|error| panic!("{error}"))).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post_events(&self, body: impl Into<Body>) -> Answer {
        self.request(Method::POST, "/api/events", &[], body.into()).await
    }
}

/// A line of NDJSON: a tool call of the agent `researcher`.
pub(crate) fn event(id: &str) -> String {
    event_of("researcher", id, "retail/9:0")
}

/// A line of NDJSON: a tool call.
pub(crate) fn event_of(agent: &str, id: &str, task: &str) -> String {
    format!(
        r#"{{"id":"{id}","ts":"2026-01-31T11:00:00Z","event_type":"TOOL_EXECUTED","agent":"{agent}","tool":"search","task_id":"{task}","outcome":"SUCCESS","duration_ms":12.5,"content":"<b>hi</b>"}}"#
    )
}

/// A request of OpenTelemetry in JSON: one trace of the agent `desk` that calls its tool `book` this many times.
pub(crate) fn spans(calls: usize) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let span = |id: String, parent: &str, name: &str, attributes: Vec<Value>| {
        json!({
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": id, "parentSpanId": parent, "name": name,
            "startTimeUnixNano": "1769857200000000000", "endTimeUnixNano": "1769857200250000000",
            "attributes": attributes, "status": {}
        })
    };
    let root = "eee19b7ec3c1b174";
    let agent = vec![text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", "desk")];
    let mut spans = vec![span(root.to_owned(), "", "invoke_agent desk", agent)];
    spans.extend((1..=calls).map(|number| {
        let call = vec![
            text("gen_ai.operation.name", "execute_tool"),
            text("gen_ai.tool.name", "book"),
            text("gen_ai.tool.call.arguments", &format!("{{\"seat\":{number}}}")),
        ];
        span(format!("{number:016x}"), root, "execute_tool book", call)
    }));
    let resource = json!({"attributes": [text("service.name", "desk-service")]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]})
}

/// The same in protobuf.
pub(crate) fn protobuf(spans: &Value) -> Vec<u8> {
    let request: Result<ExportTraceServiceRequest, _> = serde_json::from_value(spans.clone());
    request.unwrap_or_else(|error| panic!("{error}")).encode_to_vec()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_else(|error| panic!("{error}"))
}

/// This many lines with ids of their own.
pub(crate) fn lines(count: usize) -> String {
    (0..count).map(|number| event(&format!("e{number}")) + "\n").collect::<Vec<_>>().concat()
}
