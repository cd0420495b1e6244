"""Requests and answers, without sending them: what the clients for both worlds share."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any
from urllib.parse import quote

from ._config import Settings
from ._errors import UpliftError, UpliftRefused, UpliftUnavailable
from ._types import Exposure, FeedbackReceipt, ImprovementRequest, JsonObject, Resolution

logger = logging.getLogger("uplift_sdk")

MAX_TAGS = 8
"""Answers of one entity that are named to the server as known: both arms of a trial, and some."""
SEND_AT_ONCE = 1_000
"""Events in one request."""


@dataclass(frozen=True)
class Call:
    """A request to be sent."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes | None:
        """The body's bytes."""
        return None if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise UpliftUnavailable(f"the answer is no JSON: {error}") from error


def checked(answer: Answer) -> Answer:
    """The answer, if it is a good one; raises otherwise."""
    if answer.status < 400:
        return answer
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    detail = str(problem.get("detail") or f"the server answers with status {answer.status}")
    code, remedy = str(problem.get("code") or f"status_{answer.status}"), str(problem.get("remedy") or "")
    if answer.status == 429 or answer.status >= 500:
        raise UpliftUnavailable(f"{detail} ({code})", retry_after(answer.headers))
    raise UpliftRefused(answer.status, code, detail, remedy)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What the header says, seconds."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


@dataclass(frozen=True)
class Asked:
    """Whom a resolve call is about."""

    entity_type: str
    entity: str
    environment: str | None
    unit: str | None
    defaults: Mapping[str, Any] | None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """Whom, without the unit."""
        return (self.entity_type, self.entity, self.environment)

    @property
    def path(self) -> str:
        """Where to ask."""
        return f"/api/resolve/{quote(self.entity_type, safe='')}/{quote(self.entity, safe='')}"


@dataclass
class Kept:
    """An answer that is remembered."""

    resolution: Resolution
    at: float


class Cache:
    """What the server said last. Nothing of it is used in place of asking: it saves bytes, and bridges outages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._tags: OrderedDict[tuple[str, str, str | None], OrderedDict[str, Resolution]] = OrderedDict()
        self._units: OrderedDict[tuple[tuple[str, str, str | None], str | None], Kept] = OrderedDict()
        self._in_place: OrderedDict[tuple[str, str, str | None], Kept] = OrderedDict()
        self._away_until = 0.0
        self._warned: OrderedDict[tuple[str, str, str | None], str] = OrderedDict()

    def is_away(self) -> bool:
        """Whether the server was away just now."""
        return monotonic() < self._away_until

    def away(self, error: UpliftUnavailable) -> None:
        """Notes that the server was away."""
        pause = error.retry_after_s if error.retry_after_s is not None else self._settings.ask_again_s
        # A server that asks for more than this is asked again all the same: it may have been told to.
        self._away_until = monotonic() + min(pause, self._settings.keep_last_s)

    def call(self, asked: Asked) -> Call:
        """The request."""
        body: JsonObject = {}
        for name, value in (("unit", asked.unit), ("environment", asked.environment), ("defaults", asked.defaults)):
            if value is not None:
                body[name] = value
        with self._lock:
            tags = list(self._tags.get(asked.key, ()))
        headers = {"if-none-match": ", ".join(tags)} if tags else {}
        return Call("POST", asked.path, body, headers)

    def take(self, asked: Asked, answer: Answer) -> Resolution | None:
        """The answer, remembered; none where it refers to one that is not remembered any more."""
        tag = answer.headers.get("etag")
        with self._lock:
            tags = self._tags.setdefault(asked.key, OrderedDict())
            self._tags.move_to_end(asked.key)
            if answer.status == 304:
                found = tags.get(tag or "")
                if found is None:
                    tags.clear()
                    return None
            else:
                found = resolution(answer.json())
                if tag:
                    # What is said only once is not said again.
                    tags[tag] = replace(found, notice=None, not_applied=())
            if tag:
                tags.move_to_end(tag)
            kept = Kept(replace(found, notice=None, not_applied=()), monotonic())
            self._units[(asked.key, asked.unit)] = kept
            self._units.move_to_end((asked.key, asked.unit))
            self._warned.pop(asked.key, None)
            if is_in_place(found):
                self._in_place[asked.key] = replace_exposure(kept)
                self._in_place.move_to_end(asked.key)
            self._trim(tags)
        if found.notice:
            logger.warning("%s %s: %s", asked.entity_type, asked.entity, found.notice)
        return found

    def _trim(self, tags: OrderedDict[str, Resolution]) -> None:
        while len(tags) > MAX_TAGS:
            tags.popitem(last=False)
        kept: Iterable[OrderedDict[Any, Any]] = (self._tags, self._units, self._in_place)
        for of in kept:
            while len(of) > self._settings.max_kept:
                of.popitem(last=False)

    def without_server(self, asked: Asked, error: Exception) -> Resolution:
        """What to run where the server does not answer: what it said last, if that is not too long ago, else what the
        code brings along. Raises where there is neither."""
        oldest = monotonic() - self._settings.keep_last_s
        if isinstance(error, UpliftUnavailable):
            with self._lock:
                # The same unit stays in its arm; another one is put into none.
                for kept in (self._units.get((asked.key, asked.unit)), self._in_place.get(asked.key)):
                    if kept is not None and kept.at >= oldest:
                        return replace(kept.resolution, source="last_known", error=error)
        if asked.defaults is None:
            raise error
        self._warn(asked, error)
        return Resolution(
            entity_type=asked.entity_type,
            entity=asked.entity,
            configuration=asked.defaults,
            source="defaults",
            reason="unavailable",
            environment=asked.environment,
            error=error,
        )

    def _warn(self, asked: Asked, error: Exception) -> None:
        """Says so in the log: once, until the reason is another one."""
        with self._lock:
            known = self._warned.get(asked.key) == str(error)
            self._warned[asked.key] = str(error)
            while len(self._warned) > self._settings.max_kept:
                self._warned.popitem(last=False)
        if not known:
            logger.warning("%s %s runs its own defaults: %s", asked.entity_type, asked.entity, error)


def replace_exposure(kept: Kept) -> Kept:
    """The same for somebody who was not assigned."""
    return Kept(replace(kept.resolution, exposure=None), kept.at)


def is_in_place(found: Resolution) -> bool:
    """Whether this is what everybody gets who is in no arm."""
    arm = found.exposure.arm if found.exposure else None
    # A hold-back leaves its control on the old revision; what is in place is the change that was kept.
    in_place = {"trial": "control", "hold_back": "candidate", "before_after": "candidate"}
    return arm is None or arm == in_place.get(found.reason)


def resolution(body: Any) -> Resolution:
    """An answer to a resolve call."""
    try:
        exposure = body["exposure"]
        return Resolution(
            entity_type=str(body["entity_type"]),
            entity=str(body["entity"]),
            configuration=body["configuration"],
            source="server",
            reason=str(body["reason"]),
            revision=str(body["revision"]),
            environment=str(body["environment"]),
            exposure=None if exposure is None else Exposure(exposure["trial"], exposure["arm"], exposure["revision"]),
            notice=body.get("notice"),
            not_applied=tuple(body.get("not_applied") or ()),
        )
    except (KeyError, TypeError) as error:
        raise UpliftUnavailable(f"the answer is not that of a resolve call: {error!r}") from error


class Unsent:
    """Events that wait for the server. They keep their ids, so sending them again changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._events: deque[JsonObject] = deque()
        self._most = settings.max_unsent

    def add(self, events: Iterable[JsonObject]) -> None:
        """Adds to the end; what is too much is given up from the front."""
        with self._lock:
            self._events.extend(events)
            self._trim()

    def take(self) -> list[JsonObject]:
        """Takes some from the front."""
        with self._lock:
            return [self._events.popleft() for _ in range(min(SEND_AT_ONCE, len(self._events)))]

    def put_back(self, events: Sequence[JsonObject]) -> None:
        """Puts back what was taken and could not be sent."""
        with self._lock:
            self._events.extendleft(reversed(events))
            self._trim()

    def _trim(self) -> None:
        lost = len(self._events) - self._most
        if lost > 0:
            logger.warning("%d events are given up: the server has been away for too long", lost)
            for _ in range(lost):
                self._events.popleft()

    def __len__(self) -> int:
        return len(self._events)


