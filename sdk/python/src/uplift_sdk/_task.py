"""A task from its beginning to its end, reported with the arms it ran in."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._types import Exposure, FeedbackReceipt, JsonObject, Outcome, Resolution, Source

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._client import AsyncClient, Client

_current: ContextVar[TaskBase | None] = ContextVar("uplift_task", default=None)

MAX_CONTENT = 10_000
"""Characters of an exception's text that are reported."""


def current_task() -> TaskBase | None:
    """The innermost task that this code runs in."""
    return _current.get()


def now() -> str:
    """The time as events carry it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


class TaskBase:
    """What a task knows and records, whichever way it is sent."""

    def __init__(
        self,
        agent: str,
        *,
        task_id: str | None = None,
        session_id: str | None = None,
        environment: str | None = None,
        unit: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        outer = _current.get()
        self.agent = agent
        """Whose task it is."""
        self.task_id = task_id or uuid.uuid4().hex
        """Its id."""
        self.session_id = session_id
        """Its session."""
        self.environment = environment
        """Its environment; none leaves it to the server."""
        self.parent_task_id = outer.task_id if outer else None
        """The task that this one is a part of."""
        # A trial assigns whole traces or sessions, so the parts of a task go with it.
        self.unit: str = unit or (outer.unit if outer else self.task_id)
        """What is assigned to arms of trials."""
        self.defaults = defaults
        """The code's own configuration."""
        self.resolution: Resolution | None = None
        """What the agent is to run; none where the task was begun without defaults."""
        self._attributes = dict(attributes or {})
        self._exposures: list[Exposure] = []
        self._events: list[JsonObject] = []
        self._failure: JsonObject | None = None
        self._began = 0.0
        self._token: Token[TaskBase | None] | None = None

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """The arms that this task runs in."""
        return tuple(self._exposures)

    def expose(self, resolution: Resolution) -> None:
        """Notes that something else was resolved for this task: its arm goes on all further events."""
        if resolution.exposure is not None and resolution.exposure not in self._exposures:
            self._exposures.append(resolution.exposure)

    def event(self, event_type: str, **fields: Any) -> None:
        """Records an event of this task: fields as in the guide, such as `tool`, `outcome`, `duration_ms`,
        `tokens_in`, `cost_usd`, `error_type`, `content`, `attributes`."""
        event: JsonObject = {
            "id": uuid.uuid4().hex,
            "ts": now(),
            "event_type": event_type,
            "agent": self.agent,
            "task_id": self.task_id,
            "parent_task_id": self.parent_task_id,
            "session_id": self.session_id,
            "environment": self.environment,
            "exposures": [exposure.as_json() for exposure in self._exposures] or None,
            **fields,
        }
        self._events.append({name: value for name, value in event.items() if value is not None})

    def tool(self, tool: str, *, arguments: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Records the call of a tool."""
        attributes = dict(fields.pop("attributes", None) or {})
        if arguments is not None:
            attributes["arguments"] = dict(arguments)
        self.event("TOOL_EXECUTED", tool=tool, attributes=attributes or None, **fields)

    def llm_call(self, *, tokens_in: int | None = None, tokens_out: int | None = None, **fields: Any) -> None:
        """Records the call of a model."""
        self.event("LLM_CALL", tokens_in=tokens_in, tokens_out=tokens_out, **fields)

    def context(self, context: str, **fields: Any) -> None:
        """Records that a document was read."""
        self.event(
            "CONTEXT_READ", attributes={"context": context, **(fields.pop("attributes", None) or {})}, **fields
        )

    def error(self, error: BaseException | str, **fields: Any) -> None:
        """Records an error that did not end the task."""
        self.event("ERROR", **_said(error), **fields)

    def fail(self, why: str | None = None, *, outcome: Outcome = "FAILURE", error_type: str | None = None) -> None:
        """Says that the task ran and did not reach its end, without an exception."""
        self._failure = {"outcome": outcome, "content": why, "error_type": error_type}

    def _begin(self) -> None:
        self._token = _current.set(self)
        self._began = time.monotonic()

    def _started(self) -> None:
        if self.resolution is not None:
            self.expose(self.resolution)
        self.event("TASK_STARTED", attributes=self._attributes or None)

    def _leave(self) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def _end(self, error: BaseException | None) -> None:
        self._leave()
        duration_ms = (time.monotonic() - self._began) * 1e3
        if error is not None:
            self.event("TASK_FAILED", outcome="ERROR", duration_ms=duration_ms, **_said(error))
        elif self._failure is not None:
            self.event("TASK_FAILED", duration_ms=duration_ms, **self._failure)
        else:
            self.event("TASK_COMPLETED", duration_ms=duration_ms)

    def _drain(self) -> list[JsonObject]:
        events, self._events = self._events, []
        return events


def _said(error: BaseException | str) -> JsonObject:
    if isinstance(error, str):
        return {"error_type": error}
    return {"error_type": type(error).__name__, "content": str(error)[:MAX_CONTENT] or None}


class Task(TaskBase):
    """A task of synchronous code."""

    def __init__(self, client: Client, agent: str, **more: Any) -> None:
        super().__init__(agent, **more)
        self._client = client

    def __enter__(self) -> Self:
        self._begin()
        try:
            if self.defaults is not None:
                self.resolution = self._client.resolve(
                    self.agent, unit=self.unit, defaults=self.defaults, environment=self.environment
                )
            self._started()
            # At once: of a candidate that takes the whole process down, this is all that is ever heard.
            self._client.record(self._drain())
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)
        self._client.record(self._drain())

    def score(
        self, name: str, score: float | bool, *, comment: str | None = None, source: Source | None = None
    ) -> FeedbackReceipt:
        """Scores this task."""
        return self._client.feedback(
            self.task_id,
            score,
            name=name,
            comment=comment,
            source=source,
            agent=self.agent,
            environment=self.environment,
        )


class AsyncTask(TaskBase):
    """A task of asynchronous code."""

    def __init__(self, client: AsyncClient, agent: str, **more: Any) -> None:
        super().__init__(agent, **more)
        self._client = client

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            if self.defaults is not None:
                self.resolution = await self._client.resolve(
                    self.agent, unit=self.unit, defaults=self.defaults, environment=self.environment
                )
            self._started()
            await self._client.record(self._drain())
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)
        await self._client.record(self._drain())

    async def score(
        self, name: str, score: float | bool, *, comment: str | None = None, source: Source | None = None
    ) -> FeedbackReceipt:
        """Scores this task."""
        return await self._client.feedback(
            self.task_id,
            score,
            name=name,
            comment=comment,
            source=source,
            agent=self.agent,
            environment=self.environment,
        )
