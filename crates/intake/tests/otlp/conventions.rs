//! One span of each convention, and what comes of it.

use serde_json::{Value, json};
use uplift_intake::otlp::Signal;
use uplift_model::event::{EventKind, Exposure, Outcome};
use uplift_model::policy::ModelPrice;

use crate::common::{SPAN, Setting, attributes, entity, event, line, request, span};

/// What it comes to, with its content, without its ids, its second and the number of its attributes.
fn told(name: &str, plain: &Value) -> String {
    let event = event(name, plain, &json!({}));
    let line =
        line(&event).replace(&format!("{SPAN} "), "").replace(" < 00f067aa0ba902b7", "").replace(" ms=1000", "");
    let line = line.split(" content=").next().unwrap().split(" attributes=").next().unwrap().to_owned();
    event.content.map_or(line.clone(), |content| format!("{line} | {content}"))
}

#[test]
fn opentelemetry() {
    let table = [
        (
            "chat gpt-4o",
            json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4,
                "gen_ai.output.messages": "[]", "gen_ai.agent.name": "writer"}),
            "work LLM_CALL writer in=10 out=5 cached=4 | []",
        ),
        ("embeddings", json!({"gen_ai.operation.name": "embeddings"}), "work LLM_CALL shop?"),
        ("generate", json!({"gen_ai.operation.name": "generate_content"}), "work LLM_CALL shop?"),
        ("complete", json!({"gen_ai.operation.name": "text_completion"}), "work LLM_CALL shop?"),
        (
            "execute_tool search",
            json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search",
                "gen_ai.tool.call.arguments": "{\"q\":1}", "gen_ai.tool.call.result": "found"}),
            "work TOOL_EXECUTED shop? tool=search | found",
        ),
        (
            "execute_tool search",
            json!({"gen_ai.operation.name": "execute_tool"}),
            "work TOOL_EXECUTED shop? tool=search",
        ),
        (
            "invoke_agent writer",
            json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer", "gen_ai.agent.id": "a-1",
                "gen_ai.conversation.id": "c-1"}),
            "agent TASK_COMPLETED writer session=c-1",
        ),
        ("invoke_agent writer", json!({"gen_ai.operation.name": "invoke_agent"}), "agent TASK_COMPLETED writer"),
        ("run", json!({"gen_ai.operation.name": "invoke_agent"}), "agent TASK_COMPLETED shop?"),
        ("create_agent writer", json!({"gen_ai.operation.name": "create_agent"}), "plain TASK_COMPLETED shop?"),
        ("invoke_workflow", json!({"gen_ai.operation.name": "invoke_workflow"}), "plain TASK_COMPLETED shop?"),
        (
            "retrieval docs",
            json!({"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "docs"}),
            "work CONTEXT_READ shop?",
        ),
        (
            "openai.chat",
            json!({"gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": "4",
                "gen_ai.completion.0.content": "hi"}),
            "work LLM_CALL shop? in=3 out=4 | hi",
        ),
        ("GET /", json!({"gen_ai.conversation.id": "c"}), "plain TASK_COMPLETED shop? session=c"),
        (
            "generate_content",
            json!({"gen_ai.operation.name": "generate_content", "gen_ai.response.prompt_token_count": 9,
                "gen_ai.response.candidates_token_count": 2, "gen_ai.response.cached_content_token_count": 8}),
            "work LLM_CALL shop? in=9 out=2 cached=8",
        ),
        (
            "judge",
            json!({"gen_ai.evaluation.name": "polite", "gen_ai.evaluation.score.value": 0.5,
                "gen_ai.evaluation.explanation": "meh"}),
            "work FEEDBACK shop? | meh",
        ),
    ];
    for (name, plain, expected) in table {
        assert_eq!(told(name, &plain), expected, "{plain}");
    }
}

