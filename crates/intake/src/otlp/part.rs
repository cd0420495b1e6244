//! What part a span plays: an agent at work, a call, or only a knot of the tree.

use super::keys::Field;
use super::read::Read;
use super::view::{STATUS_ERROR, Span};

/// The parts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// An agent at work: a task.
    Agent,
    /// A call of a model.
    Llm,
    /// A call of a tool.
    Tool,
    /// Documents were looked up.
    Retrieval,
    /// Work goes over to another agent.
    Handoff,
    /// Somebody or something judged.
    Feedback,
    /// A check that stopped the work.
    Alarm,
    /// None of these.
    Plain,
}

/// The part of a span. What says it outright comes before what only hints at it.
pub(super) fn part(span: &Span<'_>, read: &Read<'_, '_>) -> Part {
    if is_graph_within_itself(read) {
        return Part::Plain;
    }
    let said = read
        .text(Field::Operation)
        .and_then(operation)
        .or_else(|| read.text(Field::Inference).and_then(|kind| inference(kind, span)))
        .or_else(|| read.text(Field::Vercel).and_then(vercel))
        .or_else(|| read.text(Field::Traceloop).and_then(traceloop))
        .or_else(|| read.text(Field::Langfuse).and_then(|kind| langfuse(kind, span)));
    if let Some(part) = said {
        return part;
    }
    if read.has(Field::EvaluationScore) {
        return Part::Feedback;
    }
    // An operation that nobody knows is no call of a model, whatever else stands there; the same goes for the
    // functions around a call that Vercel's kit reports.
    if read.has(Field::Operation) || read.has(Field::Vercel) {
        return Part::Plain;
    }
    if read.has(Field::Tool) || span.name.starts_with("execute_tool ") {
        return Part::Tool;
    }
    if span.name.starts_with("invoke_agent") || span.name == "agent run" {
        return Part::Agent;
    }
    let tokens = read.has(Field::TokensIn) || read.has(Field::TokensOut);
    let model = read.has(Field::RequestModel) || read.has(Field::ResponseModel);
    if read.has(Field::RequestType) || tokens || model { Part::Llm } else { Part::Plain }
}

/// `LangGraph`'s runs are reported twice by Traceloop: the call of the graph, and the run within it, under the same
/// name. Only the former is there for graphs within graphs, too, and it is the agent.
fn is_graph_within_itself(read: &Read<'_, '_>) -> bool {
    read.text(Field::Provider) == Some("langgraph")
        && read.text(Field::Traceloop) == Some("workflow")
        && read.text(Field::Operation) == Some("invoke_agent")
}

fn operation(name: &str) -> Option<Part> {
    Some(match name {
        "chat" | "text_completion" | "completion" | "generate_content" | "embeddings" | "embedding" | "speech"
        | "transcription" | "image_generation" => Part::Llm,
        "execute_tool" => Part::Tool,
        "invoke_agent" => Part::Agent,
        "retrieval" => Part::Retrieval,
        "handoff" => Part::Handoff,
        _ => return None,
    })
}

fn inference(kind: &str, span: &Span<'_>) -> Option<Part> {
    Some(match kind {
        "AGENT" => Part::Agent,
        "TOOL" => Part::Tool,
        "LLM" | "EMBEDDING" => Part::Llm,
        "RETRIEVER" => Part::Retrieval,
        "GUARDRAIL" => check(span),
        "EVALUATOR" | "RERANKER" | "CHAIN" | "PROMPT" => Part::Plain,
        _ => return None,
    })
}

/// Vercel's AI SDK reports the call of its function, and within it each call of a model.
fn vercel(operation: &str) -> Option<Part> {
    let operation = operation.strip_prefix("ai.").unwrap_or(operation);
    Some(match operation {
        "toolCall" => Part::Tool,
        "generateText" | "streamText" | "generateObject" | "streamObject" => Part::Agent,
        _ if operation.ends_with(".doGenerate")
            || operation.ends_with(".doStream")
            || operation.ends_with(".doEmbed") =>
        {
            Part::Llm
        }
        _ => return None,
    })
}

fn traceloop(kind: &str) -> Option<Part> {
    Some(match kind {
        "agent" => Part::Agent,
        "tool" => Part::Tool,
        "handoff" => Part::Handoff,
        "workflow" | "task" => Part::Plain,
        _ => return None,
    })
}

fn langfuse(kind: &str, span: &Span<'_>) -> Option<Part> {
    Some(match kind {
        "agent" => Part::Agent,
        "tool" => Part::Tool,
        "generation" | "embedding" => Part::Llm,
        "retriever" => Part::Retrieval,
        "guardrail" => check(span),
        "evaluator" | "chain" => Part::Plain,
        _ => return None,
    })
}

/// A guardrail that let the work go on is nothing to speak of.
const fn check(span: &Span<'_>) -> Part {
    if span.status == STATUS_ERROR { Part::Alarm } else { Part::Plain }
}
