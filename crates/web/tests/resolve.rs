//! What an entity is to run: reasons, defaults, tags, several at once, and changes as they happen.

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::{Answer, NOW, Server, event};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::improvement::{ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::policy::EnginePolicy;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::{Arm, AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind};
use uplift_model::{Policy, Time};
use uplift_store::writes::{ImprovementChange, NewImprovement, NewTrial, Write};

const PATH: &str = "/api/resolve/agent/researcher";
const AGENT: EntityKey = EntityKey::new(EntityType::Agent, 1);

impl Server {
    async fn bring(&self, defaults: &Value) -> Answer {
        self.ask(PATH, &json!({"defaults": defaults})).await
    }

    async fn ask(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.request(Method::POST, path, &headers, Body::from(body.to_string())).await
    }

    async fn write(&self, writes: Vec<Write>) -> uplift_store::StepReceipt {
        self.engine.commit(writes).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// An improvement that sets a parameter, as far as its trial.
    async fn improvement(&self, name: &str, value: i64) -> (i64, Revision, Revision) {
        let entity = self.get("/api/entities/agent/researcher").await.json();
        let base = Revision::seal(read(&entity["configuration"])).unwrap_or_else(|error| panic!("{error}"));
        let edits = vec![Edit::SetParameter { name: name.to_owned(), value: value.into() }];
        let candidate = uplift_model::edit::apply(&base, &edits).unwrap_or_else(|error| panic!("{error}"));
        let proposal = Proposal {
            improvement_type: ImprovementType::PerformanceTuning,
            proposed_by: ProposalSource::Rule,
            proposer: "retry_timeout".to_owned(),
            edits,
            processes: Vec::new(),
            rationale: "Calls end at the timeout.".to_owned(),
            expected_impact: "Fewer timeouts.".to_owned(),
            expected_gain: 0.1,
            confidence: 0.9,
            comparison: Comparison::Concurrent,
        };
        let status = ImprovementStatus::Proposed;
        let new = NewImprovement { entity: AGENT, opportunity_id: None, proposal, status, process_due: None };
        let receipt = self.write(vec![Write::PutImprovement(Box::new(new))]).await;
        let id = receipt.improvements[0];
        self.write(vec![Write::PutRevision(Box::new(candidate.clone()))]).await;
        let change = ImprovementChange {
            status: Some(ImprovementStatus::Validated),
            base: Some(base.id().clone()),
            candidate: Some(candidate.id().clone()),
            ..ImprovementChange::default()
        };
        self.change(id, change).await;
        self.to(id, ImprovementStatus::Testing).await;
        (id, base, candidate)
    }

    async fn to(&self, id: i64, status: ImprovementStatus) {
        self.change(id, ImprovementChange { status: Some(status), ..ImprovementChange::default() }).await;
    }

    async fn change(&self, id: i64, change: ImprovementChange) {
        let read = self.engine.store().improvement(id).await.unwrap_or_else(|error| panic!("{error}"));
        let change = Write::ChangeImprovement { id, expected_version: read.version, change: Box::new(change) };
        self.write(vec![change]).await;
    }

    /// An improvement that was kept.
    async fn keep(&self, name: &str, value: i64) -> i64 {
        let (id, _, candidate) = self.improvement(name, value).await;
        self.to(id, ImprovementStatus::Deployed).await;
        self.write(vec![Write::PointRevision { entity: AGENT, revision: Box::new(candidate) }]).await;
        id
    }
}

fn read(configuration: &Value) -> Configuration {
    serde_json::from_value(configuration.clone()).unwrap_or_else(|error| panic!("{error}"))
}

fn trial(share: f64) -> Trial {
    Trial {
        key: "improvement/1/1".to_owned(),
        kind: TrialKind::Trial,
        started_us: NOW.micros(),
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: NOW.micros(), share }],
        metrics: Vec::new(),
        expected_units: 100.0,
        baseline: Baseline::default(),
        policy: TrialPolicy::default(),
    }
}