#[test]
fn open_inference() {
    let kind = |kind: &str, mut more: Value| {
        more["openinference.span.kind"] = kind.into();
        more
    };
    let table = [
        (kind("AGENT", json!({"output.value": "done"})), "agent TASK_COMPLETED step | done"),
        (
            kind("AGENT", json!({"agent.name": "planner", "session.id": "s"})),
            "agent TASK_COMPLETED planner session=s",
        ),
        (
            kind("TOOL", json!({"tool.name": "search", "input.value": "{}", "output.value": "none"})),
            "work TOOL_EXECUTED shop? tool=search | none",
        ),
        (
            kind(
                "LLM",
                json!({"llm.model_name": "m", "llm.token_count.prompt": 1, "llm.token_count.completion": 2,
                "llm.token_count.prompt_details.cache_read": 1, "llm.cost.total": 0.25}),
            ),
            "work LLM_CALL shop? in=1 out=2 cached=1 cost=0.25",
        ),
        (kind("EMBEDDING", json!({})), "work LLM_CALL shop?"),
        (kind("RETRIEVER", json!({})), "work CONTEXT_READ shop?"),
        (kind("CHAIN", json!({"llm.token_count.prompt": 9})), "plain TASK_COMPLETED shop? in=9"),
        (kind("RERANKER", json!({})), "plain TASK_COMPLETED shop?"),
        (kind("GUARDRAIL", json!({})), "plain TASK_COMPLETED shop?"),
        (kind("EVALUATOR", json!({})), "plain TASK_COMPLETED shop?"),
        (kind("UNKNOWN", json!({})), "plain TASK_COMPLETED shop?"),
    ];
    for (plain, expected) in table {
        assert_eq!(told("step", &plain), expected, "{plain}");
    }
}

#[test]
fn traceloop() {
    let table = [
        (
            "w.workflow",
            json!({"traceloop.span.kind": "workflow", "traceloop.entity.name": "w"}),
            "plain TASK_COMPLETED shop?",
        ),
        ("t.task", json!({"traceloop.span.kind": "task"}), "plain TASK_COMPLETED shop?"),
        (
            "a.agent",
            json!({"traceloop.span.kind": "agent", "traceloop.entity.name": "planner", "traceloop.entity.output": "done",
                "traceloop.association.properties.session_id": "s"}),
            "agent TASK_COMPLETED planner session=s | done",
        ),
        (
            "search.tool",
            json!({"traceloop.span.kind": "tool", "traceloop.entity.name": "search", "traceloop.entity.input": "{}"}),
            "work TOOL_EXECUTED shop? tool=search",
        ),
        (
            "a → b",
            json!({"gen_ai.operation.name": "handoff", "gen_ai.handoff.from_agent": "a", "gen_ai.handoff.to_agent": "b"}),
            "work HANDOFF a | to b",
        ),
    ];
    for (name, plain, expected) in table {
        assert_eq!(told(name, &plain), expected, "{plain}");
    }
}

/// Traceloop reports a graph and the run within it; `LangChain`'s chains, and graphs within graphs, once.
#[test]
fn a_graph_and_its_run_are_one_agent() {
    let said = |kind: Option<&str>, provider: &str| {
        let mut plain = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "desk"});
        plain["gen_ai.provider.name"] = provider.into();
        if let Some(kind) = kind {
            plain["traceloop.span.kind"] = kind.into();
        }
        told("desk.workflow", &plain)
    };
    for (kind, provider, expected) in [
        (None, "langgraph", "agent TASK_COMPLETED desk"),
        (Some("workflow"), "langgraph", "plain TASK_COMPLETED shop?"),
        (Some("agent"), "langgraph", "agent TASK_COMPLETED desk"),
        (Some("workflow"), "langchain", "agent TASK_COMPLETED desk"),
    ] {
        assert_eq!(said(kind, provider), expected, "{kind:?} {provider}");
    }
}

