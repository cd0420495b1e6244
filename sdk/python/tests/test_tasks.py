"""Tasks and what is reported of them; feedback; requests."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import pytest
import uplift_sdk
from conftest import Server, Start
from uplift_sdk import AsyncClient, Client, Exposure, Resolution, UpliftError, UpliftRefused, current_task, otel


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of events, in the order of time."""
    return [event["event_type"] for event in sorted(events, key=lambda event: event["ts"])]


def test_a_task_is_reported_from_its_beginning_to_its_end(server: Server) -> None:
    with Client(url=server.url, agent="support") as uplift:
        with uplift.task(task_id="t-1", session_id="s-1", attributes={"task_class": "refund"}) as task:
            # The server knows of it from the beginning.
            assert kinds(server.events(task_id="t-1")) == ["TASK_STARTED"]
            task.llm_call(tokens_in=31, tokens_out=7, cost_usd=0.01)
            task.tool("get_order", arguments={"order": 4711}, outcome="SUCCESS", duration_ms=12.5)
            task.context("refund_policy")
            task.error(TimeoutError("no answer within 30 s"))
            assert current_task() is task
        assert current_task() is None
    found = server.get("/api/tasks/t-1")
    expected = {
        "outcome": "SUCCESS",
        "llm_calls": 1,
        "tool_calls": 1,
        "errors": 1,
        "tokens_in": 31,
        "session_id": "s-1",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["duration_ms"] > 0 and found["entity_name"] == "support"
    events = server.events(task_id="t-1")
    assert kinds(events) == ["TASK_STARTED", "LLM_CALL", "TOOL_EXECUTED", "CONTEXT_READ", "ERROR", "TASK_COMPLETED"]
    by_kind = {event["event_type"]: event for event in events}
    assert by_kind["TOOL_EXECUTED"]["attributes"] == {"arguments": {"order": 4711}}
    assert by_kind["ERROR"]["error_type"] == "TimeoutError"
    assert by_kind["TASK_STARTED"]["attributes"] == {"task_class": "refund"}


def test_tasks_that_fail(server: Server) -> None:
    with Client(url=server.url, agent="support") as uplift:
        with pytest.raises(LookupError), uplift.task(task_id="broken"):
            raise LookupError("order 4711 not found")
        with uplift.task(task_id="in vain") as task:
            task.fail("the customer hung up")
    ends = {task: server.events(task_id=task, event_type="TASK_FAILED")[0] for task in ("broken", "in%20vain")}
    fields = ("outcome", "error_type", "content")
    assert [ends["broken"].get(name) for name in fields] == ["ERROR", "LookupError", "order 4711 not found"]
    assert [ends["in%20vain"].get(name) for name in fields] == ["FAILURE", None, "the customer hung up"]


def test_parts_of_a_task_belong_to_it(server: Server) -> None:
    with Client(url=server.url) as uplift:
        with uplift.task("planner", task_id="whole") as whole, uplift.task("researcher", task_id="part") as part:
            assert (part.unit, part.parent_task_id) == (whole.unit, "whole")
    assert server.get("/api/tasks/part")["parent_task_id"] == "whole"


async def test_tasks_of_asynchronous_code_run_side_by_side(server: Server) -> None:
    async with AsyncClient(url=server.url, agent="support") as uplift:

        async def one(number: int) -> None:
            async with uplift.task(task_id=f"t-{number}", defaults={"model": "m"}) as task:
                await asyncio.sleep(0)
                assert current_task() is task and task.resolution is not None and task.resolution.model == "m"
                task.tool(f"tool-{number}")

        await asyncio.gather(*(one(number) for number in range(20)))
        with contextlib.suppress(asyncio.CancelledError):
            async with uplift.task(task_id="cancelled"):
                raise asyncio.CancelledError
    for number in range(20):
        assert server.events(task_id=f"t-{number}", event_type="TOOL_EXECUTED")[0]["tool"] == f"tool-{number}"
    assert server.get("/api/tasks/cancelled")["outcome"] == "ERROR"


def in_trial(arm: str = "candidate") -> httpx.MockTransport:
    """A server that is played, in whose trial everybody gets this arm; what it is sent is in its list `sent`."""
    import json

    sent: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/events":
            sent.extend(json.loads(request.content))
            return httpx.Response(200, json={"accepted": 1})
        exposure = {"trial": 7, "arm": arm, "revision": "r"}
        body = {"entity_type": "agent", "entity": "a", "environment": "default", "revision": "r", "configuration": {}}
        return httpx.Response(200, json={**body, "reason": "trial", "exposure": exposure})

    transport = httpx.MockTransport(answer)
    transport.sent = sent  # type: ignore[attr-defined]
    return transport


def test_events_carry_the_arm() -> None:
    transport = in_trial()
    uplift = Client(transport=transport, agent="a")
    with uplift.task(defaults={}) as task:
        task.tool("x")
        # The same arm again, of another entity of the task.
        assert uplift.resolve("search", entity_type="tool", defaults={}).exposure == Exposure(7, "candidate", "r")
    exposures = [event["exposures"] for event in transport.sent]  # type: ignore[attr-defined]
    assert exposures == [[{"trial": 7, "arm": "candidate", "revision": "r"}]] * 3
    assert task.exposures == (Exposure(7, "candidate", "r"),)


def test_what_was_not_sent_is_sent_when_the_server_is_back(start: Start) -> None:
    server = start()
    uplift = Client(url=server.url, agent="support", ask_again_s=0.0, max_unsent=4)
    server.end()
    for number in range(3):
        with uplift.task(task_id=f"t-{number}") as task:
            task.tool("search")
    # Three tasks of three events, of which the latest four wait.
    assert uplift.unsent == 4
    server = start(listen=server.address)
    assert uplift.flush() and uplift.unsent == 0
    assert kinds(server.events(task_id="t-2")) == ["TASK_STARTED", "TOOL_EXECUTED", "TASK_COMPLETED"]
    assert kinds(server.events(task_id="t-1")) == ["TASK_COMPLETED"]
    report = uplift.send(
        [{"id": "e", "event_type": "TOOL_EXECUTED", "agent": "support", "task_id": "t-1"}, {"id": "bad"}]
    )
    assert (report["accepted"], report["rejected_count"]) == (1, 1)
    # All of it refused: said, not raised, and not tried again.
    assert uplift.send([{"id": "bad"}])["rejected_count"] == 1
    uplift.close()


def test_tasks_are_scored(start: Start) -> None:
    server = start(
        '[[metrics]]\nname = "helpful"\nkind = "boolean"\ndirection = "higher"\nweight = 1.0\n'
        'source = "human"\nattribution_window_ms = 3600000\n'
    )
    with Client(url=server.url, agent="support") as uplift:
        with uplift.task(task_id="t-1") as task:
            pass
        # After its end.
        assert task.score("checked", 0.5).source == "environment"
        receipt = uplift.feedback("t-1", True, name="helpful", source="human", comment="Quick.", id="f-1")
        assert (receipt.counts, receipt.note, receipt.task_known, receipt.duplicate) == (True, None, True, False)
        assert not uplift.feedback("t-1", True, name="helpful").counts
        with pytest.raises(UpliftRefused):
            uplift.feedback("t-9", True)
        assert not uplift.feedback("t-9", True, agent="support").task_known
    given = {event["id"]: event for event in server.events(task_id="t-1", event_type="FEEDBACK")}
    assert given["f-1"]["attributes"] == {"name": "helpful", "score": True, "by": "local"}
    assert (given["f-1"]["content"], given["f-1"]["source"]) == ("Quick.", "human")


def test_spans_are_stamped() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("test")
    assert otel.unit() is None and otel.task_id() is None
    with tracer.start_as_current_span("invoke_agent a") as span:
        assert otel.unit() == f"{span.get_span_context().trace_id:032x}"
        assert otel.task_id() == f"{span.get_span_context().span_id:016x}"
        nobody = Resolution("agent", "a", {}, "defaults", "unavailable")
        otel.stamp(nobody)
        assert otel.EXPOSURES not in (span.attributes or {})  # type: ignore[attr-defined]
        otel.stamp(nobody, Exposure(7, "control", "r"), Exposure(7, "control", "r"))
        stamped = '[{"trial": 7, "arm": "control", "revision": "r"}]'
        assert span.attributes[otel.EXPOSURES] == stamped  # type: ignore[attr-defined]
    uplift = Client(transport=in_trial("control"), agent="a")
    with tracer.start_as_current_span("invoke_agent a") as span, uplift.task(defaults={}):
        otel.stamp()
        assert span.attributes[otel.EXPOSURES] == stamped  # type: ignore[attr-defined]


async def test_an_agent_asks_for_an_improvement(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start('[requests]\nagents = ["agent/*"]\n')
    with Client(url=server.url) as uplift:
        with uplift.task("planner", task_id="task_123", defaults={"model": "m", "contexts": []}) as task:
            task.fail("no metrics at hand")
    monkeypatch.setenv("UPLIFT_URL", server.url)
    monkeypatch.setenv("UPLIFT_AGENT", "planner")
    from uplift_sdk import request_improvement

    asked = await request_improvement(
        improvement_type="context_optimization",
        description="Add performance guide to context",
        rationale="Frequently need performance metrics reference",
        evidence={"failed_tasks": ["task_123"], "time_wasted": "15min"},
    )
    assert isinstance(asked.request_id, int) and asked.status and asked.message
    assert asked.confidence is not None and 0.0 <= asked.confidence <= 1.0
    assert asked.is_open and asked.verdict is None
    assert [(item["claim"], item["found"]) for item in asked.evidence][0] == ("failed_task", "confirmed")
    async with AsyncClient() as uplift_async:
        again = await uplift_async.improvement_request(asked.request_id)
    assert again.request_id == asked.request_id
    with Client() as uplift:
        assert uplift.improvement_request(asked.request_id).status == again.status
        with pytest.raises(UpliftRefused):
            uplift.request_improvement("miracle", "d", "r")
    monkeypatch.delenv("UPLIFT_AGENT")
    with pytest.raises(UpliftError):
        await uplift_sdk.request_improvement("context_optimization", "d", "r")
