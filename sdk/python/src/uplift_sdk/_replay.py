"""Within `uplift replay`: what stands for the server there.

The command that `uplift replay` runs is told of a file with the configuration to use. Agents that resolve theirs get
that one, so the code that is tried is the code that runs. Recorded work is not live work: what is reported of it goes
nowhere, and nothing else is answered.
"""

from __future__ import annotations

import json
import os
from urllib.parse import unquote

import httpx

REVISION_FILE = "UPLIFT_REVISION_FILE"
RESOLVE = "/api/resolve/"


def transport() -> httpx.MockTransport | None:
    """Answers in the place of a server, where this is a replay."""
    path = os.environ.get(REVISION_FILE)
    if not path:
        return None
    # An agent that cannot see what it is to run must not run something else.
    with open(path, encoding="utf-8") as file:
        configuration = json.load(file)
    revision, about = os.environ.get("UPLIFT_REVISION", ""), os.environ.get("UPLIFT_ENTITY")

    def answer(request: httpx.Request) -> httpx.Response:
        place = request.url.raw_path.decode("ascii").partition("?")[0]
        if place == "/api/events":
            return httpx.Response(200, json={"accepted": 0, "duplicates": 0, "rejected": []})
        if not place.startswith(RESOLVE):
            return httpx.Response(503, json={"detail": "this is a replay: there is no server", "code": "replay"})
        entity_type, _, entity = place.removeprefix(RESOLVE).partition("/")
        entity = unquote(entity)
        tried = f"{entity_type}/{entity}" == about if about else entity_type == "agent"
        asked = json.loads(request.content or b"{}")
        return httpx.Response(
            200,
            json={
                "entity_type": entity_type,
                "entity": entity,
                "environment": asked.get("environment") or "default",
                "configuration": configuration if tried else asked.get("defaults") or {},
                "revision": revision if tried else "",
                "reason": "replay",
                "exposure": None,
            },
        )

    return httpx.MockTransport(answer)
