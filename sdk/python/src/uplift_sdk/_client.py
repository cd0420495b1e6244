"""The clients, for synchronous and for asynchronous code. What they share is in `_wire`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from . import _replay as replay
from . import _wire as wire
from ._config import Settings, settings
from ._errors import UpliftError, UpliftUnavailable
from ._task import AsyncTask, Task, current_task
from ._types import FeedbackReceipt, ImprovementRequest, JsonObject, Priority, Resolution, Source

if TYPE_CHECKING:
    from typing_extensions import Self


class _Base:
    """What both clients know."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        unknown = given.keys() - Settings.__dataclass_fields__.keys()
        if unknown:
            raise TypeError(f"there is no setting {', '.join(sorted(unknown))}")
        self.settings = settings(**given)
        """The settings in force."""
        self._cache = wire.Cache(self.settings)
        self._unsent = wire.Unsent(self.settings)

    @property
    def unsent(self) -> int:
        """Events that wait for the server."""
        return len(self._unsent)

    def _known_agent(self, agent: str | None) -> str | None:
        task = current_task()
        return agent or (task.agent if task else None) or self.settings.agent

    def _agent(self, agent: str | None) -> str:
        agent = self._known_agent(agent)
        if agent is None:
            raise UpliftError("nobody says which agent this is: set UPLIFT_AGENT, or name it")
        return agent

    def _asked(
        self,
        entity: str | None,
        entity_type: str,
        unit: str | None,
        defaults: Mapping[str, Any] | None,
        environment: str | None,
    ) -> wire.Asked:
        task = current_task()
        return wire.Asked(
            entity_type=entity_type,
            entity=self._agent(entity) if entity_type == "agent" else entity or "",
            environment=environment or (task.environment if task else None) or self.settings.environment,
            unit=unit or (task.unit if task else None),
            defaults=defaults,
        )

    def _resolved(self, asked: wire.Asked, found: Resolution) -> Resolution:
        task = current_task()
        if task is not None and asked.unit == task.unit:
            task.expose(found)
        return found

    def _failed(self, asked: wire.Asked, error: UpliftError) -> Resolution:
        if isinstance(error, UpliftUnavailable):
            self._cache.away(error)
        return self._cache.without_server(asked, error)

    def _not_sent(self, events: list[JsonObject], error: UpliftError) -> None:
        if isinstance(error, UpliftUnavailable):
            self._cache.away(error)
            self._unsent.put_back(events)
            wire.logger.info("%d events wait for the server: %s", len(self._unsent), error)
        else:
            wire.logger.error("%d events are given up: %s", len(events), error)


