"""The examples of the README run as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Start

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_run(start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = start('[requests]\nagents = ["agent/researcher"]\n')
    monkeypatch.setenv("UPLIFT_URL", server.url)
    monkeypatch.setenv("UPLIFT_AGENT", "researcher")
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    names["uplift"].close()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Answer with sources." and said[1] == "server no_trial None"
    assert len(server.events(agent="researcher", event_type="TASK_COMPLETED")) == 2
    scores = server.events(task_id=names["task"].task_id, event_type="FEEDBACK")
    assert sorted(event["attributes"]["name"] for event in scores) == ["helpful", "quality"]
    assert server.get("/api/improvements/requests")["items"][0]["status"]
