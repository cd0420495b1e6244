//! What people and scripts read of which improvements helped.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{NOW, Server};
use serde_json::{Value, json};
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::ImprovementType;
use uplift_model::verdict::Verdict;
use uplift_model::{EntityKey, EntityType};
use uplift_store::writes::Write;

/// A keep with evidence for its goal.
fn verdict(evidence: f64) -> Verdict {
    let interval = json!({"estimate": 0.1, "low": 0.05, "high": 0.2});
    let goal = json!({
        "name": "success", "roles": {"goal": true, "guardrail": true, "cost": false}, "summary": "rate", "n": [100, 100],
        "control": 0.5, "candidate": 0.6, "effect": interval, "margin": 0.1, "inside_margin": true, "weight": 1.0,
        "evidence": {"harm": 0.0, "better": evidence.ln(), "not_worse": 0.0, "not_much_worse": 0.0},
        "evidence_share": 0.0, "fixed": null, "units_needed": null, "what_would_change": "",
    });
    serde_json::from_value(json!({
        "decision": "keep", "strength": "proven", "next": "keep", "reasons": ["goal_better"], "deciding": ["success"],
        "text": "", "units_needed": null,
        "findings": {
            "at_us": 0, "method": "live", "phase": "first_horizon", "last": false, "may_prove": true, "watch_only": false,
            "matured": [100, 100], "immature": 0, "late": 0,
            "allocation": {"assigned": [100, 100], "log_evidence": 0.0, "crossover": 0.0},
            "coverage": {"known": [1.0, 1.0], "log_evidence": 0.0},
            "combined": {"log_evidence": 0.0, "log_evidence_without_costs": 0.0, "log_threshold": 2.6},
            "effectiveness": interval, "balance": 0.0, "metrics": [goal], "interference": false,
        },
    }))
    .unwrap()
}

/// An improvement of an agent of its own that was kept with that evidence.
async fn kept(server: &Server, name: &str, minute: i64, evidence: f64) -> i64 {
    let json = [("content-type", "application/json")];
    let path = format!("/api/entities/agent/{name}");
    let body = json!({"configuration": {"model": "a"}}).to_string();
    let entity = server.request(Method::PUT, &path, &json, Body::from(body)).await.json();
    let change = json!({"entity_type": "agent", "entity": name, "rationale": "why",
        "edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": 3000}]});
    let answer = server.request(Method::POST, "/api/improvements", &json, Body::from(change.to_string())).await;
    let id = answer.json()["id"].as_i64().unwrap();
    let entry = HistoryEntry {
        improvement_id: id,
        entity: EntityKey::new(EntityType::Agent, entity["entity_id"].as_i64().unwrap()),
        improvement_type: ImprovementType::InstructionUpdate,
        outcome: HistoryOutcome::Kept,
        reason: "why".to_owned(),
        started_at: Some(NOW),
        decided_at: NOW.plus_micros(minute * 60_000_000),
        metrics_before: None,
        metrics_after: None,
        effectiveness: None,
        rollback_revision: None,
        verdict: Some(verdict(evidence)),
        report: "# Report".to_owned(),
    };
    server.engine.commit(vec![Write::RecordHistory(Box::new(entry))]).await.unwrap();
    id
}

#[tokio::test]
async fn claims_follow_the_order_of_decisions_wherever_they_are_read() {
    let server = Server::new();
    let path = "/api/improvements/status";
    assert_eq!(server.get(path).await.json()["claims"], json!({"helped": 0, "possible": 0, "false_claims": 0.1}));
    // The row of the reference, decided in this order and put on record in another.
    let evidence = [500.0, 3.0, 2_000.0, 40.0, 800.0];
    let stands = [true, false, true, false, true];
    let mut ids = [0; 5];
    for place in [2, 0, 4, 1, 3] {
        ids[place] = kept(&server, &format!("agent-{place}"), place as i64, evidence[place]).await;
    }
    assert_eq!(server.get(path).await.json()["claims"], json!({"helped": 3, "possible": 5, "false_claims": 0.1}));
    let analytics = server.get("/api/improvements/analytics").await.json();
    assert_eq!(
        (&analytics["items"][0]["kept"], &analytics["items"][0]["helped"]),
        (&json!(5), &json!(3)),
        "{analytics:#}"
    );
    let history = server.get("/api/improvements/history").await.json();
    let listed: Vec<(Value, Value)> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|item| (item["improvement_id"].clone(), item["claim"]["stands"].clone()))
        .collect();
    let expected: Vec<(Value, Value)> =
        ids.iter().zip(stands).map(|(id, stands)| (json!(id), json!(stands))).collect();
    assert_eq!(listed, expected, "{history:#}");
    let report = server.get(&format!("/api/improvements/{}", ids[0])).await.json();
    let claim = &report["history"][0]["claim"];
    assert!((claim["log_evidence"].as_f64().unwrap() - 500.0_f64.ln()).abs() < 1e-9, "{claim}");
    assert!((claim["log_needed"].as_f64().unwrap() + 0.005_351_68_f64.ln()).abs() < 1e-5, "{claim}");
    let effect = server.get("/api/improvements/effectiveness/agent/agent-1").await.json();
    assert_eq!(effect["history"]["items"][0]["claim"]["stands"], false);
}