class Client(_Base):
    """A client for synchronous code. May be shared by threads."""

    def __init__(self, *, transport: httpx.BaseTransport | None = None, **given: Any) -> None:
        """Takes the fields of `Settings`."""
        super().__init__(given)
        self._http = httpx.Client(
            base_url=self.settings.url,
            headers=wire.headers(self.settings),
            timeout=self.settings.timeout_s,
            transport=transport or replay.transport(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sends what waits, once, and closes the connections."""
        self.flush()
        self._http.close()

    def _send(self, call: wire.Call) -> wire.Answer:
        content = call.content
        headers = dict(call.headers) | ({"content-type": "application/json"} if content is not None else {})
        try:
            answer = self._http.request(call.method, call.path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UpliftUnavailable(f"the server at {self.settings.url} cannot be reached: {error!r}") from error
        return wire.Answer(answer.status_code, answer.headers, answer.content)

    def resolve(
        self,
        entity: str | None = None,
        *,
        entity_type: str = "agent",
        unit: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        environment: str | None = None,
    ) -> Resolution:
        """What an entity is to run for this unit (the id of the task, or of the session). With `defaults`, the code's
        own configuration, this never raises: while the server is away, it is what it said last, and after a minute
        the defaults. Within a task the unit is the task's, and the task's events say which arm it got."""
        asked = self._asked(entity, entity_type, unit, defaults, environment)
        if self._cache.is_away():
            return self._resolved(asked, self._cache.without_server(asked, UpliftUnavailable("it was away just now")))
        try:
            found = self._cache.take(asked, wire.checked(self._send(self._cache.call(asked))))
            if found is None:
                found = self._cache.take(asked, wire.checked(self._send(self._cache.call(asked))))
            if found is None:
                raise UpliftUnavailable("the server refers to an answer that it has not given")
        except UpliftError as error:
            found = self._failed(asked, error)
        return self._resolved(asked, found)

    def task(self, agent: str | None = None, **more: Any) -> Task:
        """A task, for `with`: its start, its end and what is recorded in between are reported. `task_id`,
        `session_id`, `environment`, `unit` (the task's id), `defaults` (resolves at the start), `attributes`."""
        if more.get("environment") is None:
            more["environment"] = self.settings.environment
        return Task(self, self._agent(agent), **more)

    def send(self, events: Iterable[JsonObject]) -> JsonObject:
        """Sends events as they are; the report. Every event needs an `id`, so that sending it again changes nothing.

        Raises where nothing was stored for sure."""
        return wire.events_report(self._send(wire.events_call(list(events))))

    def record(self, events: Iterable[JsonObject]) -> None:
        """Sends events, now or when the server is back. Never raises, and never waits for a server that was away."""
        self._unsent.add(events)
        if not self._cache.is_away():
            self.flush()

    def flush(self) -> bool:
        """Sends what waits. Whether nothing waits any more."""
        while events := self._unsent.take():
            try:
                self.send(events)
            except UpliftError as error:
                self._not_sent(events, error)
                if isinstance(error, UpliftUnavailable):
                    return False
        return True

    def feedback(
        self,
        task_id: str,
        score: float | bool | None = None,
        *,
        name: str | None = None,
        comment: str | None = None,
        source: Source | None = None,
        agent: str | None = None,
        environment: str | None = None,
        id: str | None = None,
    ) -> FeedbackReceipt:
        """Scores a task (or a trace), now or long after its end: yes or no, a number, a comment."""
        given = {
            "name": name,
            "comment": comment,
            "source": source,
            "agent": agent,
            "environment": environment,
            "id": id,
        }
        return wire.feedback_receipt(self._send(wire.feedback_call(self.settings, task_id, score, **given)))

    def request_improvement(
        self,
        improvement_type: str,
        description: str,
        rationale: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        priority: Priority | None = None,
        agent: str | None = None,
        edits: Sequence[Mapping[str, Any]] | None = None,
    ) -> ImprovementRequest:
        """Asks for an improvement of the agent, with a change of its own where it has one (`edits`, such as
        `{"edit": "append_guideline", "text": "..."}`). What the records bear out becomes an experiment; ask for its
        verdict with `improvement_request`."""
        asked = {
            "improvement_type": improvement_type,
            "description": description,
            "rationale": rationale,
            "evidence": dict(evidence or {}),
            "priority": priority,
            "edits": edits and [dict(edit) for edit in edits],
        }
        return wire.request_answer(self._send(wire.request_call(self.settings, self._known_agent(agent), **asked)))

    def improvement_request(self, request_id: int) -> ImprovementRequest:
        """Where a request stands; the verdict with its numbers, when there is one."""
        return wire.request_answer(self._send(wire.Call("GET", f"/api/improvements/requests/{request_id}")))


class AsyncClient(_Base):
    """A client for asynchronous code, for one event loop."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None, **given: Any) -> None:
        """Takes the fields of `Settings`."""
        super().__init__(given)
        self._http = httpx.AsyncClient(
            base_url=self.settings.url,
            headers=wire.headers(self.settings),
            timeout=self.settings.timeout_s,
            transport=transport or replay.transport(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """As `Client.close`."""
        await self.flush()
        await self._http.aclose()

    async def _send(self, call: wire.Call) -> wire.Answer:
        content = call.content
        headers = dict(call.headers) | ({"content-type": "application/json"} if content is not None else {})
        try:
            answer = await self._http.request(call.method, call.path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UpliftUnavailable(f"the server at {self.settings.url} cannot be reached: {error!r}") from error
        return wire.Answer(answer.status_code, answer.headers, answer.content)

    async def resolve(
        self,
        entity: str | None = None,
        *,
        entity_type: str = "agent",
        unit: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        environment: str | None = None,
    ) -> Resolution:
        """As `Client.resolve`."""
        asked = self._asked(entity, entity_type, unit, defaults, environment)
        if self._cache.is_away():
            return self._resolved(asked, self._cache.without_server(asked, UpliftUnavailable("it was away just now")))
        try:
            found = self._cache.take(asked, wire.checked(await self._send(self._cache.call(asked))))
            if found is None:
                found = self._cache.take(asked, wire.checked(await self._send(self._cache.call(asked))))
            if found is None:
                raise UpliftUnavailable("the server refers to an answer that it has not given")
        except UpliftError as error:
            found = self._failed(asked, error)
        return self._resolved(asked, found)

    def task(self, agent: str | None = None, **more: Any) -> AsyncTask:
        """As `Client.task`, for `async with`."""
        if more.get("environment") is None:
            more["environment"] = self.settings.environment
        return AsyncTask(self, self._agent(agent), **more)

    async def send(self, events: Iterable[JsonObject]) -> JsonObject:
        """As `Client.send`."""
        return wire.events_report(await self._send(wire.events_call(list(events))))

    async def record(self, events: Iterable[JsonObject]) -> None:
        """As `Client.record`."""
        self._unsent.add(events)
        if not self._cache.is_away():
            await self.flush()

    async def flush(self) -> bool:
        """As `Client.flush`."""
        while events := self._unsent.take():
            try:
                await self.send(events)
            except UpliftError as error:
                self._not_sent(events, error)
                if isinstance(error, UpliftUnavailable):
                    return False
            except BaseException:
                # Cancelled: they are not lost, and sending them again changes nothing.
                self._unsent.put_back(events)
                raise
        return True

    async def feedback(
        self,
        task_id: str,
        score: float | bool | None = None,
        *,
        name: str | None = None,
        comment: str | None = None,
        source: Source | None = None,
        agent: str | None = None,
        environment: str | None = None,
        id: str | None = None,
    ) -> FeedbackReceipt:
        """As `Client.feedback`."""
        given = {
            "name": name,
            "comment": comment,
            "source": source,
            "agent": agent,
            "environment": environment,
            "id": id,
        }
        return wire.feedback_receipt(await self._send(wire.feedback_call(self.settings, task_id, score, **given)))

    async def request_improvement(
        self,
        improvement_type: str,
        description: str,
        rationale: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        priority: Priority | None = None,
        agent: str | None = None,
        edits: Sequence[Mapping[str, Any]] | None = None,
    ) -> ImprovementRequest:
        """As `Client.request_improvement`."""
        asked = {
            "improvement_type": improvement_type,
            "description": description,
            "rationale": rationale,
            "evidence": dict(evidence or {}),
            "priority": priority,
            "edits": edits and [dict(edit) for edit in edits],
        }
        return wire.request_answer(
            await self._send(wire.request_call(self.settings, self._known_agent(agent), **asked))
        )

    async def improvement_request(self, request_id: int) -> ImprovementRequest:
        """As `Client.improvement_request`."""
        return wire.request_answer(await self._send(wire.Call("GET", f"/api/improvements/requests/{request_id}")))