def events_call(events: Sequence[JsonObject]) -> Call:
    """The request that sends events."""
    return Call("POST", "/api/events", list(events))


def events_report(answer: Answer) -> JsonObject:
    """What became of events. Single ones that were refused are logged: they would be refused again."""
    report = (answer if answer.status == 422 else checked(answer)).json()
    if not isinstance(report, dict):
        raise UpliftUnavailable("the answer is not that of a server that takes events")
    for rejected in report.get("rejected") or ():
        logger.warning(
            "event %s was not taken: %s (%s)", rejected.get("id"), rejected.get("detail"), rejected.get("code")
        )
    return report


def feedback_call(settings: Settings, task_id: str, score: float | bool | None, **more: Any) -> Call:
    """The request that scores a task."""
    if more.get("environment") is None:
        more["environment"] = settings.environment
    body: JsonObject = {"task_id": task_id}
    if score is not None:
        body["score"] = score
    body.update((name, value) for name, value in more.items() if value is not None)
    return Call("POST", "/api/feedback", body)


def feedback_receipt(answer: Answer) -> FeedbackReceipt:
    """What became of a score."""
    body = checked(answer).json()
    names = FeedbackReceipt.__dataclass_fields__
    receipt = FeedbackReceipt(**{name: body.get(name) for name in names})
    if receipt.note:
        logger.info("feedback %s: %s", receipt.id, receipt.note)
    return receipt


def request_call(settings: Settings, agent: str | None, **asked: Any) -> Call:
    """The request for an improvement."""
    # A token that stands for one agent says who asks.
    if agent is None and settings.token is None:
        raise UpliftError("nobody says which agent asks: set UPLIFT_AGENT, or pass `agent`")
    asked |= {"agent": agent, "environment": settings.environment}
    body: JsonObject = {}
    body.update((name, value) for name, value in asked.items() if value is not None)
    return Call("POST", "/api/improvements/requests", body)


def request_answer(answer: Answer) -> ImprovementRequest:
    """What became of a request."""
    body = checked(answer).json()
    try:
        return ImprovementRequest(
            request_id=int(body["request_id"]),
            status=str(body["status"]),
            confidence=body.get("confidence"),
            opportunity_id=body.get("opportunity_id"),
            improvement_id=body.get("improvement_id"),
            message=str(body.get("message") or ""),
            evidence=tuple(body.get("evidence") or ()),
            verdict=body.get("verdict"),
            raw=body,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UpliftUnavailable(f"the answer is not that to a request: {error!r}") from error


def headers(settings: Settings) -> dict[str, str]:
    """What every request carries."""
    always = {"accept": "application/json", "user-agent": "uplift-sdk-python/0.1.0"}
    if settings.token:
        always["authorization"] = f"Bearer {settings.token}"
    return always