#[test]
fn cached_tokens_of_adk_stand_in_the_answer() {
    let cached = |answer: &str, more: &Value| {
        let mut plain = json!({"gen_ai.request.model": "m", "gcp.vertex.agent.llm_response": answer});
        plain.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event("call_llm", &plain, &json!({})).tokens_cached
    };
    let read = json!({"gen_ai.usage.input_tokens": 1_000});
    let answer = r#"{"content":{},"usage_metadata":{"cached_content_token_count":200,"prompt_token_count":1000}}"#;
    let own = json!({"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.cache_read.input_tokens": 0});
    for (answer, more, expected) in [
        (answer, &read, Some(200)),
        (answer, &own, Some(0)),
        (answer, &json!({}), None),
        (r#"{"usage_metadata":{"prompt_token_count":1000}}"#, &read, None),
        (r#"{"usage_metadata":{"cached_content_token_count":-1}}"#, &read, None),
        (r#"{"usage_metadata":{"cached_content_token_count":"#, &read, None),
    ] {
        assert_eq!(cached(answer, more), expected, "{answer} {more}");
    }
}

#[test]
fn tools_that_were_offered_have_one_name() {
    let agent = "invoke_agent";
    let table = [
        (
            agent,
            json!({"gen_ai.tool.definitions": r#"[{"name":"a"},{"type":"function","function":{"name":"b"}},{"name":"a"}]"#}),
            json!(["a", "b"]),
        ),
        (
            "chat",
            json!({"gen_ai.tool.definitions": [{"name": "a", "parameters": {"name": 1}}, 7, null]}),
            json!(["a"]),
        ),
        ("chat", json!({"ai.prompt.tools": [r#"{"type":"function","name":"a"}"#, "{", "[]"]}), json!(["a"])),
        (
            "chat",
            json!({"llm.tools.0.tool.json_schema": r#"{"type":"function","function":{"name":"a"}}"#,
                "llm.tools.1.tool.json_schema": r#"{"name":"b","input_schema":{}}"#, "llm.tools.2.tool.name": "c",
                "llm.tools.tool.name": "none", "llm.tools.3.tool.description": "none"}),
            json!(["a", "b", "c"]),
        ),
        (
            "chat",
            json!({"llm.request.functions.0.name": "a", "llm.request.functions.1.name": "b",
                "llm.request.functions.0.description": "none", "llm.request.functions.x.name": "none"}),
            json!(["a", "b"]),
        ),
        (agent, json!({"gen_ai.tool.definitions": "[{\"name\":\"a\""}), Value::Null),
        (agent, json!({"gen_ai.tool.definitions": "[]"}), Value::Null),
        ("execute_tool", json!({"gen_ai.tool.definitions": r#"[{"name":"a"}]"#}), Value::Null),
        ("chat", json!({}), Value::Null),
    ];
    for (operation, mut plain, expected) in table {
        plain["gen_ai.operation.name"] = operation.into();
        let kept = attributes(event("x", &plain, &json!({})).attributes.as_deref().unwrap());
        assert_eq!(kept.get("tools").cloned().unwrap_or_default(), expected, "{plain}");
        // The definitions themselves stay.
        let definitions = plain.as_object().unwrap().keys().filter(|key| *key != "gen_ai.operation.name");
        assert!(definitions.clone().all(|key| kept.contains_key(key)), "{kept:?}");
    }
    let many: Vec<Value> = (0..1_000).map(|number| json!({"name": format!("tool {number}")})).collect();
    let plain = json!({"gen_ai.operation.name": "chat", "gen_ai.tool.definitions": Value::from(many).to_string()});
    let kept = attributes(event("x", &plain, &json!({})).attributes.as_deref().unwrap());
    assert_eq!(kept["tools"].as_array().map(Vec::len), Some(256));
}

#[test]
fn vercel_langfuse_and_older_ones() {
    let table = [
        (
            "ai.generateText",
            json!({"ai.operationId": "ai.generateText", "ai.telemetry.functionId": "writer", "ai.model.id": "m",
                "ai.usage.promptTokens": 1, "ai.usage.completionTokens": 2, "ai.response.text": "hi",
                "ai.telemetry.metadata.sessionId": "s"}),
            "agent TASK_COMPLETED writer in=1 out=2 session=s | hi",
        ),
        (
            "ai.generateText.doGenerate",
            json!({"ai.operationId": "ai.generateText.doGenerate", "gen_ai.usage.input_tokens": 1, "ai.usage.inputTokens": 7}),
            "work LLM_CALL shop? in=1",
        ),
        (
            "ai.streamText",
            json!({"ai.operationId": "ai.streamText", "ai.model.id": "m"}),
            "agent TASK_COMPLETED shop?",
        ),
        ("ai.streamText.doStream", json!({"ai.operationId": "ai.streamText.doStream"}), "work LLM_CALL shop?"),
        ("ai.embed", json!({"ai.operationId": "ai.embed", "ai.usage.tokens": 3}), "plain TASK_COMPLETED shop? in=3"),
        (
            "ai.toolCall",
            json!({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "search", "ai.toolCall.args": "{\"q\":1}",
                "ai.toolCall.result": "[]"}),
            "work TOOL_EXECUTED shop? tool=search | []",
        ),
        (
            "gen",
            json!({"langfuse.observation.type": "generation", "langfuse.observation.output": "hi",
                "langfuse.observation.usage_details": "{\"input\":12,\"output\":34}",
                "langfuse.observation.cost_details": "{\"total\":0.5,\"input\":0.2}"}),
            "work LLM_CALL shop? in=12 out=34 cost=0.5 | hi",
        ),
        ("openai.chat", json!({"llm.request.type": "chat"}), "work LLM_CALL shop?"),
        (
            "execute_task n",
            json!({"gen_ai.operation.name": "execute_task", "gen_ai.request.model": "m", "gen_ai.task.status": "failure"}),
            "plain TASK_COMPLETED shop? outcome=ERROR",
        ),
        ("agent run", json!({"agent_name": "helper", "model_name": "m"}), "agent TASK_COMPLETED helper"),
        (
            "running tool",
            json!({"gen_ai.tool.name": "t", "tool_arguments": "{}", "tool_response": "ok"}),
            "work TOOL_EXECUTED shop? tool=t | ok",
        ),
    ];
    for (name, plain, expected) in table {
        assert_eq!(told(name, &plain), expected, "{plain}");
    }
}

#[test]
fn arguments_have_one_name_and_results_are_not_kept_twice() {
    let table = [
        json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": "{\"q\":1}", "gen_ai.tool.call.result": "r",
            "traceloop.entity.input": "{\"q\":1}", "traceloop.entity.output": "r"}),
        json!({"openinference.span.kind": "TOOL", "input.value": "{\"q\":1}", "output.value": "r"}),
        json!({"ai.operationId": "ai.toolCall", "ai.toolCall.args": "{\"q\":1}", "ai.toolCall.result": "r"}),
        json!({"traceloop.span.kind": "tool", "traceloop.entity.input": "{\"q\":1}", "traceloop.entity.output": "r"}),
    ];
    let mut hashes = Vec::new();
    for plain in table {
        let event = event("search", &plain, &json!({}));
        let kept = attributes(event.attributes.as_deref().unwrap());
        assert_eq!(kept["gen_ai.tool.call.arguments"], "{\"q\":1}", "{plain}");
        assert_eq!(event.content.as_deref(), Some("r"), "{plain}");
        assert!(
            !kept.keys().any(|key| key.contains("entity.") || key.contains(".value") || key.contains("result")),
            "{kept:?}"
        );
        hashes.push(event.call_hash().unwrap());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "whatever sent them, equal calls are equal");
}

#[test]
fn errors() {
    type Row<'a> = (&'a Value, Option<&'a Value>, Value, Option<Outcome>, Option<&'a str>, Option<&'a str>);

    let thrown = json!([{"name": "exception", "attributes": [
        {"key": "exception.type", "value": {"stringValue": "LookupError"}},
        {"key": "exception.message", "value": {"stringValue": "no such order"}},
        {"key": "exception.stacktrace", "value": {"stringValue": "at main"}},
    ]}]);
    let (ok, broke, unset) = (json!({"code": 1}), json!({"code": 2, "message": "status says"}), json!({}));
    let table: [Row<'_>; 7] = [
        (&ok, None, json!({}), Some(Outcome::Success), None, None),
        (&unset, None, json!({}), None, None, None),
        (&broke, None, json!({}), Some(Outcome::Error), None, Some("status says")),
        (&broke, Some(&thrown), json!({}), Some(Outcome::Error), Some("LookupError"), Some("no such order")),
        (
            &broke,
            Some(&thrown),
            json!({"error.type": "timeout"}),
            Some(Outcome::Error),
            Some("timeout"),
            Some("no such order"),
        ),
        (
            &unset,
            None,
            json!({"error.type": "timeout", "error.message": "late"}),
            Some(Outcome::Error),
            Some("timeout"),
            Some("late"),
        ),
        (&ok, Some(&thrown), json!({}), Some(Outcome::Success), Some("LookupError"), Some("no such order")),
    ];
    for (status, events, mut plain, outcome, error_type, content) in table {
        plain["gen_ai.operation.name"] = "chat".into();
        let event = event("chat", &plain, &json!({"status": status, "events": events.unwrap_or(&json!([]))}));
        assert_eq!(
            (event.outcome, event.error_type.as_deref(), event.content.as_deref()),
            (outcome, error_type, content),
            "{plain}"
        );
        let kept = attributes(event.attributes.as_deref().unwrap());
        assert_eq!(kept.get("exception.stacktrace").is_some(), events.is_some(), "the stack stays");
        assert!(!kept.contains_key("exception.message"));
    }
    let agent = json!({"gen_ai.operation.name": "invoke_agent"});
    assert_eq!(event("a", &agent, &json!({"status": broke})).kind, EventKind::TaskFailed);
    let guard = json!({"openinference.span.kind": "GUARDRAIL"});
    assert_eq!(event("g", &guard, &json!({"status": {"code": "STATUS_CODE_ERROR"}})).kind, EventKind::Error);
}

#[test]
fn exposures() {
    let exposure = |trial, arm: &str| Exposure { trial, arm: arm.into(), revision: "9c1e".into() };
    let flag = json!([{"name": "feature_flag.evaluation", "attributes": [
        {"key": "feature_flag.key", "value": {"stringValue": "agent/writer"}},
        {"key": "feature_flag.result.variant", "value": {"stringValue": "control"}},
        {"key": "feature_flag.set.id", "value": {"stringValue": "trial/12"}},
        {"key": "feature_flag.version", "value": {"stringValue": "9c1e"}},
    ]}]);
    let list = "[{\"trial\":7,\"arm\":\"control\",\"revision\":\"9c1e\"},{\"trial\":8,\"arm\":\"candidate\",\"revision\":\"9c1e\"}]";
    let table = [
        (
            json!({"uplift.trial": 7, "uplift.arm": "candidate", "uplift.revision": "9c1e"}),
            json!([]),
            vec![exposure(7, "candidate")],
        ),
        (json!({"uplift.exposures": list}), json!([]), vec![exposure(7, "control"), exposure(8, "candidate")]),
        (
            json!({"uplift.exposures": [{"trial": 7, "arm": "control", "revision": "9c1e"}]}),
            flag.clone(),
            vec![exposure(7, "control"), exposure(12, "control")],
        ),
        (
            json!({"feature_flag.set.id": "3", "feature_flag.result.variant": "candidate", "feature_flag.version": "9c1e"}),
            json!([]),
            vec![exposure(3, "candidate")],
        ),
        (json!({"feature_flag.key": "dark-mode", "feature_flag.result.variant": "on"}), json!([]), vec![]),
    ];
    for (plain, events, expected) in table {
        let event = event("step", &plain, &json!({"events": events}));
        assert_eq!(event.exposures, expected, "{plain}");
        let kept = event.attributes.unwrap();
        assert!(!kept.contains("uplift."), "{kept}");
    }
    for plain in [
        json!({"uplift.trial": 0, "uplift.arm": "control", "uplift.revision": "r"}),
        json!({"uplift.trial": 7, "uplift.arm": "treatment", "uplift.revision": "r"}),
        json!({"uplift.trial": 7, "uplift.arm": "control"}),
        json!({"uplift.exposures": "[{\"trial\":7}]"}),
    ] {
        let export = Setting::default().json(Signal::Traces, &request(&[span("step", &plain, &json!({}))]));
        assert_eq!((export.rejected, export.events[0].exposures.len(), export.notes.len()), (0, 0, 1), "{plain}");
        assert!(export.events[0].attributes.as_deref().unwrap().contains("uplift."), "what is not understood stays");
    }
}

#[test]
fn cost_by_price() {
    let price = ModelPrice { model: "gpt-*".into(), input: 2.0, output: 10.0, cached: Some(1.0) };
    let setting = Setting { prices: vec![price], ..Setting::default() };
    let table = [
        (
            json!({"gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}),
            Some(2.0),
        ),
        (
            json!({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.cache_read.input_tokens": 500_000}),
            Some(1.5),
        ),
        (
            json!({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cost": 0.5}),
            Some(0.5),
        ),
        (json!({"gen_ai.request.model": "claude", "gen_ai.usage.input_tokens": 10}), None),
        (json!({"gen_ai.request.model": "gpt-4o"}), None),
        (
            json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10}),
            None,
        ),
    ];
    for (plain, expected) in table {
        let export = setting.json(Signal::Traces, &request(&[span("chat", &plain, &json!({}))]));
        assert_eq!(export.events[0].cost_usd, expected, "{plain}");
    }
}

#[test]
fn nothing_unknown_is_lost() {
    let plain = json!({
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "42", "gen_ai.request.model": "m",
        "my.list": [1, "two", [true]], "my.map": {"a": 1.5, "b": {"c": null}}, "resource.service.name": "mine",
        "gen_ai.usage.input_tokens": -3, "quo\"te": "li\nne",
    });
    let more = json!({
        "kind": 3, "traceState": "vendor=1", "droppedEventsCount": 2,
        "links": [{"traceId": "0af7651916cd43dd8448eb211c80319d", "spanId": "b7ad6b7169203332",
            "attributes": [{"key": "why", "value": {"stringValue": "retry"}}]}],
        "events": [{"name": "tick", "timeUnixNano": (crate::common::START + 5_000).to_string()},
            {"name": "gen_ai.content.completion.chunk"}],
    });
    let event = event("run", &plain, &more);
    assert_eq!((entity(&event), event.tokens_in), ("id-42", None));
    insta::assert_json_snapshot!("kept", attributes(event.attributes.as_deref().unwrap()));
}

#[test]
fn resources_are_whole_on_tasks_roots_and_services_entries_only() {
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}}, {"key": "host.name", "value": {"stringValue": "h1"}},
        {"key": "deployment.environment.name", "value": {"stringValue": "prod"}},
    ]});
    let call = json!({"gen_ai.operation.name": "chat"});
    let agent = json!({"gen_ai.operation.name": "invoke_agent"});
    let table = [
        (&call, json!({}), false),
        (&call, json!({"kind": 2}), true),
        (&call, json!({"parentSpanId": ""}), true),
        (&agent, json!({}), true),
    ];
    for (plain, more, whole) in table {
        // The resource may stand behind what it is the resource of.
        let body =
            json!({"resourceSpans": [{"scopeSpans": [{"spans": [span("s", plain, &more)]}], "resource": resource}]});
        let export = Setting::default().json(Signal::Traces, &body.to_string());
        let kept = attributes(export.events[0].attributes.as_deref().unwrap());
        assert_eq!(
            (kept.contains_key("resource.host.name"), &kept["resource.service.name"]),
            (whole, &json!("shop")),
            "{more}"
        );
        assert_eq!((export.events[0].environment.as_str(), entity(&export.events[0])), ("prod", "shop"));
    }
}
