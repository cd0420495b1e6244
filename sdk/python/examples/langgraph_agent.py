"""A LangGraph agent that gets better while it runs; no key is needed, as its model is scripted.

    uplift serve --config langgraph_agent.toml     # seconds in place of days, so that one can watch
    pip install uplift-sdk[otel] langgraph opentelemetry-exporter-otlp-proto-http && python langgraph_agent.py

Its tool is given too little time for some pages. It asks for an improvement; Uplift looks at the traces, works out how
much time the tool needs, and, when somebody says yes, tries that on half of the tasks. It ends with the verdict.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict
from zlib import crc32

import httpx
from langgraph.graph import END, START, StateGraph
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from uplift_sdk import Client, Resolution, otel

DEFAULTS = {
    "instruction": {"text": "Find out, and say where."},
    "parameters": {"timeout_ms": 30},
    "tools": [{"name": "search", "required": True}],
}
uplift = Client(agent="researcher")
provider = TracerProvider()
exporter = OTLPSpanExporter(endpoint=f"{uplift.settings.url}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
tracer = provider.get_tracer("langgraph_agent")


class State(TypedDict):
    """What the graph hands on."""

    question: str
    config: Resolution
    tried: int
    page: str | None


def model(state: State) -> dict[str, Any]:
    """Calls the model, which would write the answer, or ask for a search."""
    with tracer.start_as_current_span("chat scripted", attributes={"gen_ai.operation.name": "chat"}) as span:
        span.set_attributes({"gen_ai.request.model": "scripted", "gen_ai.usage.input_tokens": 300})
        return {"tried": state["tried"] + 1}


def search(state: State) -> dict[str, Any]:
    """Calls the tool: four of ten pages are slow."""
    needed_ms = 40 if crc32(state["question"].encode()) % 10 < 4 else 5
    limit_ms = state["config"].get("parameters.timeout_ms", 30)
    named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    with tracer.start_as_current_span("execute_tool search", attributes=named) as span:
        time.sleep(min(needed_ms, limit_ms) / 1e3)
        if needed_ms <= limit_ms:
            return {"page": "the page"}
        span.record_exception(TimeoutError("the page did not come in time"))
        span.set_status(trace.StatusCode.ERROR)
        return {}


builder = StateGraph(State)
builder.add_node("model", model).add_node("search", search)
builder.add_edge(START, "model").add_edge("search", "model")
builder.add_conditional_edges("model", lambda state: END if state["page"] or state["tried"] > 3 else "search")
graph = builder.compile()


def task(number: int) -> tuple[str, bool]:
    """One task: a trace, for which the configuration is resolved, and which says what it ran and how it went."""
    named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}
    with tracer.start_as_current_span("invoke_agent researcher", attributes=named) as span:
        task_id = otel.unit() or ""
        config = uplift.resolve(unit=task_id, defaults=DEFAULTS)
        otel.stamp(config)
        found = graph.invoke({"question": f"question {number}", "config": config, "tried": 0, "page": None})
        span.set_status(trace.StatusCode.OK if found["page"] else trace.StatusCode.ERROR)
    # A score beside what the trace says: here, whether the answer rests on a page.
    uplift.feedback(task_id, bool(found["page"]), name="grounded", agent="researcher")
    return task_id, bool(found["page"])


def main(most_seconds: float = 300.0) -> None:
    """Works; asks for more time when there is something to show; goes on until that was decided."""
    began, failed, asked, told = time.monotonic(), [], None, ""
    with ThreadPoolExecutor(4) as threads:
        for round in range(1_000_000):
            done = threads.map(task, range(40 * round, 40 * round + 40))
            failed += [task_id for task_id, succeeded in done if not succeeded]
            if len(failed) > 80:
                asked = uplift.improvement_request(asked.request_id) if asked else uplift.request_improvement(
                    "performance_tuning", "Give search more time", "Slow pages are given up", {"failed_tasks": failed[-20:]})
                if asked.status == "awaiting_approval":  # by a person, who looks at it first
                    httpx.post(f"{uplift.settings.url}/api/improvements/{asked.improvement_id}/approve").raise_for_status()
                if asked.status != told:
                    print(f"after {40 * round + 40} tasks: {(told := asked.status)}. {asked.message}", flush=True)
                if asked.verdict:
                    return print(asked.verdict["reason"])
            if time.monotonic() - began > most_seconds:
                sys.exit("nothing was decided in time")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
    provider.shutdown()
