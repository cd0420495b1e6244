"""A real server for the tests: the binary that `UPLIFT_TEST_BINARY` names, else the one that was built last."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uplift_sdk

REPOSITORY = Path(__file__).parents[3]
PATIENCE_S = 60.0


class Server:
    """A server on a port of its own."""

    def __init__(self, folder: Path, settings: str = "", listen: str = "127.0.0.1:0") -> None:
        binary = os.environ.get("UPLIFT_TEST_BINARY") or str(REPOSITORY / "target/debug/uplift")
        config = folder / "uplift.toml"
        config.write_text(settings)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UPLIFT")}
        environment |= {"UPLIFT_OTLP_GRPC_LISTEN": "none", "RUST_LOG": "warn"}
        command = [
            binary,
            "serve",
            "--listen",
            listen,
            "--database",
            str(folder / "fleet.db"),
            "--config",
            str(config),
        ]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("listening on http://"), said
        self.address = said.removeprefix("listening on http://").split(",")[0].strip()
        self.url = f"http://{self.address}"

    def get(self, path: str) -> Any:
        """What the API answers."""
        answer = httpx.get(self.url + path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """The events of a task, in the order of time."""
        return list(
            self.get("/api/events?" + "&".join(f"{name}={value}" for name, value in filters.items()))["items"]
        )

    def until(self, what: str, ask: Callable[[], Any]) -> Any:
        """Asks again until there is an answer."""
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE_S:
            if found := ask():
                return found
            time.sleep(0.02)
        raise AssertionError(f"not within {PATIENCE_S} s: {what}")

    def end(self) -> None:
        """Kills it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers that end with the test; each on the same database."""
    servers: list[Server] = []

    def one(settings: str = "", listen: str = "127.0.0.1:0") -> Server:
        servers.append(Server(tmp_path, settings, listen))
        return servers[-1]

    yield one
    for server in servers:
        if server.process.poll() is None:
            server.end()


@pytest.fixture
def server(start: Start) -> Server:
    """A server as it is out of the box."""
    return start()


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of whoever runs the tests do not reach them."""
    for name in [name for name in os.environ if name.startswith("UPLIFT_") and not name.startswith("UPLIFT_TEST")]:
        monkeypatch.delenv(name)
    yield
    uplift_sdk.configure(**dict.fromkeys(uplift_sdk.Settings.__dataclass_fields__))
