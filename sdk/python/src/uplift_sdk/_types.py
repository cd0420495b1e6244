"""What answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JsonObject = dict[str, Any]
"""A JSON object."""

Source = Literal["self", "environment", "human"]
"""Who says so: the agent itself, the code around it (a test, an evaluator), or a person."""

Outcome = Literal["SUCCESS", "FAILURE", "ERROR"]
"""How something ended: as wanted; not to the wanted end; broken."""

Priority = Literal["low", "medium", "high"]
"""How urgent a request is."""


@dataclass(frozen=True)
class Exposure:
    """The arm of a trial that a task was given. The task's events carry it."""

    trial: int
    """The trial's number."""
    arm: str
    """`control` or `candidate`."""
    revision: str
    """The revision that was served."""

    def as_json(self) -> JsonObject:
        """As events carry it."""
        return {"trial": self.trial, "arm": self.arm, "revision": self.revision}


@dataclass(frozen=True)
class Resolution:
    """What an entity is to run."""

    entity_type: str
    """`agent`, `tool`, `context` or `process`."""
    entity: str
    """Its name."""
    configuration: Mapping[str, Any]
    """The configuration to run."""
    source: Literal["server", "last_known", "defaults"]
    """Where this comes from: the server; what it said last, while it is away; the code's own defaults."""
    reason: str
    """Why this is served, as the server says it; `unavailable` where it was not asked, or said no."""
    revision: str | None = None
    """The revision, where the server named it."""
    environment: str | None = None
    """The environment, where the server named it."""
    exposure: Exposure | None = None
    """What the events of this unit should carry; none where it is in no arm."""
    notice: str | None = None
    """What the code's author should know."""
    not_applied: tuple[JsonObject, ...] = ()
    """Kept changes that do not fit new defaults."""
    error: Exception | None = field(default=None, compare=False)
    """Why the server did not answer, where it did not."""

    def get(self, path: str, default: Any = None) -> Any:
        """A field by its path, as in `parameters.timeout_ms`; `default` where it is missing or null."""
        found: Any = self.configuration
        rest = path
        while rest:
            if not isinstance(found, Mapping):
                return default
            # Names may have dots of their own: the longest one that is there counts.
            names = rest.split(".")
            for end in range(len(names), 0, -1):
                name = ".".join(names[:end])
                if name in found:
                    found, rest = found[name], ".".join(names[end:])
                    break
            else:
                return default
        return default if found is None else found

    @property
    def model(self) -> str | None:
        """The model."""
        found = self.configuration.get("model")
        return found if isinstance(found, str) else None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters."""
        found = self.configuration.get("parameters")
        return found if isinstance(found, Mapping) else {}

    @property
    def instruction(self) -> str:
        """What the agent is told: the text, and below it the guidelines, a bullet each."""
        found = self.configuration.get("instruction")
        if isinstance(found, str):
            return found
        if not isinstance(found, Mapping):
            return ""
        guidelines = found.get("guidelines") or []
        lines = [f"- {line['text']}" for line in guidelines if isinstance(line, Mapping) and "text" in line]
        return "\n\n".join(part for part in (str(found.get("text") or ""), "\n".join(lines)) if part)

    @property
    def tools(self) -> list[str]:
        """The names of the tools."""
        return self._names("tools")

    @property
    def contexts(self) -> list[str]:
        """The names of the contexts."""
        return self._names("contexts")

    def _names(self, section: str) -> list[str]:
        names: list[str] = []
        for item in self.configuration.get(section) or []:
            name = item.get("name") if isinstance(item, Mapping) else item
            if isinstance(name, str):
                names.append(name)
        return names


@dataclass(frozen=True)
class FeedbackReceipt:
    """What became of a score."""

    id: str
    """The event's id."""
    task_known: bool
    """Whether the task is known already; feedback may come first."""
    source: str
    """Who says so."""
    duplicate: bool
    """Whether it had been stored before, under the same id."""
    counts: bool
    """Whether trials count it."""
    note: str | None
    """Why they do not, where they do not."""


@dataclass(frozen=True)
class ImprovementRequest:
    """What became of a request."""

    request_id: int
    """Its number."""
    status: str
    """Where it stands."""
    confidence: float | None
    """How far the records bear it out, from 0 to 1."""
    opportunity_id: int | None
    """The opportunity it became, or was added to."""
    improvement_id: int | None
    """The improvement that answers it."""
    message: str = ""
    """What happens next; only in the answer to the request."""
    evidence: tuple[JsonObject, ...] = ()
    """What was found of what the agent said: `claim`, `subject`, `found` (`confirmed`, `wrong`, `unchecked`) and
    `detail`."""
    verdict: JsonObject | None = None
    """The decision with its numbers, once there is one."""
    raw: JsonObject = field(default_factory=dict, repr=False)
    """The whole answer."""

    @property
    def is_open(self) -> bool:
        """Whether an answer is still to come."""
        return self.status not in {"completed", "dismissed", "deployed", "rolled_back", "rejected", "cancelled"}
