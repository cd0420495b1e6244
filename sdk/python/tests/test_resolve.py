"""What an agent is to run: by the server, by what it said last, by the code."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import uplift_sdk
from conftest import Server, Start
from uplift_sdk import AsyncClient, Client, Resolution, Settings, UpliftRefused, UpliftUnavailable

DEFAULTS = {
    "instruction": {"text": "Answer with sources.", "guidelines": [{"number": 1, "text": "Be brief."}]},
    "model": "m-large",
    "parameters": {"timeout_ms": 5000, "retry.max": 2},
    "tools": [{"name": "search", "required": True}, {"name": "read"}],
    "contexts": ["handbook"],
    "own": {"keys": [1]},
}
NOBODY = "http://127.0.0.1:9"


def served(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An answer of a server, as it is on the wire."""
    arm = more.pop("arm", None)
    revision = json.dumps(body)
    exposure = arm and {"trial": 7, "arm": arm, "revision": revision}
    return {
        "entity_type": "agent",
        "entity_id": 1,
        "entity": "a",
        "environment": "default",
        "revision": revision,
        "configuration": body,
        "reason": "trial" if arm else "no_trial",
        "trial": None,
        "exposure": exposure,
        **more,
    }


class Played:
    """A server that is played: answers in turn, and remembers what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer, headers={"etag": f'"{answer["revision"]}-{answer["reason"]}"'})


def client(played: Played, **settings: Any) -> Client:
    return Client(url=NOBODY, transport=httpx.MockTransport(played), ask_again_s=0.0, **settings)


def test_the_first_defaults_are_served_and_read_by_path(server: Server) -> None:
    with Client(url=server.url) as uplift:
        found = uplift.resolve("researcher", unit="t1", defaults=DEFAULTS)
        assert (found.source, found.reason, found.environment) == ("server", "no_trial", "default")
        assert (found.configuration["own"], found.model, found.tools) == (
            {"keys": [1]},
            "m-large",
            ["search", "read"],
        )
        assert found.contexts == ["handbook"] and found.parameters["timeout_ms"] == 5000
        assert found.instruction == "Answer with sources.\n\n- Be brief."
        reads = [("parameters.timeout_ms", 5000), ("parameters.retry.max", 2), ("nothing", None), ("model.x", None)]
        assert [(path, found.get(path)) for path, _ in reads] == reads
        assert found.get("parameters.nothing", 3) == 3
        # Another program of the fleet brings no defaults, and asks for several kinds of entities.
        assert uplift.resolve("researcher").revision == found.revision
        uplift.resolve("search", entity_type="tool", defaults={"parameters": {"pages": 3}})
        assert server.get("/api/entities/tool/search")["configuration"]["parameters"] == {"pages": 3}
        with pytest.raises(UpliftRefused) as refused:
            uplift.resolve("nobody")
        assert (refused.value.status, refused.value.code) == (404, "not_found")
        staging = uplift.resolve("researcher", environment="staging", defaults={"model": "small"})
        assert (staging.environment, staging.model) == ("staging", "small")


async def test_the_same_for_asynchronous_code(server: Server) -> None:
    async with AsyncClient(url=server.url) as uplift:
        found = await uplift.resolve("researcher", unit="t1", defaults=DEFAULTS)
        assert (found.source, found.model) == ("server", "m-large")
        assert (await uplift.resolve("researcher")).configuration == found.configuration
        with pytest.raises(UpliftRefused):
            await uplift.resolve("nobody")
    async with AsyncClient(url=NOBODY) as uplift:
        assert (await uplift.resolve("researcher", defaults=DEFAULTS)).source == "defaults"
        with pytest.raises(UpliftUnavailable):
            await uplift.resolve("researcher")


def test_what_is_known_is_not_sent_again(server: Server) -> None:
    statuses: list[int] = []
    with Client(url=server.url) as uplift:
        uplift._http.event_hooks["response"].append(lambda answer: statuses.append(answer.status_code))
        first = uplift.resolve("researcher", unit="t1", defaults=DEFAULTS)
        again = uplift.resolve("researcher", unit="t2", defaults=DEFAULTS)
        changed = uplift.resolve("researcher", unit="t3", defaults={**DEFAULTS, "model": "m-small"})
    assert statuses == [200, 304, 200]
    assert again == first and changed.model == "m-small"


def test_both_arms_are_known() -> None:
    control, candidate = served({"v": 1}, arm="control"), served({"v": 2}, arm="candidate")
    tags = [f'"{of["revision"]}-trial"' for of in (control, candidate)]
    known = httpx.Response(304, headers={"etag": tags[0]})
    strange = httpx.Response(304, headers={"etag": '"other"'})
    played = Played(control, candidate, known, strange, candidate)
    uplift = client(played)
    found = [uplift.resolve("a", unit=unit) for unit in ("1", "2", "3", "4")]
    assert [of.configuration["v"] for of in found] == [1, 2, 1, 2]
    assert [of.exposure.arm if of.exposure else None for of in found] == [
        "control",
        "candidate",
        "control",
        "candidate",
    ]
    assert played.asked[2].headers["if-none-match"] == ", ".join(tags)
    # What it refers to was forgotten: it is asked for whole.
    assert "if-none-match" not in played.asked[4].headers


def test_while_the_server_is_away(start: Start) -> None:
    server = start()
    uplift = Client(url=server.url, ask_again_s=0.0)
    uplift.resolve("researcher", unit="t1", defaults=DEFAULTS)
    server.end()
    # Another default of the code does not matter then: what is in place is known.
    kept = uplift.resolve("researcher", unit="t2", defaults={"model": "other"})
    assert (kept.source, kept.model, kept.exposure) == ("last_known", "m-large", None)
    assert isinstance(kept.error, UpliftUnavailable)
    assert uplift.resolve("unknown", defaults={"model": "own"}).source == "defaults"
    start(listen=server.address)
    assert uplift.resolve("researcher", unit="t3").source == "server"
    uplift.close()


def test_an_outage_keeps_units_in_their_arms_and_puts_nobody_into_one() -> None:
    away = httpx.ConnectError("away")
    busy = httpx.Response(503, json={"detail": "not ready", "code": "not_ready"}, headers={"retry-after": "0"})
    played = Played(served({"v": 1}, arm="control"), served({"v": 2}, arm="candidate"), away, busy, away)
    uplift = client(played)
    uplift.resolve("a", unit="1")
    uplift.resolve("a", unit="2")
    for unit, version, arm in (("2", 2, "candidate"), ("1", 1, "control"), ("3", 1, None)):
        found = uplift.resolve("a", unit=unit)
        assert (found.configuration["v"], found.exposure and found.exposure.arm) == (version, arm), unit
    # Only the candidate is known: nobody else is given it.
    played = Played(served({"v": 2}, arm="candidate"), away)
    uplift = client(played)
    uplift.resolve("a", unit="2")
    assert uplift.resolve("a", unit="3", defaults={"v": 0}).source == "defaults"


def test_nothing_is_served_from_memory_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1_000.0
    monkeypatch.setattr("uplift_sdk._wire.monotonic", lambda: moment)
    away = httpx.ConnectError("away")
    uplift = client(Played(served({"v": 1}), away, away, away))
    uplift.resolve("a", unit="1")
    moment += 60.0
    assert uplift.resolve("a", unit="1", defaults={"v": 0}).source == "last_known"
    moment += 0.1
    own = uplift.resolve("a", unit="1", defaults={"v": 0})
    assert (own.source, own.configuration, own.exposure, own.revision) == ("defaults", {"v": 0}, None, None)
    with pytest.raises(UpliftUnavailable):
        uplift.resolve("a", unit="1")


def test_a_server_that_is_away_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1_000.0
    monkeypatch.setattr("uplift_sdk._wire.monotonic", lambda: moment)
    slow = httpx.Response(429, json={"detail": "too often", "code": "rate_limited"}, headers={"retry-after": "3"})
    played = Played(slow, served({"v": 1}))
    uplift = client(played)
    for _ in range(3):
        assert uplift.resolve("a", defaults={"v": 0}).source == "defaults"
    assert len(played.asked) == 1
    moment += 3.1
    assert uplift.resolve("a", defaults={"v": 0}).source == "server"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"detail": "no", "code": "unauthorized"}),
        httpx.Response(422, json={"detail": "no", "code": "invalid_value"}),
        httpx.Response(502, text="<html>"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"entity": "a"}),
        httpx.Response(302, headers={"location": "http://elsewhere.example/"}),
        httpx.ReadTimeout("slow"),
    ],
    ids=str,
)
def test_nothing_stops_an_agent_that_brings_defaults(answer: Any) -> None:
    found = client(Played(answer)).resolve("a", defaults={"v": 0})
    assert (found.source, found.configuration) == ("defaults", {"v": 0}) and found.error is not None


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().settings == Settings()
    monkeypatch.setenv("UPLIFT_URL", "https://uplift.example")
    monkeypatch.setenv("UPLIFT_TOKEN", "secret")
    monkeypatch.setenv("UPLIFT_AGENT", "a")
    monkeypatch.setenv("UPLIFT_TIMEOUT_S", "0.5")
    uplift_sdk.configure(agent="b", environment="staging")
    found = Client(environment="production").settings
    assert (found.url, found.token, found.timeout_s) == ("https://uplift.example", "secret", 0.5)
    assert (found.agent, found.environment) == ("b", "production")
    uplift_sdk.configure(agent=None)
    assert Client().settings.agent == "a"
    for wrong in ({"url": "uplift.example"}, {"timeout_s": 0}, {"keep_last_s": -1}, {"max_kept": 0}):
        with pytest.raises(ValueError):
            Client(**wrong)
        with pytest.raises(ValueError):
            uplift_sdk.configure(**wrong)
    for no_setting in (Client, uplift_sdk.configure):
        with pytest.raises(TypeError):
            no_setting(adress="x")
    played = Played(served({"v": 1}))
    client(played, token="secret").resolve()
    assert played.asked[0].headers["authorization"] == "Bearer secret"
    assert str(played.asked[0].url.path) == "/api/resolve/agent/a"


def test_names_go_into_addresses_as_they_are() -> None:
    played = Played(served({"v": 1}))
    client(played).resolve("a/b c?d", entity_type="agent")
    assert played.asked[0].url.raw_path == b"/api/resolve/agent/a%2Fb%20c%3Fd"


def test_an_instruction_may_be_a_text() -> None:
    def read(configuration: dict[str, Any]) -> str:
        return Resolution("agent", "a", configuration, "defaults", "unavailable").instruction

    assert [read(of) for of in ({"instruction": "Go."}, {}, {"instruction": {"guidelines": [{"text": "x"}]}})] == [
        "Go.",
        "",
        "- x",
    ]


def test_a_token_is_told_to_the_server_and_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    played = Played(served({"model": "m"}))
    # As a file has it whose line was ended.
    client = Client(transport=httpx.MockTransport(played), agent="a", token="uplift_abc\n")
    assert client.resolve(unit="u", defaults=DEFAULTS).source == "server"
    assert played.asked[0].headers["authorization"] == "Bearer uplift_abc"
    assert "uplift_abc" not in repr(client.settings)
    with Client(url=NOBODY, agent="a", token="\tuplift_abc\r\n") as away:
        assert "uplift_abc" not in str(away.resolve(unit="u", defaults=DEFAULTS).error)
    for bad in ("uplift_ab c", "uplift_ab\nc", "uplift_ab\u00e9c"):
        with pytest.raises(ValueError, match="not shown") as refused:
            Settings(token=bad)
        assert "uplift_ab" not in str(refused.value)
    assert "uplift_abc" not in caplog.text
    assert Settings(token=" \n").token is None