fn defaults(model: &str) -> Value {
    json!({"model": model, "parameters": {"timeout_ms": 5000, "retries": 1}, "graph": {"nodes": [1]}})
}

#[tokio::test]
async fn the_life_of_defaults() {
    let server = Server::new();
    // Unknown, and without defaults: there is nothing to serve.
    let answer = server.get(PATH).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    assert!(answer.text.contains("send defaults"), "{answer:?}");
    // Registers itself.
    let first = server.bring(&defaults("one")).await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    let first = first.json();
    assert_eq!(first["configuration"], defaults("one"));
    assert_eq!((first["entity_id"].as_i64(), first["entity"].as_str()), (Some(1), Some("researcher")));
    assert_eq!((first["environment"].as_str(), first["reason"].as_str()), (Some("default"), Some("no_trial")));
    assert_eq!((&first["trial"], &first["exposure"]), (&Value::Null, &Value::Null));
    assert_eq!(server.get(PATH).await.json(), first);
    assert_eq!(server.get("/api/resolve/agent/1").await.json(), first);
    // Two improvements are kept.
    let one = server.keep("timeout_ms", 9000).await;
    server.keep("retries", 3).await;
    let kept = server.bring(&defaults("one")).await.json();
    assert_eq!(kept["configuration"]["parameters"], json!({"timeout_ms": 9000, "retries": 3}));
    assert_eq!(kept["reason"], "no_trial");
    // The code changes: its model, and one of the two parameters.
    let mut changed = defaults("two");
    changed["parameters"]["timeout_ms"] = json!(7000);
    let answer = server.bring(&changed).await.json();
    assert_eq!(answer["configuration"]["model"], "two");
    assert_eq!(answer["configuration"]["parameters"], json!({"timeout_ms": 7000, "retries": 3}));
    let left_out = answer["not_applied"].as_array().cloned().unwrap_or_default();
    assert_eq!(left_out.len(), 1, "{answer}");
    assert_eq!(
        (left_out[0]["improvement"].as_i64(), left_out[0]["edit"].as_str()),
        (Some(one), Some("set_parameter"))
    );
    // Said once.
    let again = server.bring(&changed).await.json();
    assert_eq!((&again["revision"], again.get("not_applied")), (&answer["revision"], None));
    // The old version of the code still runs somewhere: it changes nothing.
    for _ in 0..2 {
        let old = server.bring(&defaults("one")).await.json();
        assert_eq!((&old["revision"], old["reason"].as_str()), (&answer["revision"], Some("older_defaults")));
    }
    // In other words, the same.
    let text = r#"{"defaults":{"parameters":{"retries":1,"timeout_ms":7000},"graph":{"nodes":[1]},"model":"two"}}"#;
    let headers = [("content-type", "application/json")];
    let same = server.request(Method::POST, PATH, &headers, Body::from(text)).await.json();
    assert_eq!((&same["revision"], same["reason"].as_str()), (&answer["revision"], Some("no_trial")));
}

#[tokio::test]
async fn an_agent_that_only_reported_gets_its_first_configuration() {
    let server = Server::new();
    assert_eq!(server.post_events(event("e1")).await.status, StatusCode::OK);
    let answer = server.get(PATH).await;
    assert!(answer.status == StatusCode::NOT_FOUND && answer.text.contains("no configuration yet"), "{answer:?}");
    let path = format!("{PATH}?defaults=%7B%22model%22%3A%22m%22%7D&unit=u");
    assert_eq!(server.get(&path).await.json()["configuration"], json!({"model": "m"}));
    // A resolver of another environment is another agent.
    let other = server.ask(PATH, &json!({"environment": "staging", "defaults": {"model": "s"}})).await.json();
    assert_ne!(other["entity_id"], 1);
    assert_eq!(server.get(PATH).await.json()["configuration"]["model"], "m");
    assert_eq!(server.get(&format!("{PATH}?environment=staging")).await.json()["configuration"]["model"], "s");
}

