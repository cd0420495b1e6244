//! How fast it is. Run with `cargo test --release -p uplift-intake --test otlp speed -- --ignored --nocapture`.

use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};
use uplift_intake::otlp::{Encoding, Signal, decode, traces};

use crate::common::{Setting, request, span};

const SPANS: usize = 100;
const ROUNDS: usize = 200;

/// An agent that calls models and tools, each span with 10 to 20 attributes.
fn spans() -> Vec<Value> {
    let call = json!({
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.response.id": "chatcmpl-BWQlr9dVLXKFchlMhrbY7PR3BTJkn",
        "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 1024, "gen_ai.request.top_p": 1.0,
        "gen_ai.usage.input_tokens": 2256, "gen_ai.usage.output_tokens": 113, "gen_ai.usage.cache_read.input_tokens": 1024,
        "gen_ai.response.finish_reasons": ["tool_call"], "server.address": "api.openai.com", "server.port": 443,
        "gen_ai.conversation.id": "c-5f2c1f0e", "gen_ai.input.messages": "[{\"role\":\"user\"}]".repeat(10),
        "gen_ai.output.messages": "[{\"role\":\"assistant\"}]".repeat(5), "user.tier": "gold",
    });
    let tool = json!({
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1", "gen_ai.tool.call.arguments": "{\"query\":\"the weather in Paris\"}",
        "gen_ai.tool.call.result": "sunny, 21 degrees", "gen_ai.conversation.id": "c-5f2c1f0e", "thread.id": 7,
        "thread.name": "main", "user.tier": "gold",
    });
    let made = |at: usize| {
        let (name, plain) =
            if at.is_multiple_of(2) { ("chat gpt-4o", &call) } else { ("execute_tool search", &tool) };
        span(name, plain, &json!({"spanId": format!("{:016x}", at + 1), "status": {"code": 1}}))
    };
    (0..SPANS).map(made).collect()
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let text = request(&spans());
    let message: ExportTraceServiceRequest = serde_json::from_str(&text).unwrap();
    let bytes = message.encode_to_vec();
    let setting = Setting::default();
    let count = |export: uplift_intake::otlp::Export| assert_eq!(export.events.len(), SPANS);
    show("protobuf", bytes.len(), || {
        count(decode(Signal::Traces, Encoding::Protobuf, &bytes, &setting.context()).unwrap());
    });
    show("json", text.len(), || {
        count(decode(Signal::Traces, Encoding::Json, text.as_bytes(), &setting.context()).unwrap());
    });
    show("prost, then mapped", bytes.len(), || {
        let message = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        count(traces(message, &setting.context()));
    });
}

fn show(what: &str, bytes: usize, mut run: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        (0..ROUNDS).for_each(|_| run());
        best = best.min(started.elapsed().as_secs_f64());
    }
    let spans = (SPANS * ROUNDS) as f64;
    println!("{what}: {:.0} spans/s, {:.2} us a span of {} bytes", spans / best, best * 1e6 / spans, bytes / SPANS);
}
