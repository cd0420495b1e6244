"""A LangGraph agent that gets better while it runs; no key is needed, as its model is scripted.

    uplift serve --config langgraph_agent.toml     # seconds in place of days, so that one can watch
    pip install uplift-sdk[otel] langgraph opentelemetry-exporter-otlp-proto-http && python langgraph_agent.py

Its tool has too little time for some pages, and it asks for more. Uplift checks what it says by the traces; when
somebody has said yes, more time is tried on half of the tasks, and the agent hears the verdict.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict
from zlib import crc32

import httpx
from langgraph.graph import END, StateGraph
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from uplift_sdk import Client, Resolution, otel

DEFAULTS = {"instruction": {"text": "Find out, and say where."}, "parameters": {"timeout_ms": 40}}
uplift = Client(agent="researcher")
provider = TracerProvider()
exporter = OTLPSpanExporter(f"{uplift.settings.url}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
tracer = provider.get_tracer("langgraph_agent")
State = TypedDict("State", {"question": str, "config": Resolution, "tried": int, "page": str | None})


def model(state: State) -> dict[str, Any]:
    """Calls the model, which would write the answer, or ask for a search."""
    told = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "scripted", "gen_ai.usage.input_tokens": 300}
    with tracer.start_as_current_span("chat scripted", attributes=told):
        return {"tried": state["tried"] + 1}


def search(state: State) -> dict[str, Any]:
    """Calls the tool: six of ten pages are slow."""
    needed_ms = 60 if crc32(state["question"].encode()) % 10 < 6 else 5
    limit_ms = state["config"].get("parameters.timeout_ms", 40)
    with tracer.start_as_current_span("execute_tool search", attributes={"gen_ai.tool.name": "search"}) as span:
        time.sleep(min(needed_ms, limit_ms) / 1e3)
        if needed_ms <= limit_ms:
            return {"page": "the page"}
        span.record_exception(TimeoutError("the page did not come in time"))
        span.set_status(trace.StatusCode.ERROR)
        return {}


builder = StateGraph(State).add_node("model", model).add_node("search", search)
builder.set_entry_point("model").add_edge("search", "model")
builder.add_conditional_edges("model", lambda state: END if state["page"] or state["tried"] > 3 else "search")
graph = builder.compile()


def task(number: int) -> tuple[str, bool]:
    """One task: a trace, for which the configuration is resolved, and which says what it ran and how it went."""
    named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}
    with tracer.start_as_current_span("invoke_agent researcher", attributes=named) as span:
        task_id = otel.task_id() or ""
        otel.stamp(config := uplift.resolve(unit=otel.unit(), defaults=DEFAULTS))
        found = graph.invoke({"question": f"question {number}", "config": config, "tried": 0, "page": None})
        succeeded = found["page"] is not None
        span.set_status(trace.StatusCode.OK if succeeded else trace.StatusCode.ERROR)
    uplift.feedback(task_id, succeeded, name="grounded", agent="researcher")  # a score beside what the trace says
    return task_id, succeeded


def ask(failed: list[str]) -> int:
    """Asks for more time and shows that it is needed; the request's number."""
    edits = [{"edit": "set_parameter", "name": "timeout_ms", "value": 100}]
    said = ("performance_tuning", "Give search more time", "Slow pages are given up", {"failed_tasks": failed[-20:]})
    return uplift.request_improvement(*said, edits=edits).request_id


def main(most_seconds: float = 300.0) -> None:
    """Works, asks when there is something to show, and goes on until that was decided."""
    until, number, failed, request, told = time.monotonic() + most_seconds, 0, [], 0, ""
    with ThreadPoolExecutor(4) as threads:
        while time.monotonic() < until:
            done = list(threads.map(task, range(number, number := number + 40)))
            failed += [task_id for task_id, succeeded in done if not succeeded]
            if len(failed) > 80:
                asked = uplift.improvement_request(request := request or ask(failed))
                if asked.status != told:
                    print(f"after {number} tasks: {(told := asked.status)}", flush=True)
                if asked.status == "awaiting_approval":  # by a person, who looks at it first
                    httpx.post(f"{uplift.settings.url}/api/improvements/{asked.improvement_id}/approve")
                if asked.verdict:
                    return print(asked.verdict["reason"])
    sys.exit("nothing was decided in time")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
    provider.shutdown()