#[tokio::test]
async fn a_trial_serves_both_arms_until_the_code_changes() {
    let server = Server::new();
    server.bring(&defaults("one")).await;
    let (improvement_id, base, candidate) = server.improvement("timeout_ms", 9000).await;
    let declared = trial(0.5);
    let start = NewTrial {
        improvement_id,
        entity: AGENT,
        base: base.id().clone(),
        candidate: candidate.id().clone(),
        trial: declared.clone(),
    };
    let trial_id = server.write(vec![Write::StartTrial(Box::new(start))]).await.trials[0];
    let mut arms = [0, 0];
    for number in 0..200 {
        let unit = format!("task {number}");
        let answer = server.ask(PATH, &json!({"unit": unit, "defaults": defaults("one")})).await.json();
        let arm = declared.arm_of(&unit, NOW.micros());
        arms[arm.index()] += 1;
        let (revision, name) = match arm {
            Arm::Control => (&base, "control"),
            Arm::Candidate => (&candidate, "candidate"),
        };
        assert_eq!(answer["reason"], "trial");
        assert_eq!(read(&answer["configuration"]), *revision.configuration());
        assert_eq!(answer["trial"], json!({"id": trial_id, "arm": name}));
        let exposure = json!({"trial": trial_id, "arm": name, "revision": revision.id().as_str()});
        assert_eq!(answer["exposure"], exposure);
        // The same for clients of OpenFeature, in words that telemetry hands on to us as the unit's exposure.
        let flag = "/ofrep/v1/evaluate/flags/agent/researcher/parameters.timeout_ms";
        let flag = server.ask(flag, &json!({"context": {"targetingKey": unit}})).await.json();
        assert_eq!((&flag["reason"], &flag["variant"]), (&json!("SPLIT"), &json!(name)));
        assert_eq!(flag["value"], answer["configuration"]["parameters"]["timeout_ms"]);
        let revision = revision.id().as_str();
        let metadata = json!({"flagSetId": format!("trial/{trial_id}"), "version": revision, "revision": revision,
            "trial": trial_id, "arm": name, "served": "trial", "environment": "default"});
        assert_eq!(flag["metadata"], metadata);
    }
    assert!(arms[0] > 50 && arms[1] > 50, "{arms:?}");
    let nobody = server.get(PATH).await.json();
    assert_eq!((nobody["reason"].as_str(), &nobody["exposure"]), (Some("no_unit"), &Value::Null));
    assert_eq!(nobody["revision"], base.id().as_str());
    let flag = server.ask("/ofrep/v1/evaluate/flags/agent/researcher", &json!({})).await.json();
    assert_eq!((&flag["reason"], &flag["variant"]), (&json!("DEFAULT"), &json!(base.id().as_str())));
    assert_eq!((flag["metadata"].get("trial"), flag["metadata"].get("flagSetId")), (None, None), "{flag}");
    let stale = server.ask(PATH, &json!({"unit": "u", "defaults": defaults("two")})).await.json();
    assert_eq!(
        (stale["reason"].as_str(), stale["configuration"]["model"].as_str()),
        (Some("stale_trial"), Some("two"))
    );
    server.write(vec![Write::SetEntityState { entity: AGENT, state: EntityState::Inactive }]).await;
    assert_eq!(server.get(&format!("{PATH}?unit=u")).await.json()["reason"], "inactive");
}

