"""The example with LangGraph, from its first task to the verdict on what it asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import Start

EXAMPLES = Path(__file__).parents[1] / "examples"
PATIENCE_S = 170


def test_an_agent_gets_what_it_asked_for_and_was_shown_to_help(start: Start) -> None:
    server = start((EXAMPLES / "langgraph_agent.toml").read_text())
    example = EXAMPLES / "langgraph_agent.py"
    environment = {**os.environ, "UPLIFT_URL": server.url}
    command = [sys.executable, str(example), str(PATIENCE_S - 20)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert "awaiting_approval" in ran.stdout and "deployed" in ran.stdout, ran.stdout
    request = server.get("/api/improvements/requests/1")
    assert (request["status"], request["evidence"][0]["found"]) == ("deployed", "confirmed")
    # The candidate is what everybody gets now.
    configuration = server.get("/api/resolve/agent/researcher")["configuration"]
    assert configuration["parameters"] == {"timeout_ms": 100}
    # The score that the agent's own test gave took part, on both sides.
    improvement = server.get(f"/api/improvements/{request['improvement_id']}")
    measured = {metric["name"]: metric for metric in improvement["trials"][0]["verdict"]["findings"]["metrics"]}
    assert {"success", "errors", "duration_ms", "grounded"} <= measured.keys()
    assert measured["grounded"]["roles"]["guardrail"] and min(measured["grounded"]["n"]) >= 100
