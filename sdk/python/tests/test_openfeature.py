"""The stock OpenFeature SDK with its stock OFREP provider, which know nothing of Uplift."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Server
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from uplift_sdk import Client

CONFIGURATION = {
    "model": "m-large",
    "instruction": {"text": "Answer with sources."},
    "parameters": {"timeout_ms": 5000, "temperature": 0.5, "cache": True},
    "tools": [{"name": "search", "required": True}],
}


@pytest.fixture
def flags(server: Server) -> Iterator[OpenFeatureClient]:
    with Client(url=server.url) as uplift:
        uplift.resolve("researcher", defaults=CONFIGURATION)
        uplift.resolve("researcher", defaults={"model": "m-small"}, environment="staging")
    provider = OFREPProvider(server.url)
    api.set_provider(provider)
    yield api.get_client()
    api.shutdown()
    provider.session.close()


def test_configurations_are_flags(flags: OpenFeatureClient) -> None:
    task = EvaluationContext(targeting_key="task-1")
    whole = flags.get_object_details("agent/researcher", {}, task)
    assert whole.error_code is None and whole.reason == Reason.STATIC
    assert isinstance(whole.value, dict) and whole.value["parameters"] == CONFIGURATION["parameters"]
    assert whole.variant == whole.flag_metadata["revision"] and whole.flag_metadata["served"] == "no_trial"
    assert flags.get_string_value("agent/researcher/model", "own", task) == "m-large"
    assert flags.get_string_value("agent/researcher/instruction.text", "own", task) == "Answer with sources."
    assert flags.get_integer_value("agent/researcher/parameters.timeout_ms", 1, task) == 5000
    assert flags.get_float_value("agent/researcher/parameters.temperature", 1.0, task) == 0.5
    assert flags.get_boolean_value("agent/researcher/parameters.cache", False, task) is True
    assert flags.get_object_value("agent/researcher/tools", [], task) == CONFIGURATION["tools"]
    # Without a context as well.
    assert flags.get_string_value("agent/researcher/model", "own") == "m-large"
    staging = EvaluationContext(targeting_key="task-1", attributes={"environment": "staging"})
    assert flags.get_string_value("agent/researcher/model", "own", staging) == "m-small"


def test_what_there_is_not_is_the_codes_own(flags: OpenFeatureClient) -> None:
    for key in ("agent/nobody", "agent/researcher/nothing", "robot/x", "x"):
        found = flags.get_string_details(key, "own")
        assert (found.value, found.reason, found.error_code) == ("own", Reason.ERROR, ErrorCode.FLAG_NOT_FOUND), key
    wrong_type = flags.get_integer_details("agent/researcher/model", 7)
    assert (wrong_type.value, wrong_type.error_code) == (7, ErrorCode.TYPE_MISMATCH)
    no_text = EvaluationContext(attributes={"environment": 7})
    found = flags.get_string_details("agent/researcher/model", "own", no_text)
    assert (found.value, found.error_code) == ("own", ErrorCode.INVALID_CONTEXT)
