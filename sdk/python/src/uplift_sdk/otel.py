"""For agents that report by OpenTelemetry: telling which arm of a trial ran. Needs `uplift-sdk[otel]`."""

from __future__ import annotations

import json
from typing import Final

from opentelemetry import trace

from ._task import current_task
from ._types import Exposure, Resolution

EXPOSURES: Final = "uplift.exposures"
"""The span attribute that names the arms."""


def unit(span: trace.Span | None = None) -> str | None:
    """The unit to resolve for: the trace of a span, by default of the current one; none outside of spans."""
    context = (span or trace.get_current_span()).get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def task_id(span: trace.Span | None = None) -> str | None:
    """The id of the task that an agent's span stands for, by default of the current span; none outside of spans."""
    context = (span or trace.get_current_span()).get_span_context()
    return trace.format_span_id(context.span_id) if context.is_valid else None


def stamp(*resolved: Resolution | Exposure, span: trace.Span | None = None) -> None:
    """Writes the arms that were resolved on a span, by default the current one: once a trace, best on the agent's
    span. Without any, those of the task that this code runs in."""
    exposures: list[Exposure] = []
    task = current_task()
    for item in resolved or (task.exposures if task else ()):
        exposure = item.exposure if isinstance(item, Resolution) else item
        if exposure is not None and exposure not in exposures:
            exposures.append(exposure)
    if exposures:
        text = json.dumps([exposure.as_json() for exposure in exposures])
        (span or trace.get_current_span()).set_attribute(EXPOSURES, text)