#[tokio::test]
async fn a_known_answer_is_not_sent_again() {
    let server = Server::new();
    let first = server.bring(&defaults("one")).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 66, "{tag}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let ask = async |tag: &str| server.request(Method::GET, PATH, &[("if-none-match", tag)], Body::empty()).await;
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = ask(&known).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(answer.header("etag"), tag);
    }
    assert_eq!(ask("\"other\"").await.status, StatusCode::OK);
    server.keep("retries", 3).await;
    let changed = ask(&tag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn several_at_once() {
    let server = Server::new();
    server.bring(&defaults("one")).await;
    let entities = json!([
        {"entity_type": "agent", "entity": "researcher"},
        {"entity_type": "agent", "entity": "nobody"},
        {"entity_type": "robot", "entity": "x"},
        {"entity_type": "agent", "entity": "1"},
    ]);
    let answer = server.ask("/api/resolve", &json!({"unit": "u", "entities": entities})).await.json();
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    assert_eq!(results.len(), 4, "{answer}");
    assert_eq!((&results[0]["configuration"], &results[3]), (&defaults("one"), &results[0]));
    assert_eq!(
        (results[1]["code"].as_str(), results[2]["code"].as_str()),
        (Some("not_found"), Some("invalid_parameter"))
    );
    let many = vec![json!({"entity_type": "agent", "entity": "researcher"}); 101];
    assert_eq!(server.ask("/api/resolve", &json!({"entities": many})).await.code(), "invalid_body");
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_a_reason() {
    let server = Server::new();
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let nested = format!("{{\"defaults\":{{\"x\":{deep}}}}}");
    let long = format!("{{\"defaults\":{{\"model\":\"{}\"}}}}", "x".repeat(70_000));
    let table: &[(&str, &str, u16, &str)] = &[
        (PATH, r#"{"defaults":7}"#, 422, "invalid_value"),
        (PATH, r#"{"defaults":[]}"#, 422, "invalid_value"),
        (PATH, r#"{"defaults":{"tools":"all"}}"#, 422, "invalid_value"),
        (PATH, r#"{"defaults":{"parameters":{"x":1e999}}}"#, 422, "invalid_value"),
        (PATH, r#"{"defaults":{"model":"m"},"colour":1}"#, 400, "invalid_body"),
        (PATH, r#"{"unit":""}"#, 400, "invalid_parameter"),
        (PATH, "{", 400, "invalid_body"),
        (PATH, &nested, 422, "invalid_value"),
        (PATH, &long, 413, "body_too_large"),
        ("/api/resolve/robot/x", "{}", 400, "invalid_parameter"),
        ("/api/resolve/agent/42", r#"{"defaults":{}}"#, 404, "not_found"),
        ("/api/resolve/agent/a%0Ab", r#"{"defaults":{}}"#, 422, "invalid_value"),
        ("/api/resolve/agent/%20", r#"{"defaults":{}}"#, 422, "invalid_value"),
        (PATH, r#"{"environment":"7","defaults":{}}"#, 422, "invalid_value"),
    ];
    for (path, body, status, code) in table {
        let headers = [("content-type", "application/json")];
        let answer = server.request(Method::POST, path, &headers, Body::from((*body).to_owned())).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (*status, *code), "{path} {shown} {answer:?}");
    }
    assert_eq!(server.get("/api/entities").await.json()["items"], json!([]), "nobody was registered");
    // A page of another origin makes a browser ask: nothing is changed.
    let path = format!("{PATH}?defaults=%7B%7D");
    let answer = server.request(Method::GET, &path, &[("sec-fetch-site", "cross-site")], Body::empty()).await;
    assert_eq!(answer.code(), "origin_not_allowed");
    let own = server.request(Method::GET, &path, &[("sec-fetch-site", "same-origin")], Body::empty()).await;
    assert_eq!(own.status, StatusCode::OK, "{own:?}");
}

#[tokio::test]
async fn nobody_registers_where_that_is_off() {
    let engine = EnginePolicy { auto_register: false, ..EnginePolicy::default() };
    let server = Server::with(Policy { engine, ..Policy::default() });
    let answer = server.bring(&defaults("one")).await;
    assert!(answer.code() == "not_found" && answer.text.contains("auto_register"), "{answer:?}");
}

#[tokio::test]
async fn defaults_that_change_with_every_call_are_not_taken_over_for_ever() {
    let server = Server::new();
    for number in 0..20 {
        assert_eq!(server.bring(&json!({"model": "m", "now": number})).await.json()["configuration"]["now"], number);
    }
    let answer = server.bring(&json!({"model": "m", "now": 20})).await.json();
    assert_eq!(answer["configuration"]["now"], 19);
    assert!(answer["notice"].as_str().is_some_and(|notice| notice.contains("within an hour")), "{answer}");
}

#[tokio::test]
async fn what_is_served_goes_on_being_served_when_the_store_is_gone() {
    let server = Server::new();
    server.bring(&defaults("one")).await;
    server.store.close().await;
    assert_eq!(server.get(PATH).await.json()["configuration"], defaults("one"));
    assert_eq!(server.bring(&defaults("two")).await.json()["configuration"], defaults("one"));
    assert_eq!(server.get("/api/resolve/agent/other").await.code(), "store_closed");
}

/// What a listener hears until `count` events were told, or the stream ends.
async fn hear(body: &mut axum::body::BodyDataStream, count: usize) -> String {
    let mut heard = String::new();
    while heard.matches("\n\n").count() < count {
        match body.next().await {
            Some(Ok(bytes)) => heard.push_str(&String::from_utf8_lossy(&bytes)),
            Some(Err(error)) => panic!("{error}"),
            None => break,
        }
    }
    heard
}

#[tokio::test]
async fn changes_are_told_as_they_happen_and_the_stream_ends_with_the_server() {
    let server = Server::new();
    let listen = async || {
        let request = Request::builder().uri("/api/changes").header("host", "localhost").body(Body::empty());
        let request = request.unwrap_or_else(|error| panic!("{error}"));
        let response = server.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body().into_data_stream()
    };
    let mut prompt = listen().await;
    let mut slow = listen().await;
    assert!(hear(&mut prompt, 1).await.contains("event: ready"));
    assert!(hear(&mut slow, 1).await.contains("event: ready"));
    server.bring(&defaults("one")).await;
    let heard = hear(&mut prompt, 1).await;
    assert!(heard.contains("event: revision") && heard.contains(r#""entity_type":"agent","entity_id":1"#), "{heard}");
    for number in 0..1_100 {
        let model = if number % 2 == 0 { "two" } else { "three" };
        let revision = Revision::seal(read(&defaults(model))).unwrap_or_else(|error| panic!("{error}"));
        server.write(vec![Write::PointRevision { entity: AGENT, revision: Box::new(revision) }]).await;
        let heard = hear(&mut prompt, 1).await;
        assert!(heard.contains("event: revision"), "{number} {heard}");
    }
    let heard = hear(&mut slow, 1).await;
    assert!(heard.contains("event: reload") && !heard.contains("event: revision"), "{heard}");
    server.engine.set_ready(false);
    assert_eq!((hear(&mut prompt, 1).await.as_str(), hear(&mut slow, 1).await.as_str()), ("", ""));
    let refused = server.get("/api/changes").await;
    assert_eq!(refused.code(), "not_ready");
}

#[tokio::test]
async fn before_its_first_stage_a_trial_serves_what_is_in_place() {
    // The engine's clock, not the wall's, says which stage is in force.
    let server = Server::at(Time::from_micros(NOW.micros() - 1));
    server.bring(&defaults("one")).await;
    let (improvement_id, base, candidate) = server.improvement("timeout_ms", 9000).await;
    let (base, candidate) = (base.id().clone(), candidate.id().clone());
    let start = NewTrial { improvement_id, entity: AGENT, base, candidate, trial: trial(0.999) };
    server.write(vec![Write::StartTrial(Box::new(start))]).await;
    let answer = server.get(&format!("{PATH}?unit=u")).await.json();
    assert_eq!((answer["reason"].as_str(), &answer["exposure"]), (Some("base"), &Value::Null));
}
