"""Where the server is, and who asks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

DEFAULT_URL: Final = "http://127.0.0.1:7878"
"""Where a server listens by default."""


@dataclass(frozen=True)
class Settings:
    """What a client needs to know. Arguments win over `configure`, which wins over the environment."""

    url: str = DEFAULT_URL
    """The server's address (`UPLIFT_URL`)."""
    token: str | None = field(default=None, repr=False)
    """A token, where the server asks for one (`UPLIFT_TOKEN`). What files put around it, such as the end of a line, is
    left out."""
    agent: str | None = None
    """The agent that this program is (`UPLIFT_AGENT`)."""
    environment: str | None = None
    """The environment (`UPLIFT_ENVIRONMENT`); none leaves it to the server."""
    timeout_s: float = 2.0
    """How long one answer may take, seconds, above 0 (`UPLIFT_TIMEOUT_S`)."""
    keep_last_s: float = 60.0
    """How long the last known configuration is used while the server is away, seconds, at least 0. After that it is
    the code's own: a rollback must not be outlived."""
    ask_again_s: float = 1.0
    """How long nobody asks a server that was away just now, seconds, at least 0."""
    max_kept: int = 1_000
    """Answers that are remembered at most, at least 1."""
    max_unsent: int = 10_000
    """Events that wait at most while the server is away, at least 1; the oldest are given up beyond that."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the server's address must begin with http:// or https://, not {self.url!r}")
        if self.token is not None:
            object.__setattr__(self, "token", self.token.strip() or None)
        # Whatever refuses it later would say it, in an exception or in a log.
        if self.token and not all("!" <= character <= "~" for character in self.token):
            raise ValueError("the token holds characters that no token has; it is not shown here")
        for name, least in (("keep_last_s", 0.0), ("ask_again_s", 0.0), ("max_kept", 1), ("max_unsent", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s must be above 0")


_configured: dict[str, Any] = {}


def configure(**settings: Any) -> None:
    """Sets what every client made from now on starts from: the fields of `Settings`, `None` for the default."""
    unknown = settings.keys() - Settings.__dataclass_fields__.keys()
    if unknown:
        raise TypeError(f"there is no setting {', '.join(sorted(unknown))}")
    Settings(**{name: value for name, value in settings.items() if value is not None})
    for name, value in settings.items():
        if value is None:
            _configured.pop(name, None)
        else:
            _configured[name] = value


def settings(**given: Any) -> Settings:
    """The settings in force, with those given."""
    from_environment: list[tuple[str, str, Callable[[str], Any]]] = [
        ("url", "UPLIFT_URL", str),
        ("token", "UPLIFT_TOKEN", str),
        ("agent", "UPLIFT_AGENT", str),
        ("environment", "UPLIFT_ENVIRONMENT", str),
        ("timeout_s", "UPLIFT_TIMEOUT_S", float),
    ]
    found: dict[str, Any] = {}
    for name, variable, read in from_environment:
        if text := os.environ.get(variable):
            found[name] = read(text)
    found.update(_configured)
    found.update((name, value) for name, value in given.items() if value is not None)
    return replace(Settings(), **found)
