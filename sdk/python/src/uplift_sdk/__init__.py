"""Client of Uplift, which makes fleets of LLM agents better while they run.

Nothing here ever stops an agent: while the server is away, `resolve` gives what was known last and then the code's
own defaults, and events wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._client import AsyncClient, Client
from ._config import Settings, configure
from ._errors import UpliftError, UpliftRefused, UpliftUnavailable
from ._task import AsyncTask, Task, current_task
from ._types import Exposure, FeedbackReceipt, ImprovementRequest, Priority, Resolution

__all__ = [
    "AsyncClient",
    "AsyncTask",
    "Client",
    "Exposure",
    "FeedbackReceipt",
    "ImprovementRequest",
    "Resolution",
    "Settings",
    "Task",
    "UpliftError",
    "UpliftRefused",
    "UpliftUnavailable",
    "configure",
    "current_task",
    "request_improvement",
]


async def request_improvement(
    improvement_type: str,
    description: str,
    rationale: str,
    evidence: Mapping[str, Any] | None = None,
    *,
    priority: Priority | None = None,
    agent: str | None = None,
    edits: Sequence[Mapping[str, Any]] | None = None,
) -> ImprovementRequest:
    """Asks for an improvement of the agent that this program is (`UPLIFT_AGENT`, or `configure(agent=...)`), as a
    tool for it to call. See `AsyncClient.request_improvement`."""
    async with AsyncClient() as client:
        return await client.request_improvement(
            improvement_type, description, rationale, evidence, priority=priority, agent=agent, edits=edits
        )
