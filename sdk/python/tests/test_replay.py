"""Within `uplift replay`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from uplift_sdk import AsyncClient, Client, UpliftUnavailable

NOBODY = "http://127.0.0.1:9"
DEFAULTS = {"model": "by the code"}
TRIED = {"model": "tried"}


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(TRIED))
    monkeypatch.setenv("UPLIFT_REVISION_FILE", str(file))
    monkeypatch.setenv("UPLIFT_REVISION", "abc")
    return monkeypatch


@pytest.mark.parametrize(
    ("about", "entity_type", "entity", "expected"),
    [
        (None, "agent", "a", TRIED),
        (None, "tool", "a", DEFAULTS),
        ("agent/a b", "agent", "a b", TRIED),
        ("agent/a", "agent", "b", DEFAULTS),
        ("tool/a", "tool", "a", TRIED),
    ],
)
def test_what_is_tried_is_what_runs(
    replay: pytest.MonkeyPatch, about: str | None, entity_type: str, entity: str, expected: object
) -> None:
    if about is None:
        replay.delenv("UPLIFT_ENTITY", raising=False)
    else:
        replay.setenv("UPLIFT_ENTITY", about)
    with Client(url=NOBODY) as uplift:
        found = uplift.resolve(entity, entity_type=entity_type, unit="t", defaults=DEFAULTS)
    assert (found.configuration, found.exposure) == (expected, None)

    async def asked() -> object:
        async with AsyncClient(url=NOBODY) as uplift:
            found = await uplift.resolve(entity, entity_type=entity_type, unit="t", defaults=DEFAULTS)
            return found.configuration

    assert asyncio.run(asked()) == expected


def test_recorded_work_is_not_reported(replay: pytest.MonkeyPatch) -> None:
    with Client(url=NOBODY, agent="a") as uplift:
        with uplift.task(defaults=DEFAULTS):
            pass
        assert uplift.unsent == 0
        with pytest.raises(UpliftUnavailable, match="replay"):
            uplift.feedback("t", True)


def test_a_configuration_that_is_not_there_is_no_reason_to_run_another(replay: pytest.MonkeyPatch) -> None:
    replay.setenv("UPLIFT_REVISION_FILE", "/nonexistent/candidate.json")
    with pytest.raises(FileNotFoundError):
        Client(url=NOBODY)
